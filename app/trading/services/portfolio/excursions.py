"""The lowest and highest mark of each symbol while some lot of it is open.

Of one symbol at a fill, of those with an open lot at a window's end; nothing per row.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

import numpy as np

from app.model import Ints
from app.trading.services.portfolio.rows import MarkRows

_FEW = 16  # symbols; one by one is faster up to about here


class Excursions:
    """Ranges of marks, by symbol. Rows come window by window."""

    def __init__(self, symbols: int) -> None:
        self._low = np.full(symbols, np.inf)
        self._high = np.full(symbols, -np.inf)
        self._rows: MarkRows | None = None
        self._seen: Ints = np.zeros(symbols, np.int64)  # the first row not looked at, by symbol

    def begin(self, symbol: int, rows: MarkRows | None, slices: int) -> None:
        """A lot is open from now on: after so many ``slices`` of the window with these ``rows``."""
        self._low[symbol], self._high[symbol] = inf, -inf
        if rows is not None:
            self._enter(rows)
            self._seen[symbol] = rows.first_row(symbol, slices)

    def take(self, symbol: int, rows: MarkRows | None, slices: int) -> tuple[float, float]:
        """The range of a symbol's marks since it was begun or taken; then it is empty.

        Of windows that were left, and of so many ``slices`` of the running one, whose ``rows``
        these are. (inf, -inf) where there was none.
        """
        found = self._low.item(symbol), self._high.item(symbol)
        if rows is not None:
            self._enter(rows)
            found = self._look(symbol, rows, rows.first_row(symbol, slices), *found)
        self._low[symbol], self._high[symbol] = inf, -inf
        return found

    def leave(self, rows: MarkRows, symbols: Collection[int]) -> None:
        """All rows of a window have been delivered; of these symbols some lot is open."""
        self._enter(rows)
        if len(symbols) <= _FEW:
            for symbol in symbols:
                found = self._low.item(symbol), self._high.item(symbol)
                found = self._look(symbol, rows, rows.bounds.item(symbol + 1), *found)
                self._low[symbol], self._high[symbol] = found
        else:
            self._look_at_all(rows)
        self._rows = None

    def _look(
        self, symbol: int, rows: MarkRows, last: int, low: float, high: float
    ) -> tuple[float, float]:
        """The range with that of the rows before ``last`` that were not looked at."""
        first = self._seen.item(symbol)
        if first >= last:
            return low, high
        self._seen[symbol] = last
        price = rows.price[first:last]
        return min(low, float(np.minimum.reduce(price))), max(high, float(np.maximum.reduce(price)))

    def _look_at_all(self, rows: MarkRows) -> None:
        left = np.flatnonzero(self._seen < rows.bounds[1:])
        if len(left):
            spans = np.column_stack([self._seen[left], rows.bounds[left + 1]]).ravel()
            price = np.append(rows.price, np.nan)  # the last span may end at the end
            low = np.minimum.reduceat(price, spans)[::2]
            high = np.maximum.reduceat(price, spans)[::2]
            self._low[left] = np.minimum(self._low[left], low)
            self._high[left] = np.maximum(self._high[left], high)

    def _enter(self, rows: MarkRows) -> None:
        if rows is not self._rows:
            self._rows, self._seen = rows, rows.bounds[:-1].copy()
