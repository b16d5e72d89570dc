"""Trading days against exchange_calendars' own schedules, and against known dates."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from app.calendar import Hours, TradingCalendar, TradingDay
from app.errors import RangeError, RequestError
from app.times import DAY_NS, MINUTE_NS, SECOND_NS, datetime_to_ns, parse_time_ns


def _days(
    name: str, hours: str, start: str, end: str, grace_s: int = 60, history: int = 0
) -> list[TradingDay]:
    low, high = date.fromisoformat(start), date.fromisoformat(end)
    return TradingCalendar(name, Hours(hours), grace_s, low, high).range(low, high, history)[0]


def _day(name: str, hours: str, on: str, grace_s: int = 60) -> TradingDay:
    (day,) = _days(name, hours, on, on, grace_s)
    assert day.date.isoformat() == on
    return day


@lru_cache(maxsize=8)
def _schedule(name: str) -> tuple[pd.DataFrame, set[date]]:
    exchange: Any = exchange_calendars.get_calendar(name, start="2009-01-01", end="2026-12-31")
    return exchange.schedule, {s.date() for s in exchange.early_closes}


def _ns(moment: pd.Timestamp) -> int | None:
    return None if pd.isna(moment) else round((moment - pd.Timestamp(0, tz="UTC")).value)


@pytest.mark.parametrize("name", ["XNYS", "XLON", "XHKG", "XTKS", "XASX", "24/7"])
def test_every_session_of_fifteen_years_is_that_of_the_schedule(name: str) -> None:
    schedule, early = _schedule(name)
    wanted = schedule.loc["2010-01-01":"2024-12-31"]
    days = _days(name, "regular", "2010-01-01", "2024-12-31")
    assert [d.date for d in days] == [s.date() for s in wanted.index]
    for day, (_, row) in zip(days, wanted.iterrows(), strict=True):
        opened, closed = _ns(row["open"]), _ns(row["close"])
        pause, resume = _ns(row["break_start"]), _ns(row["break_end"])
        assert (day.open_ns, day.close_ns) == (day.first_ns, day.hours_end_ns) == (opened, closed)
        assert day.breaks == (() if pause is None else ((pause, resume),))
        assert day.half_day == (day.date in early)
        spans = [(p.start_ns, p.end_ns) for p in day.parts]
        halves = [(opened, pause), (resume, closed)]
        assert spans == (halves if pause is not None else [(opened, closed)])
        assert day.regular_parts == day.parts


def test_bounds_of_the_wish_do_not_change_a_day() -> None:
    alone = _day("XNYS", "all", "2024-07-03")
    assert alone in _days("XNYS", "all", "2015-01-01", "2024-12-31")
    assert alone in _days("XNYS", "all", "2024-07-01", "2024-07-31")


# -- known dates ---------------------------------------------------------------------------


def test_the_half_day_after_thanksgiving() -> None:
    day = _day("XNYS", "regular", "2024-11-29")
    assert day.open_ns == parse_time_ns("2024-11-29T09:30:00-05:00")
    assert day.close_ns == parse_time_ns("2024-11-29T13:00:00-05:00")
    assert day.end_ns == day.close_ns + 60 * SECOND_NS
    assert day.half_day
    assert len(day.regular_minutes()) == 210
    extended = _day("XNYS", "extended", "2024-11-29")
    assert extended.first_ns == parse_time_ns("2024-11-29T04:00:00-05:00")
    assert extended.hours_end_ns == parse_time_ns("2024-11-29T17:00:00-05:00")
    assert [p.name for p in extended.parts] == ["pre", "regular", "post"]
    with pytest.raises(RangeError, match="no trading day of XNYS"):
        _days("XNYS", "regular", "2024-11-28", "2024-11-28")


@pytest.mark.parametrize(
    ("on", "first", "opens", "end"),
    [
        ("2011-03-11", "09:00", "14:30", "2011-03-12T01:00:00Z"),
        ("2011-03-14", "08:00", "13:30", "2011-03-15T00:00:00Z"),
        ("2024-11-01", "08:00", "13:30", "2024-11-02T00:00:00Z"),
        ("2024-11-04", "09:00", "14:30", "2024-11-05T01:00:00Z"),
    ],
)
def test_extended_hours_around_the_clock_changes(on: str, first: str, opens: str, end: str) -> None:
    day = _day("XNYS", "extended", on)
    assert day.first_ns == parse_time_ns(f"{on}T{first}:00Z")
    assert day.open_ns == parse_time_ns(f"{on}T{opens}:00Z")
    assert day.hours_end_ns == parse_time_ns(end)
    assert day.close_ns - day.open_ns == 390 * MINUTE_NS
    zone = ZoneInfo("America/New_York")
    assert datetime.fromtimestamp(day.first_ns // SECOND_NS, zone).time() == time(4)
    assert datetime.fromtimestamp(day.hours_end_ns // SECOND_NS, zone).time() == time(20)
    midnight = datetime.combine(day.date + timedelta(days=1), time(0), zone)
    assert day.midnight_ns == datetime_to_ns(midnight)


def test_extended_hours_are_the_same_under_every_name_of_the_exchange() -> None:
    assert _day("NYSE", "extended", "2024-07-03") == _day("XNYS", "extended", "2024-07-03")
    assert _day("NASDAQ", "extended", "2024-07-03") == _day("XNYS", "extended", "2024-07-03")


def test_hong_kong_has_lunch_and_a_morning_before_new_year() -> None:
    day = _day("XHKG", "regular", "2024-02-08")
    assert day.breaks == (
        (parse_time_ns("2024-02-08T12:00:00+08:00"), parse_time_ns("2024-02-08T13:00:00+08:00")),
    )
    assert [p.name for p in day.parts] == ["morning", "afternoon"]
    assert len(day.regular_minutes()) == 150 + 180
    eve = _day("XHKG", "regular", "2024-02-09")
    assert eve.half_day
    assert eve.breaks == ()
    assert [p.name for p in eve.parts] == ["regular"]
    assert eve.close_ns == parse_time_ns("2024-02-09T12:00:00+08:00")
    following = _days("XHKG", "regular", "2024-02-09", "2024-02-14")
    assert [d.date.day for d in following] == [9, 14]


def test_london_over_easter_and_its_clock_change() -> None:
    days = _days("XLON", "regular", "2024-03-28", "2024-04-02")
    assert [d.date.isoformat() for d in days] == ["2024-03-28", "2024-04-02"]
    assert days[0].open_ns == parse_time_ns("2024-03-28T08:00:00Z")
    assert days[1].open_ns == parse_time_ns("2024-04-02T07:00:00Z")
    assert days[1].close_ns == parse_time_ns("2024-04-02T15:30:00Z")


def test_round_the_clock_days_follow_each_other_without_a_grace() -> None:
    days = _days("24/7", "regular", "2024-02-28", "2024-03-02")
    assert len(days) == 4
    for day in days:
        assert day.first_ns == parse_time_ns(f"{day.date}T00:00:00Z")
        assert day.close_ns == day.end_ns == day.midnight_ns == day.first_ns + DAY_NS
        assert len(day.regular_minutes()) == 1440
    assert [a.end_ns for a in days[:-1]] == [b.first_ns for b in days[1:]]


@pytest.mark.parametrize("name", ["XNYS", "XLON", "XHKG", "24/7"])
@pytest.mark.parametrize("grace_s", [0, 60, 7200])
def test_all_hours_leave_nothing_between_the_days(name: str, grace_s: int) -> None:
    days = _days(name, "all", "2024-01-01", "2024-12-31", grace_s)
    regular = _days(name, "regular", "2024-01-01", "2024-12-31", grace_s)
    assert [a.end_ns for a in days[:-1]] == [b.first_ns for b in days[1:]]
    for day, plain in zip(days, regular, strict=True):
        assert (day.open_ns, day.close_ns, day.end_ns) == (
            plain.open_ns,
            plain.close_ns,
            plain.end_ns,
        )
        assert day.regular_parts == plain.parts
        before = [(p.start_ns, p.end_ns) for p in day.parts if p.name == "pre"]
        assert before == ([(day.first_ns, day.open_ns)] if day.first_ns < day.open_ns else [])


@pytest.mark.parametrize("hours", ["regular", "extended"])
def test_a_grace_never_reaches_into_the_next_day(hours: str) -> None:
    for grace_s in (0, 60, 10 * 3600, 100 * 3600):
        days = _days("XNYS", hours, "2024-01-01", "2024-02-28", grace_s)
        for day, following in pairwise(days):
            assert day.end_ns == min(day.hours_end_ns + grace_s * SECOND_NS, following.first_ns)


def test_parts_stand_in_order_and_fill_the_hours() -> None:
    for name, hours in (("XNYS", "extended"), ("XHKG", "regular"), ("XNYS", "regular")):
        for day in _days(name, hours, "2024-01-01", "2024-12-31"):
            edges = [t for p in day.parts for t in (p.start_ns, p.end_ns)]
            assert edges == sorted(edges)
            gaps = [(a.end_ns, b.start_ns) for a, b in zip(day.parts[:-1], day.parts[1:],
                                                           strict=True)]  # fmt: skip
            assert tuple(gap for gap in gaps if gap[0] < gap[1]) == day.breaks
            assert (edges[0], edges[-1]) == (day.first_ns, day.hours_end_ns)
            assert np.all(np.diff(day.regular_minutes()) >= MINUTE_NS)


# -- asking --------------------------------------------------------------------------------


def test_a_range_snaps_inward_and_carries_its_history() -> None:
    low, high = date(2024, 11, 28), date(2024, 12, 1)
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, low, high)
    days, before = calendar.range(low, high, 3)
    assert before == 3
    assert [d.date.day for d in days] == [25, 26, 27, 29]
    assert calendar.day(calendar.index_from(low)).date == date(2024, 11, 29)


def test_history_ends_where_the_calendar_begins() -> None:
    low = date(2024, 2, 5)
    calendar = TradingCalendar("XNYS", Hours.ALL, 60, low, low)
    days, before = calendar.range(low, low, 10_000)
    assert before == len(days) - 1
    assert days[0].date.year == 2024
    with pytest.raises(RangeError, match="has no session number -1"):
        calendar.day(-1)
    with pytest.raises(RangeError, match="has no session number"):
        calendar.day(10**6)


def test_the_next_open_and_the_local_date() -> None:
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, date(2024, 11, 27), date(2024, 11, 29))
    friday = parse_time_ns("2024-11-29T14:30:00Z")
    assert calendar.next_open_ns(parse_time_ns("2024-11-27T21:00:00Z")) == friday
    assert calendar.next_open_ns(friday - 1) == friday
    assert calendar.next_open_ns(friday) == parse_time_ns("2024-12-02T14:30:00Z")
    assert calendar.next_open_ns(parse_time_ns("2100-01-01T00:00:00Z")) is None
    assert calendar.local_date(parse_time_ns("2024-11-30T01:00:00Z")) == date(2024, 11, 29)
    assert calendar.local_date(parse_time_ns("1969-12-31T23:59:59Z")) == date(1969, 12, 31)


@pytest.mark.parametrize("name", ["XNYZ", "nyse", "", "../etc"])
def test_an_unknown_calendar_names_its_nearest(name: str) -> None:
    with pytest.raises(RequestError, match="unknown calendar"):
        _day(name, "regular", "2024-01-02")


def test_extended_hours_of_other_exchanges_are_not_known() -> None:
    with pytest.raises(RequestError, match="'extended' are known for US exchanges only"):
        _day("XLON", "extended", "2024-01-02")


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("2024-01-03", "2024-01-02", "end 2024-01-02 is before start 2024-01-03"),
        ("2024-01-06", "2024-01-07", "no trading day of XNYS from 2024-01-06 to 2024-01-07"),
        ("0001-01-01", "0001-01-05", "calendar"),
        ("9999-12-01", "9999-12-31", "calendar"),
        ("1500-01-01", "1500-02-01", "calendar XNYS cannot cover"),
    ],
)
def test_ranges_that_cannot_be_replayed(start: str, end: str, says: str) -> None:
    with pytest.raises(RangeError, match=says):
        _days("XNYS", "regular", start, end)


@pytest.mark.parametrize(
    ("name", "first", "last", "sessions"),
    [
        ("XNYS", date(2010, 3, 1), date(2010, 3, 5), 252),  # from Jan 4 on: not 252 in 362 days
        ("XNYS", date(2013, 10, 4), date(2013, 10, 8), 252),
        ("XNYS", date(2024, 10, 28), date(2024, 12, 2), 251),  # 252, and 250 of 2025
        ("24/7", date(2013, 10, 4), date(2013, 10, 8), 365),
    ],
)
def test_the_sessions_of_a_year_are_those_of_whole_years(
    name: str, first: date, last: date, sessions: float
) -> None:
    assert TradingCalendar(name, Hours.REGULAR, 60, first, last).sessions_a_year == sessions
