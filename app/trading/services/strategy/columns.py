"""Recorded rows as a strategy reads them: named, read-only numpy columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.day_table import Grid
from app.errors import RequestError
from app.model import Flag, Floats, Ints, Items, StreamType, field_index
from app.times import MINUTE_NS

_HALF_A_DAY_NS = 720 * MINUTE_NS
_UNITS = {"m": 1, "h": 60}


def interval_minutes(interval: str | int) -> int:
    """Minutes of ``"15m"``, ``"1h"`` or 15."""
    if isinstance(interval, str) and interval[:-1].isdecimal() and interval[-1] in _UNITS:
        interval = int(interval[:-1]) * _UNITS[interval[-1]]
    if type(interval) is not int or not 1 <= interval <= 1440:
        raise RequestError(f"interval is {interval!r}; needed: minutes or hours, as '15m' or '1h'")
    return interval


def bar_starts(items: Items, grid: Grid) -> Ints:
    """Starts of bars, of days outside the grid too.

    There, a short last bucket starts a whole number of intervals after the bar before it.
    """
    release = items["release_ns"]
    width = items["stream"].astype(np.int64) * MINUTE_NS
    starts: Ints = release - width
    short = np.flatnonzero(items["flags"] & Flag.PARTIAL)
    if len(short):
        part = grid.start_ns.searchsorted(release[short], "left") - 1
        known = (part >= 0) & (release[short] <= grid.end_ns[part])
        on_grid = short[known]
        starts[on_grid] = grid.bar_starts(items[on_grid])
        for row in short[~known].tolist():
            before = row - 1
            if before >= 0 and release[row] - release[before] < _HALF_A_DAY_NS:
                whole = (release[row] - starts[before] - 1) // width[row]
                starts[row] = starts[before] + whole * width[row]
    return starts


class Store:
    """Rows of one kind, of which columns are made as they are asked for, once."""

    __slots__ = ("_grid", "_items", "_kind", "_local", "_made")

    def __init__(self, kind: StreamType, items: Items, grid: Grid, local: Ints) -> None:
        self._kind, self._items = kind, items
        self._grid, self._local = grid, local
        self._made: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._items)

    def column(self, name: str) -> Any:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = np.ascontiguousarray(self._make(name))
            found.flags.writeable = False
        return found

    def _make(self, name: str) -> Any:
        if name == "symbol":
            return self._local[self._items["symbol"]]
        if name in ("release_ns", "flags"):
            return self._items[name]
        if name == "ts_ns":
            is_bar = self._kind is StreamType.BAR
            return bar_starts(self._items, self._grid) if is_bar else self._items["release_ns"]
        values: Any = self._items["v"]
        return values[:, field_index(self._kind, name)]


def _column(name: str, doc: str) -> Any:
    def read(self: Columns) -> Any:
        return self._store.column(name)[self._low : self._high]

    return property(read, doc=doc)


class Columns:
    """Rows, oldest first; every column is a read-only numpy array of ``len(self)``."""

    __slots__ = ("_high", "_low", "_store")

    def __init__(self, store: Store, low: int = 0, high: int | None = None) -> None:
        self._store, self._low = store, low
        self._high = len(store) if high is None else high

    def __len__(self) -> int:
        return self._high - self._low

    release_ns: Ints = _column("release_ns", "When each was complete and could be known.")
    symbol: Ints = _column("symbol", "For each the place of its symbol in ``ctx.symbols``.")
    flags: Ints = _column("flags", "``Flag`` of each.")


class Bars(Columns):
    """Bars of one interval."""

    __slots__ = ()

    ts_ns: Ints = _column("ts_ns", "Where each starts.")
    open: Floats = _column("open", "First price.")
    high: Floats = _column("high", "Highest price.")
    low: Floats = _column("low", "Lowest price.")
    close: Floats = _column("close", "Last price.")
    volume: Floats = _column("volume", "Shares.")
    vwap: Floats = _column("vwap", "Average price by volume; NaN where there is none.")


class Trades(Columns):
    """Trades."""

    __slots__ = ()

    ts_ns: Ints = _column("ts_ns", "The time of each.")
    price: Floats = _column("price", "Price.")
    size: Floats = _column("size", "Shares.")


class Quotes(Columns):
    """Quotes; a side that is not there is NaN."""

    __slots__ = ()

    ts_ns: Ints = _column("ts_ns", "The time of each.")
    bid: Floats = _column("bid", "Best bid.")
    bid_size: Floats = _column("bid_size", "Shares at the bid.")
    ask: Floats = _column("ask", "Best ask.")
    ask_size: Floats = _column("ask_size", "Shares at the ask.")
