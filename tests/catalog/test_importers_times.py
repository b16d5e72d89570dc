"""Times of foreign files: how they are written, and what the wall clock makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.importers.localtime import load_zone, local_days, resolve
from app.catalog.importers.stamps import check_time_format, read_stamps
from app.catalog.importers.wallclock import WallClock
from app.errors import RequestError
from app.times import DAY_NS, SECOND_NS, parse_time_ns

NEW_YORK = ZoneInfo("America/New_York")
ZONES = ["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Hong_Kong", "UTC"]
BACK = datetime(2024, 11, 3)  # noqa: DTZ001 - the clock of New York is put back at 02:00
FORWARD = datetime(2024, 3, 10)  # noqa: DTZ001 - and forward


def wall(*moments: datetime) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    zero = datetime(1970, 1, 1)  # noqa: DTZ001
    return np.array([int((m - zero).total_seconds()) * SECOND_NS for m in moments], np.int64)


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%d %H:%M")


@pytest.mark.parametrize(
    ("text", "form", "wanted"),
    [
        ("2013-10-07T09:30:00-04:00", "rfc3339", "2013-10-07T13:30:00Z"),
        ("2013-10-07t13:30:00.123456789z", "rfc3339", "2013-10-07T13:30:00.123456789Z"),
        ("2013-10-07T13:30:00", "iso", "2013-10-07T13:30:00Z"),
        ("2013-10-07 13:30", "iso", "2013-10-07T13:30:00Z"),
        ("1381152600", "s", "2013-10-07T13:30:00Z"),
        ("1381152600.25", "s", "2013-10-07T13:30:00.25Z"),
        ("1381152600123", "ms", "2013-10-07T13:30:00.123Z"),
        ("1381152600123456", "us", "2013-10-07T13:30:00.123456Z"),
        ("1381152600123456789", "ns", "2013-10-07T13:30:00.123456789Z"),
        ("07/10/2013 13:30", "%d/%m/%Y %H:%M", "2013-10-07T13:30:00Z"),
        ("20131007 133000.5", "%Y%m%d %H%M%S.%f", "2013-10-07T13:30:00.5Z"),
        ("07/10/2013 13:30 +0200", "%d/%m/%Y %H:%M %z", "2013-10-07T11:30:00Z"),
    ],
)
def test_times_are_read_in_each_format(text: str, form: str, wanted: str) -> None:
    check_time_format(form)
    found = read_stamps(pa.array([text, None, "what?"]), form)
    assert int(found.ns[0]) == parse_time_ns(wanted)
    assert found.null.tolist() == [False, True, False]
    assert found.unreadable.tolist() == [False, False, True]
    assert found.is_wall == (form == "iso" or ("%" in form and "%z" not in form))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2013-10-07T09:30:00", "rfc3339"),  # no zone
        ("2013-10-07T09:30:00Z", "iso"),  # a zone
        ("99999999999999999", "s"),
        ("1e300", "s"),
        ("nan", "s"),
        ("2013-02-30 10:00", "iso"),
        ("0001-01-01", "%Y-%m-%d"),
    ],
)
def test_what_is_no_time_is_unreadable(text: str, form: str) -> None:
    assert read_stamps(pa.array([text]), form).unreadable.tolist() == [True]


def test_typed_columns_say_themselves_what_they_are() -> None:
    ns = parse_time_ns("2013-10-07T13:30:00Z")
    aware = read_stamps(pa.array([ns // 1000], pa.timestamp("us", "Asia/Tokyo")), "s")
    assert (aware.is_wall, aware.ns.tolist()) == (False, [ns])
    naive = read_stamps(pa.array([ns // SECOND_NS], pa.timestamp("s")), "s")
    assert (naive.is_wall, naive.ns.tolist()) == (True, [ns])
    days = read_stamps(pa.array([ns // DAY_NS], pa.date32()), "s")
    assert (days.is_wall, days.ns.tolist()) == (True, [ns // DAY_NS * DAY_NS])
    epoch = read_stamps(pa.array([ns // SECOND_NS, None]), "s")
    assert (epoch.is_wall, epoch.ns.tolist(), epoch.null.tolist()) == (
        False,
        [ns, 0],
        [False, True],
    )
    far = read_stamps(pa.array([2**60], pa.timestamp("s", "UTC")), "s")
    assert far.unreadable.tolist() == [True]


@pytest.mark.parametrize("form", ["epoch", "", "%Q"])
def test_an_unknown_format_is_refused(form: str) -> None:
    with pytest.raises(RequestError, match="time format"):
        check_time_format(form)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(RequestError, match=r"unknown time zone 'Mars/Olympus'.*America/New_York"):
        load_zone("Mars/Olympus")


@settings(max_examples=150, deadline=None)
@given(
    seconds=st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=5),
    zone=st.sampled_from(ZONES),
)
def test_resolve_agrees_with_zoneinfo(seconds: list[int], zone: str) -> None:
    known = ZoneInfo(zone)
    near = [s for t in seconds for s in (t, t // 86_400 * 86_400 + 2 * 3600)]
    found = resolve(np.array(near, np.int64) * SECOND_NS, known)
    for place, second in enumerate(near):
        moment = datetime(1970, 1, 1, tzinfo=known) + timedelta(seconds=second)
        first, again = (moment.replace(fold=f).timestamp() * SECOND_NS for f in (0, 1))
        assert found.first_ns[place] == first
        assert found.second_ns[place] == again
        exists = moment.astimezone(UTC).astimezone(known).replace(tzinfo=None, fold=0)
        assert found.missing[place] == (exists != moment.replace(tzinfo=None, fold=0))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4_000_000_000), st.sampled_from(ZONES))
def test_local_days_agree_with_zoneinfo(second: int, zone: str) -> None:
    known = ZoneInfo(zone)
    wanted = datetime.fromtimestamp(second, known).date() - datetime(1970, 1, 1).date()  # noqa: DTZ001
    assert local_days(np.array([second * SECOND_NS]), known).tolist() == [wanted.days]


def walk(clock: WallClock, minutes: list[int], symbols: list[int] | None = None) -> list[str]:
    """UTC of minutes after the midnight before the clock is put back."""
    times = wall(*(BACK + timedelta(minutes=m) for m in minutes))
    codes = np.array(symbols or [0] * len(minutes))
    utc, missing, first, second = clock.to_utc(times, codes, np.ones(len(times), bool))
    assert not missing.any()
    assert not (first & second).any()
    return [iso(int(t)) for t in utc]


def test_a_repeated_hour_is_the_first_one_unless_the_order_says_otherwise() -> None:
    assert walk(WallClock(NEW_YORK), [59, 60, 90, 119]) == [
        "03 04:59", "03 05:00", "03 05:30", "03 05:59",
    ]  # fmt: skip
    assert walk(WallClock(NEW_YORK), [59, 60, 119, 60, 61, 119, 120]) == [
        "03 04:59", "03 05:00", "03 05:59", "03 06:00", "03 06:01", "03 06:59", "03 07:00",
    ]  # fmt: skip


def test_the_order_is_known_across_chunks_and_by_symbol() -> None:
    clock = WallClock(NEW_YORK)
    assert walk(clock, [110, 100, 110], [0, 1, 1]) == ["03 05:50", "03 05:40", "03 05:50"]
    assert walk(clock, [60, 115], [0, 1]) == ["03 06:00", "03 05:55"]
    assert walk(clock, [65, 61], [0, 1]) == ["03 06:05", "03 06:01"]
    clock.start_file()
    assert walk(clock, [70]) == ["03 05:10"]


def test_rows_that_are_out_of_order_anyway_say_nothing() -> None:
    descending = [180, 121, 119, 60, 59]
    assert walk(WallClock(NEW_YORK), descending)[2:4] == ["03 05:59", "03 05:00"]
    clock = WallClock(NEW_YORK)
    assert walk(clock, [30, 20]) == ["03 04:30", "03 04:20"]
    assert walk(clock, [90, 70]) == ["03 05:30", "03 05:10"]


def test_a_small_step_back_is_jitter() -> None:
    times = wall(BACK + timedelta(hours=1, seconds=30), BACK + timedelta(hours=1, seconds=10))
    _, _, first, second = WallClock(NEW_YORK).to_utc(times, np.zeros(2, int), np.ones(2, bool))
    assert first.all()
    assert not second.any()


def test_times_that_the_clock_skips_are_missing_and_rows_out_of_use_count_for_nothing() -> None:
    times = wall(FORWARD + timedelta(minutes=150), FORWARD + timedelta(minutes=180))
    clock = WallClock(NEW_YORK)
    _, missing, _, _ = clock.to_utc(times, np.zeros(2, int), np.ones(2, bool))
    assert missing.tolist() == [True, False]
    _, missing, first, second = clock.to_utc(times, np.zeros(2, int), np.zeros(2, bool))
    assert not (missing | first | second).any()
