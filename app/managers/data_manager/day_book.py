"""The record of each trading day: OHLCV of the regular minutes, coverage, official close.

Kept as columns over the symbols, built ahead of the clock from the filtered
intake; whoever reads is told from which moment a figure was known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from app.calendar import TradingDay
from app.day_table import Grid
from app.managers.data_manager.gap_detection import Coverage, expected_minutes, find_gaps
from app.model import Floats, Items
from app.times import MINUTE_NS

_EPOCH = date(1970, 1, 1)
DAILY, AUCTION, LAST_MINUTE = "daily", "auction", "last_minute"


class OfficialClose(NamedTuple):
    """The close, and where it came from."""

    price: float
    source: str


class SymbolDay(NamedTuple):
    """One symbol's finished day; prices None where it had no regular bar."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    coverage: Coverage | None  # None for a symbol without bars of any kind


def sum_in_order(values: Floats, start: float = 0.0) -> float:
    """The sum from left to right: the same however the values were cut into batches."""
    return float(np.cumsum(np.concatenate(([start], values)))[-1])


class _Page:
    """One day, as columns over the symbols."""

    def __init__(self, day: TradingDay, symbols: int) -> None:
        self.day = day
        self.ohlcv = np.full((symbols, 5), np.nan)
        self.minutes = expected_minutes(day, day.end_ns)  # a session may end within the day
        self.there = np.zeros((symbols, len(self.minutes)), bool)
        self.packed: Any = None
        self.auctions: dict[int, list[tuple[int, float]]] = {}  # by symbol: time, price
        self.days: dict[int, SymbolDay] = {}  # made once the page is closed

    def add(self, symbol: int, ohlc: Floats, volumes: Floats, starts: Any) -> None:
        row = self.ohlcv[symbol]
        if np.isnan(row[0]):
            row[:4], row[4] = ohlc, 0.0
        else:
            row[1], row[2] = max(row[1], ohlc[1]), min(row[2], ohlc[2])
            row[3] = ohlc[3]
        row[4] = sum_in_order(volumes, row[4])
        at = np.searchsorted(self.minutes, starts, "right") - 1
        self.there[symbol, at] = True

    def close(self) -> None:
        """No more rows: the minutes are packed, eight to a byte."""
        self.packed = np.packbits(self.there, axis=1)
        self.there = np.empty((0, 0), bool)

    def minutes_there(self, symbol: int) -> Any:
        if self.packed is None:
            return self.there[symbol]
        return np.unpackbits(self.packed[symbol], count=len(self.minutes)).astype(bool)


class DayBook:
    """One writer (the upkeep thread); readers look only at closed days."""

    def __init__(
        self,
        days: Sequence[TradingDay],
        symbols: Sequence[str],
        daily: Mapping[str, Mapping[int, float]],
        with_bars: Sequence[bool],
    ) -> None:
        self._days = tuple(days)
        self._symbols = tuple(symbols)
        self._daily = daily
        self._with_bars = tuple(with_bars)
        self._grid = Grid(days, regular_only=True)
        self._pages: dict[int, _Page] = {}

    def _page(self, day: int) -> _Page:
        page = self._pages.get(day)
        if page is None:
            page = self._pages[day] = _Page(self._days[day], len(self._symbols))
        return page

    def add_bars(self, symbol: int, items: Items) -> None:
        """Count 1m bars of one symbol, rising in time; only its regular minutes matter here."""
        starts = items["release_ns"] - MINUTE_NS
        part, regular = self._grid.part_of(starts)
        regular &= items["release_ns"] <= self._days[-1].end_ns
        rows: Any = items["v"][regular]
        if not len(rows):
            return
        starts, day = starts[regular], self._grid.day[part[regular]]
        firsts = np.flatnonzero(np.concatenate(([True], day[1:] != day[:-1])))
        edges = [*firsts.tolist(), len(rows)]
        columns = np.column_stack(
            [
                rows[firsts, 0],
                np.maximum.reduceat(np.ascontiguousarray(rows[:, 1]), firsts),
                np.minimum.reduceat(np.ascontiguousarray(rows[:, 2]), firsts),
                rows[np.array(edges[1:]) - 1, 3],
            ]
        )
        for place, first in enumerate(firsts.tolist()):
            run = slice(first, edges[place + 1])
            self._page(int(day[first])).add(symbol, columns[place], rows[run, 4], starts[run])

    def add_auctions(self, symbol: int, trades: Items, grace_ns: int) -> None:
        """Note closing-auction trades; each counts for the day whose close it follows."""
        for trade in trades:
            time_ns, price = int(trade["release_ns"]), float(trade["v"][0])
            for number, day in enumerate(self._days):
                if day.close_ns <= time_ns <= day.close_ns + grace_ns:
                    prints = self._page(number).auctions.setdefault(symbol, [])
                    prints.append((time_ns, price))

    def close_day(self, day: int) -> None:
        """The day is complete: its page is read-only from now on."""
        self._page(day).close()

    def symbol_day(self, day: int, symbol: int) -> SymbolDay:
        """The record of a closed day."""
        page = self._pages[day]
        known = page.days.get(symbol)
        if known is None:
            known = page.days[symbol] = self._make_day(page, symbol)
        return known

    def _make_day(self, page: _Page, symbol: int) -> SymbolDay:
        row = page.ohlcv[symbol].tolist()
        has_bars = row[0] == row[0]
        there = page.minutes_there(symbol)
        found = Coverage(int(there.sum()), len(there), find_gaps(page.minutes, there))
        o, h, low, c, v = row if has_bars else [None] * 5
        cover = found if self._with_bars[symbol] else None
        return SymbolDay(o, h, low, c, v, cover)

    def official_close(self, day: int, symbol: int, now_ns: int) -> OfficialClose | None:
        """The catalog's daily close, else the closing auction, else the last regular minute's.

        Of several prints the last one that is known by now; None before the day's close.
        """
        page = self._pages[day]
        if now_ns < max(page.day.end_ns, page.day.close_ns):
            return None
        daily = self._daily.get(self._symbols[symbol])
        if daily:
            price = daily.get((page.day.date - _EPOCH).days)
            if price is not None:
                return OfficialClose(price, DAILY)
        prints = [price for time_ns, price in page.auctions.get(symbol, ()) if time_ns <= now_ns]
        if prints:
            return OfficialClose(prints[-1], AUCTION)
        close = float(page.ohlcv[symbol, 3])
        return None if np.isnan(close) else OfficialClose(close, LAST_MINUTE)

    def has(self, day: int) -> bool:
        """Whether the day is closed: before that its page is not for readers."""
        page = self._pages.get(day)
        return page is not None and page.packed is not None
