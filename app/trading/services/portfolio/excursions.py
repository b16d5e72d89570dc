"""The lowest and highest mark of each symbol since it was last asked for.

Of one symbol at a fill, of all at a window's end; nothing per row.
"""

from __future__ import annotations

import numpy as np

from app.model import Ints
from app.trading.services.portfolio.rows import MarkRows


class Excursions:
    """Ranges of marks, by symbol. Rows come window by window."""

    def __init__(self, symbols: int) -> None:
        self._low = np.full(symbols, np.inf)
        self._high = np.full(symbols, -np.inf)
        self._rows: MarkRows | None = None
        self._seen: Ints = np.zeros(symbols, np.int64)  # the first row not looked at, by symbol

    def take(self, symbol: int, rows: MarkRows | None, until_ns: int) -> tuple[float, float]:
        """The range of a symbol's marks before ``until_ns`` since the last call; then it is empty.

        (inf, -inf) where there was none. ``rows``: of the running window.
        """
        low, high = float(self._low[symbol]), float(self._high[symbol])
        self._low[symbol], self._high[symbol] = np.inf, -np.inf
        if rows is None:
            return low, high
        self._begin(rows)
        first, end = int(self._seen[symbol]), int(rows.bounds[symbol + 1])
        before = rows.times_ns.searchsorted(until_ns)
        last = first + int(rows.slice[first:end].searchsorted(before))
        self._seen[symbol] = last
        if first < last:
            span = rows.price[first:last]
            low, high = min(low, float(span.min())), max(high, float(span.max()))
        return low, high

    def leave(self, rows: MarkRows) -> None:
        """All rows of a window have been delivered."""
        self._begin(rows)
        left = np.flatnonzero(self._seen < rows.bounds[1:])
        if len(left):
            spans = np.column_stack([self._seen[left], rows.bounds[left + 1]]).ravel()
            price = np.append(rows.price, np.nan)  # the last span may end at the end
            low = np.minimum.reduceat(price, spans)[::2]
            high = np.maximum.reduceat(price, spans)[::2]
            self._low[left] = np.minimum(self._low[left], low)
            self._high[left] = np.maximum(self._high[left], high)
        self._seen = rows.bounds[1:].copy()

    def _begin(self, rows: MarkRows) -> None:
        if rows is not self._rows:
            self._rows, self._seen = rows, rows.bounds[:-1].copy()
