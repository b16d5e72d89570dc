"""What the account is worth at each slice ahead, from columns, while no fill changes it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from app.model import Floats, Ints, Window
from app.trading.events import PortfolioStateEvent
from app.trading.marks import Marks
from app.trading.money import ZERO, money
from app.trading.values import MICRO, from_micros, market_values

_LEAST_ROWS, _MOST_ROWS = 256, 1 << 16  # of market data that are looked at ahead


class Equity:
    """Cash and positions as the portfolio told them last, at the marks that risk was sent.

    The portfolio values the same way, so the two agree to the last digit. Net values are in whole
    millionths.
    """

    def __init__(self, marks: Marks, index: Mapping[str, int]) -> None:
        self.told = False
        self._marks, self._index = marks, index
        self._cash = ZERO
        self._held: dict[int, dict[str, Decimal]] = {}  # by symbol and strategy
        self._quantities: Floats = np.zeros(len(index))
        self._window: Window | None = None
        self._low = self._high = 0  # the slices of it whose net values are known
        self._nets: Ints = np.zeros(0, np.int64)
        self._rows = _LEAST_ROWS

    @property
    def varies(self) -> bool:
        """Whether it hangs on marks."""
        return bool(self._held)

    def tell(self, state: PortfolioStateEvent) -> bool:
        """The account is this; whether anything but marks is other than before."""
        self.told = True
        cash = Decimal(state.cash)
        if not state.positions and cash == self._cash:
            return False
        self._cash = cash
        for position in state.positions:
            self._set(position.strategy_id, self._index[position.symbol], position.quantity)
        self._window, self._rows = None, _LEAST_ROWS
        return True

    def now(self) -> float:
        """At the marks as they are now."""
        return self.at(int(self._values().sum()))

    def at(self, net: int) -> float:
        """With this net value of all positions."""
        return float(self._cash + from_micros(net))

    def ahead(self, window: Window, low: int, high: int) -> Floats:
        """At each slice from ``low`` on, which is the next one: of some of them, not all.

        Equal to ``at`` to some 1e-15 of cash.
        """
        return float(self._cash) + self._known(window, low, high) / MICRO

    def nets(self, window: Window, low: int, high: int) -> Ints:
        """The net values at these slices, of which ``low`` is the next one."""
        found = self._known(window, low, high)
        if len(found) < high - low:
            self._look(window, low, high)
            found = self._nets
        return found[: high - low]

    def _known(self, window: Window, low: int, high: int) -> Ints:
        if window is not self._window or not self._low <= low < self._high:
            rows = int(window.bounds[low]) + self._rows
            self._rows = min(2 * self._rows, _MOST_ROWS)
            end = int(window.bounds.searchsorted(rows, "right")) - 1
            self._look(window, low, min(max(low + 1, end), high))
        return self._nets[low - self._low : high - self._low]

    def _look(self, window: Window, low: int, high: int) -> None:
        """Value the slices from the next one on."""
        known = self._marks.eligible(window)
        edges = known.edges[low : high + 1]
        first, last = int(edges[0]), int(edges[-1])
        held = np.flatnonzero(self._quantities[known.symbol[first:last]]) + first
        held = held[np.argsort(known.symbol[held], kind="stable")]
        symbol = known.symbol[held]
        value = market_values(self._quantities[symbol], known.price[held])
        values = self._values()
        begins = np.ones(len(symbol), np.bool_)
        begins[1:] = symbol[1:] != symbol[:-1]
        before = np.empty_like(value)
        before[1:] = value[:-1]
        before[begins] = values[symbol[begins]]
        change = np.zeros(high - low, np.int64)
        np.add.at(change, edges.searchsorted(held, "right") - 1, value - before)
        self._window, self._low, self._high = window, low, high
        self._nets = values.sum() + change.cumsum()

    def _values(self) -> Ints:
        return market_values(self._quantities, self._marks.prices)

    def _set(self, strategy_id: str, symbol: int, quantity: float) -> None:
        mine = self._held.setdefault(symbol, {})
        mine[strategy_id] = money(quantity)
        self._quantities[symbol] = float(sum(mine.values(), ZERO))
        if not any(mine.values()):
            del self._held[symbol]
