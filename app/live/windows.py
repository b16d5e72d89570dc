"""Slices of a server's stream, as the windows of items that an engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calendar import TradingDay
from app.client import Slices
from app.day_table import DayTable
from app.errors import FeedError
from app.model import (
    FIELDS,
    TEXTS,
    Dictionary,
    Flag,
    Ints,
    Items,
    StreamType,
    Window,
    join_items,
    make_items,
    parse_channel,
    pick_items,
    stream_code,
)
from app.times import format_time

Columns = dict[str, NDArray[Any]]
_FLAGS = {
    "complete": Flag.COMPLETE, "partial": Flag.PARTIAL, "post_close": Flag.POST_CLOSE,
    "eligible": Flag.LAST,
}  # fmt: skip
_AUCTIONS = {"open": Flag.AUCTION_OPEN, "close": Flag.AUCTION_CLOSE}


class WindowMaker:
    """Windows of one session: slices counted from 1, each window of one trading day."""

    def __init__(
        self, symbols: Sequence[str], days: Sequence[TradingDay], words: Dictionary
    ) -> None:
        self._numbers = {symbol: number for number, symbol in enumerate(symbols)}
        self._days, self._table = tuple(days), DayTable(days)
        self._words = words
        self._seq = 0  # the last slice that was made

    def windows(self, slices: Slices) -> list[Window]:
        """FeedError where a slice lies in none of the days: the session has other hours."""
        slice_of = [slices.columns[channel]["slice"] for channel in slices.channels]
        items = join_items(
            [
                self.items(channel, slices.columns[channel], slices.times_ns[numbers])
                for channel, numbers in zip(slices.channels, slice_of, strict=True)
            ]
        )
        numbers = np.concatenate(slice_of)
        order = np.argsort(numbers, kind="stable")  # channels come in their order within a slice
        bounds = numbers[order].searchsorted(np.arange(len(slices.times_ns) + 1))
        return self._cut(slices.times_ns, bounds, pick_items(items, order))

    def items(self, channel: str, columns: Columns, release_ns: Ints) -> Items:
        """Rows of one channel, whose columns have the stream's names."""
        kind, interval = parse_channel(channel)
        values = [
            self._codes(columns[name]) if name in TEXTS else columns[name] for name in FIELDS[kind]
        ]
        items = make_items(stream_code(kind, interval), release_ns, _flags(kind, columns), *values)
        items["symbol"] = [self._numbers[symbol] for symbol in columns["symbol"].tolist()]
        return items

    def _codes(self, texts: NDArray[Any]) -> list[float]:
        add = self._words.add
        return [-1.0 if text is None else float(add(text)) for text in texts.tolist()]

    def _cut(self, times_ns: Ints, bounds: Ints, items: Items) -> list[Window]:
        """One window a day."""
        days = self._table.day_of(times_ns)
        for time_ns, day in zip(times_ns.tolist(), days.tolist(), strict=True):
            if day == len(self._days) or time_ns < self._days[day].first_ns:
                raise FeedError(
                    f"the stream has a slice at {format_time(time_ns)}, in none of the "
                    "configuration's days and hours; let both name the same calendar and hours"
                )
        found = []
        for day in np.unique(days).tolist():
            low, high = days.searchsorted([day, day + 1]).tolist()
            edges = bounds[low : high + 1]
            rows = items[int(edges[0]) : int(edges[-1])]
            found.append(Window(1, day, self._seq + 1, times_ns[low:high], edges - edges[0], rows))
            self._seq += high - low
        return found


def _flags(kind: StreamType, columns: Columns) -> NDArray[np.uint16]:
    flags = np.zeros(len(columns["symbol"]), np.uint16)
    for name, flag in _FLAGS.items():
        if name in columns:
            flags[columns[name].astype(bool)] |= np.uint16(flag)
    if kind is StreamType.TRADE and "auction" in columns:
        auctions = columns["auction"]
        for name, flag in _AUCTIONS.items():
            flags[auctions == name] |= np.uint16(flag)
    return flags
