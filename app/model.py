"""Items, streams, batches and slices: the words every layer shares.

An item in motion is one 72-byte record of ``ITEM``; a batch is an array of
them. The same bytes are what the digest hashes, so nothing is converted on the
way. What the seven values mean depends on the stream (``FIELDS``); text is an
index into a ``Dictionary``, a missing number is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntFlag, StrEnum
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import RequestError
from app.times import MINUTE_NS

VALUES = 7
TRADE_CODE = 0x8000
QUOTE_CODE = 0x8001

ITEM = np.dtype(
    [
        ("release_ns", "<i8"),  # when the item is complete and may be known
        ("symbol", "<u4"),  # index into the session's symbols, sorted by code point
        ("stream", "<u2"),  # a bar's interval in minutes, TRADE_CODE or QUOTE_CODE
        ("flags", "<u2"),  # Flag
        ("v", "<f8", (VALUES,)),  # FIELDS, then zeros
    ]
)
Items = NDArray[np.void]
_AT_ONCE = 4096  # records that a processor's cache holds while their fields are written
_RAW = np.dtype((np.void, ITEM.itemsize))  # numpy moves plain bytes seven times as fast as fields
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class StreamType(StrEnum):
    """The three kinds of item."""

    BAR = "bars"
    TRADE = "trades"
    QUOTE = "quotes"


class Flag(IntFlag):
    """What an item's ``flags`` say."""

    POST_CLOSE = 1  # between the close and the end of the grace
    COMPLETE = 2  # bar: all its minutes were there
    PARTIAL = 4  # bar: the short last bucket of its part of the day
    SUSPICIOUS = 8  # trade: marked so by its source
    LAST = 16  # trade: may set last, open and close
    HIGH_LOW = 32  # trade: may set high and low
    VOLUME = 64  # trade: counts for volume
    AUCTION_OPEN = 128  # trade: the opening auction
    AUCTION_CLOSE = 256  # trade: the closing auction


FIELDS: dict[StreamType, tuple[str, ...]] = {
    StreamType.BAR: ("open", "high", "low", "close", "volume", "vwap", "minutes"),
    StreamType.TRADE: ("price", "size", "exchange", "conditions"),
    StreamType.QUOTE: ("bid", "bid_size", "ask", "ask_size", "exchange", "side"),
}
SIZES = ("volume", "size", "bid_size", "ask_size")  # may be integers at the source
TEXTS = ("exchange", "conditions", "side")  # indices into a Dictionary; -1 is null


class Stream(NamedTuple):
    """One ``(symbol, stream type, interval)``; interval in minutes, 0 for ticks."""

    symbol: str
    type: StreamType
    interval_min: int = 0

    @property
    def channel(self) -> str:
        """``bars_1m``, ``trades`` or ``quotes``: its name in HTTP and catalog."""
        return channel_name(self.type, self.interval_min)

    @property
    def code(self) -> int:
        """Its number in ``ITEM.stream``."""
        return stream_code(self.type, self.interval_min)

    @property
    def rank(self) -> int:
        """Its place among streams at one release time: trades, quotes, bars by interval."""
        return code_rank(self.code)


def channel_name(kind: StreamType, interval_min: int) -> str:
    return f"bars_{interval_min}m" if kind is StreamType.BAR else kind.value


def stream_code(kind: StreamType, interval_min: int) -> int:
    if kind is StreamType.TRADE:
        return TRADE_CODE
    return QUOTE_CODE if kind is StreamType.QUOTE else interval_min


def code_rank(code: int) -> int:
    """The total order among streams of one release time, in one place."""
    if code == TRADE_CODE:
        return 0
    return 1 if code == QUOTE_CODE else 1 + code


@lru_cache(maxsize=256)
def parse_channel(channel: str) -> tuple[StreamType, int]:
    """Kind and interval in minutes of ``bars_<n>m``, ``trades`` or ``quotes``."""
    if channel in (StreamType.TRADE, StreamType.QUOTE):
        return StreamType(channel), 0
    digits = channel.removeprefix("bars_").removesuffix("m")
    if channel == f"bars_{digits}m" and re.fullmatch("[0-9]{1,4}", digits):
        minutes = int(digits)
        if 1 <= minutes <= 1440 and digits == str(minutes):
            return StreamType.BAR, minutes
    raise RequestError(f"unknown stream {channel!r}; allowed: bars_<minutes>m, trades, quotes")


class Dictionary:
    """Text to index, in order of first appearance. Any readers; writers take turns."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._index = {word: number for number, word in enumerate(words)}
        self._adding = Lock()
        self._table = np.array([None], object)  # of words, and null at the end; until one comes
        self.words = list(words)

    def __len__(self) -> int:
        return len(self.words)

    def add(self, word: str) -> int:
        found = self._index.get(word)
        if found is None:
            with self._adding:
                found = self._index.get(word, len(self.words))
                if found == len(self.words):
                    self.words.append(word)
                    self._index[word] = found
        return found

    def look_up(self, codes: Floats) -> list[str | None]:
        """The words of a column of indices; null for -1."""
        table = self._table
        if len(table) <= len(self.words):
            table = self._table = np.array([*self.words, None], object)
        found: list[str | None] = table[codes.astype(np.int64)].tolist()
        return found


class Batch(NamedTuple):
    """Rows of one stream in source order, and how far the stream is complete after them."""

    stream: Stream
    items: Items
    complete_through_ns: int
    sequence: Ints | None = None  # common to the trades and quotes of a symbol

    @property
    def starts_ns(self) -> Ints:
        """A bar's start; a trade's or quote's own time."""
        release: Ints = self.items["release_ns"]
        return release - self.stream.interval_min * MINUTE_NS


def empty_items(rows: int = 0) -> Items:
    return np.zeros(rows, ITEM)


def join_items(parts: Sequence[Items]) -> Items:
    """One array of several, in their order."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return empty_items()
    joined: Items = np.concatenate([part.view(_RAW) for part in parts]).view(ITEM)
    return joined


def pick_items(items: Items, which: Any) -> Items:
    """Copies of the rows that an index array or a mask names."""
    picked: Items = items.view(_RAW)[which].view(ITEM)
    return picked


def place_items(parts: Sequence[Items], places: Any) -> Items:
    """One array of several, each row at its place in it."""
    placed = np.empty(len(places), _RAW)
    low = 0
    for part in parts:
        placed[places[low : low + len(part)]] = part.view(_RAW)
        low += len(part)
    found: Items = placed.view(ITEM)
    return found


def copy_of(items: Items) -> Items:
    """An array of its own with the same items."""
    own: Items = items.view(_RAW).copy().view(ITEM)
    return own


def copy_items(into: Items, items: Items) -> None:
    """Overwrite ``into`` by as many items."""
    into.view(_RAW)[:] = items.view(_RAW)


def lengths_of(firsts: Ints, count: int) -> Ints:
    """How long each run of ``count`` rows in all is, by their first rows."""
    lengths = np.empty_like(firsts)
    lengths[:-1] = firsts[1:]
    lengths[-1:] = count
    lengths -= firsts
    return lengths


def field_index(kind: StreamType, field: str) -> int:
    return FIELDS[kind].index(field)


class Slice(NamedTuple):
    """All items of one release time, in the total order."""

    time_ns: int
    seq: int
    items: Items


class Block(NamedTuple):
    """Consecutive slices as they were merged, ahead of the clock, of any days."""

    times_ns: Ints  # one a slice, rising
    bounds: Ints  # len(times_ns) + 1; slice i is items[bounds[i]:bounds[i + 1]]
    items: Items


class Window(NamedTuple):
    """A run of consecutive slices of one trading day, as one vector."""

    epoch: int
    day: int  # index into the session's trading days
    first_seq: int
    times_ns: Ints  # one a slice, rising
    bounds: Ints  # len(times_ns) + 1; slice i is items[bounds[i]:bounds[i + 1]]
    items: Items
    block: Block | None = None  # what it was cut of, for work that is cheaper done for many windows
    at: int = 0  # its first slice there

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.times_ns) - 1

    def slices(self) -> list[Slice]:
        edges = self.bounds.tolist()
        return [
            Slice(t, self.first_seq + i, self.items[edges[i] : edges[i + 1]])
            for i, t in enumerate(self.times_ns.tolist())
        ]

    def part(self, low: int, high: int) -> Window:
        """Its slices [low, high); no row is copied."""
        bounds = self.bounds[low : high + 1]
        return self._replace(
            first_seq=self.first_seq + low, times_ns=self.times_ns[low:high],
            bounds=bounds - bounds[0], items=self.items[bounds[0] : bounds[-1]], at=self.at + low,
        )  # fmt: skip

    def slice_of_rows(self) -> Ints:
        """For each item the number of its slice in this window."""
        return np.repeat(np.arange(len(self.times_ns)), np.diff(self.bounds))


def make_items(code: int, release_ns: Any, flags: Any, *columns: Any) -> Items:
    """Records of one stream from its columns, in the order of ``FIELDS``; symbol 0."""
    release = np.asarray(release_ns, np.int64)
    items = empty_items(len(release))
    values = items["v"]
    written = [(items["release_ns"], release), (items["stream"], np.asarray(code))]
    written.append((items["flags"], np.asarray(flags)))
    written += [(values[:, place], np.asarray(one)) for place, one in enumerate(columns)]
    for low in range(0, len(items), _AT_ONCE):
        high = low + _AT_ONCE
        for field, column in written:
            field[low:high] = column[low:high] if column.ndim else column
    return items
