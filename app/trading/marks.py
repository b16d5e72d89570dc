"""The last eligible price of each symbol, from the market data that a service was sent.

Eligible are trades that may set the last price and 1m bars, within the delivered hours: never
``post_close``, never a bar that spans a split of its day, nor a late print from before it. A note
costs next to nothing; prices are worked out when one is asked for, or when a stretch is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.model import Floats, Window
from app.trading.data_events import MarketEvent
from app.trading.stretch import Prices, Stretch, alone, eligible_prices, stretch_of

_FEW = 4  # rows; one by one is faster up to about here


class Marks:
    """One price a symbol, NaN before its first."""

    def __init__(self, symbols: int) -> None:
        self._prices = np.full(symbols, np.nan)
        self._times_ns = np.zeros(symbols, np.int64)
        # One element of a memoryview is read and written in half of an array's time.
        self._price_of: Any = self._prices.data
        self._time_of = self._times_ns.data
        self._window: Window | None = None
        self._stretch: Stretch | None = None  # that it lies in, and from which slice on
        self._first = 0
        self._rows: Prices | None = None  # of the stretch, and its columns to read one of
        self._edges = memoryview(b"")
        self._single: tuple[Any, memoryview] | None = None  # price and time where one symbol is all
        self._low = self._high = 0  # slices of it that were noted and not worked out
        self._ratios: dict[int, float] = {}  # splits of the newest day that has any
        self._old: dict[int, float] = {}  # the marks before them, by symbol
        self._split_day: int | None = None  # None until that day's first window

    def note(self, event: MarketEvent) -> None:
        """These slices have been delivered."""
        if event.window is not self._window:
            self._enter(event.window)
        low = self._first + event.low
        if low != self._high:
            if self._low != self._high:
                self._work()
            self._low = low
        self._high = self._first + event.high

    @property
    def prices(self) -> Floats:
        """All prices as they are now; not to be written to."""
        if self._low != self._high:
            self._work()
        return self._prices

    def price(self, symbol: int) -> float:
        if self._low != self._high:
            self._work()
        found: float = self._price_of[symbol]
        return found

    def has(self, symbol: int) -> bool:
        """Whether a row has set its price, not a caller."""
        return self._time_of[symbol] > 0 or self.time_ns(symbol) > 0

    def time_ns(self, symbol: int) -> int:
        """Release of the row that set the price; 0 before the first."""
        if self._low != self._high:
            self._work()
        return self._time_of[symbol]

    def set(self, symbol: int, price: float) -> None:
        """A price from elsewhere, until the next eligible one."""
        self.prices[symbol] = price

    def split(self, symbol: int, ratio: float) -> None:
        """A split takes effect: the price is divided; spanning bars and late prints do not mark.

        Called when its day opens, before the day's first window.
        """
        if self._split_day is not None:
            self._ratios, self._old, self._split_day = {}, {}, None
        self._old.setdefault(symbol, self.price(symbol))
        self.prices[symbol] /= ratio
        self._ratios[symbol] = self._ratios.get(symbol, 1.0) * ratio

    def rows(self, window: Window) -> tuple[Prices, int]:
        """The eligible rows of a window, the newest or the next, among those of its stretch; and
        the number of its first slice there."""
        if window is not self._window:
            self._enter(window)
        assert self._rows is not None  # of that window
        return self._rows, self._first

    def eligible(self, window: Window) -> Prices:
        """The eligible rows of a window alone, the newest or the next."""
        rows, first = self.rows(window)
        return rows.part(first, first + len(window.times_ns))

    def _enter(self, window: Window) -> None:
        splits = self._ratios_on(window.day)
        stretch = alone(window) if splits else stretch_of(window)
        if stretch is not self._stretch:
            if self._low != self._high:
                self._work()
            self._rows = eligible_prices(stretch, splits, self._old) if splits else stretch.prices
            self._stretch = stretch
            self._edges = self._rows.edges.data
            if len(self._prices) == 1:
                self._single = self._rows.price.data, self._rows.release_ns.data
            self._low = self._high = 0
        self._window, self._first = window, stretch.place_of(window)

    def _ratios_on(self, day: int) -> Mapping[int, float] | None:
        """The splits of a window's day: those told since the day before."""
        if not self._ratios:
            return None
        if self._split_day is None:
            self._split_day = day
        return self._ratios if day == self._split_day else None

    def _work(self) -> None:
        rows = self._rows
        assert rows is not None  # there are slices
        first, last = self._edges[self._low], self._edges[self._high]
        self._low = self._high
        if self._single is not None:
            if first < last:  # no row before the last one counts
                price, release_ns = self._single
                self._price_of[0], self._time_of[0] = price[last - 1], release_ns[last - 1]
        elif last - first > _FEW:
            symbols = rows.symbol[first:last]
            self._prices[symbols] = rows.price[first:last]
            self._times_ns[symbols] = rows.release_ns[first:last]
        else:
            for row in range(first, last):
                symbol = rows.symbol.item(row)
                self._price_of[symbol] = rows.price.item(row)
                self._time_of[symbol] = rows.release_ns.item(row)
