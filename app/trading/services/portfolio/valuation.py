"""Market data as the portfolio sees it: marks, their ranges while lots are open, and the curve.

A window is noted, slice by slice, and looked at when somebody asks, or when it is over.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np

from app.model import Ints, Window
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.marks import Marks
from app.trading.services.portfolio.curve import Curve
from app.trading.services.portfolio.excursions import Excursions
from app.trading.services.portfolio.rows import MarkRows, group_by_symbol
from app.trading.services.portfolio.sequences import CASH_ONLY, Step
from app.trading.values import micros

NEVER_NS = (1 << 63) - 1


class Valuation:
    """What positions are worth. Symbols by index; all calls in order of time."""

    def __init__(self, initial_cash: int, symbols: int) -> None:
        self.marks = Marks(symbols)
        self.curve = Curve(initial_cash, symbols)
        self._excursions = Excursions(symbols)
        self._symbols = symbols
        self._open: set[int] = set()  # symbols of which some lot is open
        self._window: Window | None = None
        self._times_ns: Ints = np.zeros(0, np.int64)  # of its slices
        self._low = self._high = 0  # those that were noted
        self._rows: MarkRows | None = None  # of it, once somebody asked

    def note(self, event: MarketEvent) -> EquityEvent | None:
        """These slices have been delivered; the points of the window before them."""
        found = None
        if event.window is not self._window:
            found = self.flush(event.window.times_ns.item(event.low))
            self._window, self._low = event.window, event.low
            self._times_ns = event.window.times_ns
        self._high = event.high
        self.marks.note(event)
        return found

    def flush(self, until_ns: int = NEVER_NS) -> EquityEvent | None:
        """The window is over, and nothing more comes before ``until_ns``: the points of the curve
        that are new."""
        rows = self._marking_rows() if self._open or self.curve.needs_rows else None
        if rows is not None:
            self._excursions.leave(rows, self._open)
        found = self.curve.flush(rows, range(self._low, self._high), self.marks.prices, until_ns)
        self._window = self._rows = None
        self._low = self._high = 0
        return found

    def range_of_marks(self, symbol: int, until_ns: int) -> tuple[float, float]:
        """Lowest and highest mark before ``until_ns`` since the last call, or since the first lot
        was opened; (inf, -inf): none."""
        if symbol not in self._open:
            return inf, -inf
        return self._excursions.take(symbol, self._marking_rows(), self._slices_before(until_ns))

    def step(
        self, at_ns: int, cash: int, symbol: int, quantity: float, open_lots: bool,
        price: float = nan,
    ) -> None:  # fmt: skip
        """A position has changed; ``price`` is its mark where no market data brought it."""
        slices = self._slices_before(at_ns)
        step = Step(at_ns, slices, symbol, quantity, price, micros(cash))
        self.curve.step(step, self._is_slice(slices, at_ns))
        if not open_lots:
            self._open.discard(symbol)
        elif symbol not in self._open:
            self._open.add(symbol)
            self._excursions.begin(symbol, self._marking_rows(), slices)

    def receive(self, at_ns: int, cash: int) -> None:
        """Cash has come or gone without a fill."""
        slices = self._slices_before(at_ns)
        step = Step(at_ns, slices, CASH_ONLY, 0.0, nan, micros(cash))
        self.curve.step(step, self._is_slice(slices, at_ns))

    def assume(self, symbol: int, price: float) -> float:
        """Until a symbol has a mark, a fill's price stands for it: that price, else NaN."""
        if self.marks.has(symbol):
            return nan
        self.marks.set(symbol, price)
        return price

    def _slices_before(self, until_ns: int) -> int:
        """How many delivered slices of the running window were released before then."""
        slices, time_ns = self._high, self._times_ns.item
        while slices and time_ns(slices - 1) >= until_ns:  # the one of now, at most
            slices -= 1
        return slices

    def _is_slice(self, number: int, at_ns: int) -> bool:
        """Whether that delivered slice of the running window was released then."""
        return number < self._high and self._times_ns.item(number) == at_ns

    def _marking_rows(self) -> MarkRows | None:
        if self._window is not None and self._rows is None:
            self._rows = group_by_symbol(self.marks.eligible(self._window), self._symbols)
        return self._rows
