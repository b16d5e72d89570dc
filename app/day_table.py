"""The trading days of a replay as columns: where in which day an item lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.calendar import TradingDay
from app.model import Ints

DELIVERED, BEFORE_HOURS, IN_BREAK, AFTER_HOURS = range(4)


class DayTable:
    """Consecutive trading days. Look-ups take and give whole columns."""

    def __init__(self, days: Sequence[TradingDay]) -> None:
        self.days = tuple(days)
        self.first_ns = _column(d.first_ns for d in days)
        self.end_ns = _column(d.end_ns for d in days)
        self._hours_end_ns = _column(d.hours_end_ns for d in days)
        self._midnight_ns = _column(d.midnight_ns for d in days)
        breaks = [pair for d in days for pair in d.breaks]
        self._break_start_ns = _column(start for start, _ in breaks)
        self._break_end_ns = _column(end for _, end in breaks)

    def day_of(self, release_ns: Ints) -> Ints:
        """The day in or before which each release lies; len(days) after the last."""
        return np.searchsorted(self.end_ns, release_ns, "left").astype(np.int64)

    def classify(self, starts_ns: Ints, release_ns: Ints) -> tuple[Any, Any]:
        """For each item DELIVERED or why not, and whether it lies in the grace after the close."""
        count = len(self.days)
        day = self.day_of(release_ns)
        inside = np.minimum(day, count - 1)
        reason = np.where(starts_ns < self.first_ns[inside], BEFORE_HOURS, DELIVERED)
        # After the end of a day and before its midnight: it came too late for that day.
        previous = np.maximum(day - 1, 0)
        stray = ((reason == BEFORE_HOURS) | (day == count)) & (day > 0)
        reason[stray & (starts_ns < self._midnight_ns[previous])] = AFTER_HOURS
        reason[(day == count) & (reason == DELIVERED)] = AFTER_HOURS
        if len(self._break_start_ns):
            at = np.searchsorted(self._break_start_ns, starts_ns, "right") - 1
            resting = (at >= 0) & (starts_ns < self._break_end_ns[np.maximum(at, 0)])
            reason[resting] = IN_BREAK
        return reason, starts_ns >= self._hours_end_ns[inside]


class Grid:
    """The parts of the days and their buckets of ``interval_min`` minutes."""

    def __init__(self, days: Sequence[TradingDay], regular_only: bool = False) -> None:
        parts = [
            (part, number)
            for number, day in enumerate(days)
            for part in (day.regular_parts if regular_only else day.parts)
        ]
        self.start_ns = _column(part.start_ns for part, _ in parts)
        self.end_ns = _column(part.end_ns for part, _ in parts)
        self.day = _column(number for _, number in parts)

    def part_of(self, starts_ns: Ints) -> tuple[Ints, Any]:
        """The part in which each start lies, and whether it lies in one at all."""
        at = np.searchsorted(self.start_ns, starts_ns, "right") - 1
        inside = (at >= 0) & (starts_ns < self.end_ns[np.maximum(at, 0)])
        return np.maximum(at, 0), inside


def _column(values: Any) -> Ints:
    return np.fromiter(values, np.int64)
