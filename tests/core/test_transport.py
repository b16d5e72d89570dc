"""Anywhere in time: the state at T after any way to T is that of a straight run to T."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import NotFoundError, RequestError, StateError
from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from app.managers.data_manager.commands import Outcome
from app.managers.lifecycle import State
from app.managers.system_manager import (
    ReplaySession,
    SessionConfig,
    SessionDefaults,
    SystemManager,
)
from app.model import StreamType
from tests.core.harness import (
    DAY1,
    DAY2,
    FAST,
    MINUTE,
    SECOND,
    Recorder,
    bar,
    open_ns,
    open_session,
    quote,
    session_bars,
    trade,
    write,
)

OPEN1, OPEN2 = open_ns(DAY1), open_ns(DAY2)
CLOSE1, END1 = OPEN1 + 390 * MINUTE, OPEN1 + 391 * MINUTE
SPAN: dict[str, Any] = {"start": str(DAY1), "end": str(DAY2), "history_days": 1}
MISSING = range(20, 23)  # minutes of BBB on the first day


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of bars of two symbols, one with a gap, and ticks of one with new words."""
    root = tmp_path_factory.mktemp("transport")
    for number, day in enumerate((DAY1, DAY2)):
        rows = session_bars(day)
        rows.insert(200, rows[199])  # a duplicate, a late one, one before the hours
        rows.insert(60, rows[30])
        rows.insert(0, bar(open_ns(day) - 5 * MINUTE))
        write(root, "bars_1m", "AAA", day, rows)
        minutes = [m for m in range(390) if day is not DAY1 or m not in MISSING]
        write(root, "bars_1m", "BBB", day, session_bars(day, minutes, 50.0))
        times = [open_ns(day) + s * SECOND for s in range(0, 23_400, 47)]
        trades = [
            trade(t, 20 + n / 100, exchange="QNPZ"[(n // 40 + number) % 4])
            for n, t in enumerate(times)
        ]
        write(root, "trades", "CCC", day, trades)
        write(root, "quotes", "CCC", day, [quote(t) for t in times])
    write(root, "bars_1m", "AAA", "2013-10-03", [bar(open_ns(DAY1) - 86_400 * SECOND)])
    return root


def shown(session: ReplaySession) -> dict[str, Any]:
    """All that a reader can see but the epoch: plain, to be compared."""
    view, status = session.view(), session.status()
    found: dict[str, Any] = {
        "time": view.now_ns, "seq": view.seq, "digest": view.digest, "day": view.day,
        "progress": status.progress._replace(eta_s=None), "discarded": status.discarded,
    }  # fmt: skip
    for symbol in session.symbols:
        for interval in ("1m", "5m", "15m", "1d"):
            answer = session.bars(symbol, interval, 10_000, None, None)
            found[f"{symbol} {interval}"] = answer.items.tobytes(), answer.starts_ns.tobytes()
        found[f"{symbol} quality"] = session.quality(symbol)[1:]
    for kind in (StreamType.TRADE, StreamType.QUOTE):
        ticks = session.ticks("CCC", kind, 10_000, None, None)
        words = [ticks.words.words[int(code)] for code in ticks.items["v"][:, 2]] if (
            kind is StreamType.TRADE
        ) else []  # fmt: skip
        found[f"CCC {kind}"] = ticks.items["release_ns"].tolist(), words
    summary = session.summary(None).symbols
    found["summary"] = {
        name: (one.last, one.volume, one.prev_close, one.bars) for name, one in summary.items()
    }
    found["days"] = session.day_records()[1]
    return found


class Straight:
    """Runs once to each time that is asked for."""

    def __init__(self, catalog: Path, defaults: SessionDefaults = FAST) -> None:
        self._catalog, self.defaults = catalog, defaults
        self._known: dict[int, dict[str, Any]] = {}

    def at(self, *times_ns: int) -> list[dict[str, Any]]:
        wanted = sorted(set(times_ns) - self._known.keys())
        if wanted:
            with self.session() as session:
                for time_ns in wanted:
                    session.run_to(time_ns).result(10)
                    self._known[time_ns] = shown(session)
        return [self._known[time_ns] for time_ns in times_ns]

    @contextmanager
    def session(self) -> Iterator[ReplaySession]:
        with open_session(self._catalog, self.defaults, start_paused=True, **SPAN) as opened:
            yield opened.session


@pytest.fixture(scope="module")
def straight(catalog: Path) -> Straight:
    return Straight(catalog)


@pytest.fixture(scope="module")
def narrow(catalog: Path) -> Straight:
    """So little is held that the clock cannot always be set back within a day."""
    return Straight(catalog, SessionDefaults(speed=0, buffer_rows=600, read_rows=100, tick_rows=90))


def test_forward_and_backward(catalog: Path, straight: Straight) -> None:
    noon = OPEN1 + 150 * MINUTE + 30 * SECOND
    with open_session(catalog, start_paused=True, **SPAN) as (_, seen, session):
        there = session.seek(noon).result(10)
        assert (there.time_ns, there.state, there.interrupted) == (noon, "PAUSED", False)
        assert session.view().epoch == 1
        first = shown(session)
        later = session.seek(OPEN2 + MINUTE).result(10)
        assert later.time_ns == OPEN2 + MINUTE
        back = session.seek(noon).result(10)
        assert (back.time_ns, back.seq, back.state) == (noon, there.seq, "PAUSED")
        assert back.number > later.number > there.number
        assert (session.view().epoch, shown(session)) == (2, first)
        same = session.seek(noon).result(10)
        assert (same.time_ns, session.view().epoch) == (noon, 2), "it stands there already"
        assert [why for why, _ in seen.statuses].count("epoch") == 1
        session.resume().result(10)
        assert session.wait(10)
        ended = shown(session)
        assert session.seek(noon).result(10).state == "PAUSED", "from COMPLETED too"
        assert (session.view().epoch, shown(session)) == (3, first)
        assert not session.wait(0.01)
        session.resume().result(10)
        assert session.wait(10)
        assert (session.status().state, shown(session)) == ("COMPLETED", ended)
    assert first == straight.at(noon)[0]


def test_within_a_day_nothing_is_executed_again(catalog: Path, straight: Straight) -> None:
    times = [OPEN2 + n * MINUTE for n in (300, 200, 250, 10)]
    found = []
    with straight.session() as session:
        session.seek(OPEN2 + 380 * MINUTE).result(10)
        before = get_coordinator()
        for time_ns in times:
            session.seek(time_ns).result(10)
            found.append(shown(session))
        assert get_coordinator() is before
        session.seek(OPEN1 + MINUTE).result(10)
        assert get_coordinator() is not before
        session.resume().result(10)
        session.wait(10)
        last = shown(session)
    assert found == straight.at(*times)
    with straight.session() as session:
        session.resume().result(10)
        session.wait(10)
        assert shown(session) == last


def run_out(session: ReplaySession) -> None:
    """Wait for its end, and until that was told."""
    assert session.wait(20)
    for thread in threading.enumerate():
        if thread.name == "BacktestStreamWorker":
            thread.join(10)


def test_a_completed_session_is_taken_up_again(catalog: Path, straight: Straight) -> None:
    """Its last day is still held."""
    early, end = OPEN2 + 10 * MINUTE, OPEN2 + 391 * MINUTE
    with open_session(catalog, speed=1e6, **SPAN) as (_, seen, session):
        run_out(session)
        found, before = [shown(session)], get_coordinator()
        for time_ns in (early, end):
            heard = len(seen.windows)
            back = session.seek(time_ns).result(10)
            assert (back.time_ns, back.state) == (time_ns, "PAUSED")
            assert (session.state, get_coordinator() is before) == ("PAUSED", True)
            assert seen.statuses[-1][0] == "epoch"
            there = shown(session)
            assert not session.wait(0.01)
            session.resume().result(10)
            run_out(session)
            assert seen.statuses[-1][0] == "end"
            assert {w.epoch for w in seen.windows[heard:]} <= {session.view().epoch}
            found += [there, shown(session)]
        with pytest.raises(StateError, match="COMPLETED"):
            session.pause()
        session.seek(early).result(10)
        session.stop()
        assert session.state is State.STOPPED
    assert session.view().epoch == 4
    assert [found[1], found[3]] == straight.at(early, end)
    assert found[0] == found[2] == found[4]


def test_what_is_no_longer_held_is_executed_again(narrow: Straight) -> None:
    times = [OPEN1 + n * MINUTE for n in (390, 380, 5)]
    found, lived = [], []
    with narrow.session() as session:
        for time_ns in times:
            session.seek(time_ns).result(10)
            lived.append(get_coordinator())
            found.append(shown(session))
    assert lived[2] is not lived[0]
    assert found == narrow.at(*times)


def test_what_consumers_are_told(catalog: Path) -> None:
    """The windows of an epoch continue its snapshot; none of the way back is heard."""
    with open_session(catalog, start_paused=True, **SPAN) as (_, seen, session):
        session.seek(OPEN1 + 60 * MINUTE).result(10)
        heard = len(seen.windows)
        session.seek(OPEN1 + 30 * MINUTE).result(10)
        assert len(seen.windows) == heard
        why, status = seen.statuses[-1]
        if why != "epoch":  # the new branch may say once more that it is PAUSED
            assert (why, status.state) == ("state", "PAUSED")
        (epoch,) = [s for why, s in seen.statuses if why == "epoch"]
        assert (epoch.epoch, epoch.time_ns, epoch.state) == (2, OPEN1 + 30 * MINUTE, "PAUSED")
        session.step("slice", 3).result(10)
        after = seen.windows[heard:]
        assert [w.epoch for w in after] == [2] * len(after)
        assert after[0].first_seq == epoch.seq + 1


def test_the_edges_of_a_session(catalog: Path, straight: Straight) -> None:
    edges = [OPEN1 - 1, OPEN1, CLOSE1, END1 - 1, END1, OPEN2 - 1, OPEN2, OPEN2 + 391 * MINUTE]
    expected = straight.at(*edges)
    with open_session(catalog, start_paused=True, **SPAN) as (_, _, session):
        for time_ns, wanted in reversed(list(zip(edges, expected, strict=True))):
            assert session.seek(time_ns).result(10).time_ns == time_ns
            assert session.state is State.PAUSED
            assert shown(session) == wanted
        night = session.seek(END1 + 3600 * SECOND).result(10)
        assert night.time_ns == END1, "a night has no time: the day before is over"
        assert session.run_to(END1 + 7200 * SECOND).result(10).time_ns == END1
        for outside in (OPEN1 - 2, OPEN2 + 391 * MINUTE + 1):
            for go in (session.seek, session.run_to):
                with pytest.raises(RequestError, match="outside of the session; allowed: 2013"):
                    go(outside)
        with pytest.raises(RequestError, match="in the past"):
            session.run_to(OPEN1).result(10)
        assert (session.state, session.view().now_ns) == (State.PAUSED, END1), "it stays"


def test_run_until_something_happens(catalog: Path) -> None:
    with open_session(catalog, start_paused=True, **SPAN) as (_, _, session):
        gap = session.run_until("gap").result(10)
        assert gap.time_ns == OPEN1 + 21 * MINUTE, "the first minute that BBB lacks has ended"
        above = session.run_until_price("AAA", above=11.0).result(10)
        assert above.time_ns == OPEN1 + 77 * MINUTE, "10.25 and a cent a minute"
        again = session.run_until_price("AAA", above=11.0).result(10)
        assert again.time_ns == OPEN1 + 78 * MINUTE, "the next one that is"
        traded = session.run_until_price("CCC", above=21.0, below=1.0).result(10)
        assert traded.time_ns == OPEN1 + 101 * 47 * SECOND
        assert session.run_until("close").result(10).time_ns == CLOSE1
        below = session.run_until_price("AAA", below=10.3).result(10)
        assert below.time_ns == OPEN2 + MINUTE
        assert session.run_until("close").result(10).time_ns == OPEN2 + 390 * MINUTE
        with pytest.raises(RequestError, match="no close lies ahead"):
            session.run_until("close").result(10)
        with pytest.raises(StateError, match="no engine"):
            session.run_until("fill")
        with pytest.raises(RequestError, match="allowed: fill, gap, close"):
            session.run_until("dawn")  # type: ignore[arg-type]
        with pytest.raises(NotFoundError, match="AAB"):
            session.run_until_price("AAB", above=1)
        with pytest.raises(RequestError, match="neither"):
            session.run_until_price("AAA")
        session.seek(OPEN1 + 21 * MINUTE).result(10)
        nothing = session.run_until_price("AAA", above=1e6).result(10)
        assert (nothing.state, nothing.interrupted) == (State.COMPLETED, False)
        with pytest.raises(RequestError, match="nothing lies ahead"):
            session.run_until("gap").result(10)
        end_ns = OPEN2 + 391 * MINUTE
        assert session.run_to(end_ns).result(10).state == "PAUSED", "there again"


def test_a_symbol_without_data_begins_its_gap_once_a_day(catalog: Path, tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY1, session_bars(DAY1))
    write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2, range(5, 390)))
    with open_session(tmp_path, start_paused=True, **SPAN) as (_, _, session):
        assert session.run_until("gap").result(10).time_ns == OPEN2 + MINUTE
        assert session.run_until("gap").result(10).state == "COMPLETED"


def test_running_sessions_are_paused_there(catalog: Path, straight: Straight) -> None:
    target = OPEN1 + 200 * MINUTE
    with open_session(catalog, speed=1, **SPAN) as (_, _, session):
        assert session.run_to(target).result(10).state == "PAUSED"
        there = shown(session)
        session.resume().result(10)
        assert session.seek(OPEN1 + MINUTE).result(10).state == "PAUSED"
        assert session.status().speed == 1
        back = shown(session)
    assert [there, back] == straight.at(target, OPEN1 + MINUTE)


TIMES = st.one_of(
    st.sampled_from([OPEN1 - 1, OPEN1, CLOSE1, END1, OPEN2 - 1, OPEN2, OPEN2 + 60 * MINUTE]),
    st.integers(0, 200).map(lambda n: OPEN1 + n * 97 * SECOND),
)
MOVES = st.one_of(
    st.tuples(st.just("seek"), TIMES),
    st.tuples(st.just("run-to"), TIMES),
    st.tuples(st.sampled_from(["slice", "bar"]), st.integers(1, 40)),
    st.tuples(st.just("day"), st.just(1)),
)


paths = settings(max_examples=12, deadline=None, suppress_health_check=[*HealthCheck])


@paths
@given(st.lists(MOVES, min_size=1, max_size=5), TIMES)
def test_any_path(straight: Straight, moves: list[tuple[str, int]], target_ns: int) -> None:
    check_path(straight, moves, target_ns)


@paths
@given(st.lists(MOVES, min_size=1, max_size=5), TIMES)
def test_any_path_where_little_is_held(
    narrow: Straight, moves: list[tuple[str, int]], target_ns: int
) -> None:
    check_path(narrow, moves, target_ns)


def check_path(straight: Straight, moves: list[tuple[str, int]], target_ns: int) -> None:
    with straight.session() as session:
        for name, value in moves:
            if session.state is State.COMPLETED:
                session.seek(OPEN2).result(10)
            if name == "seek":
                session.seek(value).result(10)
            elif name == "run-to":
                try:
                    session.run_to(value).result(10)
                except RequestError:
                    assert session.view().now_ns >= min(value, END1) or value < OPEN1
            else:
                session.step(name, value).result(10)  # type: ignore[arg-type]
        session.seek(target_ns).result(10)
        found = shown(session)
    assert found == straight.at(target_ns)[0]


def test_interruptions(catalog: Path) -> None:
    """A pause ends a way back where it has come to; of two seeks the later one counts."""
    gate = Gate()
    with open_session(catalog, before_upkeep=gate.wait, start_paused=True, **SPAN) as opened:
        session = opened.session
        session.seek(OPEN2 + 60 * MINUTE).result(10)
        gate.close()
        back = threading.Event()
        session.add_commit_listener(lambda _: back.set() if session.state == "RUNNING" else None)
        seek = session.seek(OPEN1 + 30 * MINUTE)
        assert back.wait(10), "the session goes back"
        assert session.view().now_ns == OPEN2 + 60 * MINUTE, "the old view until it is done"
        for act in (session.resume, lambda: session.step("bar", 1), lambda: session.run_to(OPEN2)):
            with pytest.raises(StateError, match="a seek is going on"):
                act()
        later = session.seek(OPEN1 + 20 * MINUTE)
        assert seek.result(10).interrupted
        assert session.set_speed(7).result(10).time_ns == OPEN2 + 60 * MINUTE
        pause = session.pause()
        gate.open()
        assert later.result(10).interrupted
        assert pause.result(10).state == "PAUSED"
        assert (session.state, session.view().epoch) == (State.PAUSED, 2)
        assert session.status().speed == 7
        assert session.view().now_ns <= OPEN1 + 20 * MINUTE
        assert session.seek(OPEN2 + 40 * MINUTE).result(10).interrupted is False
        gate.close()
        back.clear()
        lost = session.seek(OPEN1 + MINUTE)
        assert back.wait(10)
        closing = threading.Thread(target=session.stop)
        closing.start()
        assert lost.result(10).interrupted
        gate.open()
        closing.join(10)
        assert session.state is State.STOPPED
        assert session.view().now_ns == OPEN2 + 40 * MINUTE, "what was shown stays"
        with pytest.raises(StateError, match="STOPPED"):
            session.seek(OPEN1)


class Gate:
    """Holds the upkeep thread, and so the way back, while it is closed."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    def wait(self) -> None:
        self._open.wait(10)

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()


def test_an_execution_that_fails_leaves_a_failed_session(catalog: Path, tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", "AAA", DAY1, session_bars(DAY1))
    path = write(tmp_path, "bars_1m", "AAA", DAY2, session_bars(DAY2))
    with open_session(tmp_path, start_paused=True, **SPAN) as (_, seen, session):
        session.seek(OPEN2 + MINUTE).result(10)
        path.write_bytes(b"")
        failed = session.seek(OPEN1 + MINUTE).result(10)
        assert (failed.state, failed.interrupted) == ("FAILED", True)
        status = session.status()
        assert status.state == "FAILED"
        assert status.error is not None
        assert path.name in status.error
        assert status.time_ns == OPEN2 + MINUTE, "what was shown stays"
        assert seen.statuses[-1][0] == "end"
        assert session.wait(1)
        with pytest.raises(StateError, match="FAILED"):
            session.seek(OPEN1)
    with pytest.raises(StateError, match="no coordinator"):
        get_coordinator()


def test_commands_in_a_tight_loop_never_deadlock(catalog: Path) -> None:
    dice = random.Random(7)
    with open_session(catalog, speed=0, recorder=Recorder(rows=64), **SPAN) as (_, _, session):
        acts: list[Callable[[], Future[Outcome]]] = [
            session.pause, session.resume,
            lambda: session.set_speed(dice.choice([0, 60, 1e6])),
            lambda: session.seek(OPEN1 + dice.randrange(390) * MINUTE),
            lambda: session.seek(OPEN2 + dice.randrange(390) * MINUTE),
            lambda: session.run_to(OPEN2 + dice.randrange(390) * MINUTE),
            lambda: session.step("bar", 50),
        ]  # fmt: skip
        for _ in range(60):
            act = dice.choice(acts)
            try:
                future = act()
                if dice.random() < 0.3:
                    future.result(20)
            except (StateError, RequestError):
                pass
        assert session.seek(OPEN1 + 5 * MINUTE).result(20).time_ns == OPEN1 + 5 * MINUTE
        assert session.state is State.PAUSED


def test_listeners_and_readers_follow(catalog: Path) -> None:
    """No reader ever sees rows of another view than its own, whichever branch is shown."""
    heard: list[tuple[int, int]] = []
    wrong: list[str] = []
    done = threading.Event()
    with open_session(catalog, start_paused=True, **SPAN) as (_, _, session):
        remove = session.add_commit_listener(lambda view: heard.append((view.epoch, view.now_ns)))

        def read() -> None:
            while not done.is_set():
                answer = session.bars("AAA", "1m", 10_000, None, None)
                rows = answer.items["release_ns"]
                if len(rows) and rows[-1] > answer.view.now_ns:
                    wrong.append("look-ahead")
                expected = (answer.view.now_ns - OPEN1) // MINUTE
                today = int((rows > OPEN1).sum())
                if answer.view.now_ns < CLOSE1 and today != max(0, expected):
                    wrong.append(f"{today} bars at {answer.view}")

        reader = threading.Thread(target=read)
        reader.start()
        for minute in (100, 10, 200, 50):
            session.seek(OPEN1 + minute * MINUTE).result(10)
        done.set()
        reader.join(10)
        assert not wrong
        assert [e for e, _ in heard] == sorted(e for e, _ in heard)
        assert {e for e, _ in heard} == {1, 2, 3}
        assert (3, OPEN1 + 50 * MINUTE) in heard
        remove()
        count = len(heard)
        session.step("bar", 1).result(10)
        assert len(heard) == count


def test_a_session_after_one_that_went_back(catalog: Path) -> None:
    manager = SystemManager(str(catalog), FAST)
    wish = SessionConfig(["AAA"], str(DAY1), str(DAY2), start_paused=True)
    try:
        first = manager.start_session(wish)
        first.seek(OPEN2).result(10)
        first.seek(OPEN1).result(10)
        with pytest.raises(StateError, match="PAUSED; stop it"):
            manager.start_session(wish)
        first.stop()
        second = manager.start_session(wish)
        assert (second.id, second.view().epoch) == ("s2", 1)
    finally:
        manager.close()
