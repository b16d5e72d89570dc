"""The rows of a symbol's price source that orders may fill on, and why others are not among them.

A symbol has one price source a day: its quotes, else its trades, else its 1m bars.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.model import (
    QUOTE_CODE,
    TRADE_CODE,
    Flag,
    Floats,
    Ints,
    Items,
    StreamType,
    Window,
    pick_items,
)
from app.times import MINUTE_NS
from app.trading.adjust import spans_split, split_ratios
from app.trading.context import RunContext
from app.trading.services.execution.codes import Why
from app.trading.services.execution.outcome import Row, Source
from app.trading.stretch import Stretch, alone, stretch_of

_RECORD = Struct("<q4x2xH7d")  # app.model.ITEM: release_ns, flags, values
_RELEASE = Struct("<q")
_SIZE = _RECORD.size
Halt = tuple[int, int, int]  # symbol, from_ns, until_ns
_CODES = {Source.BARS: 1, Source.TRADES: TRADE_CODE, Source.QUOTES: QUOTE_CODE}
_KINDS = (
    (StreamType.QUOTE, Source.QUOTES), (StreamType.TRADE, Source.TRADES),
    (StreamType.BAR, Source.BARS),
)  # fmt: skip
_SKIPS = (
    Why.FILLS, Why.ZERO_VOLUME, Why.SPANS_SPLIT, Why.ONE_SIDED, Why.CROSSED, Why.NOT_ELIGIBLE,
    Why.HALTED, Why.POST_CLOSE,
)  # fmt: skip
_LAST, _POST_CLOSE = int(Flag.LAST), int(Flag.POST_CLOSE)  # numpy is slow with enumerations
_PRICED = 3  # values up to a bar's low, a quote's ask
_NUMBERS = {why: number for number, why in enumerate(_SKIPS)}


class Records:
    """Items of a source, read row by row: one row in plain Python costs a tenth of numpy's."""

    __slots__ = ("_bytes", "_span_ns", "items", "source")

    def __init__(self, source: Source, items: Items) -> None:
        raw: Any = items.view(np.uint8)
        self.source = source
        self.items = items
        self._bytes: memoryview = raw.data
        self._span_ns = MINUTE_NS if source is Source.BARS else 0

    def start_ns(self, number: int) -> int:
        """A bar's start; a trade's or quote's own time."""
        release_ns: int = _RELEASE.unpack_from(self._bytes, number * _SIZE)[0]
        return release_ns - self._span_ns

    def row(self, number: int) -> Row:
        found = _RECORD.unpack_from(self._bytes, number * _SIZE)
        release_ns: int = found[0]
        return Row(self.source, release_ns - self._span_ns, release_ns, found[2:], found[1])


class _Reel(NamedTuple):
    """The usable rows of one source in a stretch: symbol by symbol, each in delivered order."""

    records: Records
    numbers: memoryview  # of the stretch's items
    ends: memoryview  # of the rows: symbol s has those from ends[s] to ends[s + 1]
    bounds: memoryview  # of the stretch

    def cut(self, symbol: int, first: int, last: int) -> Tape | None:
        """The symbol's own of these slices; None where it has none."""
        low, high = self.ends[symbol], self.ends[symbol + 1]
        if first:
            low = bisect_left(self.numbers, self.bounds[first], low, high)
        if last < len(self.bounds) - 1:
            high = bisect_left(self.numbers, self.bounds[last], low, high)
        return Tape(self, first, low, high) if low < high else None


class Tape:
    """Usable rows of one symbol in a window, in delivered order: the places low to high.

    ``numbers`` are those of the items of the stretch that the window lies in; it begins with the
    stretch's slice ``first``.
    """

    def __init__(self, reel: _Reel, first: int, low: int, high: int) -> None:
        self.records, self.numbers, _, self._bounds = reel
        self.source = self.records.source
        self._first, self.low, self.high = first, low, high

    def slice_of(self, at: int) -> int:
        """The slice of the window that has this place's row."""
        return bisect_right(self._bounds, self.numbers[at], self._first) - 1 - self._first

    def first_of(self, slice_: int) -> int:
        """The first place in a slice of the window, or after it."""
        row = self._bounds[self._first + slice_]
        return bisect_left(self.numbers, row, self.low, self.high)

    def since(self, at: int, start_ns: int) -> int:
        """The first place from ``at`` on whose row starts then or later."""
        start_of, numbers = self.records.start_ns, self.numbers
        if at == self.high or start_of(numbers[at]) >= start_ns:
            return at
        return bisect_left(numbers, start_ns, at + 1, self.high, key=start_of)

    @cached_property
    def columns(self) -> Floats:
        """All values (columns, rows), for orders that wait for a price."""
        items = pick_items(self.records.items, self.numbers[self.low : self.high])
        return np.ascontiguousarray(items["v"].T)

    @cached_property
    def highest(self) -> list[float]:
        """Of each column that orders may wait for."""
        highest: list[float] = self.columns[:_PRICED].max(axis=1).tolist()
        return highest

    @cached_property
    def lowest(self) -> list[float]:
        lowest: list[float] = self.columns[:_PRICED].min(axis=1).tolist()
        return lowest


def source_of(context: RunContext, symbol: int, day: int) -> Source | None:
    """The price source of a symbol on a day; None where it has no data."""
    for kind, source in _KINDS:
        if context.market.has(symbol, kind, day):
            return source
    return None


def halts_of(context: RunContext) -> list[Halt]:
    """The halts of the run's symbols."""
    number = {symbol: i for i, symbol in enumerate(context.symbols)}
    return [(number[name], low, high) for name, low, high in context.halts if name in number]


def starts_of(items: Items, source: Source) -> Ints:
    """A bar's start; a trade's or quote's own time."""
    release: Ints = items["release_ns"]
    return release - MINUTE_NS if source is Source.BARS else release


def usability(
    items: Items,
    source: Source,
    halts: Sequence[Halt] = (),
    ratios: Mapping[int, float] | None = None,
) -> list[Why]:
    """For each row ``Why.FILLS`` where orders may fill on it, else why not."""
    return [_SKIPS[number] for number in _skip_numbers(items, source, halts, ratios).tolist()]


def _skip_numbers(
    items: Items, source: Source, halts: Sequence[Halt], ratios: Mapping[int, float] | None
) -> NDArray[np.uint8]:
    found = np.zeros(len(items), np.uint8)
    values: Any = items["v"]
    if source is Source.BARS:
        found[~(values[:, 4] > 0)] = _NUMBERS[Why.ZERO_VOLUME]
        if ratios:
            found[spans_split(items, ratios)] = _NUMBERS[Why.SPANS_SPLIT]
    elif source is Source.QUOTES:
        bid, ask = values[:, 0], values[:, 2]
        found[ask < bid] = _NUMBERS[Why.CROSSED]
        lacks = ~((bid > 0) & (ask > 0)) | (values[:, 1] == 0) | (values[:, 3] == 0)
        found[lacks] = _NUMBERS[Why.ONE_SIDED]
    else:
        found[items["flags"] & _LAST == 0] = _NUMBERS[Why.NOT_ELIGIBLE]
    if halts:
        start, release = starts_of(items, source), items["release_ns"]
        for symbol, low, high in halts:
            within = (start < high) & (release > low) | (start == low)
            found[within & (items["symbol"] == symbol)] = _NUMBERS[Why.HALTED]
    found[items["flags"] & _POST_CLOSE != 0] = _NUMBERS[Why.POST_CLOSE]
    return found


def _by_symbol(numbers: Ints, items: Items, count: int) -> tuple[Ints, Ints]:
    """Rows of a stretch sorted by symbol, each one's in their order; where each one's end."""
    ends = np.zeros(count + 1, np.int64)
    if count == 1:
        ends[1] = len(numbers)
        return numbers, ends
    symbols = items["symbol"][numbers]
    if count < 2**16:
        symbols = symbols.astype(np.uint16)  # numpy sorts these by radix
    np.cumsum(np.bincount(symbols, minlength=count), out=ends[1:])
    return numbers[symbols.argsort(kind="stable")], ends


class Tapes:
    """The tapes of one window, each made when it is first asked for."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._halts = halts_of(context)
        self._day = context.first_day
        self._ratios: dict[int, float] = {}
        self._sources: dict[int, Source | None] = {}
        self._stretch: Stretch | None = None  # that the window lies in, from which slice on
        self._first = 0
        self._reels: dict[Source, _Reel] = {}  # of the stretch
        self._tapes: dict[int, Tape | None] = {}  # of the window
        self.window: Window | None = None

    def open_day(self, day: int) -> None:
        self._day = day
        self._ratios = split_ratios(self._context, day)
        self._sources.clear()
        self.window = None

    def move(self, window: Window) -> None:
        """Another window: of the last one nothing is known any more but their stretch."""
        stretch = alone(window) if self._ratios else stretch_of(window)
        if stretch is not self._stretch:
            self._stretch = stretch
            self._reels.clear()
        self.window, self._first = window, stretch.place_of(window)
        self._tapes.clear()

    def source(self, symbol: int) -> Source | None:
        """The symbol's price source today."""
        if symbol not in self._sources:
            self._sources[symbol] = source_of(self._context, symbol, self._day)
        return self._sources[symbol]

    def halted(self, symbol: int, now_ns: int) -> bool:
        return any(low <= now_ns < high for halted, low, high in self._halts if halted == symbol)

    def of(self, symbol: int) -> Tape | None:
        """The symbol's usable rows of this window; None where it has none."""
        if symbol in self._tapes:
            return self._tapes[symbol]
        source, window = self.source(symbol), self.window
        found = None
        if source is not None and window is not None:
            last = self._first + len(window.times_ns)
            found = self._reel(source).cut(symbol, self._first, last)
        self._tapes[symbol] = found
        return found

    def _reel(self, source: Source) -> _Reel:
        """All usable rows of a source: one test and one sort serve every symbol and window."""
        stretch = self._stretch
        assert stretch is not None  # there is a window
        if source not in self._reels:
            items = stretch.items
            usable = _skip_numbers(items, source, self._halts_in(stretch), self._ratios) == 0
            usable &= items["stream"] == _CODES[source]
            numbers, ends = _by_symbol(usable.nonzero()[0], items, len(self._context.symbols))
            self._reels[source] = _Reel(
                Records(source, items), numbers.data, ends.data, stretch.bounds.data
            )
        return self._reels[source]

    def _halts_in(self, stretch: Stretch) -> list[Halt]:
        """Those that may touch a row of the stretch."""
        if not self._halts:
            return []
        first_ns, last_ns = stretch.times_ns.item(0) - MINUTE_NS, stretch.times_ns.item(-1)
        return [halt for halt in self._halts if halt[1] <= last_ns and halt[2] >= first_ns]
