"""The last eligible price of each symbol, from the market data that a service was sent.

Eligible are trades that may set the last price and 1m bars, within the delivered hours: never
``post_close``. Notes come cheap, one a run of slices; prices are worked out when one is asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from app.model import TRADE_CODE, Flag, Floats, Ints, Window
from app.trading.events import MarketEvent


class Prices(NamedTuple):
    """The eligible rows of one window, in delivered order."""

    window: Window
    row: Ints  # of window.items
    symbol: Ints
    price: Floats


def eligible_prices(window: Window) -> Prices:
    """Rows of a window that may mark a position, with their symbols and prices."""
    items = window.items
    stream, flags = items["stream"], items["flags"]
    fits = (stream == 1) | ((stream == TRADE_CODE) & (flags & Flag.LAST != 0))
    row = np.flatnonzero(fits & (flags & Flag.POST_CLOSE == 0))
    values: Any = items["v"]
    column = np.where(stream[row] == TRADE_CODE, 0, 3)
    return Prices(window, row, items["symbol"][row].astype(np.int64), values[row, column])


class Marks:
    """One price a symbol, NaN before its first."""

    def __init__(self, symbols: int) -> None:
        self._prices = np.full(symbols, np.nan)
        self._times_ns = np.zeros(symbols, np.int64)
        self._known: Prices | None = None
        self._noted: list[MarketEvent] = []

    def note(self, event: MarketEvent) -> None:
        """These slices have been delivered."""
        self._noted.append(event)

    @property
    def prices(self) -> Floats:
        """All prices as they are now; not to be written to."""
        if self._noted:
            self._work()
        return self._prices

    def price(self, symbol: int) -> float:
        return float(self.prices[symbol])

    def time_ns(self, symbol: int) -> int:
        """Release of the row that set the price; 0 before the first."""
        if self._noted:
            self._work()
        return int(self._times_ns[symbol])

    def set(self, symbol: int, price: float) -> None:
        """Another basis (a split): the price as it would have been."""
        self.prices[symbol] = price

    def _work(self) -> None:
        for window, low, high in _runs(self._noted):
            known = self._known
            if known is None or known.window is not window:
                known = self._known = eligible_prices(window)
            first, last = np.searchsorted(known.row, window.bounds[[low, high]])
            symbols = known.symbol[first:last]
            self._prices[symbols] = known.price[first:last]
            self._times_ns[symbols] = window.items["release_ns"][known.row[first:last]]
        self._noted.clear()


def _runs(noted: list[MarketEvent]) -> list[tuple[Window, int, int]]:
    """Neighbouring spans of one window as one."""
    runs: list[tuple[Window, int, int]] = []
    for event in noted:
        if runs and runs[-1][0] is event.window and runs[-1][2] == event.low:
            runs[-1] = (event.window, runs[-1][1], event.high)
        else:
            runs.append((event.window, event.low, event.high))
    return runs
