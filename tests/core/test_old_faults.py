"""Faults of earlier designs that must not come back: a test by name for each.

Where the fault is a rule of thumb that looks right, the naive rule stands beside
the test, and is shown to fail on the same data.
"""

from __future__ import annotations

import random
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from app.calendar import Hours, TradingCalendar
from app.errors import StreamClosedError
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.gap_detection import coverage
from app.managers.data_manager.session_data import SessionData
from app.managers.lifecycle import State
from app.managers.system_manager import SessionDefaults
from app.managers.time_manager import TimeManager
from app.model import QUOTE_CODE, TRADE_CODE, Flag, StreamType
from tests.core.harness import (
    DAY1,
    DAY2,
    MINUTE,
    SECOND,
    FakeWall,
    Recorder,
    bar,
    ns,
    open_ns,
    open_session,
    quote,
    run,
    session_bars,
    trade,
    with_rows,
    write,
)


@pytest.mark.parametrize("speed", [60, 360, 10_000, 1_000_000])
def test_clock_mode_loses_every_second_bar(tmp_path: Path, speed: float) -> None:
    """The overshooting clock of the naive rule makes the next bar "stale"."""
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    recorder = Recorder()
    with open_session(
        tmp_path, SessionDefaults(speed=speed), wall=FakeWall(), recorder=recorder,
        start=str(DAY2), end=str(DAY2),
    ) as (_, _, session):  # fmt: skip
        assert session.wait(60)
        status = session.status()
    assert len(recorder.of(1)) == 390
    assert sum(status.discarded.values()) == 0
    # The naive rule: the clock runs on while a bar is handled, and what it has passed is dropped.
    clock, kept = open_ns(DAY2), 0
    for release in recorder.of(1)["release_ns"].tolist():
        if release > clock:  # "not stale"
            kept += 1
            clock = release + MINUTE  # it overshot
    assert kept == 195


def test_merging_by_bar_start(tmp_path: Path) -> None:
    """A tick at 09:30:30 comes before the 1m bar of 09:30, which is known at 09:31."""
    start = open_ns(DAY2)
    write(tmp_path, "bars_1m", "AAA", DAY2, [bar(start), bar(start + MINUTE)])
    write(tmp_path, "trades", "AAA", DAY2, [trade(start + 30 * SECOND)])
    items = run(tmp_path, start=str(DAY2), end=str(DAY2)).seen.items
    release = items["release_ns"]
    assert (np.diff(release) >= 0).all(), "time ran backward"
    assert items["stream"][:2].tolist() == [TRADE_CODE, 1]
    starts = np.where(items["stream"] == 1, release - MINUTE, release)
    naive = np.argsort(starts, kind="stable")
    assert (np.diff(release[naive]) < 0).any(), "by start, time runs backward"


def test_an_empty_queue_taken_for_no_data(tmp_path: Path) -> None:
    """A quiet stream holds the others until it is known to be complete."""
    coordinator, data = _pushed(["AAA", "BBB"])
    seen = _record(coordinator)
    try:
        for symbol in ("AAA", "BBB"):
            coordinator.register_stream(symbol, StreamType.TRADE)
        coordinator.start_worker()
        start = open_ns(DAY2)
        coordinator.feed_data_list("AAA", StreamType.TRADE, [trade(start + 2), trade(start + 9)])
        assert not seen.windows, "the queue of BBB is empty: that does not mean no data"
        coordinator.feed_data_list("BBB", StreamType.TRADE, [trade(start + 1)])
        for symbol in ("AAA", "BBB"):
            coordinator.end_stream(symbol, StreamType.TRADE)
        assert coordinator.wait_ended(10)
    finally:
        coordinator.close()
    assert seen.times() == [start + 1, start + 2, start + 9]
    assert len(data.symbols) == 2


def test_none_meaning_both_ended_and_stop() -> None:
    """A stream fed twice keeps the second feed; ending, dropping and stopping are told apart."""
    coordinator, _ = _pushed(["AAA", "BBB"])
    seen = _record(coordinator)
    try:
        for symbol in ("AAA", "BBB"):
            coordinator.register_stream(symbol, StreamType.TRADE)
        coordinator.start_worker()
        start = open_ns(DAY2)
        coordinator.feed_data_list("AAA", StreamType.TRADE, [trade(start + 1)])
        coordinator.feed_data_list("AAA", StreamType.TRADE, [trade(start + 5)])
        assert coordinator.is_stream_active("AAA", StreamType.TRADE)
        coordinator.end_stream("AAA", StreamType.TRADE)
        assert not coordinator.is_stream_active("AAA", StreamType.TRADE)
        with pytest.raises(StreamClosedError, match="has ended"):
            coordinator.feed_data_list("AAA", StreamType.TRADE, [trade(start + 6)])
        assert not coordinator.wait_ended(0), "BBB is still open"
        coordinator.deregister_stream("BBB", StreamType.TRADE)
        assert coordinator.wait_ended(10)
        assert coordinator.state is State.COMPLETED
    finally:
        coordinator.close()
    assert seen.times() == [start + 1, start + 5]


def test_pause_leaks_wall_time_into_the_market(tmp_path: Path) -> None:
    """A pause of an hour moves the market not at all."""
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    wall, hour = FakeWall(), 3600 * SECOND
    with open_session(
        tmp_path, SessionDefaults(speed=1), wall=wall, start=str(DAY2), end=str(DAY2),
        start_paused=True,
    ) as (_, _, session):  # fmt: skip
        session.step("bar", 3).result(10)
        paused = session.view().now_ns
        began = wall.now_ns()
        wall.advance(hour)
        assert session.view().now_ns == paused
        assert session.resume().result(10).time_ns == paused
        moved = session.pause().result(10).time_ns - paused
        ran = wall.now_ns() - began - hour
    assert moved <= ran, "the market moved with the wall, and no more"
    assert moved + hour > ran, "with the base of before the pause it would have leapt by an hour"


def test_the_old_clock_base_overwrites_the_next_days_time(tmp_path: Path) -> None:
    for day in (DAY1, DAY2):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day, range(5)))
    recorder = Recorder()
    with open_session(
        tmp_path, SessionDefaults(speed=600), wall=FakeWall(), recorder=recorder,
        end=str(DAY2), history_days=0,
    ) as (_, _, session):  # fmt: skip
        assert session.wait(60)
    rolled = [status for why, status in recorder.statuses if why == "day"]
    assert [s.trading_day for s in rolled] == [DAY2]
    # The clock starts 1 ns before the day's first instant; nights take no wall time.
    assert open_ns(DAY2) - 1 <= rolled[0].time_ns < open_ns(DAY2) + MINUTE
    times = recorder.times()
    assert times == sorted(times)
    assert len(times) == 12, "five minutes and the end of a 15m bar, on two days"


def test_end_of_day_races_the_last_bar(tmp_path: Path) -> None:
    """The 15:59 bar belongs to its own day, with a slow upkeep thread too."""
    for day in (DAY1, DAY2):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day))
    hostile = random.Random(7)  # delays at random are what is tested: none may matter
    with open_session(
        tmp_path, with_rows(13), end=str(DAY2), history_days=0,
        before_upkeep=lambda: time.sleep(hostile.random() / 200),
    ) as (_, seen, session):  # fmt: skip
        assert session.wait(30)
        _, days = session.day_records()
    last = [w for w in seen.windows if w.day == 0][-1]
    assert int(last.times_ns[-1]) == open_ns(DAY1) + 390 * MINUTE
    for record_of_day in days:
        record = record_of_day.symbols["AAA"]
        assert (record.bars, record.expected, record.gaps) == (390, 390, [])
        assert record.close == pytest.approx(10 + 3.89 + 0.25)


def test_volume_and_range_never_reset_at_a_day_change(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY1, [bar(open_ns(DAY1), 50.0, 1_000_000)])
    write(tmp_path, "bars_1m", "AAA", DAY2, [bar(open_ns(DAY2), 10.0, 7)])
    with open_session(tmp_path, end=str(DAY2), start_paused=True, history_days=1) as (
        _,
        _,
        session,
    ):
        session.step("day", 1).result(10)
        session.step("bar", 2).result(10)  # the next day's open, then its first bar
        today = session.summary(["AAA"]).symbols["AAA"]
    assert (today.volume, today.high, today.low, today.bars) == (7.0, 10.5, 9.5, 1)
    assert today.prev_close == 50.25


def test_time_announced_before_the_data_is_there(tmp_path: Path) -> None:
    """At every commit that a listener hears of, the data of that time can be read."""
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    missing: list[int] = []
    with open_session(
        tmp_path, start=str(DAY2), end=str(DAY2), start_paused=True, recorder=Recorder(rows=1)
    ) as (_, _, session):

        def look(_: object) -> None:
            answer = session.bars("AAA", "1m", 10_000, None, None)
            elapsed_ns = max(0, answer.view.now_ns - open_ns(DAY2))
            if len(answer.items) != min(elapsed_ns // MINUTE, 390):
                missing.append(answer.view.now_ns)

        session.add_commit_listener(look)
        session.resume().result(10)
        assert session.wait(30)
    assert missing == []


@pytest.mark.parametrize("start", ["2013-10-05", "2013-10-06", "2013-10-14"])
def test_weekend_or_holiday_start_hangs(tmp_path: Path, start: str) -> None:
    """A date that is no trading day snaps forward (10-14 is Columbus Day: the exchange is open)."""
    for day in (DAY2, date(2013, 10, 14)):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day))
    result = run(tmp_path, start=start, end="2013-10-14")
    assert result.session.days[result.session.config.first_day].date >= date.fromisoformat(start)
    assert result.status.progress.items_delivered > 0


def test_half_day_closes_ignored(tmp_path: Path) -> None:
    half = date(2013, 11, 29)
    start = ns(f"{half} 14:30")
    write(tmp_path, "bars_1m", "AAA", half, [bar(start + m * MINUTE) for m in range(212)])
    result = run(tmp_path, start=str(half), end=str(half))
    (record,) = result.session.day_records()[1]
    assert record.half_day
    assert record.close_ns == ns(f"{half} 18:00")
    assert record.symbols["AAA"].expected == 210
    post = result.seen.of(1)[result.seen.of(1)["flags"] & Flag.POST_CLOSE != 0]
    assert post["release_ns"].tolist() == [start + 211 * MINUTE]
    assert result.status.discarded["after_hours"] == 1


def test_0930_taken_as_utc() -> None:
    winter, summer = date(2013, 1, 7), DAY2
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, winter, summer)
    assert calendar.day(calendar.index_from(winter)).open_ns == ns("2013-01-07 14:30")
    assert calendar.day(calendar.index_from(summer)).open_ns == ns("2013-10-07 13:30")


def test_expected_bars_include_the_running_minute_or_time_after_the_close() -> None:
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, DAY2, DAY2)
    day = calendar.day(calendar.index_from(DAY2))
    empty = np.empty(0, np.int64)
    assert coverage(day, empty, day.open_ns + 90 * SECOND).expected == 1
    assert coverage(day, empty, day.open_ns + MINUTE - 1).expected == 0
    assert coverage(day, empty, day.open_ns + MINUTE - 1).quality is None
    assert coverage(day, empty, day.close_ns + 3600 * SECOND).expected == 390


def test_gaps_that_double_when_detected_again(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2, [0, 1, 4, 5, 9]))
    with open_session(tmp_path, start=str(DAY2), end=str(DAY2), start_paused=True) as (
        _,
        _,
        session,
    ):
        session.step("bar", 11).result(10)
        first, second = session.quality("AAA"), session.quality("AAA")
    assert first == second
    start = open_ns(DAY2)
    assert [(g.start_ns, g.end_ns, g.minutes) for g in first.gaps] == [
        (start + 2 * MINUTE, start + 4 * MINUTE, 2),
        (start + 6 * MINUTE, start + 9 * MINUTE, 3),
    ]
    assert (first.received, first.expected, first.quality) == (5, 10, 50.0)


def test_derived_bars_that_slide_off_the_grid_after_a_gap(tmp_path: Path) -> None:
    """Partial buckets are not complete; empty buckets give no bar; nothing is invented."""
    minutes = [0, 1, 2, 3, 4, 7, 8, 21]
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2, minutes))
    five = run(tmp_path, start=str(DAY2), end=str(DAY2)).seen.of(5)
    starts = (five["release_ns"] - 5 * MINUTE - open_ns(DAY2)) // MINUTE
    assert starts.tolist() == [0, 5, 20]
    assert five["v"][:, 6].tolist() == [5, 2, 1]
    assert (five["flags"] & Flag.COMPLETE != 0).tolist() == [True, False, False]
    naive = [minutes[i] for i in range(0, len(minutes), 5)]  # every five bars
    assert naive != starts.tolist()


def test_equal_time_events_ordered_by_id_hash_or_arrival(tmp_path: Path) -> None:
    start = open_ns(DAY2) + 60 * SECOND
    for symbol in ("ZZZ", "AAA", "MMM"):
        write(tmp_path, "bars_1m", symbol, DAY2, [bar(start - MINUTE)])
        write(tmp_path, "trades", symbol, DAY2, [trade(start, 1.0), trade(start, 2.0)])
        write(tmp_path, "quotes", symbol, DAY2, [quote(start)])
    items = run(tmp_path, start=str(DAY2), end=str(DAY2)).seen.items
    now = items[items["release_ns"] == start]
    order = [(int(i["stream"]), int(i["symbol"]), float(i["v"][0])) for i in now]
    trades = [(TRADE_CODE, s, p) for s in range(3) for p in (1.0, 2.0)]
    assert order == [*trades, *[(QUOTE_CODE, s, 9.9) for s in range(3)],
                     *[(1, s, 10.0) for s in range(3)]]  # fmt: skip


def test_lateness_that_depends_on_batch_size(tmp_path: Path) -> None:
    """Late is judged by the stream's own running maximum, not by the clock or the merge."""
    start = open_ns(DAY2)
    times = [1, 5, 3, 6, 4, 9, 8, 7, 10]
    write(tmp_path, "trades", "AAA", DAY2, [trade(start + t * SECOND) for t in times])
    results = [
        run(tmp_path, with_rows(rows), start=str(DAY2), end=str(DAY2)) for rows in (1, 2, 3, 100)
    ]
    assert {r.status.discarded["late"] for r in results} == {4}
    assert len({r.status.digest for r in results}) == 1
    # Judged against what a batch of each size has released, the count varies.
    naive = set()
    for size in (1, 2, 3, 100):
        batches = [sorted(times[i : i + size]) for i in range(0, len(times), size)]
        clock, late = 0, 0
        for batch in batches:
            late += sum(t < clock for t in batch)
            clock = max(clock, *batch)
        naive.add(late)
    assert len(naive) > 1


def test_identical_trades_dropped_as_duplicates(tmp_path: Path) -> None:
    start = open_ns(DAY2)
    write(tmp_path, "trades", "AAA", DAY2, [trade(start + 1)] * 3)
    write(tmp_path, "quotes", "AAA", DAY2, [quote(start + 1)] * 2)
    write(tmp_path, "bars_1m", "AAA", DAY2, [bar(start), bar(start), bar(start, 99.0)])
    result = run(tmp_path, start=str(DAY2), end=str(DAY2))
    assert len(result.seen.of(TRADE_CODE)) == 3
    assert len(result.seen.of(QUOTE_CODE)) == 2
    assert result.seen.of(1)["v"][:, 0].tolist() == [10.0], "the first is kept"
    assert result.status.discarded["duplicate"] == 2


def test_a_derived_stream_that_deadlocks_its_own_source(tmp_path: Path) -> None:
    """15m bars know how far they are complete: the 1m stream never waits for their next row."""
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    tight = SessionDefaults(speed=0, buffer_rows=4, read_rows=1)
    result = run(tmp_path, tight, start=str(DAY2), end=str(DAY2))
    assert len(result.seen.of(1)) == 390
    assert len(result.seen.of(15)) == 26


def test_bounded_queues_that_block_each_other_for_ever() -> None:
    """A single thread may push one stream wholly and then the other, beyond the bound."""
    coordinator, _ = _pushed(["AAA", "BBB"], queue_rows=10)
    seen = _record(coordinator)
    try:
        for symbol in ("AAA", "BBB"):
            coordinator.register_stream(symbol, StreamType.TRADE)
        coordinator.start_worker()
        start = open_ns(DAY2)
        for symbol in ("AAA", "BBB"):
            for t in range(100):
                coordinator.feed_data_list(symbol, StreamType.TRADE, [trade(start + t)])
            coordinator.end_stream(symbol, StreamType.TRADE)
        assert coordinator.wait_ended(10)
    finally:
        coordinator.close()
    assert len(seen.items) == 200


def test_errors_swallowed_or_a_stopped_run_recorded_as_completed(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))

    class Broken(Recorder):
        def on_window(self, window: object) -> None:
            raise ZeroDivisionError("a consumer broke")

    with open_session(tmp_path, recorder=Broken(), start=str(DAY2), end=str(DAY2)) as (
        _,
        _,
        session,
    ):
        assert session.wait(10)
        assert session.state is State.FAILED
        assert session.status().error == "ZeroDivisionError: a consumer broke"
    with open_session(tmp_path, start=str(DAY2), end=str(DAY2), start_paused=True) as (
        _,
        _,
        session,
    ):
        session.stop()
        assert session.state is State.STOPPED


def test_memory_that_grows_with_the_number_of_days(tmp_path: Path) -> None:
    """The columns of a stream hold the days kept and what is read ahead, not all that went by."""
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, date(2013, 6, 3), date(2013, 9, 27))
    days, _ = calendar.range(date(2013, 6, 3), date(2013, 9, 27))
    for day in days:
        write(tmp_path, "bars_1m", "AAA", day.date, session_bars(day.date))
    ahead = SessionDefaults(speed=0, buffer_rows=1024, read_rows=390)
    first, last = str(days[0].date), str(days[-1].date)
    result = run(tmp_path, ahead, start=first, end=last, history_days=1)
    answer = result.session.bars("AAA", "1m", 10_000, None, None)
    assert len(answer.items) == 2 * 390
    base = answer.items.base
    assert base is not None
    held = 2 * (3 * 390 + 1024 + 2 * 390)  # capacity is doubled when it grows
    assert len(base) <= held < len(days) * 390 / 4


def _pushed(
    symbols: list[str], queue_rows: int = 1_000_000
) -> tuple[BacktestStreamCoordinator, SessionData]:
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, DAY2, DAY2)
    days, first = calendar.range(DAY2, DAY2)
    time_manager = TimeManager(days, first)
    data = SessionData(time_manager, symbols, 1, 1000)
    return BacktestStreamCoordinator(time_manager, data, queue_rows=queue_rows), data


def _record(coordinator: BacktestStreamCoordinator) -> Recorder:
    recorder = Recorder()

    class Adapter:
        window_rows = staticmethod(recorder.window_rows)
        holding = staticmethod(recorder.holding)
        on_window = staticmethod(recorder.on_window)

        def on_state(self, *_: object) -> None:
            return None

    coordinator.delivery.attach(Adapter())
    return recorder
