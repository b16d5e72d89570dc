"""What is due at a time: before its slice, after it, or at the close; then as it was asked for."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from enum import IntEnum
from typing import NamedTuple

from app.model import Ints

NEVER_NS = 2**63 - 1


class When(IntEnum):
    """At one time, in this order."""

    BEFORE_SLICE = 0
    AFTER_SLICE = 1
    CLOSE = 2


class Due(NamedTuple):
    """Ordered as it happens."""

    at_ns: int
    when: When
    number: int
    owner: str
    token: str


class Agenda:
    """All that is due, in order."""

    def __init__(self) -> None:
        self.first_ns = NEVER_NS  # when the first is due
        self._due: list[Due] = []
        self._count = 0
        self._cut = 0  # the first slice of these that this comes before
        self._cut_by: Due | None = None
        self._cut_of: Ints | None = None

    def add(self, at_ns: int, when: When, owner: str, token: str) -> None:
        self._count += 1
        heapq.heappush(self._due, Due(at_ns, when, self._count, owner, token))
        self.first_ns = self._due[0].at_ns

    def next_ns(self) -> int | None:
        """The time of the first; None where nothing is due."""
        return self._due[0].at_ns if self._due else None

    def take(self, now_ns: int, when: When) -> Due | None:
        """The first, if it is due before ``now_ns``, or at it and not after ``when``."""
        if self.first_ns > now_ns:
            return None
        if self.first_ns == now_ns and self._due[0].when > when:
            return None
        first = heapq.heappop(self._due)
        self.first_ns = self._due[0].at_ns if self._due else NEVER_NS
        return first

    def next_slice(self, times_ns: Ints, at: int) -> int:
        """The first slice after ``at`` that something due comes before; their count for none."""
        if not self._due:
            return len(times_ns)
        due = self._due[0]
        if due is not self._cut_by or times_ns is not self._cut_of:
            first_ns = due.at_ns if due.when is When.BEFORE_SLICE else due.at_ns + 1
            # numpy's own would give the interpreter lock away
            self._cut = bisect_left(times_ns, first_ns)
            self._cut_by, self._cut_of = due, times_ns
        return self._cut if self._cut > at else at + 1
