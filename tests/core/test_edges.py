"""Edges that once went wrong: grids, touching days, failures at odd moments, floods of commands."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.calendar import Hours, TradingCalendar
from app.catalog.store import Catalog
from app.errors import FeedError, StateError, StreamClosedError
from app.managers.data_manager.backtest_stream_coordinator import (
    BacktestStreamCoordinator,
    get_coordinator,
)
from app.managers.data_manager.commands import Outcome
from app.managers.data_manager.session_data import SessionData
from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession, SessionDefaults
from app.managers.time_manager import TimeManager, View
from app.model import Items, StreamType, Window
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    FAST,
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

ONE_DAY: dict[str, Any] = {"start": str(DAY2), "end": str(DAY2)}


def test_a_bar_off_the_minute_grid_is_invalid(tmp_path: Path) -> None:
    """Its bucket would be known before it is: look-ahead."""
    start = open_ns(DAY2)
    rows = [bar(start + m * MINUTE + (m % 3 == 1) * 30 * SECOND) for m in range(30)]
    write(tmp_path, "bars_1m", "AAA", DAY2, rows)
    results = [run(tmp_path, with_rows(n), **ONE_DAY) for n in (1, 2, 7, 100)]
    assert {r.status.discarded["invalid"] for r in results} == {10}
    assert len({r.status.digest for r in results}) == 1
    for result in results:
        assert (np.diff(result.seen.times()) > 0).all()


@pytest.mark.parametrize("grace_s", [0, 30, 60, 3600])
def test_any_grace_with_days_that_touch(tmp_path: Path, grace_s: int) -> None:
    for day in (DAY1, DAY2):
        evening = [bar(open_ns(day) + m * MINUTE) for m in range(0, 600, 7)]
        write(tmp_path, "bars_1m", "AAA", day, evening)
    wish: dict[str, Any] = {"end": str(DAY2), "hours": "all"}
    results = [
        run(tmp_path, replace(FAST, grace_s=grace_s, read_rows=n), **wish) for n in (1, 5, 16_384)
    ]
    assert len({r.status.digest for r in results}) == 1
    for result in results:
        assert (np.diff(result.seen.times()) > 0).all()


def test_a_full_queue_does_not_hold_back_the_days_record(tmp_path: Path) -> None:
    """The record waits for a late auction print; the trades behind the close fill the queue."""
    for day in (DAY1, DAY2):
        ticks = [open_ns(day) + s * SECOND for s in range(22_000, 26_000)]
        write(tmp_path, "trades", "AAA", day, [trade(t) for t in ticks])
    tight = SessionDefaults(speed=0, buffer_rows=300, read_rows=50)
    result = run(tmp_path, tight, end=str(DAY2), hours="all")
    assert result.status.progress.items_delivered > 5000


def test_a_failure_while_look_back_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (DAY1, DAY2, DAY3):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day))
    read = Catalog.read

    def broken(self: Catalog, piece: Any, words: Any) -> Any:
        if "10-07" in piece.path:
            raise OSError("the disk broke")
        return read(self, piece, words)

    monkeypatch.setattr(Catalog, "read", broken)
    for _ in range(5):
        with open_session(
            tmp_path, with_rows(390), start=str(DAY3), end=str(DAY3), derived_intervals=[]
        ) as (_, _, session):
            assert session.wait(10)
            assert session.status().error == "OSError: the disk broke"


def test_a_flood_of_commands_does_not_starve_the_replay(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    answered: list[Future[Outcome]] = []
    with open_session(tmp_path, start_paused=True, recorder=Recorder(rows=20), **ONE_DAY) as opened:
        session = opened.session

        def flood() -> None:
            try:
                while True:
                    answered.append(session.set_speed(0))
            except StateError:
                return

        threads = [threading.Thread(target=flood) for _ in range(2)]
        session.resume().result(10)
        for thread in threads:
            thread.start()
        assert session.wait(30)
        for thread in threads:
            thread.join(10)
        assert session.state is State.COMPLETED
        assert all(future.done() for future in answered)
        numbers = [f.result().number for f in answered if f.exception() is None]
        assert len(set(numbers)) == len(numbers)


class Holder(Recorder):
    """Holds the clock while ``held`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.held = threading.Event()
        self.asked = threading.Event()

    def holding(self) -> float | None:
        if self.held.is_set():
            self.asked.set()
            return 60.0
        return None


def test_a_change_of_speed_during_a_hold_leaks_no_wall_time(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    wall, holder = FakeWall(), Holder()
    holder.held.set()
    with open_session(
        tmp_path, SessionDefaults(speed=1), wall=wall, recorder=holder, start_paused=True, **ONE_DAY
    ) as (_, _, session):
        session.resume().result(10)
        assert holder.asked.wait(10)
        before = session.view().now_ns
        wall.advance(3600 * SECOND)
        changed = session.set_speed(2).result(10)
        assert changed.time_ns == before
        began = wall.now_ns()
        holder.held.clear()
        session.wake()
        moved = session.pause().result(10).time_ns - before
    assert moved <= 2 * (wall.now_ns() - began) + SECOND


class Sluggish(Recorder):
    """For its third window it takes so long that three of the next minutes are due."""

    def __init__(self, wall: FakeWall) -> None:
        super().__init__()
        self.wall, self.lag_ns = wall, queue.Queue[int]()
        self.session: ReplaySession | None = None

    def on_window(self, window: Window) -> None:
        super().on_window(window)
        if len(self.windows) == 3 and self.session is not None:
            self.wall.advance(4 * SECOND)
            self.lag_ns.put(self.session.status().lag_ns)


def test_lag_is_wall_time(tmp_path: Path) -> None:
    """At 60x: four seconds are four minutes, of which the first is no delay."""
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    wall = FakeWall()
    slow = Sluggish(wall)
    with open_session(
        tmp_path, SessionDefaults(speed=60), wall=wall, recorder=slow, start_paused=True, **ONE_DAY
    ) as (_, _, session):
        slow.session = session
        session.resume().result(10)
        assert 2.5 * SECOND < slow.lag_ns.get(timeout=60) < 4 * SECOND


def test_a_backlog_of_the_old_speed_is_not_caught_up_with(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    wall = FakeWall()
    with open_session(
        tmp_path, SessionDefaults(speed=1e6), wall=wall, start_paused=True, **ONE_DAY
    ) as (_, _, session):
        session.step("bar", 5).result(10)
        session.set_speed(0.001).result(10)
        session.resume().result(10)
        wall.advance(10 * SECOND)
        assert session.pause().result(10).time_ns < open_ns(DAY2) + 6 * MINUTE


@pytest.mark.parametrize("speed", [5e-324, 1e-300, 1e-9, 1e-3])
def test_speeds_of_next_to_nothing(tmp_path: Path, speed: float) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with open_session(tmp_path, SessionDefaults(speed=speed), **ONE_DAY) as (_, _, session):
        assert not session.wait(0.2)
        assert session.state is State.RUNNING
        session.set_speed(0).result(10)
        assert session.wait(20)
        assert session.status().state == "COMPLETED"


@pytest.mark.parametrize("rows", [3, 100, 16_384])
def test_late_rows_behind_the_end_are_counted(tmp_path: Path, rows: int) -> None:
    start = open_ns(DAY2)
    times = [start + 390 * MINUTE, *range(start, start + 3000 * SECOND, SECOND)]
    write(tmp_path, "trades", "AAA", DAY2, [trade(t) for t in times])
    assert run(tmp_path, with_rows(rows), **ONE_DAY).status.discarded["late"] == 3000


def test_a_day_begins_when_what_came_before_it_is_known() -> None:
    """Rows from before the hours are counted there, however late they are read."""
    days, first = TradingCalendar("XNYS", Hours.REGULAR, 60, DAY2, DAY3).range(DAY2, DAY3)
    time_manager = TimeManager(days, first)
    coordinator = BacktestStreamCoordinator(time_manager, SessionData(time_manager, ["AAA"], 1, 9))
    ended, begun = threading.Event(), []

    class Listener:
        def window_rows(self) -> int | None:
            return None

        def holding(self) -> float | None:
            return None

        def on_window(self, window: Window) -> None:
            pass

        def on_state(self, state: State, view: View, why: str) -> None:
            if why == "day_end":
                ended.set()
            if why == "day":
                begun.append((view.now_ns, coordinator.discarded()[1]["before_hours"]))

    coordinator.delivery.attach(Listener())
    start, end_ns = open_ns(DAY3), days[first].end_ns
    try:
        coordinator.register_stream("AAA", StreamType.TRADE)
        coordinator.start_worker()
        coordinator.feed_data_list("AAA", StreamType.TRADE, [], complete_through_ns=end_ns)
        assert ended.wait(10)
        rows = [trade(start - 5 * MINUTE), trade(start - MINUTE), trade(start)]
        coordinator.feed_data_list("AAA", StreamType.TRADE, rows)
        coordinator.end_stream("AAA", StreamType.TRADE)
        assert coordinator.wait_ended(10)
    finally:
        coordinator.close()
    assert begun == [(start - 1, 2)]


@pytest.mark.parametrize(("calendar", "hours"), [("24/7", "regular"), ("XNYS", "all")])
def test_look_back_does_not_change_the_digest(tmp_path: Path, calendar: str, hours: str) -> None:
    day = date(2013, 10, 8)
    for number in (6, 7, 8):
        midnight = ns(f"2013-10-0{number} 00:00")
        rows = [bar(midnight + m * MINUTE) for m in range(1440)]
        write(tmp_path, "bars_1m", "AAA", f"2013-10-0{number}", rows)
        edges = [midnight, midnight + 1, midnight + 20 * 60 * MINUTE, midnight + 1201 * MINUTE]
        write(tmp_path, "trades", "AAA", f"2013-10-0{number}", [trade(t) for t in edges])
    wish: dict[str, Any] = {"start": str(day), "end": str(day), "calendar": calendar}
    results = [run(tmp_path, hours=hours, history_days=n, **wish) for n in (0, 1, 2)]
    assert len({r.status.digest for r in results}) == 1
    assert len({str(r.status.discarded) for r in results}) == 1


def test_a_session_that_ends_within_the_day_agrees_with_itself(tmp_path: Path) -> None:
    start = open_ns(DAY2)
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    write(tmp_path, "trades", "AAA", DAY2, [trade(start + m * MINUTE) for m in range(40)])
    result = run(tmp_path, start=str(DAY2), end="2013-10-07T14:02:00Z")
    quality = result.session.quality("AAA")
    record = result.session.day_records()[1][-1].symbols["AAA"]
    assert (quality.received, quality.expected) == (32, 32)
    assert (record.bars, record.expected, record.quality, record.gaps) == (32, 32, 100.0, [])
    assert record.official_close is None, "the close has not come"
    assert result.seen.of(0x8000)["release_ns"][-1] == start + 32 * MINUTE, "the end is inside"


def test_what_is_read_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    answer = run(tmp_path, **ONE_DAY).session.bars("AAA", "1m", 10, None, None)
    with pytest.raises(ValueError, match="read-only"):
        answer.items["v"][:] = 666


class Raising(Recorder):
    def on_window(self, window: Window) -> None:
        raise SystemExit(3)


def test_nothing_that_a_consumer_raises_hangs_the_session(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with open_session(tmp_path, recorder=Raising(), **ONE_DAY) as (_, _, session):
        assert session.wait(10)
        assert session.status().error == "SystemExit: 3"


def test_a_merged_stream_opened_after_the_end_is_over(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with open_session(tmp_path, **ONE_DAY) as (_, _, session):
        assert session.wait(10)
        assert list(get_coordinator().get_merged_stream()) == []


def test_an_answers_callback_may_stop_the_session(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with open_session(tmp_path, start_paused=True, **ONE_DAY) as (_, _, session):
        stopping = threading.Thread(target=session.stop)
        session.step("bar", 1).add_done_callback(lambda _: stopping.start())
        assert session.wait(5)
        stopping.join(5)
        assert session.state is State.STOPPED


def test_streams_are_registered_before_the_start_and_once(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with open_session(tmp_path, start_paused=True, **ONE_DAY) as (_, _, session):
        coordinator = get_coordinator()
        with pytest.raises(StreamClosedError, match="comes after the start"):
            coordinator.register_stream("AAA", StreamType.TRADE)
        coordinator.deregister_stream("AAA", StreamType.BAR)
        with pytest.raises(StreamClosedError, match="was dropped"):
            coordinator.register_stream("AAA", StreamType.BAR)
        session.stop()
        with pytest.raises(StreamClosedError):
            coordinator.feed_data_list("AAA", StreamType.BAR, [bar(open_ns(DAY2))])


def test_records_of_another_stream_are_refused(tmp_path: Path) -> None:
    from app.feed.rows import rows_to_items
    from app.model import Dictionary

    quotes: Items = rows_to_items(StreamType.QUOTE, [quote(1)], Dictionary())
    with pytest.raises(FeedError, match="of another stream"):
        rows_to_items(StreamType.TRADE, quotes, Dictionary())
    with pytest.raises(FeedError, match="known words"):
        rows_to_items(StreamType.QUOTE, quotes, Dictionary())


def test_a_day_step_from_a_days_end_goes_to_the_next(tmp_path: Path) -> None:
    for day in (DAY1, DAY2, DAY3):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day))
    with open_session(tmp_path, start_paused=True, history_days=0) as (_, _, session):
        at_end = session.step("bar", 392).result(10).time_ns
        assert at_end == session.days[0].end_ns
        assert session.step("day", 1).result(10).time_ns == session.days[1].end_ns


def test_next_open_knows_the_afternoon(tmp_path: Path) -> None:
    day = date(2024, 2, 7)
    write(tmp_path, "bars_1m", "AAA", day, [bar(ns(f"{day} 06:00"))])
    with open_session(
        tmp_path, start="2024-02-07T04:10:00Z", end=str(day), calendar="XHKG", start_paused=True,
        allow_missing=True,
    ) as (_, _, session):  # fmt: skip
        clock = session.clock()
        assert (clock.is_open, clock.next_open_ns) == (False, ns(f"{day} 05:00"))


def test_bars_of_the_look_back_are_made_of_trades_too(tmp_path: Path) -> None:
    for day in (DAY1, DAY2):
        ticks = [open_ns(day) + s * SECOND for s in range(0, 23_400, 20)]
        write(tmp_path, "trades", "AAA", day, [trade(t) for t in ticks])
    with open_session(tmp_path, history_days=1, start_paused=True, **ONE_DAY) as (
        status,
        _,
        session,
    ):
        assert len(session.bars("AAA", "1m", 10_000, None, None).items) == 390
        assert len(session.ticks("AAA", StreamType.TRADE, 10_000, None, None).items) == 0
        assert session.summary(None).symbols["AAA"].prev_close == 10.0
        assert status.progress.items_delivered == 0
