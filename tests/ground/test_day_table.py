"""Where in which day an item lies: whole columns against one row at a time."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calendar import Hours, TradingCalendar, TradingDay
from app.day_table import AFTER_HOURS, BEFORE_HOURS, DELIVERED, IN_BREAK, DayTable, Grid
from app.model import Flag, make_items
from app.times import DAY_NS, MINUTE_NS, SECOND_NS

CASES = {
    "regular": ("XNYS", Hours.REGULAR, 60, date(2024, 11, 27), date(2024, 12, 2)),
    "no grace": ("XNYS", Hours.REGULAR, 0, date(2024, 11, 29), date(2024, 12, 3)),
    "long grace": ("XNYS", Hours.REGULAR, 40 * 3600, date(2024, 11, 25), date(2024, 11, 29)),
    "extended": ("XNYS", Hours.EXTENDED, 60, date(2011, 3, 11), date(2011, 3, 14)),
    "all": ("XNYS", Hours.ALL, 60, date(2024, 11, 1), date(2024, 11, 4)),
    "lunch": ("XHKG", Hours.REGULAR, 60, date(2024, 2, 8), date(2024, 2, 14)),
    "lunch, all": ("XHKG", Hours.ALL, 60, date(2024, 2, 8), date(2024, 2, 14)),
    "round the clock": ("24/7", Hours.REGULAR, 60, date(2024, 3, 9), date(2024, 3, 11)),
    "one day": ("XLON", Hours.REGULAR, 60, date(2024, 4, 2), date(2024, 4, 2)),
}


@lru_cache(maxsize=16)
def _days(case: str) -> tuple[TradingDay, ...]:
    name, hours, grace_s, start, end = CASES[case]
    return tuple(TradingCalendar(name, hours, grace_s, start, end).range(start, end)[0])


def _judge(days: tuple[TradingDay, ...], start: int, release: int) -> tuple[int, bool]:
    """The rule as it is written: the day by the release, its bounds by the start."""
    if any(low <= start < high for day in days for low, high in day.breaks):
        return IN_BREAK, False
    past = [day for day in days if day.end_ns < release]
    ahead = [day for day in days if day.end_ns >= release]
    if ahead and start >= ahead[0].first_ns:
        has_grace = ahead[0].end_ns > ahead[0].hours_end_ns
        return DELIVERED, has_grace and start >= ahead[0].hours_end_ns
    if past and (not ahead or start < past[-1].midnight_ns):
        return AFTER_HOURS, False
    return BEFORE_HOURS, False


def _edges(days: tuple[TradingDay, ...]) -> list[int]:
    found = {t for d in days for t in (d.first_ns, d.open_ns, d.close_ns, d.hours_end_ns, d.end_ns,
                                       d.midnight_ns)}  # fmt: skip
    return sorted(found | {t for d in days for pair in d.breaks for t in pair})


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(list(CASES)), st.sampled_from([0, 1]))
def test_every_item_is_judged_as_the_rule_says(
    data: st.DataObject, case: str, minutes: int
) -> None:
    days = _days(case)
    near = st.tuples(
        st.sampled_from(_edges(days)),
        st.one_of(
            st.integers(-2, 2),
            st.integers(-90, 90).map(lambda s: s * SECOND_NS),
            st.integers(-3 * DAY_NS, 3 * DAY_NS),
        ),
    )
    starts = np.array([e + o for e, o in data.draw(st.lists(near, max_size=30))], np.int64)
    release = starts + minutes * MINUTE_NS
    reasons, post_close = DayTable(days).classify(starts, release)
    expected = [_judge(days, s, r) for s, r in zip(starts.tolist(), release.tolist(), strict=True)]
    assert reasons.tolist() == [reason for reason, _ in expected]
    delivered = np.flatnonzero(reasons == DELIVERED)
    assert post_close[delivered].tolist() == [expected[i][1] for i in delivered]
    plain = bool((reasons == DELIVERED).all()) and not post_close.any()
    starts.sort()
    assert plain or not DayTable(days).delivers_all(starts, starts + minutes * MINUTE_NS)


@pytest.mark.parametrize("case", ["regular", "no grace", "extended", "all", "one day"])
def test_all_minutes_of_the_hours_are_told_to_be_delivered_quickly(case: str) -> None:
    days = _days(case)
    starts = np.concatenate([np.arange(d.first_ns, d.hours_end_ns, MINUTE_NS) for d in days])
    table = DayTable(days)
    assert table.delivers_all(starts, starts + MINUTE_NS)
    assert table.delivers_all(starts[:0], starts[:0])
    assert not table.delivers_all(starts - MINUTE_NS, starts)
    reasons, post_close = table.classify(starts, starts + MINUTE_NS)
    assert (reasons == DELIVERED).all()
    assert not post_close.any()


def test_the_bar_at_the_close_is_in_the_grace_and_the_next_one_is_late() -> None:
    (day, *_) = _days("regular")
    starts = day.close_ns + np.array([-1, 0, 1]) * MINUTE_NS
    reasons, post_close = DayTable([day]).classify(starts, starts + MINUTE_NS)
    assert reasons.tolist() == [DELIVERED, DELIVERED, AFTER_HOURS]
    assert post_close[:2].tolist() == [False, True]


def test_the_day_of_a_release() -> None:
    days = _days("regular")
    table = DayTable(days)
    ends = [d.end_ns for d in days]
    assert table.day_of(np.array(ends)).tolist() == list(range(len(days)))
    assert table.day_of(np.array(ends) + 1).tolist() == list(range(1, len(days) + 1))
    assert table.day_of(np.array([0])).tolist() == [0]


@pytest.mark.parametrize("regular_only", [True, False])
@pytest.mark.parametrize("case", list(CASES))
def test_every_minute_lies_in_the_part_that_holds_it(case: str, regular_only: bool) -> None:
    days = _days(case)
    grid = Grid(days, regular_only)
    low, high = days[0].first_ns - 30 * MINUTE_NS, days[-1].end_ns + 30 * MINUTE_NS
    starts = np.arange(low, high, 7 * MINUTE_NS)
    part, inside = grid.part_of(starts)
    parts = [p for d in days for p in (d.regular_parts if regular_only else d.parts)]
    for start, found, within in zip(starts.tolist(), part.tolist(), inside.tolist(), strict=True):
        holding = [i for i, p in enumerate(parts) if p.start_ns <= start < p.end_ns]
        assert holding == ([found] if within else [])
    assert [len(d.regular_parts if regular_only else d.parts) for d in days] == np.bincount(
        grid.day
    ).tolist()


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("interval", [2, 7, 15, 60, 1440])
def test_the_start_of_a_bar_is_that_of_its_bucket(case: str, interval: int) -> None:
    starts, ends, flags = [], [], []
    width = interval * MINUTE_NS
    for part in (p for d in _days(case) for p in d.parts):
        for start in range(part.start_ns, part.end_ns, width):
            starts.append(start)
            ends.append(min(start + width, part.end_ns))
            flags.append(Flag.PARTIAL if start + width > part.end_ns else Flag.COMPLETE)
    bars = make_items(interval, ends, flags)
    assert Grid(_days(case)).bar_starts(bars).tolist() == starts
