"""The lowest and highest mark of each symbol while some lot of it is open.

Of one symbol at a fill, of those with an open lot where a stretch is over; nothing per row.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

import numpy as np

from app.model import Ints
from app.trading.services.portfolio.rows import MarkRows

_FEW = 16  # symbols; one by one is faster up to about here
_SHORT = 250  # rows; the same


class Excursions:
    """Ranges of marks, by symbol. Rows come stretch by stretch."""

    def __init__(self, symbols: int) -> None:
        self._low = np.full(symbols, np.inf)
        self._high = np.full(symbols, -np.inf)
        self._seen: Ints = np.zeros(symbols, np.int64)  # the first row not looked at, by symbol

    def enter(self, rows: MarkRows, slices: int) -> None:
        """Rows of another stretch follow: those after so many ``slices`` of it."""
        self._seen = rows.first_rows(slices).copy()

    def begin(self, symbol: int, rows: MarkRows | None, slices: int) -> None:
        """A lot is open from now on: after so many ``slices`` of the stretch with these ``rows``,
        which was entered."""
        self._low[symbol], self._high[symbol] = inf, -inf
        if rows is not None:
            self._seen[symbol] = rows.first_row(symbol, slices)

    def take(self, symbol: int, rows: MarkRows | None, slices: int) -> tuple[float, float]:
        """The range of a symbol's marks since it was begun or taken; then it is empty.

        Of stretches that were left, and of so many ``slices`` of the running one, whose ``rows``
        these are. (inf, -inf) where there was none.
        """
        found = self._low.item(symbol), self._high.item(symbol)
        if rows is not None:
            found = self._look(symbol, rows, rows.first_row(symbol, slices), *found)
        self._low[symbol], self._high[symbol] = inf, -inf
        return found

    def leave(self, rows: MarkRows, symbols: Collection[int], slices: int) -> None:
        """No more than so many slices of a stretch come; of these symbols some lot is open."""
        if len(symbols) <= _FEW:
            for symbol in symbols:
                found = self._low.item(symbol), self._high.item(symbol)
                found = self._look(symbol, rows, rows.first_row(symbol, slices), *found)
                self._low[symbol], self._high[symbol] = found
        else:
            self._look_at_all(rows, rows.first_rows(slices))

    def _look(
        self, symbol: int, rows: MarkRows, last: int, low: float, high: float
    ) -> tuple[float, float]:
        """The range with that of the rows before ``last`` that were not looked at."""
        first = self._seen.item(symbol)
        if first >= last:
            return low, high
        self._seen[symbol] = last
        price = rows.price[first:last]
        if last - first > _SHORT:
            return min(low, price.min().item()), max(high, price.max().item())
        few = price.tolist()
        return min(low, *few), max(high, *few)

    def _look_at_all(self, rows: MarkRows, last: Ints) -> None:
        left = np.flatnonzero(self._seen < last)
        if len(left):
            spans = np.column_stack([self._seen[left], last[left]]).ravel()
            price = np.append(rows.price, np.nan)  # the last span may end at the end
            low = np.minimum.reduceat(price, spans)[::2]
            high = np.maximum.reduceat(price, spans)[::2]
            self._low[left] = np.minimum(self._low[left], low)
            self._high[left] = np.maximum(self._high[left], high)
