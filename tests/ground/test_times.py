"""Times go out and come back unchanged; what is no time is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestError, TimeError
from app.times import (
    SECOND_NS,
    datetime_to_ns,
    format_time,
    format_times,
    parse_date,
    parse_time_ns,
)

NS = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.integers(-(2**33), 2**33).map(lambda s: s * SECOND_NS),
    st.integers(-(2**42), 2**42).map(lambda ms: ms * 1_000_000),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(NS)
def test_a_time_comes_back_as_it_went(ns: int) -> None:
    text = format_time(ns)
    assert parse_time_ns(text) == ns
    assert parse_time_ns(text.lower()) == ns
    assert parse_time_ns(f" {text.replace('T', ' ')} ") == ns
    assert text.endswith("Z")
    assert not text.endswith(".Z")
    assert "." not in text or text[-2] != "0"


@given(st.lists(NS, max_size=20))
def test_a_column_is_as_its_times_one_by_one(times: list[int]) -> None:
    assert format_times(np.array(times, np.int64)) == [format_time(ns) for ns in times]


@given(
    st.datetimes(datetime(1678, 1, 3), datetime(2261, 12, 29)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_an_offset_is_counted_exactly(wall: datetime, minutes: int) -> None:
    moment = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    delta = moment - EPOCH
    expected = (delta // timedelta(microseconds=1)) * 1_000
    assert datetime_to_ns(moment) == expected
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    text = f"{wall:%Y-%m-%dT%H:%M:%S}.{wall.microsecond:06d}{sign}{hours:02d}:{rest:02d}"
    assert parse_time_ns(text) == expected


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2013-10-07T09:30:00-04:00", 1_381_152_600 * SECOND_NS),
        ("2024-02-29T00:00:00.000000001+00:00", 1_709_164_800 * SECOND_NS + 1),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
    ],
)
def test_known_times(text: str, ns: int) -> None:
    assert parse_time_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2024-01-02", "2024-01-02T09:30:00", "2024-01-02T09:30Z", "1704153600",
        "2024-02-30T00:00:00Z", "2024-01-02T24:00:00Z", "2024-01-02T00:00:60Z",
        "2024-01-02T00:00:00.1234567891Z", "2024-01-02T00:00:00.Z", "2024-01-02T00:00:00+24:00",
        "2024-01-02T00:00:00+05:60", "2024-01-02T00:00:00+0530", "2024-01-02T00:00:00 Z",
        "٢٠٢٤-01-02T00:00:00Z", "2024-01-02T00:00:00.٣Z", "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "2262-04-11T23:47:16.854775808Z", "2024-01-02T00:00:00Z\nx",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_shown(text: str) -> None:
    with pytest.raises(TimeError) as caught:
        parse_time_ns(text)
    assert repr(text) in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        ns = parse_time_ns(text)
    except RequestError:
        return
    assert -(2**63) < ns < 2**63


def test_dates() -> None:
    assert parse_date(" 2024-02-29 ") == date(2024, 2, 29)
    for text in ("2024-2-9", "20240209", "2024-02-29T00:00:00Z", "", "٢٠٢٤-01-02"):
        assert parse_date(text) is None
    with pytest.raises(TimeError, match="not a date: '2023-02-29'"):
        parse_date("2023-02-29")


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(TimeError, match="without zone"):
        datetime_to_ns(datetime(2024, 1, 2))  # noqa: DTZ001
