"""The trading engine's place: called before the clock shows what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import RequestError
from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession, SessionConfig, SystemManager
from app.model import Window
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    FAST,
    MINUTE,
    FakeWall,
    open_ns,
    run,
    session_bars,
    write,
)


class Worker:
    """Notes every call with the clock at that moment."""

    def __init__(self, due: list[int] | None = None, rows: int | None = None) -> None:
        self.calls: list[tuple[str, int, int]] = []  # what, its time, the clock then
        self.finished: list[tuple[str, str | None]] = []
        self.fail_at: int | None = None
        self._due = sorted(due or [])
        self._rows = rows

    def _note(self, what: str, time_ns: int) -> None:
        self.calls.append((what, time_ns, get_coordinator().view.now_ns))

    def of(self, what: str) -> list[int]:
        return [time_ns for name, time_ns, _ in self.calls if name == what]

    def window_rows(self) -> int | None:
        return self._rows

    def begin(self, day: int, now_ns: int) -> None:
        self._note("begin", now_ns)

    def on_window(self, window: Window) -> None:
        for time_ns in window.times_ns.tolist():
            self._note("slice", time_ns)
            if time_ns == self.fail_at:
                raise ZeroDivisionError("the worker broke")
        self._pass(int(window.times_ns[-1]))

    def advance(self, now_ns: int) -> None:
        self._note("advance", now_ns)
        self._pass(now_ns)

    def end_day(self, day: int, end_ns: int) -> None:
        self._note("end_day", end_ns)
        self._pass(end_ns)

    def open_day(self, day: int, now_ns: int) -> None:
        self._note("open_day", now_ns)

    def _pass(self, now_ns: int) -> None:
        while self._due and self._due[0] <= now_ns:
            self._note("due", self._due.pop(0))

    def due_ns(self) -> int | None:
        return self._due[0] if self._due else None

    def finish(self, outcome: str, cause: BaseException | None) -> None:
        self.finished.append((outcome, None if cause is None else str(cause)))


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    for day in (DAY1, DAY2, DAY3):
        write(tmp_path, "bars_1m", "AAA", day, session_bars(day, [0, 1, 5, 389]))
    return tmp_path


@contextmanager
def working(root: Path, worker: Worker, wall: Any = None, **config: Any) -> Iterator[ReplaySession]:
    manager = SystemManager(str(root), FAST, None, wall)
    manager.on_session(lambda _: get_coordinator().attach_worker(worker))
    wish: dict[str, Any] = {"symbols": ["*"], "start": str(DAY1), "end": str(DAY3), **config}
    try:
        yield manager.start_session(SessionConfig(**wish))
    finally:
        manager.close()


def test_the_worker_is_done_before_the_clock_shows_it(catalog: Path) -> None:
    worker = Worker(rows=1)
    with working(catalog, worker) as session:
        assert session.wait(20)
        digest = session.status().digest
    for what, time_ns, clock_ns in worker.calls:
        if what == "slice":
            assert clock_ns < time_ns, (what, time_ns, clock_ns)
    whats = [what for what, _, _ in worker.calls if what not in ("slice", "advance")]
    assert whats == [
        "begin", "end_day", "open_day", "end_day", "open_day", "end_day",
    ]  # fmt: skip
    assert worker.finished == [("completed", None)]
    assert digest == run(catalog).status.digest


def test_time_never_runs_backward_for_the_worker(catalog: Path) -> None:
    worker = Worker()
    with working(catalog, worker) as session:
        assert session.wait(20)
    times = [time_ns for _, time_ns, _ in worker.calls]
    assert times == sorted(times)


@pytest.mark.parametrize("speed", [60.0, 1000.0, 1e6])
def test_what_is_due_without_data_comes_at_its_time(catalog: Path, speed: float) -> None:
    due = [open_ns(DAY1) + 3 * MINUTE + 7, open_ns(DAY2) + 100 * MINUTE]
    worker = Worker(due)
    with working(catalog, worker, FakeWall(), speed=speed, end=str(DAY2)) as session:
        assert session.wait(60)
    # At speed > 0 the clock stood just before, and moved on only afterwards.
    for time_ns in due:
        (clock_ns,) = [c for what, t, c in worker.calls if (what, t) == ("due", time_ns)]
        assert clock_ns < time_ns
    assert worker.of("due") == due


def test_what_is_due_comes_in_steps_too(catalog: Path) -> None:
    worker = Worker([open_ns(DAY1) + 3 * MINUTE])
    with working(catalog, worker, start_paused=True) as session:
        session.step("bar", 4).result(10)  # the first stands on the open
        assert worker.of("due") == [open_ns(DAY1) + 3 * MINUTE]
        assert session.view().now_ns == open_ns(DAY1) + 3 * MINUTE


def test_a_worker_that_raises_fails_the_session(catalog: Path) -> None:
    worker = Worker()
    worker.fail_at = open_ns(DAY1) + 6 * MINUTE
    with working(catalog, worker) as session:
        assert session.wait(20)
        status = session.status()
    assert status.state is State.FAILED
    assert status.error == "ZeroDivisionError: the worker broke"
    assert worker.finished == [("failed", "the worker broke")]


def test_a_stopped_session_tells_the_worker_so(catalog: Path) -> None:
    worker = Worker()
    with working(catalog, worker, start_paused=True) as session:
        session.stop()
    assert worker.finished == [("stopped", None)]


def test_calls_are_carried_out_between_slices(catalog: Path) -> None:
    worker, seen = Worker(), []
    with working(catalog, worker, start_paused=True) as session:
        session.step("slice", 2).result(10)
        outcome = get_coordinator().call(lambda: seen.append(session.view().now_ns)).result(10)
        assert outcome.time_ns == seen[0] == open_ns(DAY1) + 2 * MINUTE
        assert outcome.state is State.PAUSED

        def refuse() -> None:
            raise RequestError("not so")

        with pytest.raises(RequestError, match="not so"):
            get_coordinator().call(refuse).result(10)
        assert session.state is State.PAUSED


def test_a_call_that_breaks_fails_the_session(catalog: Path) -> None:
    with working(catalog, Worker(), start_paused=True) as session:

        def fail() -> None:
            raise ZeroDivisionError("in a call")

        with pytest.raises(ZeroDivisionError):
            get_coordinator().call(fail).result(10)
        assert session.wait(10)
        assert session.status().error == "ZeroDivisionError: in a call"
