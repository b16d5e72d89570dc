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
from app.trading.services.portfolio.rows import MarkRows
from app.trading.services.portfolio.sequences import CASH_ONLY, Step, rows_of_marks, with_steps
from app.trading.values import MICRO, market_values, micros


class Curve:
    """Points (time, cash, net, gross) in millionths. ``step`` and ``flush`` in order of time."""

    def __init__(self, cash: Decimal, symbols: int) -> None:
        # As of the last flush; points are four rows: time, cash, net, gross.
        self._cash = micros(cash)
        self._quantities: Floats = np.zeros(symbols)
        self._prices: Floats = np.full(symbols, np.nan)
        self._given: Ints = np.full((4, 1), -1)  # the last point given
        self._newest: Ints = np.empty((4, 0), np.int64)  # one point at most
        # Since then:
        self._steps: list[Step] = []

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
        return bool(self._steps) or bool(self._quantities.any())

    def flush(
        self, rows: MarkRows | None, slices: range, prices: Floats, final: bool = False
    ) -> EquityEvent | None:
        """The points of these slices of a window and of all steps; None where there are none.

        ``prices`` are the marks after them. The newest point is kept back, if not ``final``.
        """
        if self.needs_rows:
            self._newest = self._joined(self._points(rows, slices))
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
        self._steps.clear()

    def _joined(self, points: Ints) -> Ints:
        """After the newest point, or in its place; what changes nothing is left out."""
        kept = self._newest
        if kept.size and points.size and kept[0, 0] == points[0, 0]:
            kept = kept[:, :0]
        joined = np.concatenate([self._given, kept, points], axis=1)
        changed = (joined[1:, 1:] != joined[1:, :-1]).any(axis=0)
        return joined[:, 1:][:, changed]

    def _points(self, rows: MarkRows | None, slices: range) -> Ints:
        """The account at each of these slices and steps at which it may have changed."""
        steps_ns = np.array([s.at_ns for s in self._steps], np.int64)
        slices_ns = rows.times_ns[slices.start : slices.stop] if rows else steps_ns[:0]
        times_ns, place = _merged(slices_ns, steps_ns)
        held = self._quantities != 0
        held[[s.symbol for s in self._steps if s.symbol != CASH_ONLY]] = True
        changes = rows_of_marks(rows, slices, held, place)
        at = times_ns.searchsorted(steps_ns)
        if self._steps:
            changes = with_steps(changes, self._steps, at)
        net, gross = (
            _totals(change, changes.at, len(times_ns))
            for change in changes.value_changes(self._quantities, self._prices)
        )
        moved = (net != 0) | (gross != 0)
        moved[at] = True
        values = market_values(self._quantities, self._prices)
        cash = np.array([self._cash, *(s.cash for s in self._steps)], np.int64)
        return np.stack([
            times_ns[moved],
            np.repeat(cash, np.diff(at, prepend=0, append=len(times_ns)))[moved],
            values.sum() + net[moved].cumsum(),
            np.abs(values).sum() + gross[moved].cumsum(),
        ])  # fmt: skip


def _merged(slices_ns: Ints, steps_ns: Ints) -> tuple[Ints, Ints]:
    """All times, rising, each once; and where those of the slices stand among them."""
    if not len(steps_ns):
        return slices_ns, np.arange(len(slices_ns))
    before = slices_ns.searchsorted(steps_ns)
    new = np.ones(len(steps_ns), np.bool_)
    new[1:] = steps_ns[1:] != steps_ns[:-1]
    inside = before < len(slices_ns)
    new[inside] &= slices_ns[before[inside]] != steps_ns[inside]
    place = np.arange(len(slices_ns))
    if new.any():
        place += before[new].searchsorted(place, "right")
    return np.insert(slices_ns, before[new], steps_ns[new]), place


def _totals(changes: Ints, at: Ints, count: int) -> Ints:
    """The sum of the changes of each of ``count`` times."""
    total = np.zeros(count, np.int64)
    np.add.at(total, at, changes)
    return total


def _event(points: Ints) -> EquityEvent:
    times_ns, amounts = points[0].copy(), points[1:] / MICRO
    equity = (points[1] + points[2]) / MICRO
    for column in (times_ns, amounts, equity):
        column.flags.writeable = False  # an event never changes
    cash, net, gross = amounts
    return EquityEvent(times_ns=times_ns, equity=equity, cash=cash, gross=gross, net=net)
