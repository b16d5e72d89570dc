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
from app.model import Floats, Ints, Items, pick_items
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

    def add(self, symbols: Ints, ohlc: Floats, of: Ints, starts: Ints, volumes: Floats) -> None:
        """Bars of several symbols: o, h, l, c of each; row i is of ``symbols[of[i]]``."""
        rows = self.ohlcv[symbols]
        fresh = np.isnan(rows[:, 0])
        rows[fresh, :4], rows[fresh, 4] = ohlc[fresh], 0.0
        rows[:, 1] = np.maximum(rows[:, 1], ohlc[:, 1])
        rows[:, 2] = np.minimum(rows[:, 2], ohlc[:, 2])
        rows[:, 3] = ohlc[:, 3]
        # Summed from left to right, from what was there: however the rows were cut into batches.
        group = np.concatenate([np.arange(len(symbols)), of])
        rows[:, 4] = np.bincount(group, np.concatenate([rows[:, 4], volumes]))
        self.ohlcv[symbols] = rows
        at = np.searchsorted(self.minutes, starts, "right") - 1
        self.there[symbols[of], at] = True

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

    def add_bars(self, items: Items) -> None:
        """Count 1m bars: each symbol's together, rising in time; only regular minutes matter."""
        starts = items["release_ns"] - MINUTE_NS
        part, regular = self._grid.part_of(starts)
        regular &= items["release_ns"] <= self._days[-1].end_ns
        if not regular.all():
            items, starts, part = pick_items(items, regular), starts[regular], part[regular]
        if not len(items):
            return
        values: Any = items["v"]
        day, symbol = self._grid.day[part], items["symbol"].astype(np.int64)
        begins = np.ones(len(items), bool)
        begins[1:] = (day[1:] != day[:-1]) | (symbol[1:] != symbol[:-1])
        firsts, group = np.flatnonzero(begins), np.cumsum(begins) - 1
        lasts = np.append(firsts[1:], len(items)) - 1
        ohlc = np.column_stack([
            values[firsts, 0],
            np.maximum.reduceat(np.ascontiguousarray(values[:, 1]), firsts),
            np.minimum.reduceat(np.ascontiguousarray(values[:, 2]), firsts),
            values[lasts, 3],
        ])  # fmt: skip
        self._add_runs(day[firsts], symbol[firsts], ohlc, group, starts, values[:, 4])

    def _add_runs(
        self, days: Ints, symbols: Ints, ohlc: Floats, group: Ints, starts: Ints, volumes: Floats
    ) -> None:
        """Runs of rows of one symbol and day; row i is of run ``group[i]``."""
        if (days[1:] < days[:-1]).any():  # several symbols and days: by day, each run in order
            order = np.argsort(days[group], kind="stable")
            group, starts, volumes = group[order], starts[order], volumes[order]
            by_day = np.argsort(days, kind="stable")
            place = np.empty(len(days), np.int64)
            place[by_day] = np.arange(len(days))
            group, days, symbols, ohlc = place[group], days[by_day], symbols[by_day], ohlc[by_day]
        edges = np.flatnonzero(np.diff(days, prepend=-1, append=-1))
        rows = group.searchsorted(edges).tolist()
        for at, low in enumerate(edges[:-1].tolist()):
            runs, span = slice(low, int(edges[at + 1])), slice(rows[at], rows[at + 1])
            self._page(int(days[low])).add(
                symbols[runs], ohlc[runs], group[span] - low, starts[span], volumes[span]
            )

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
