"""Start, pause, resume, step, speed and stop; illegal moves; failures; readers all the while."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from app.errors import RequestError, StateError
from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from app.managers.data_manager.commands import Outcome
from app.managers.lifecycle import State
from app.managers.system_manager import (
    ReplaySession,
    SessionConfig,
    SessionDefaults,
    SystemManager,
)
from app.managers.time_manager import Wall
from app.model import StreamType, Window
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    MINUTE,
    SECOND,
    FakeWall,
    Recorder,
    open_ns,
    open_session,
    quote,
    session_bars,
    trade,
    write,
)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    for day in (DAY1, DAY2, DAY3):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day))
        ticks = [open_ns(day) + s * SECOND for s in range(0, 23_400, 60)]
        write(tmp_path, "trades", "AAA", day, [trade(t) for t in ticks])
        write(tmp_path, "quotes", "AAA", day, [quote(t) for t in ticks])
    return tmp_path


def test_steps_by_slice_bar_and_day(catalog: Path) -> None:
    with open_session(catalog, start_paused=True, history_days=0) as (status, seen, session):
        assert (status.state, status.seq, status.time_ns) == ("PAUSED", 0, open_ns(DAY1) - 1)
        first = session.step("slice", 1).result(10)
        assert (first.time_ns, first.seq, first.state) == (open_ns(DAY1), 1, "PAUSED")
        assert session.step("slice", 5).result(10).seq == 6
        bar = session.step("bar", 1).result(10)
        assert bar.time_ns == open_ns(DAY1) + 6 * MINUTE
        end = session.step("day", 1).result(10)
        assert end.time_ns == session.days[0].end_ns, "on the day's end, before its roll"
        assert session.status().trading_day == DAY1
        rolled = session.step("slice", 1).result(10)
        assert rolled.time_ns == open_ns(DAY2)
        assert session.step("day", 1).result(10).time_ns == session.days[1].end_ns
        assert session.step("bar", 1).result(10).time_ns == open_ns(DAY3)
        last = session.step("day", 3).result(10)
        assert (last.state, last.interrupted) == (State.COMPLETED, False)
        assert session.status().progress.fraction == 1.0
        assert sum(len(w.times_ns) for w in seen.windows) == last.seq


def test_a_bar_step_stands_on_every_minute_of_a_day(catalog: Path) -> None:
    with open_session(
        catalog, start=str(DAY2), end=str(DAY3), start_paused=True, streams=["bars_1m"]
    ) as (_, _, session):
        stood = [session.step("bar", 1).result(10).time_ns for _ in range(393)]
    minutes = [open_ns(DAY2) + m * MINUTE for m in range(392)]
    assert stood == [*minutes, open_ns(DAY3)], "16:01 is the day's last minute, then the next day"


def test_a_step_is_interrupted_by_pause_and_stop(catalog: Path) -> None:
    blocking = Blocking()
    with open_session(catalog, recorder=blocking, start_paused=True) as (_, _, session):
        step = session.step("day", 2)
        assert blocking.entered.wait(10)
        with pytest.raises(StateError, match="RUNNING session cannot become RUNNING") as caught:
            _while_blocked(blocking, lambda: session.step("bar", 1)).result(10)
        assert caught.value.state == "RUNNING"
        blocking.entered.clear()
        blocking.go.clear()
        pause = session.pause()
        blocking.go.set()
        outcome = step.result(10)
        assert outcome.interrupted
        assert (outcome.state, pause.result(10).state) == ("PAUSED", "PAUSED")
        assert outcome.number < pause.result(10).number
        blocking.entered.clear()
        blocking.go.clear()
        again = session.step("day", 1)
        assert blocking.entered.wait(10), "the step is on its way"
        blocking.go.set()
        session.stop()
        final = again.result(10)
        assert final.state == "STOPPED"


def _while_blocked(blocking: Blocking, act: object) -> Future[Outcome]:
    future: Future[Outcome] = act()  # type: ignore[operator]
    blocking.go.set()
    return future


class Blocking(Recorder):
    """Holds the merge thread in its windows until it is let go."""

    def __init__(self) -> None:
        super().__init__(rows=1)
        self.entered, self.go = threading.Event(), threading.Event()

    def on_window(self, window: Window) -> None:
        super().on_window(window)
        self.entered.set()
        self.go.wait(10)


def test_illegal_moves_name_the_state(catalog: Path) -> None:
    with open_session(catalog, start_paused=True) as (_, _, session):
        with pytest.raises(StateError, match="a PAUSED session cannot become PAUSED"):
            session.pause().result(10)
        for unit, count in (("hour", 1), ("bar", 0), ("bar", -1), ("bar", 1_000_001)):
            with pytest.raises(RequestError, match="allowed"):
                session.step(unit, count)  # type: ignore[arg-type]
        with pytest.raises(RequestError, match="speed is -1"):
            session.set_speed(-1)
        session.stop()
        assert session.stop().state == "STOPPED", "stop is idempotent"
        for act in (session.pause, session.resume, lambda: session.step("bar", 1)):
            with pytest.raises(StateError, match="STOPPED"):
                act()
    with open_session(catalog, start=str(DAY3)) as (_, _, session):
        assert session.wait(20)
        assert session.stop().state == "COMPLETED", "what is completed stays so"


def test_one_session_at_a_time(catalog: Path) -> None:
    manager = SystemManager(str(catalog), SessionDefaults(speed=0))
    wish = SessionConfig(["AAA"], str(DAY1), str(DAY3), start_paused=True)
    try:
        first = manager.start_session(wish)
        assert first.state == "PAUSED"
        assert get_coordinator().view == first.view()
        with pytest.raises(StateError, match="s1 is PAUSED; stop it"):
            manager.start_session(wish)
        first.stop()
        assert manager.is_running is False
        assert first.bars("AAA", "1m", 5, None, None).view.now_ns == open_ns(DAY1) - 1
        second = manager.start_session(wish)
        assert (first.id, second.id) == ("s1", "s2")
        assert first.state == "STOPPED", "the replaced one stays as it was"
    finally:
        manager.close()
    with pytest.raises(StateError, match="shutting down"):
        manager.start_session(wish)
    with pytest.raises(StateError, match="no coordinator"):
        get_coordinator()


def test_a_change_of_speed_while_running(catalog: Path) -> None:
    with open_session(catalog, SessionDefaults(speed=1), start=str(DAY1), end=str(DAY2)) as opened:
        session = opened.session
        before = session.view().now_ns
        changed = session.set_speed(1e6).result(10)
        assert changed.time_ns - before < 10 * SECOND, "no leap at the change"
        assert session.wait(30)
        assert session.status().state == "COMPLETED"
        assert len(opened.seen.of(1)) == 780
    with open_session(catalog, SessionDefaults(speed=1), start=str(DAY1), end=str(DAY2)) as opened:
        opened.session.set_speed(0).result(10)
        assert opened.session.wait(30)


def test_pacing_follows_the_wall(catalog: Path) -> None:
    """At 60x every slice is delivered when the wall reaches its deadline, not before."""
    wall = FakeWall()
    speed = 60
    seen = Stamping(wall)
    with open_session(
        catalog, SessionDefaults(speed=speed), wall=wall, recorder=seen, start=str(DAY2),
        end=str(DAY2), history_days=0,
    ) as (_, _, session):  # fmt: skip
        assert session.wait(60)
    start_ns, start_wall = open_ns(DAY2) - 1, seen.began_ns
    errors = [
        wall_ns - start_wall - (time_ns - start_ns) / speed for time_ns, wall_ns in seen.stamps
    ]
    assert len(errors) == sum(len(w.times_ns) for w in seen.windows)
    assert min(errors) >= -1, "not a nanosecond early"
    assert max(errors) < SECOND / 10, "nor late: within a few ticks of the pretended wall"


class Stamping(Recorder):
    """Notes the wall time of every slice."""

    def __init__(self, wall: Wall) -> None:
        super().__init__()
        self._wall = wall
        self.began_ns = 0
        self.stamps: list[tuple[int, int]] = []

    def on_status(self, status: object, why: str) -> None:
        if why == "state" and not self.began_ns:
            self.began_ns = self._wall.now_ns()

    def on_window(self, window: Window) -> None:
        super().on_window(window)
        self.stamps += [(int(t), self._wall.now_ns()) for t in window.times_ns]


@pytest.mark.parametrize("state", ["PAUSED", "RUNNING", "slow", "COMPLETED", "FAILED"])
def test_stop_within_two_seconds_from_any_state(catalog: Path, state: str) -> None:
    recorder = Recorder()
    if state == "FAILED":
        recorder = Failing()
    speed = 0.001 if state == "slow" else 60 if state == "RUNNING" else 0
    with open_session(
        catalog, SessionDefaults(speed=speed), recorder=recorder, start_paused=state == "PAUSED"
    ) as (_, _, session):
        if state in ("COMPLETED", "FAILED"):
            assert session.wait(20)
        stopped = threading.Event()

        def stop() -> None:
            session.stop()
            stopped.set()

        threads = [threading.Thread(target=stop) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert stopped.wait(2)
        for thread in threads:
            thread.join(2)
        assert session.state == (state if state in ("COMPLETED", "FAILED") else "STOPPED")
    names = {t.name for t in threading.enumerate()}
    assert not names & {
        "BacktestStreamWorker",
        "BacktestClockWorker",
        "DataUpkeepThread",
        "DigestThread",
        "DataFeedLoop",
    }


class Failing(Recorder):
    def on_window(self, window: Window) -> None:
        raise ValueError("broken consumer")


def test_a_failure_of_any_thread_is_the_sessions(catalog: Path) -> None:
    def broken_upkeep() -> None:
        raise RuntimeError("upkeep broke")

    with open_session(catalog, before_upkeep=broken_upkeep) as (_, _, session):
        assert session.wait(10)
        assert session.status().error == "RuntimeError: upkeep broke"

    class BrokenWall(Wall):
        def wait(self, condition: threading.Condition, until_ns: int | None) -> None:
            if threading.current_thread().name == "BacktestClockWorker":
                raise OSError("clock broke")
            super().wait(condition, until_ns)

    with open_session(catalog, SessionDefaults(speed=1), wall=BrokenWall()) as (_, _, session):
        assert session.wait(10)
        assert session.status().state == "FAILED"
        assert session.status().error == "OSError: clock broke"


def test_a_file_that_changes_while_it_is_read(catalog: Path) -> None:
    tight = SessionDefaults(speed=0, buffer_rows=50, read_rows=10)
    with open_session(catalog, tight, start_paused=True, history_days=0) as (_, _, session):
        write(catalog, "bars_1m", "AAA", DAY3, session_bars(DAY3, range(5)))
        session.resume().result(10)
        assert session.wait(20)
        status = session.status()
    assert status.state == "FAILED"
    assert status.error is not None
    assert "date=2013-10-08.parquet" in status.error
    assert "changed after the session began" in status.error


def test_twenty_pollers_never_see_the_future(catalog: Path) -> None:
    """At 360x, with random pauses, steps and speeds."""
    wrong: list[object] = []
    stop = threading.Event()
    dice = random.Random(11)
    with open_session(catalog, SessionDefaults(speed=360), history_days=2) as (_, _, session):
        pollers = [
            threading.Thread(target=_poll, args=(session, stop, wrong, random.Random(n)))
            for n in range(20)
        ]
        for poller in pollers:
            poller.start()
        for _ in range(60):
            _disturb(session, dice)
        stop.set()
        for poller in pollers:
            poller.join(10)
    assert wrong == []


def _poll(
    session: ReplaySession, stop: threading.Event, wrong: list[object], dice: random.Random
) -> None:
    last = (0, 0)
    while not stop.is_set():
        answer = session.bars("AAA", dice.choice(["1m", "5m", "15m", "1d"]), 10_000, None, None)
        ticks = session.ticks(
            "AAA", dice.choice([StreamType.TRADE, StreamType.QUOTE]), 500, None, None
        )
        for found in (answer, ticks):
            if len(found.items) and found.items["release_ns"].max() > found.view.now_ns:
                wrong.append(("future", found.view))
            if (found.view.now_ns, found.view.seq) < last:
                wrong.append(("backward", found.view, last))
            last = (found.view.now_ns, found.view.seq)
        summary = session.summary(None)
        bar = summary.symbols["AAA"].bar
        if bar is not None and bar["release_ns"][0] > summary.view.now_ns:
            wrong.append(("summary", summary.view))


def _disturb(session: ReplaySession, dice: random.Random) -> None:
    act = dice.randrange(4)
    if act == 0:
        session.set_speed(dice.choice([1, 360, 10_000])).result(10)
    elif session.state is State.PAUSED:
        if act == 1:
            session.resume().result(10)
        else:
            unit = "bar" if act == 2 else "slice"
            session.step(unit, dice.randint(1, 9)).result(10)  # type: ignore[arg-type]
    elif session.state is State.RUNNING:
        session.pause().result(10)


def test_every_bar_at_1x_shortened(catalog: Path) -> None:
    wall = FakeWall()
    with open_session(
        catalog, SessionDefaults(speed=1), wall=wall, start=str(DAY2), end="2013-10-07T13:40:00Z",
        streams=["bars_1m"], derived_intervals=[], history_days=0,
    ) as (_, seen, session):  # fmt: skip
        assert session.wait(60)
    assert seen.of(1)["release_ns"].tolist() == [open_ns(DAY2) + m * MINUTE for m in range(1, 11)]
    assert wall.now_ns() >= 600 * SECOND, "ten minutes of the market took ten of the wall"


def test_every_bar_on_a_real_wall(catalog: Path) -> None:
    with open_session(catalog, SessionDefaults(speed=10_000), start=str(DAY2), end=str(DAY2)) as (
        _,
        seen,
        session,
    ):
        assert session.wait(60)
        assert len(seen.of(1)) == 390
        assert sum(session.status().discarded.values()) == 0
