"""The equity curve: the account at each time at which it changed, in columns.

Fills and the like are noted as steps; a window's marks are valued all at once when it is over.
Everything is whole millionths, so the curve is the same wherever windows are cut. The newest
point waits: more may happen at its time.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from app.model import Floats, Ints
from app.trading.data_events import EquityEvent
from app.trading.services.portfolio.rows import MarkRows, no_rows, of_slices
from app.trading.services.portfolio.sequences import CASH_ONLY, Sequences, Step
from app.trading.values import MICRO, market_values, micros


class Curve:
    """Points (time, cash, net, gross) in millionths. ``step`` and ``flush`` in order of time."""

    def __init__(self, cash: Decimal, symbols: int) -> None:
        # As of the last flush; points are four rows: time, cash, net, gross.
        self._cash = micros(cash)
        self._net = self._gross = 0
        self._quantities: Floats = np.zeros(symbols)
        self._held: set[int] = set()  # symbols of which there is some quantity
        self._prices: Floats = np.full(symbols, np.nan)
        self._given: Ints = np.full((4, 1), -1)  # the last point given
        self._newest: Ints = np.empty((4, 0), np.int64)  # one point at most
        # Since then:
        self._steps: list[Step] = []
        self._no_rows = no_rows(symbols)

    def start(self, at_ns: int) -> None:
        """The first point: cash, and nothing else."""
        self._newest = np.array([[at_ns], [self._cash], [0], [0]], np.int64)

    def step(
        self, at_ns: int, cash: Decimal, symbol: int = CASH_ONLY, quantity: float = 0.0,
        price: float = np.nan,
    ) -> None:  # fmt: skip
        """From now on there is this cash, and this quantity of a symbol; ``price`` is a new mark,
        where no row brings it."""
        self._steps.append(Step(at_ns, symbol, quantity, price, micros(cash)))

    @property
    def needs_rows(self) -> bool:
        """Whether the marks since the last flush matter."""
        return bool(self._steps or self._held)

    def flush(
        self, rows: MarkRows | None, slices: range, prices: Floats, final: bool = False
    ) -> EquityEvent | None:
        """The points of these slices of a window and of all steps; None where there are none.

        ``prices`` are the marks after them. The newest point is kept back, if not ``final``.
        """
        if self.needs_rows:
            marks = self._no_rows if rows is None else of_slices(rows, slices)
            points = self._points_of_one(marks)
            self._newest = self._joined(self._points(marks) if points is None else points)
            self._take_steps()
        self._prices = prices.copy()
        count = self._newest.shape[1]
        end = count if final else max(0, count - 1)
        given, self._newest = self._newest[:, :end], self._newest[:, end:]
        if not end:
            return None
        self._given = given[:, -1:]
        return _event(given)

    def _take_steps(self) -> None:
        for step in self._steps:
            self._cash = step.cash
            if step.symbol != CASH_ONLY:
                self._quantities[step.symbol] = step.quantity
                (self._held.add if step.quantity else self._held.discard)(step.symbol)
        self._steps.clear()

    def _joined(self, points: Ints) -> Ints:
        """After the newest point, or in its place; what changes nothing is left out."""
        kept = self._newest
        if kept.size and points.size and kept[0, 0] == points[0, 0]:
            kept = kept[:, :0]
        joined = np.concatenate([self._given, kept, points], axis=1)
        changed = np.logical_or.reduce(joined[1:, 1:] != joined[1:, :-1])
        return joined[:, 1:].compress(changed, axis=1)

    def _points_of_one(self, marks: MarkRows) -> Ints | None:
        """As ``_points``, without sums, where one symbol is all, and marked whenever a step came;
        None where not. The usual case where few symbols trade: it takes a third of the time."""
        symbols = self._held.union([s.symbol for s in self._steps])
        if len(symbols) != 1 or CASH_ONLY in symbols:
            return None
        (symbol,) = symbols
        rows = slice(marks.bounds.item(symbol), marks.bounds.item(symbol + 1))
        in_slice = marks.slice[rows]
        times_ns = marks.times_ns[in_slice]
        steps_ns = np.array([s.at_ns for s in self._steps], np.int64)
        at = times_ns.searchsorted(steps_ns)
        if not len(in_slice) or not _are_at(times_ns, steps_ns, at):
            return None
        widths = _widths(at, len(times_ns))
        quantity = [self._quantities.item(symbol), *[s.quantity for s in self._steps]]
        net = market_values(np.array(quantity).repeat(widths), marks.price[rows])
        points = np.array([times_ns, self._cash_column(widths), net, np.abs(net)])
        self._net, self._gross = points[2:, -1].tolist()
        earlier = in_slice[1:] == in_slice[:-1]  # of its slice another one follows
        return points.compress(~np.append(earlier, False), axis=1) if earlier.any() else points

    def _points(self, marks: MarkRows) -> Ints:
        """The account at all times of these marks and of the steps."""
        steps_ns = np.array([s.at_ns for s in self._steps], np.int64)
        slices = marks.times_ns.searchsorted(steps_ns)
        times_ns, row_at, at = _on_times(marks, steps_ns, slices)
        if not len(times_ns):
            return np.empty((4, 0), np.int64)
        sequences = Sequences(marks, self._quantities, self._prices)
        steps = sequences.take(self._steps, slices.tolist())
        points = np.zeros((4, len(times_ns)), np.int64)
        points[0] = times_ns
        points[1] = self._cash_column(_widths(at, len(times_ns)))
        for total, change in zip(points[2:], sequences.value_changes(), strict=True):
            np.add.at(total, row_at, change)
        for number, before, after in steps:
            points[2, at[number]] += after - before
            points[3, at[number]] += abs(after) - abs(before)
        points[2:, :1] += [[self._net], [self._gross]]
        np.cumsum(points[2:], axis=1, out=points[2:])
        self._net, self._gross = points[2:, -1].tolist()
        return points

    def _cash_column(self, widths: Ints) -> Ints:
        """Cash before the first step, and from each one on, so many times each."""
        return np.array([self._cash, *[s.cash for s in self._steps]], np.int64).repeat(widths)


def _on_times(marks: MarkRows, steps_ns: Ints, slices: Ints) -> tuple[Ints, Ints, Ints]:
    """All times, rising, each once; where the marks stand among them, and where the steps do.

    ``slices``: the first slice that is not before each step.
    """
    if _are_at(marks.times_ns, steps_ns, slices):  # the usual case: fills come with a slice
        return marks.times_ns, marks.slice, slices
    times_ns = np.union1d(marks.times_ns, steps_ns)
    place = times_ns.searchsorted(marks.times_ns)
    return times_ns, place[marks.slice], times_ns.searchsorted(steps_ns)


def _are_at(times_ns: Ints, steps_ns: Ints, at: Ints) -> bool:
    """Whether each step has the time which is the first that is not before it."""
    if not len(at):
        return True
    return at.item(-1) < len(times_ns) and bool((times_ns[at] == steps_ns).all())


def _widths(edges: Ints, count: int) -> Ints:
    """How many of ``count`` lie before the first edge, between two, and after the last."""
    bounded: Ints = np.array([0, *edges.tolist(), count])
    return bounded[1:] - bounded[:-1]


def _event(points: Ints) -> EquityEvent:
    times_ns, amounts = points[0].copy(), points[1:] / MICRO
    equity = (points[1] + points[2]) / MICRO
    for column in (times_ns, amounts, equity):
        column.flags.writeable = False  # an event never changes
    cash, net, gross = amounts
    return EquityEvent(times_ns=times_ns, equity=equity, cash=cash, gross=gross, net=net)
