"""Which row each order at work must see next: far-away orders cost nothing until they are near.

Rows come in delivered order, and for one row the orders in order of arrival.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from app.model import Window
from app.trading.services.execution.judge import first_row
from app.trading.services.execution.tape import Tape, Tapes
from app.trading.services.execution.working import WorkingOrder


class Meeting(msgspec.Struct, frozen=True, gc=False, order=True):
    """An order and the row of its tape that it meets next."""

    row: int
    seq: int
    number: int
    slice: int
    at: int
    order: WorkingOrder
    tape: Tape


class Agenda:
    """Meetings within one window, in order."""

    def __init__(self, tapes: Tapes) -> None:
        self.next = 0  # slices of the window before this one are over
        self._tapes = tapes
        self._heap: list[Meeting] = []
        self._numbers = 0

    def move(self, window: Window, low: int, orders: Iterable[WorkingOrder]) -> None:
        """Another window, from slice ``low`` on."""
        self._tapes.move(window)
        self._heap.clear()
        self.next = low
        for order in orders:
            self.plan(order, low)

    def plan(self, order: WorkingOrder, from_slice: int) -> None:
        """Find the order's next meeting, in slice ``from_slice`` or later; forget its last one."""
        self._numbers += 1
        order.plan = self._numbers
        tape = self._tapes.of(order.index) if self._tapes.window is not None else None
        if tape is not None:
            self._add(order, tape, tape.first_of(from_slice))

    def plan_after(self, meeting: Meeting) -> None:
        """The order's next meeting after this one."""
        self._numbers += 1
        meeting.order.plan = self._numbers
        self._add(meeting.order, meeting.tape, meeting.at + 1)

    def _add(self, order: WorkingOrder, tape: Tape, at: int) -> None:
        found = first_row(order, tape, at)
        if found is not None:
            heapq.heappush(
                self._heap,
                Meeting(
                    tape.numbers[found], order.seq, order.plan, tape.slice_of(found), found, order,
                    tape,
                ),
            )  # fmt: skip

    def next_slice(self, high: int) -> int:
        """The first slice with a meeting; ``high`` where there is none before it."""
        heap = self._heap
        while heap:
            first = heap[0]
            if first.order.plan == first.number and first.order.at_work:
                return first.slice if first.slice < high else high
            heapq.heappop(heap)
        return high

    def pop(self, high: int) -> Meeting | None:
        """The next meeting in a slice before ``high``."""
        heap = self._heap
        return heapq.heappop(heap) if heap and self.next_slice(high) < high else None
