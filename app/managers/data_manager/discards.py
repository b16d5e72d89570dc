"""What was discarded, by reason and by when: a count may not tell of the future either."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.model import Ints

REASONS = ("before_hours", "in_break", "after_hours", "late", "duplicate", "invalid")


class DiscardLog:
    """Rows that were discarded, by the time from which the clock may know of it.

    Not thread-safe: under the coordinator's lock.
    """

    def __init__(self) -> None:
        self._known = np.zeros(len(REASONS), np.int64)
        self._ahead: list[tuple[int, Ints, Ints]] = []  # reason, times, rows at each
        self._before = self._known.copy()  # of what is known, that from before the running day
        self._today: list[tuple[int, Ints, Ints]] = []  # and the rest of it

    def add(self, known_ns: Ints, reasons: Any) -> None:
        """Note rows: when each is known, and the number of its reason in REASONS."""
        if not len(reasons):
            return
        for reason in np.unique(reasons).tolist():
            times, counts = np.unique(known_ns[reasons == reason], return_counts=True)
            self._ahead.append((reason, times, counts))  # a day's end stands there once

    def counts(self, now_ns: int) -> dict[str, int]:
        """By reason, what is known at ``now_ns``; asked for rising times only, but for a rewind."""
        ahead = []
        for reason, times, counts in self._ahead:
            past = int(times.searchsorted(now_ns, "right"))
            if past:
                self._known[reason] += counts[:past].sum()
                self._today.append((reason, times[:past], counts[:past]))
            if past < len(times):
                ahead.append((reason, times[past:], counts[past:]))
        self._ahead = ahead
        return dict(zip(REASONS, self._known.tolist(), strict=True))

    def begin_day(self, now_ns: int) -> None:
        """A day begins: it is rewound at most to here."""
        self.counts(now_ns)
        self._before, self._today = self._known.copy(), []

    def rewind(self) -> None:
        """The clock goes back within the day."""
        self._known, self._ahead = self._before.copy(), self._today + self._ahead
        self._today = []
