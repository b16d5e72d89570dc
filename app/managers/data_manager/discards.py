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
        self._ahead: list[tuple[Ints, Any]] = []

    def add(self, known_ns: Ints, reasons: Any) -> None:
        """Note rows: when each is known, and the number of its reason in REASONS."""
        if len(known_ns):
            self._ahead.append((known_ns, reasons))

    def counts(self, now_ns: int) -> dict[str, int]:
        """By reason, what is known at ``now_ns``; asked for rising times only."""
        ahead = []
        for known_ns, reasons in self._ahead:
            past = known_ns <= now_ns
            self._known += np.bincount(reasons[past], minlength=len(REASONS))
            if not past.all():
                ahead.append((known_ns[~past], reasons[~past]))
        self._ahead = ahead
        return dict(zip(REASONS, self._known.tolist(), strict=True))
