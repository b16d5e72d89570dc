"""The trading days of a replay as columns: where in which day an item lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.calendar import OUTER_PARTS, TradingDay
from app.model import Flag, Ints, Items
from app.times import MINUTE_NS

DELIVERED, BEFORE_HOURS, IN_BREAK, AFTER_HOURS = range(4)


class DayTable:
    """Consecutive trading days. Look-ups take and give whole columns."""

    def __init__(self, days: Sequence[TradingDay]) -> None:
        self.days = tuple(days)
        self.first_ns = _column(d.first_ns for d in days)
        self.end_ns = _column(d.end_ns for d in days)
        self._hours_end_ns = _column(d.hours_end_ns for d in days)
        self._has_grace = self._hours_end_ns < self.end_ns
        self._midnight_ns = _column(d.midnight_ns for d in days)
        breaks = [pair for d in days for pair in d.breaks]
        self._break_start_ns = _column(start for start, _ in breaks)
        self._break_end_ns = _column(end for _, end in breaks)

    def day_of(self, release_ns: Ints) -> Ints:
        """The day in or before which each release lies; len(days) after the last."""
        return self.end_ns.searchsorted(release_ns, "left").astype(np.int64)

    def within_day(self, release_ns: Ints, day_before: Any) -> Ints:
        """The times, moved into the days' spans; to the end of the day before where so marked."""
        day = np.clip(self.day_of(release_ns) - day_before, 0, len(self.days) - 1)
        return np.clip(release_ns, self.first_ns[day] - 1, self.end_ns[day])

    def delivers_all(self, starts_ns: Ints, release_ns: Ints) -> bool:
        """Whether rising items are all DELIVERED, none in a grace; False where not told quickly."""
        if not len(release_ns):
            return True
        first, last = self.day_of(release_ns[[0, -1]]).tolist()
        if last == len(self.days) or len(self._break_start_ns):
            return False
        lows = np.append(0, release_ns.searchsorted(self.end_ns[first:last], "right"))
        highs = np.append(lows[1:], len(release_ns))
        used = np.flatnonzero(lows < highs)  # days without items tell nothing
        early = starts_ns[lows[used]] < self.first_ns[first + used]
        late = starts_ns[highs[used] - 1] >= self._hours_end_ns[first + used]
        return not (early.any() or late.any())

    def classify(self, starts_ns: Ints, release_ns: Ints) -> tuple[Any, Any]:
        """For each item DELIVERED or why not, and whether it lies in the grace after the close."""
        count = len(self.days)
        day = self.day_of(release_ns)
        inside = np.minimum(day, count - 1)
        early, beyond = starts_ns < self.first_ns[inside], day == count
        reason = np.where(early, BEFORE_HOURS, DELIVERED)
        if early.any() or beyond.any():
            # After the end of a day and before its midnight: it came too late for that day.
            previous = np.maximum(day - 1, 0)
            stray = (early | beyond) & (day > 0)
            reason[stray & (starts_ns < self._midnight_ns[previous])] = AFTER_HOURS
            reason[beyond & (reason == DELIVERED)] = AFTER_HOURS
        if len(self._break_start_ns):
            at = self._break_start_ns.searchsorted(starts_ns, "right") - 1
            resting = (at >= 0) & (starts_ns < self._break_end_ns[np.maximum(at, 0)])
            reason[resting] = IN_BREAK
        # Without a grace (24/7) what stands on the end is the first of what follows.
        in_grace = (starts_ns >= self._hours_end_ns[inside]) & self._has_grace[inside]
        return reason, in_grace


class Grid:
    """The parts of the days and their buckets of ``interval_min`` minutes."""

    def __init__(self, days: Sequence[TradingDay], regular_only: bool = False) -> None:
        names, starts, ends, numbers = [], [], [], []
        for number, day in enumerate(days):
            for name, start_ns, end_ns in day.regular_parts if regular_only else day.parts:
                names.append(name)
                starts.append(start_ns)
                ends.append(end_ns)
                numbers.append(number)
        self.start_ns, self.end_ns = np.array(starts, np.int64), np.array(ends, np.int64)
        self.day = np.array(numbers, np.int64)
        self.regular = np.array([name not in OUTER_PARTS for name in names], bool)

    def part_of(self, starts_ns: Ints) -> tuple[Ints, Any]:
        """The part in which each start lies, and whether it lies in one at all."""
        if not len(starts_ns):
            return np.empty(0, np.int64), np.empty(0, bool)
        # Only the parts that come into question: the search is as long as there are.
        bounds = self.start_ns.searchsorted((starts_ns.min(), starts_ns.max()), "right").tolist()
        low, high = max(bounds[0] - 1, 0), bounds[1]
        at = self.start_ns[low:high].searchsorted(starts_ns, "right")
        at += low - 1
        np.maximum(at, 0, out=at)
        return at, (starts_ns >= self.start_ns.take(at)) & (starts_ns < self.end_ns.take(at))

    def bar_starts(self, bars: Items) -> Ints:
        """Starts of bars of any intervals; a short last bucket starts on its part's grid."""
        release = np.ascontiguousarray(bars["release_ns"])
        width = bars["stream"].astype(np.int64) * MINUTE_NS
        starts = release - width
        short = np.flatnonzero(bars["flags"] & Flag.PARTIAL)
        if len(short):
            part = np.searchsorted(self.start_ns, release[short], "left") - 1
            origin = self.start_ns[part]
            whole = (release[short] - origin - 1) // width[short]
            starts[short] = origin + whole * width[short]
        return starts


def _column(values: Any) -> Ints:
    return np.fromiter(values, np.int64)
