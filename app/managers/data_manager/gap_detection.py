"""Quality and gaps of a day's regular minutes, as functions of (columns, now)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from app.calendar import TradingDay
from app.model import Ints
from app.times import MINUTE_NS


class Gap(NamedTuple):
    """A run of missing minutes: from the first one's start to the last one's end."""

    start_ns: int
    end_ns: int
    minutes: int


class Coverage(NamedTuple):
    """How much of what a day's regular minutes should hold is there."""

    received: int
    expected: int
    gaps: tuple[Gap, ...]

    @property
    def quality(self) -> float | None:
        """100 x received / expected; None while nothing is expected."""
        return 100.0 * self.received / self.expected if self.expected else None


def expected_minutes(day: TradingDay, now_ns: int) -> Ints:
    """Starts of the regular minutes that have ended by now; breaks are not among them."""
    minutes = day.regular_minutes()
    ended: Ints = minutes[: np.searchsorted(minutes + MINUTE_NS, now_ns, "right")]
    return ended


def minutes_due(day: TradingDay, now_ns: int) -> int:
    """How many regular minutes have ended by now."""
    return sum(
        min(max(now_ns - part.start_ns, 0), part.end_ns - part.start_ns) // MINUTE_NS
        for part in day.regular_parts
    )


def quality(day: TradingDay, starts_ns: Ints, now_ns: int) -> float | None:
    """As ``coverage(...).quality``, of starts that rise and lie in ended regular minutes."""
    due = minutes_due(day, now_ns)
    if not due:
        return None
    off_grid = (starts_ns % MINUTE_NS).any()
    received = len(np.unique(starts_ns // MINUTE_NS)) if off_grid else len(starts_ns)
    return 100.0 * received / due


def coverage(day: TradingDay, starts_ns: Ints, now_ns: int) -> Coverage:
    """Coverage at ``now_ns`` by bars with these starts (of any minutes, any order)."""
    minutes = expected_minutes(day, now_ns)
    there = np.isin(minutes, starts_ns // MINUTE_NS * MINUTE_NS)
    return Coverage(int(there.sum()), len(minutes), find_gaps(minutes, there))


def find_gaps(minutes: Ints, there: Any) -> tuple[Gap, ...]:
    """Maximal runs of minutes that are not there; a run ends where the minutes do (a break)."""
    missing = minutes[~there]
    if not len(missing):
        return ()
    edges = np.flatnonzero(np.diff(missing) > MINUTE_NS) + 1
    return tuple(
        Gap(int(run[0]), int(run[-1]) + MINUTE_NS, len(run)) for run in np.split(missing, edges)
    )
