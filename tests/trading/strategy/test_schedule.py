"""Timers in exchange time: half days, clock changes, each day anew."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from app.calendar import Hours, TradingCalendar, TradingDay
from app.errors import RequestError
from app.times import format_time
from app.trading.bus import HandlerError
from app.trading.events import ScheduleEvent, TimerEvent
from app.trading.services.strategy.schedule import due_on, read_at, read_every, read_when
from tests.trading.harness import Stage, bar, days_of, minute
from tests.trading.strategy.support import HEAD, make, section, strategy

TIMED = (
    HEAD
    + """
from datetime import datetime, time, timezone

class A(Strategy):
    def on_start(self, ctx):
        self.seen = []
        START
    def on_day_start(self, ctx):
        pass
        DAY
    def on_timer(self, ctx, name):
        self.seen.append(f"{name} {ctx.now:%m-%d %H:%M:%S}")
    def on_bar(self, ctx, bar):
        BAR
"""
)


def timers(
    folder: Path, days: tuple[TradingDay, ...], start: str, *, day: str = "pass", bar: str = "pass"
) -> list[str]:
    """What comes on days without any data; names and exchange times."""
    stage = Stage(days=days)
    source = TIMED.replace("START", start).replace("DAY", day).replace("BAR", bar)
    runner = make(stage, folder, source)
    stage.start()
    for _ in days[1:]:
        stage.roll()
    stage.end()
    seen: list[str] = strategy(runner).seen
    return seen


HALF = days_of("2015-12-23", "2015-12-28")  # the 24th closes at 13:00
SPRING = days_of("2008-03-07", "2008-03-10")  # New York changes its clock on the 9th


@pytest.mark.parametrize(
    ("days", "start", "expected"),
    [
        (
            HALF, "ctx.schedule('close-10m', 'late')",
            ["late 12-23 15:50:00", "late 12-24 12:50:00", "late 12-28 15:50:00"],
        ),
        (
            HALF, "ctx.schedule('open+5m', 'early')",
            ["early 12-23 09:35:00", "early 12-24 09:35:00", "early 12-28 09:35:00"],
        ),
        # 14:30 is after the half day's end: left out.
        (HALF, "ctx.schedule('open+5h', 'x')", ["x 12-23 14:30:00", "x 12-28 14:30:00"]),
        (HALF, "ctx.schedule(at='14:30')", ["14:30 12-23 14:30:00", "14:30 12-28 14:30:00"]),
        (HALF[1:2], "ctx.schedule('close', 'c')", ["c 12-24 13:00:00"]),
        (HALF[1:2], "ctx.schedule('open')", ["open 12-24 09:30:00"]),
        (
            HALF[1:2], "ctx.every(60, 'hour')",
            ["hour 12-24 10:30:00", "hour 12-24 11:30:00", "hour 12-24 12:30:00"],
        ),
        (
            SPRING, "ctx.schedule('open+90s', 'early')",
            ["early 03-07 09:31:30", "early 03-10 09:31:30"],
        ),
        (SPRING, "ctx.schedule(at=time(10, 30))", ["10:30:00 03-07 10:30:00",
                                                   "10:30:00 03-10 10:30:00"]),
        (
            SPRING, "ctx.schedule(at='2008-03-10T14:30:00Z', name='once')",
            ["once 03-10 10:30:00"],
        ),
        (
            SPRING,
            "ctx.schedule(at=datetime(2008, 3, 7, 16, tzinfo=timezone.utc), name='once')",
            ["once 03-07 11:00:00"],
        ),
    ],
)  # fmt: skip
def test_timers_come_at_exchange_times(
    tmp_path: Path, days: tuple[TradingDay, ...], start: str, expected: list[str]
) -> None:
    assert timers(tmp_path, days, start) == expected


def test_the_clock_change_moves_utc(tmp_path: Path) -> None:
    """09:35 in New York: 14:35 UTC on Friday, 13:35 on Monday."""
    stage = Stage(days=SPRING)
    make(stage, tmp_path, TIMED.replace("START", "ctx.schedule('open+5m', 'x')")
         .replace("DAY", "pass").replace("BAR", "pass"))  # fmt: skip
    stage.start()
    stage.roll()
    stage.end()
    times = [format_time(e.ts_event_ns) for e in stage.seen.of(TimerEvent)]
    assert times == ["2008-03-07T14:35:00Z", "2008-03-10T13:35:00Z"]
    assert {e.owner for e in stage.seen.of(TimerEvent)} == {"strategy:one"}


def test_the_same_rule_every_day_is_one(tmp_path: Path) -> None:
    seen = timers(
        tmp_path, HALF, "ctx.schedule('open+5m', 'a')", day="ctx.schedule('open+5m', 'a')"
    )
    assert seen == ["a 12-23 09:35:00", "a 12-24 09:35:00", "a 12-28 09:35:00"]


def test_one_of_the_middle_of_a_day_is_armed_for_its_rest(tmp_path: Path) -> None:
    stage = Stage(days=HALF)
    source = TIMED.replace("START", "pass").replace("DAY", "pass")
    runner = make(stage, tmp_path, source.replace("BAR", "ctx.every(120, 'two')"))
    stage.start()
    stage.play(*(bar(0, minute(i, HALF[0]), 1, 1, 1, 1) for i in range(0, 200, 10)))
    stage.roll()
    stage.end()
    assert strategy(runner).seen == [
        "two 12-23 11:30:00", "two 12-23 13:30:00", "two 12-23 15:30:00", "two 12-24 11:30:00",
    ]  # fmt: skip
    assert len(stage.seen.of(ScheduleEvent)) == 4


def test_timers_of_others_are_not_heard(tmp_path: Path) -> None:
    stage = Stage()
    source = TIMED.replace("START", "pass").replace("DAY", "pass").replace("BAR", "pass")
    runner = make(stage, tmp_path, {"one": source, "two": source})
    stage.start()
    now = stage.engine.now_ns
    for owner in ("one", "strategy:three", "execution", "strategy:two"):
        stage.send(TimerEvent(ts_event_ns=now, owner=owner, token="x"))
    assert strategy(runner, "one").seen == []
    assert len(strategy(runner, "two").seen) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("ctx.schedule('open+5')", "schedule is 'open+5'; needed: as 'open+5m'"),
        ("ctx.schedule('noon')", "schedule is 'noon'"),
        ("ctx.schedule(5)", "schedule is 5; needed"),
        ("ctx.schedule()", "needed: one of when and at"),
        ("ctx.schedule('open', at='10:30')", "needed: one of when and at"),
        ("ctx.schedule(at='25:30')", "at is '25:30'"),
        ("ctx.schedule(at='2008-03-10 10:30')", "not a time with a zone"),
        ("ctx.schedule(at=datetime(2008, 3, 10))", "a time without zone was given"),
        ("ctx.schedule(at=7)", "at is 7; needed: exchange time as '10:30'"),
        ("ctx.schedule('close+30m')", "its time is past, or within no trading day's hours"),
        ("ctx.schedule(at='03:00')", "its time is past, or within no trading day's hours"),
        ("ctx.schedule(at='2008-03-06T15:00:00Z')", "its time is past"),
        ("ctx.every(0)", "every 0 minutes; needed: a number from 1/60 to 1440"),
        ("ctx.every(float('nan'))", "every nan minutes"),
        ("ctx.every('5')", "every '5' minutes"),
        ("ctx.log('x', 'loud')", "level is 'loud'; allowed: debug, info, warning, error"),
    ],
)
def test_a_bad_call_says_what_is_needed(tmp_path: Path, call: str, said: str) -> None:
    with pytest.raises(HandlerError) as caught:
        timers(tmp_path, SPRING, call)
    assert said in str(caught.value)
    assert "one.py, line 8, in on_start: strategy 'one' failed at 2008-03-07T14:29:5" in str(
        caught.value
    )


def test_the_log_names_strategy_and_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "strategy"):
        timers(tmp_path, SPRING, "ctx.log('begins'); ctx.log('100 %', 'warning')")
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("strategy.one", "INFO", "2008-03-07T14:29:59.999999999Z begins"),
        ("strategy.one", "WARNING", "2008-03-07T14:29:59.999999999Z 100 %"),
    ]


def hong_kong() -> TradingDay:
    day = date(2024, 2, 6)  # 09:30 to 12:00, 13:00 to 16:00
    return TradingCalendar("XHKG", Hours.REGULAR, 60, day, day).range(day, day)[0][0]


def test_every_counts_anew_after_lunch() -> None:
    times = due_on(read_every(50), hong_kong(), 0)
    hours = [datetime.fromtimestamp(t // 10**9, UTC).strftime("%H:%M") for t in times]
    # UTC+8: 10:20, 11:10, 12:00; 13:50, 14:40, 15:30.
    assert hours == ["02:20", "03:10", "04:00", "05:50", "06:40", "07:30"]


def test_what_is_past_or_now_is_not_due() -> None:
    day = SPRING[0]
    rule = read_when("open+5m")
    at = minute(5, day)
    assert due_on(rule, day, at - 1) == [at]
    assert due_on(rule, day, at) == []


def test_a_session_that_begins_the_evening_before() -> None:
    """22:00 belongs to the session of the next date, where that one is open then."""
    low, high = date(2024, 2, 5), date(2024, 2, 6)
    days = TradingCalendar("CMES", Hours.REGULAR, 60, low, high).range(low, high)[0]
    found = due_on(read_at("22:00", "America/Chicago"), days[1], 0)
    assert [format_time(t) for t in found] == ["2024-02-06T04:00:00Z"]


@pytest.mark.parametrize("when", ["open+5M", " open", "open+-5m", "close-", "open+5m5s", None])
def test_other_spellings_are_refused(when: Any) -> None:
    with pytest.raises(RequestError, match="needed: as 'open\\+5m'"):
        read_when(when)


def test_params_may_name_a_schedule(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    when = Param('open+5m')\n"
        "    def on_start(self, ctx):\n        self.seen = []\n        ctx.schedule(self.when)\n"
        "    def on_timer(self, ctx, name): self.seen.append(name)\n"
    )
    stage = Stage()
    runner = make(stage, tmp_path, source, section(params={"when": "close-5m"}))
    stage.start()
    stage.end()
    assert strategy(runner).seen == ["close-5m"]
