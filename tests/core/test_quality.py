"""Coverage and gaps against plain counting, and the quick quality against the thorough one."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.calendar import Hours, TradingCalendar
from app.managers.data_manager.gap_detection import coverage, minutes_due, quality
from tests.core.harness import MINUTE

LUNCH = TradingCalendar("XHKG", Hours.REGULAR, 60, date(2024, 2, 7), date(2024, 2, 9))
DAYS = LUNCH.range(date(2024, 2, 7), date(2024, 2, 9))[0]


@given(
    st.sampled_from(DAYS),
    st.sets(st.integers(0, 389), max_size=60),
    st.integers(-5, 460),
    st.sampled_from([0, 1, MINUTE - 1]),
    st.sampled_from([0, 30_000_000_000]),
)
def test_coverage_is_plain_counting(
    day: object, minutes: set[int], now_min: int, extra_ns: int, off_grid_ns: int
) -> None:
    chosen = next(d for d in DAYS if d is day)
    now_ns = chosen.open_ns + now_min * MINUTE + extra_ns
    all_minutes = [t for p in chosen.regular_parts for t in range(p.start_ns, p.end_ns, MINUTE)]
    ended = [t for t in all_minutes if t + MINUTE <= now_ns]
    # What a session shows: bars of regular minutes that have ended.
    there = sorted(t for m in minutes if (t := chosen.open_ns + m * MINUTE) in set(ended))
    starts = np.array([t + off_grid_ns for t in there], np.int64)
    found = coverage(chosen, starts, now_ns)
    assert (found.received, found.expected) == (len(there), len(ended))
    assert minutes_due(chosen, now_ns) == len(ended)
    assert quality(chosen, starts, now_ns) == found.quality
    missing = [t for t in ended if t not in set(there)]
    assert sum(g.minutes for g in found.gaps) == len(missing)
    for gap in found.gaps:
        run = list(range(gap.start_ns, gap.end_ns, MINUTE))
        assert len(run) == gap.minutes
        assert set(run) <= set(missing)
        assert gap.start_ns - MINUTE not in missing
        assert gap.end_ns not in missing
