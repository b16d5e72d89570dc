"""Days and their hours: closes, breaks, clock changes, extended hours, the roll, look-back."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.errors import CatalogError, NotFoundError, RangeError, RequestError, TimeError
from app.managers.system_manager import ReplaySession
from app.model import TRADE_CODE, Flag
from app.times import format_time
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    MINUTE,
    SECOND,
    bar,
    ns,
    open_ns,
    open_session,
    quote,
    run,
    session_bars,
    trade,
    write,
)

CLOSE = 390 * MINUTE


def test_the_grace_after_the_close(tmp_path: Path) -> None:
    """Delivered as post-close; in no derived bar, not in the day's OHLCV, not expected."""
    rows = [*session_bars(DAY2), bar(open_ns(DAY2) + CLOSE, 99.0, 1_000_000)]
    write(tmp_path, "bars_1m", "AAA", DAY2, [*rows, bar(open_ns(DAY2) + CLOSE + MINUTE)])
    result = run(tmp_path, start=str(DAY2), end=str(DAY2))
    bars = result.seen.of(1)
    assert len(bars) == 391
    assert bars["flags"][-1] & Flag.POST_CLOSE
    assert not (bars["flags"][:-1] & Flag.POST_CLOSE).any()
    assert result.status.discarded["after_hours"] == 1
    assert result.seen.of(5)["v"][:, 1].max() < 99
    (day,) = result.session.day_records()[1]
    record = day.symbols["AAA"]
    assert (record.bars, record.expected) == (390, 390)
    assert record.high == pytest.approx(14.39)
    assert record.official_close == record.close
    assert record.close_source == "last_minute"


def test_a_lunch_break(tmp_path: Path) -> None:
    day = date(2024, 2, 7)
    start = ns(f"{day} 01:30")  # 09:30 in Hong Kong; the break is from 12:00 to 13:00
    rows = [bar(start + m * MINUTE) for m in range(390)]
    write(tmp_path, "bars_1m", "9988.HK", day, rows)
    write(
        tmp_path,
        "trades",
        "9988.HK",
        day,
        [trade(start + 150 * MINUTE - 1), trade(start + 150 * MINUTE)],
    )
    result = run(tmp_path, start=str(day), end=str(day), calendar="XHKG", derived_intervals=[40])
    assert result.status.discarded["in_break"] == 61
    (record,) = result.session.day_records()[1]
    assert record.symbols["9988.HK"].expected == 330
    assert record.symbols["9988.HK"].bars == 330
    derived = result.seen.of(40)
    starts = (derived["release_ns"] - start) // MINUTE
    # The morning's 150 minutes end in a bucket of 30; the afternoon has a grid of its own.
    assert starts.tolist() == [40, 80, 120, 150, 250, 290, 330, 370, 390]
    partial = derived["flags"] & Flag.PARTIAL != 0
    assert partial.tolist() == [False, False, False, True, False, False, False, False, True]
    assert derived["v"][:, 6].tolist() == [40, 40, 40, 30, 40, 40, 40, 40, 20]
    assert (derived["flags"] & Flag.COMPLETE != 0).all()


@pytest.mark.parametrize(
    ("day", "first", "close"),
    [
        (date(2011, 3, 11), "2011-03-11T14:30:00Z", "2011-03-11T21:00:00Z"),
        (date(2011, 3, 14), "2011-03-14T13:30:00Z", "2011-03-14T20:00:00Z"),
    ],
)
def test_a_clock_change(tmp_path: Path, day: date, first: str, close: str) -> None:
    write(tmp_path, "bars_1m", "AAA", day, [bar(ns(f"{day} 16:00"))])
    with open_session(tmp_path, start=str(day), end=str(day), start_paused=True) as (s, _, session):
        assert format_time(s.time_ns + 1) == first
        assert format_time(session.clock().close_ns) == close


def test_extended_hours(tmp_path: Path) -> None:
    start = ns(f"{DAY2} 08:00")  # 04:00 in New York
    rows = [bar(start + m * MINUTE) for m in (-1, 0, 329, 330, 719, 720, 959, 960, 961)]
    write(tmp_path, "bars_1m", "AAA", DAY2, rows)
    result = run(tmp_path, start=str(DAY2), end=str(DAY2), hours="extended")
    starts = (result.seen.of(1)["release_ns"] - MINUTE - start) // MINUTE
    assert starts.tolist() == [0, 329, 330, 719, 720, 959, 960]
    assert result.status.discarded["before_hours"] == 1
    assert result.status.discarded["after_hours"] == 1
    assert [bool(f & Flag.POST_CLOSE) for f in result.seen.of(1)["flags"]] == [False] * 6 + [True]
    # No bucket crosses the open or the close.
    assert ((result.seen.of(15)["release_ns"] - start) // MINUTE).tolist() == [
        15,
        330,
        345,
        720,
        735,
        960,
    ]


def test_extended_hours_are_for_us_exchanges(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with pytest.raises(RequestError, match="US exchanges only, not for XLON"):
        run(tmp_path, start=str(DAY2), end=str(DAY2), hours="extended", calendar="XLON")


def test_all_hours_leave_nothing_out(tmp_path: Path) -> None:
    """The evening after the close belongs to the next trading day, over a weekend too."""
    evening = open_ns(DAY1) + CLOSE + 3600 * SECOND
    sunday = ns("2013-10-06 20:00")
    write(tmp_path, "trades", "AAA", DAY1, [trade(open_ns(DAY1) + 5), trade(evening)])
    write(tmp_path, "trades", "AAA", DAY2, [trade(sunday), trade(open_ns(DAY2) - 5)])
    result = run(tmp_path, end=str(DAY2), hours="all")
    one, two = open_ns(DAY1), result.session.days[-1].first_ns
    late = open_ns(DAY2) - 5
    expected = [
        *[(0, t) for t in (one + 5, one + MINUTE, one + 5 * MINUTE, one + 15 * MINUTE)],
        *[(1, t) for t in (evening, *_ends(evening, two), sunday, *_ends(sunday, two))],
        *[(1, t) for t in (late, *_ends(late, two, open_ns(DAY2)))],
    ]
    first = result.session.config.first_day
    found = [(w.day - first, int(t)) for w in result.seen.windows for t in w.times_ns]
    assert found == expected
    assert sum(result.status.discarded.values()) == 0


def _ends(time_ns: int, origin_ns: int, end_ns: int = 2**62) -> list[int]:
    """Ends of the 1m, 5m and 15m buckets around a time, on a part's own grid."""
    ends = {
        min(origin_ns + ((time_ns - origin_ns) // (m * MINUTE) + 1) * m * MINUTE, end_ns)
        for m in (1, 5, 15)
    }
    return sorted(ends)


def test_a_market_that_never_closes(tmp_path: Path) -> None:
    """24/7: days touch; nothing is lost at midnight, and the clock never runs backward."""
    midnight = ns("2024-02-06 00:00")
    write(tmp_path, "trades", "BTC", date(2024, 2, 5), [trade(midnight - 1), trade(midnight)])
    write(tmp_path, "trades", "BTC", date(2024, 2, 6), [trade(midnight + 1)])
    result = run(tmp_path, start="2024-02-05", end="2024-02-06", calendar="24/7", history_days=0)
    assert len(result.seen.of(TRADE_CODE)) == 3
    times = result.seen.times()
    assert times == sorted(times)
    assert sum(result.status.discarded.values()) == 0
    ones = result.seen.of(1)
    assert ones["release_ns"].tolist() == [midnight, midnight + MINUTE]
    assert ones["v"][:, 4].tolist() == [100, 200], "midnight belongs to the minute it begins"


def test_a_session_without_end_of_day_data_rolls(tmp_path: Path) -> None:
    """Streams that end early do not end the day; a day without any data is crossed."""
    write(tmp_path, "bars_1m", "AAA", DAY1, session_bars(DAY1, range(3)))
    write(tmp_path, "bars_1m", "AAA", DAY3, session_bars(DAY3, range(2)))
    result = run(tmp_path)
    days = result.session.day_records()[1]
    assert [d.day for d in days] == [DAY1, DAY2, DAY3]
    assert [d.symbols["AAA"].bars for d in days] == [3, 0, 2]
    assert days[1].symbols["AAA"].quality == 0.0
    assert days[1].symbols["AAA"].open is None
    rolled = [s for why, s in result.seen.statuses if why == "day"]
    assert [s.trading_day for s in rolled] == [DAY2, DAY3]
    assert result.status.time_ns == open_ns(DAY3) + CLOSE + MINUTE


def test_look_back_is_readable_and_not_delivered(tmp_path: Path) -> None:
    for day in (DAY1, DAY2, DAY3):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day))
    with open_session(
        tmp_path, start=str(DAY3), end=str(DAY3), history_days=1, start_paused=True
    ) as (status, seen, session):
        assert status.progress.items_delivered == 0
        assert not seen.windows
        answer = session.bars("AAA", "1m", 10_000, None, None)
        assert len(answer.items) == 390
        assert answer.starts_ns[0] == open_ns(DAY2)
        assert len(session.bars("AAA", "15m", 10_000, None, None).items) == 26
        (daily,) = session.bars("AAA", "1d", 10, None, None).items
        assert daily["v"][6] == 390
        summary = session.summary(None).symbols["AAA"]
        assert summary.prev_close == pytest.approx(14.14)
        assert summary.bars == 0
        assert summary.open is None


def test_a_start_within_a_day(tmp_path: Path) -> None:
    """What was before it is look-back; a 5m bar that spans it is whole."""
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    write(tmp_path, "quotes", "AAA", DAY2, [quote(open_ns(DAY2) + m * MINUTE) for m in range(9)])
    result = run(tmp_path, start="2013-10-07T09:33:00-04:00", end="2013-10-07T09:37:00-04:00")
    start = open_ns(DAY2)
    assert result.seen.times() == [start + m * MINUTE for m in (3, 4, 5, 6, 7)]
    five = result.seen.of(5)
    assert five["v"][:, 6].tolist() == [5]
    assert result.status.time_ns == start + 7 * MINUTE
    assert sum(result.status.discarded.values()) == 0
    with open_session(tmp_path, start="2013-10-07T13:33:00Z", end=str(DAY2), start_paused=True) as (
        status,
        _,
        session,
    ):
        assert status.time_ns == start + 3 * MINUTE - 1
        assert session.quality("AAA").received == 2
        assert len(session.bars("AAA", "1m", 10, None, None).items) == 2


def test_official_close_by_auction_is_known_only_after_it(tmp_path: Path) -> None:
    close = open_ns(DAY1) + CLOSE
    write(tmp_path, "bars_1m", "AAA", DAY1, session_bars(DAY1))
    prints = [trade(close - 1, 14.0, auction=None)]
    for seconds, price in ((5, 14.5), (480, 14.75), (900, 15.0)):
        prints.append(trade(close + seconds * SECOND, price, auction="close"))
    write(tmp_path, "trades", "AAA", DAY1, prints)
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))

    def record(session: ReplaySession) -> tuple[float | None, str | None]:
        one = session.day_records()[1][0].symbols["AAA"]
        return one.official_close, one.close_source

    with open_session(tmp_path, end=str(DAY2), start_paused=True) as (_, _, session):
        session.step("bar", 391).result(10)
        assert session.view().now_ns == close
        assert record(session) == (None, None)
        session.step("day", 1).result(10)
        assert session.view().now_ns == close + MINUTE
        assert record(session) == (14.5, "auction"), "of several prints the last that is known"
        session.step("slice", 1).result(10)
        assert record(session) == (14.75, "auction")
        assert session.summary(None).symbols["AAA"].prev_close == 14.75


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"start": "2013-10-08", "end": "2013-10-04"}, RangeError, "before start"),
        ({"start": "2013-10-05", "end": "2013-10-06"}, RangeError, "no trading day"),
        ({"start": "2013-10-07T09:30:00"}, TimeError, "start: not a time with a zone"),
        ({"end": "yesterday"}, TimeError, "end: not a time"),
        ({"start": "2013-02-31"}, TimeError, "start: not a date"),
        ({"start": "0001-01-01", "end": "0001-01-02"}, RangeError, ""),
        ({"symbols": ["AAB"]}, NotFoundError, "'AAB' (nearest: AAA)"),
        ({"symbols": []}, RequestError, "symbols is empty"),
        ({"streams": ["quotes"]}, RequestError, "AAA quotes"),
        ({"streams": ["bars_5m"]}, RequestError, "bars_5m' is no input"),
        ({"streams": ["candles"]}, RequestError, "unknown stream 'candles'"),
        ({"streams": []}, RequestError, "streams is empty"),
        ({"speed": -1}, RequestError, "speed is -1"),
        ({"speed": 1e7}, RequestError, "allowed: 0"),
        ({"speed": float("nan")}, RequestError, "speed is nan"),
        ({"hours": "night"}, RequestError, "regular, extended, all"),
        ({"calendar": "XNIS"}, RequestError, "XNYS"),
        ({"derived_intervals": [1]}, RequestError, "whole minutes 2 to 1440"),
        ({"derived_intervals": [5, 5]}, RequestError, "twice"),
        ({"history_days": 251}, RequestError, "history_days is 251"),
        ({"start": "2014-01-02", "end": "2014-01-03"}, RequestError, "nothing from 2014-01-02"),
    ],
)  # fmt: skip
def test_wishes_that_are_refused(
    tmp_path: Path, wish: dict[str, Any], error: type[Exception], words: str
) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with pytest.raises(error) as caught:
        run(tmp_path, **{"symbols": ["AAA"], **wish})
    assert words in str(caught.value)


def test_allow_missing(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    write(tmp_path, "trades", "BBB", DAY2, [trade(open_ns(DAY2) + 1)])
    both = ["bars_1m", "trades"]
    with pytest.raises(RequestError, match="AAA trades, BBB bars_1m"):
        run(tmp_path, symbols=["AAA", "BBB"], streams=both)
    result = run(tmp_path, symbols=["AAA", "BBB"], streams=both, allow_missing=True)
    assert result.session.symbols == ("AAA", "BBB")


def test_a_broken_file_is_told_where_it_matters(tmp_path: Path) -> None:
    """Named or not, in its range; other symbols and days are unaffected."""
    for symbol in ("AAA", "BBB"):
        for day in (DAY1, DAY2):
            write(tmp_path, "bars_1m", symbol, day, session_bars(day))
    broken = tmp_path / "bars_1m" / "symbol=BBB" / f"date={DAY2}.parquet"
    broken.write_bytes(broken.read_bytes()[:100])
    day_two: dict[str, Any] = {"start": str(DAY2), "end": str(DAY2), "history_days": 0}
    for symbols in (["*"], ["BBB"], ["AAA", "BBB"]):
        with pytest.raises(CatalogError, match=r"symbol=BBB/date=2013-10-07.parquet"):
            run(tmp_path, symbols=symbols, **day_two)
    assert run(tmp_path, symbols=["AAA"], **day_two).status.progress.items_delivered > 390
    only_one = run(tmp_path, start=str(DAY1), end=str(DAY1), history_days=0)
    assert only_one.session.symbols == ("AAA", "BBB")
