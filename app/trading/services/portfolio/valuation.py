"""Market data as the portfolio sees it: marks, their ranges while lots are open, and the curve.

Slices are noted, and looked at when somebody asks, or when the stretch that they lie in is over.
"""

from __future__ import annotations

from math import inf, nan
from time import monotonic

from app.model import Window
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.marks import Marks
from app.trading.services.portfolio.curve import Curve
from app.trading.services.portfolio.excursions import Excursions
from app.trading.services.portfolio.rows import MarkRows, group_by_symbol
from app.trading.services.portfolio.sequences import CASH_ONLY, Step
from app.trading.stretch import Prices
from app.trading.values import micros

NEVER_NS = (1 << 63) - 1
_EVERY_S = 0.1  # between two tellings of new points; how often says nothing, as in the audit


class Valuation:
    """What positions are worth. Symbols by index; all calls in order of time."""

    def __init__(self, initial_cash: int, symbols: int) -> None:
        self.marks = Marks(symbols)
        self.curve = Curve(initial_cash, symbols)
        self._excursions = Excursions(symbols)
        self._symbols = symbols
        self._open: set[int] = set()  # symbols of which some lot is open
        self._window: Window | None = None
        self._first = 0  # the number of its first slice in its stretch
        self._prices: Prices | None = None  # of that stretch
        self._times_ns = memoryview(b"")  # of the stretch's slices
        self._begin = 0  # the first of them that was noted
        self._low = 0  # the first of which the curve has no points
        self._past = 0  # the first that was not over when its window began, or its day ended
        self._high = 0  # the first that was not noted
        self._rows: MarkRows | None = None  # of the stretch, once somebody asked
        self._due_s = 0.0

    def note(self, event: MarketEvent) -> EquityEvent | None:
        """These slices have been delivered; new points of the curve up to them, now and then."""
        found = None
        if event.window is not self._window:
            found = self._enter(event)
        self._high = self._first + event.high
        self.marks.note(event)
        return found

    def _enter(self, event: MarketEvent) -> EquityEvent | None:
        """Another window, and perhaps another stretch."""
        found, begin_ns = None, event.window.times_ns.item(event.low)
        prices, first = self.marks.rows(event.window)
        if prices is not self._prices:
            found = self.flush(begin_ns)
            rows = self._marking_rows() if self._open else None
            if rows is not None:
                self._excursions.leave(rows, self._open, self._high)
            self._prices, self._rows = prices, None
            self._times_ns = prices.times_ns.data
            self._begin = self._low = self._high = first + event.low
        elif monotonic() >= self._due_s:
            found = self.flush(begin_ns)
        self._window, self._first, self._past = event.window, first, first + event.low
        return found

    def end_day(self, until_ns: int) -> EquityEvent | None:
        """All slices of a day have been delivered; as ``flush`` where points wait for long."""
        self._past = self._high
        return self.flush(until_ns) if monotonic() >= self._due_s else None

    def flush(self, until_ns: int = NEVER_NS) -> EquityEvent | None:
        """Nothing more comes before ``until_ns``: the points of the curve that are new."""
        self._due_s = monotonic() + _EVERY_S
        slices, self._low = range(self._low, self._high), self._high
        rows = self._marking_rows() if self.curve.needs_rows else None
        return self.curve.flush(rows, slices, self.marks.prices, until_ns)

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
        """How many delivered slices of the running stretch were released before then."""
        slices, times_ns = self._high, self._times_ns
        while slices > self._past and times_ns[slices - 1] >= until_ns:  # the one of now, at most
            slices -= 1
        return slices

    def _is_slice(self, number: int, at_ns: int) -> bool:
        """Whether that delivered slice of the running stretch was released then."""
        return number < self._high and self._times_ns[number] == at_ns

    def _marking_rows(self) -> MarkRows | None:
        if self._prices is not None and self._rows is None:
            self._rows = group_by_symbol(self._prices, self._symbols)
            self._excursions.enter(self._rows, self._begin)
        return self._rows
