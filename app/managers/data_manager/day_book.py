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
from app.feed.grid_rows import GridRows
from app.managers.data_manager.gap_detection import Coverage, expected_minutes, find_gaps
from app.model import Floats, Ints, Items, lengths_of
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


class KeptDay(NamedTuple):
    """A closed day, by symbol: OHLCV (float64), minutes (bits), auctions (time, price)."""

    ohlcv: bytes
    minutes: bytes
    auctions: dict[int, list[tuple[int, float]]]


class _Page:
    """One day, as columns over the symbols."""

    def __init__(self, day: TradingDay, symbols: int, minutes: int) -> None:
        self.day = day
        self.there = np.zeros((symbols, minutes), bool)
        self.packed: Any = None
        self.auctions: dict[int, list[tuple[int, float]]] = {}  # by symbol: time, price
        self.days: dict[int, SymbolDay] = {}  # made once the page is closed

    def close(self) -> None:
        """No more rows: the minutes are packed, eight to a byte."""
        self.packed = np.packbits(self.there, axis=1)
        self.there = np.empty((0, 0), bool)

    def coverage(self, symbol: int) -> Coverage:
        """Of a closed page. A session may end within the day."""
        minutes = expected_minutes(self.day, self.day.end_ns)
        there = np.unpackbits(self.packed[symbol], count=len(minutes)).astype(bool)
        return Coverage(int(there.sum()), len(there), find_gaps(minutes, there))


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
        self._ohlcv = np.full((len(days), len(symbols), 5), np.nan)
        self.grid = grid = Grid(days)
        minutes = np.where(grid.regular, -((grid.start_ns - grid.end_ns) // MINUTE_NS), 0)
        self._minutes = np.bincount(grid.day, minutes, len(days)).astype(np.int64).tolist()
        before = minutes.cumsum() - minutes
        first_parts = grid.day.searchsorted(grid.day, "left")
        self._minutes_before = before - before[first_parts]  # in the day, before each part
        self._pages: dict[int, _Page] = {}

    def _page(self, day: int) -> _Page:
        page = self._pages.get(day)
        if page is None:
            page = _Page(self._days[day], len(self._symbols), self._minutes[day])
            self._pages[day] = page
        return page

    def add_bars(self, rows: GridRows) -> None:
        """Count 1m bars that came; only regular minutes matter."""
        # A bar made of trades may be released after the session's end: nobody sees it.
        counts = rows.fresh & (rows.starts_ns <= self._days[-1].end_ns - MINUTE_NS)
        counts &= self.grid.regular.take(rows.part)
        if not counts.any():
            return
        begins = rows.begins.copy()
        begins[1:] |= counts[1:] != counts[:-1]
        firsts = np.flatnonzero(begins)
        day, of, wanted = self.grid.day[rows.part[firsts]], rows.of[firsts], counts[firsts]
        runs = np.ones(len(firsts), bool)  # over the breaks of a day
        runs[1:] = (day[1:] != day[:-1]) | (of[1:] != of[:-1]) | (wanted[1:] != wanted[:-1])
        firsts, day, wanted = firsts[runs], day[runs], wanted[runs]
        symbol = rows.symbols[of[runs]]
        found = add_prices(self._ohlcv[day, symbol], rows.columns, firsts)
        lasts = firsts + lengths_of(firsts, len(counts)) - 1
        day, symbol, firsts, lasts = day[wanted], symbol[wanted], firsts[wanted], lasts[wanted]
        self._ohlcv[day, symbol] = found[wanted]
        self._mark(rows, day, symbol, firsts, lasts)

    def _mark(self, rows: GridRows, days: Ints, symbols: Ints, firsts: Ints, lasts: Ints) -> None:
        """Note which minutes are there: starts rise within a run, on the minute grid."""

        def minute_of(which: Any) -> Ints:
            parts = rows.part[which]
            into = rows.starts_ns[which] - self.grid.start_ns[parts]
            minutes: Ints = self._minutes_before[parts] + into // MINUTE_NS
            return minutes

        runs = zip(
            days.tolist(), symbols.tolist(), firsts.tolist(), lasts.tolist(),
            minute_of(firsts).tolist(), minute_of(lasts).tolist(), strict=True,
        )  # fmt: skip
        for day, symbol, first, last, low, high in runs:
            there = self._page(day).there[symbol]
            if high - low == last - first:  # none is missing between
                there[low : high + 1] = True
            else:
                there[minute_of(slice(first, last + 1))] = True

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

    def kept(self, day: int) -> KeptDay:
        """A closed day as plain bytes, for ``restore``."""
        page = self._pages[day]
        return KeptDay(self._ohlcv[day].tobytes(), page.packed.tobytes(), page.auctions)

    def restore(self, day: int, kept: KeptDay) -> None:
        """Take a closed day over, of the same symbols."""
        symbols = len(self._symbols)
        page = self._pages[day] = _Page(self._days[day], 0, 0)
        page.packed = np.frombuffer(kept.minutes, np.uint8).reshape(symbols, -1)
        page.auctions = kept.auctions
        self._ohlcv[day] = np.frombuffer(kept.ohlcv).reshape(symbols, 5)

    def symbol_day(self, day: int, symbol: int) -> SymbolDay:
        """The record of a closed day."""
        page = self._pages[day]
        known = page.days.get(symbol)
        if known is None:
            known = page.days[symbol] = self._make_day(day, symbol)
        return known

    def _make_day(self, day: int, symbol: int) -> SymbolDay:
        page = self._pages[day]
        row = self._ohlcv[day, symbol].tolist()
        has_bars = row[0] == row[0]
        o, h, low, c, v = row if has_bars else [None] * 5
        cover = page.coverage(symbol) if self._with_bars[symbol] else None
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
        close = float(self._ohlcv[day, symbol, 3])
        return None if np.isnan(close) else OfficialClose(close, LAST_MINUTE)

    def has(self, day: int) -> bool:
        """Whether the day is closed: before that its page is not for readers."""
        page = self._pages.get(day)
        return page is not None and page.packed is not None


def add_prices(rows: Floats, columns: Floats, firsts: Ints) -> Floats:
    """OHLCV, a row a run, with a run of bars each added, of which ``firsts`` are the first.

    Rows are NaN where nothing was added yet; ``columns`` are the bars' values, (columns, bars).
    """
    opened, high, low, closed, volume = columns[:5]
    lengths = lengths_of(firsts, len(volume))
    fresh = np.isnan(rows[:, 0])
    begun = firsts[fresh]
    for place, column in enumerate((opened, high, low, closed)):
        rows[fresh, place] = column[begun]
    rows[fresh, 4] = 0.0
    rows[:, 1] = np.maximum(rows[:, 1], np.maximum.reduceat(high, firsts))
    rows[:, 2] = np.minimum(rows[:, 2], np.minimum.reduceat(low, firsts))
    rows[:, 3] = closed[firsts + lengths - 1]
    # Summed from left to right, from what was there: however the rows were cut into batches.
    numbers = np.arange(len(rows))
    runs = np.concatenate([numbers, np.repeat(numbers, lengths)])
    rows[:, 4] = np.bincount(runs, np.concatenate([rows[:, 4], volume]))
    return rows
