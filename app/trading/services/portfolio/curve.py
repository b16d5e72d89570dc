"""The equity curve: the account at each time at which it changed, in columns.

Fills and the like are noted as steps; a window's marks are valued all at once when it is over.
Everything is whole millionths, so the curve is the same wherever windows are cut. The newest
point waits: more may happen at its time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.trading.data_events import EquityEvent
from app.trading.services.portfolio.rows import MarkRows, no_rows
from app.trading.services.portfolio.sequences import CASH_ONLY, Sequences, Step
from app.trading.values import MICRO, market_values, micros


class Amounts(NamedTuple):
    """What the account is, in millionths."""

    cash: int
    net: int
    gross: int


class Point(NamedTuple):
    """What it is from a time on."""

    time_ns: int
    amounts: Amounts


class Points(NamedTuple):
    """The same in columns, rising in time."""

    times_ns: Ints
    cash: Ints
    net: Ints
    gross: Ints

    def at(self, row: int) -> Point:
        times_ns, cash, net, gross = self
        return Point(times_ns.item(row), Amounts(cash.item(row), net.item(row), gross.item(row)))

    def part(self, rows: Ints | slice) -> Points:
        times_ns, cash, net, gross = self
        return Points(times_ns[rows], cash[rows], net[rows], gross[rows])


_NOTHING = Amounts(-1, -1, -1)
_NO_ROWS = np.zeros(0, np.int64)
_NO_POINTS = Points(_NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS)


class Curve:
    """``step`` and ``flush`` in order of time."""

    def __init__(self, cash: int, symbols: int) -> None:
        # As of the last flush:
        self._account = Amounts(micros(cash), 0, 0)
        self._quantities: Floats = np.zeros(symbols)
        self._held: set[int] = set()  # symbols of which there is some quantity
        self._prices: Floats = np.full(symbols, np.nan)
        self._newest: Point | None = None  # that waits
        self._before = _NOTHING  # what the account was before it
        # Since then:
        self._steps: list[Step] = []
        self._on_slices = True  # all of them
        self._no_rows = no_rows(symbols)

    def start(self, at_ns: int) -> None:
        """The first point: cash, and nothing else."""
        self._newest = Point(at_ns, self._account)

    def step(self, step: Step, on_slice: bool) -> None:
        """From now on the account is this; ``on_slice``: it came at the time of the slice that is
        the next one after ``step.slices``."""
        self._steps.append(step)
        self._on_slices = self._on_slices and on_slice

    @property
    def needs_rows(self) -> bool:
        """Whether the marks since the last flush matter."""
        return bool(self._steps or self._held)

    def flush(
        self, rows: MarkRows | None, slices: range, prices: Floats, until_ns: int
    ) -> EquityEvent | None:
        """The points of these slices of a window and of all steps; None where there are none.

        ``prices`` are the marks after them. Nothing more comes before ``until_ns``; a point of
        then is kept back.
        """
        points = _NO_POINTS
        if self._steps or (self._held and rows is not None):
            marks = self._no_rows if rows is None else rows.part(slices)
            before = [step.slices - slices.start for step in self._steps]
            found = self._points_of_one(marks, before)
            points = self._points(marks, before) if found is None else found
            self._take_steps()
        self._prices = prices.copy()
        return self._give(points, until_ns)

    def _take_steps(self) -> None:
        for step in self._steps:
            if step.symbol != CASH_ONLY:
                self._quantities[step.symbol] = step.quantity
                (self._held.add if step.quantity else self._held.discard)(step.symbol)
        self._steps.clear()
        self._on_slices = True

    def _give(self, points: Points, until_ns: int) -> EquityEvent | None:
        """These after the newest point, but for one that waits."""
        newest, count = self._newest, len(points.times_ns)
        if not count and (newest is None or newest.time_ns >= until_ns):
            return None
        self._newest = None
        if count and points.times_ns.item(-1) >= until_ns:
            earlier = points.at(-2) if count > 1 else newest
            if earlier is not None:
                self._before = earlier.amounts
            self._newest, points = points.at(-1), points.part(slice(0, -1))
        return _event(newest, points) if newest is not None or len(points.times_ns) else None

    def _account_before(self, time_ns: int) -> Amounts:
        """What points from this time on begin after: the newest one goes if it is of then."""
        if self._newest is not None and self._newest.time_ns == time_ns:
            self._newest = None
            return self._before
        self._before = self._account
        return self._account

    def _points_of_one(self, marks: MarkRows, before: list[int]) -> Points | None:
        """As ``_points``, without sums, where one symbol is all, and marked whenever a step came;
        None where not. The usual case where few symbols trade: it takes a third of the time."""
        symbols = self._held.union([s.symbol for s in self._steps])
        if len(symbols) != 1 or CASH_ONLY in symbols or not self._on_slices:
            return None
        (symbol,) = symbols
        in_slice, price = marks.last_of_slices(symbol)
        at = _places(in_slice, before, len(marks.times_ns))
        if at is None:
            return None
        widths = np.array(_widths(at, len(in_slice)))
        cash = self._cash_column(widths)
        held = np.array([self._quantities.item(symbol), *[s.quantity for s in self._steps]])
        net = market_values(held.repeat(widths), price)
        was = self._account_before(marks.times_ns.item(in_slice.item(0)))
        last = net.item(-1)
        self._account = Amounts(cash.item(-1), last, abs(last))
        changed = np.empty(len(net), np.bool_)
        changed[0] = (cash.item(0), net.item(0)) != was[:2]
        np.not_equal(net[1:], net[:-1], out=changed[1:])
        for row in at:
            if row and cash.item(row) != cash.item(row - 1):
                changed[row] = True
        rows = changed.nonzero()[0]
        net = net[rows]
        return Points(marks.times_ns[in_slice[rows]], cash[rows], net, np.abs(net))

    def _points(self, marks: MarkRows, before: list[int]) -> Points:
        """The account whenever marks or steps changed it; ``before``: the first slice that is not
        before each step."""
        steps_ns = None if self._on_slices else [step.at_ns for step in self._steps]
        times_ns, row_at, at = _on_times(marks, steps_ns, before)
        if not len(times_ns):
            return _NO_POINTS
        net, gross = np.zeros((2, len(times_ns)), np.int64)
        sequences = Sequences(marks, self._quantities, self._prices)
        steps = sequences.take(self._steps, before)
        for total, change in zip((net, gross), sequences.value_changes(), strict=True):
            np.add.at(total, row_at, change)
        places = np.array(at, np.int64)[steps.steps]
        np.add.at(net, places, steps.net)
        np.add.at(gross, places, steps.gross)
        net[0] += self._account.net
        gross[0] += self._account.gross
        np.cumsum(net, out=net)
        np.cumsum(gross, out=gross)
        cash = self._cash_column(np.array(_widths(at, len(times_ns))))
        points = Points(times_ns, cash, net, gross)
        before_first = self._account_before(times_ns.item(0))
        self._account = points.at(-1).amounts
        return points.part(_changes(points, before_first))

    def _cash_column(self, widths: Ints) -> Ints:
        """Cash before the first step, and from each one on, so many times each."""
        cash = [self._account.cash, *[s.cash for s in self._steps]]
        return np.array(cash, np.int64).repeat(widths)


def _on_times(
    marks: MarkRows, steps_ns: list[int] | None, before: list[int]
) -> tuple[Ints, Ints, list[int]]:
    """All times, rising, each once; where the marks stand among them, and where the steps do.

    ``steps_ns`` is None in the usual case: all came with slices.
    """
    if steps_ns is None:
        return marks.times_ns, marks.in_slice, before
    times_ns = np.union1d(marks.times_ns, np.array(steps_ns, np.int64))
    place = times_ns.searchsorted(marks.times_ns)
    return times_ns, place[marks.in_slice], times_ns.searchsorted(steps_ns).tolist()


def _places(in_slice: Ints, before: list[int], slices: int) -> list[int] | None:
    """Where each of these slices stands among ``in_slice``; None where one of them does not."""
    count = len(in_slice)
    if not count or (before and before[-1] > in_slice.item(-1)):
        return None
    if not before or count == slices:
        return before
    at = in_slice.searchsorted(before)
    return at.tolist() if (in_slice[at] == before).all() else None


def _widths(edges: list[int], count: int) -> list[int]:
    """How many of ``count`` lie before the first edge, between two, and after the last."""
    return [high - low for low, high in pairwise([0, *edges, count])]


def _changes(points: Points, before: Amounts) -> Ints:
    """The rows that differ from the one before them."""
    _, cash, net, gross = points
    changed = np.empty(len(net), np.bool_)
    changed[0] = points.at(0).amounts != before
    np.not_equal(net[1:], net[:-1], out=changed[1:])
    changed[1:] |= cash[1:] != cash[:-1]
    changed[1:] |= gross[1:] != gross[:-1]
    rows: Ints = changed.nonzero()[0]
    return rows


def _event(before: Point | None, points: Points) -> EquityEvent:
    """A point, if there is one, and those after it."""
    times_ns, cash, net, gross = points
    if before is not None:
        times_ns = np.concatenate(([before.time_ns], times_ns))
        cash, net, gross = (
            np.concatenate(([one], column))
            for one, column in zip(before.amounts, (cash, net, gross), strict=True)
        )
    event = EquityEvent(
        times_ns=times_ns, equity=(cash + net) / MICRO, cash=cash / MICRO, gross=gross / MICRO,
        net=net / MICRO,
    )  # fmt: skip
    for column in (times_ns, event.equity, event.cash, event.gross, event.net):
        column.setflags(write=False)  # an event never changes
    return event
