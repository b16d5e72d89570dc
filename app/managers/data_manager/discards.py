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

    def add(self, known_ns: Ints, reasons: Any) -> None:
        """Note rows: when each is known, and the number of its reason in REASONS."""
        for reason in np.unique(reasons).tolist():
            times, counts = np.unique(known_ns[reasons == reason], return_counts=True)
            self._ahead.append((reason, times, counts))  # a day's end stands there once

    def counts(self, now_ns: int) -> dict[str, int]:
        """By reason, what is known at ``now_ns``; asked for rising times only."""
        ahead = []
        for reason, times, counts in self._ahead:
            past = int(times.searchsorted(now_ns, "right"))
            self._known[reason] += counts[:past].sum()
            if past < len(times):
                ahead.append((reason, times[past:], counts[past:]))
        self._ahead = ahead
        return dict(zip(REASONS, self._known.tolist(), strict=True))
