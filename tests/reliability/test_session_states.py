"""The session does what a model of it says, whatever commands come in whatever order.

The model shares no code with the application: days, slices, places and states are worked out
here from the rows that the catalog was written with.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.errors import RequestError, StateError, TapedeckError
from app.managers.system_manager import SessionConfig, SessionDefaults, SystemManager
from app.managers.time_manager import Wall
from tests.core.harness import DAY1, DAY2, MINUTE, SECOND, bar, open_ns, quote, write
from tests.until import until

OPENS = (open_ns(DAY1), open_ns(DAY2))
ENDS = tuple(at + 391 * MINUTE for at in OPENS)  # a minute of grace after the close
MINUTES = ((0, 1, 2, 5, 60, 389), (0, 3, 4, 200))  # of each day, that have a bar of AAA
TICKS = ((30, 61, 4000), (1, 90))  # seconds after the open, that have a quote of BBB
BEGIN = OPENS[0] - 1
SLICES = sorted(
    {at + (m + 1) * MINUTE for at, minutes in zip(OPENS, MINUTES, strict=True) for m in minutes}
    | {at + s * SECOND for at, seconds in zip(OPENS, TICKS, strict=True) for s in seconds}
)
STANDS = sorted(at + m * MINUTE for at in OPENS for m in range(392))
ANSWER_S = 20


def write_catalog(root: Path) -> Path:
    for day, at, minutes, seconds in zip((DAY1, DAY2), OPENS, MINUTES, TICKS, strict=True):
        write(root, "bars_1m", "AAA", day, [bar(at + m * MINUTE, 10 + m) for m in minutes])
        write(root, "quotes", "BBB", day, [quote(at + s * SECOND) for s in seconds])
    return root


class Still(Wall):
    """Wall time stands: at a speed above 0 a session runs and nothing moves."""

    def now_ns(self) -> int:
        return 0

    def wait(self, condition: Condition, until_ns: int | None) -> None:
        del until_ns
        condition.wait()


class Model:
    """A session in a few lines: where it stands, and in which state."""

    def __init__(self) -> None:
        self.now, self.day, self.state = BEGIN, 0, "PAUSED"
        self.epoch, self.speed = 1, 60.0
        self.stopped = False  # it takes no command any more

    @property
    def over(self) -> bool:
        return self.now >= ENDS[self.day]

    @property
    def seq(self) -> int:
        return sum(at <= self.now for at in SLICES)

    def stand(self, at: int) -> None:
        """On a time of the session; in the night, where the day before ended."""
        self.day = int(at >= OPENS[1] - 1)
        self.now = min(at, ENDS[self.day])

    def complete(self) -> None:
        self.stand(ENDS[1])
        self.state = "COMPLETED"

    def step(self, unit: str, count: int) -> None:
        if unit == "day":
            ends = [end for end in ENDS if end > self.now]
            reached = ends[count - 1] if count <= len(ends) else ENDS[1]
            self.stand(reached)
            if reached == ENDS[1]:
                self.complete()
            return
        ahead = [at for at in (SLICES if unit == "slice" else STANDS) if at > self.now]
        if count <= len(ahead):
            self.stand(ahead[count - 1])
        else:
            self.complete()

    def move_on(self) -> None:
        """RUNNING: at speed 0 to the end, else over the night alone, which takes no time."""
        if self.speed == 0 or (self.over and self.day == 1):
            self.complete()
        elif self.over:
            self.stand(OPENS[1] - 1)

    def seek(self, at: int) -> None:
        before = self.now, self.day
        was_completed = self.state == "COMPLETED"
        self.stand(at)
        self.epoch += was_completed or (self.day, self.now) < before[::-1]
        self.state = "PAUSED"


TIMES = st.one_of(
    st.sampled_from([BEGIN, *OPENS, *ENDS, OPENS[1] - 1, OPENS[0] + 390 * MINUTE, *SLICES]),
    st.integers(BEGIN, ENDS[1]),
    st.integers(0, 4200).map(lambda second: OPENS[0] + second * SECOND),
)
LIVE = ("PAUSED", "RUNNING")


class SessionMachine(RuleBasedStateMachine):
    """Every rule is a command; what it should do is said by the model."""

    catalog: ClassVar[Path]
    defaults: ClassVar[SessionDefaults]
    known: ClassVar[dict[tuple[int, int], str]]  # the digest of each place, of all executions
    places = Bundle("places")

    def __init__(self) -> None:
        super().__init__()
        self.manager = SystemManager(str(self.catalog), self.defaults, None, Still())
        wish = SessionConfig(
            ["*"], str(DAY1), str(DAY2), speed=60, start_paused=True, history_days=1,
            derived_intervals=(),
        )  # fmt: skip
        self.session = self.manager.start_session(wish)
        self.model = Model()

    def teardown(self) -> None:
        self.manager.close()

    def act(self, act: Callable[[], Future[Any]], legal: bool, error: Any = StateError) -> None:
        """It is answered, or refused where it is not legal."""
        if legal:
            outcome = act().result(ANSWER_S)
            assert not outcome.interrupted
        else:
            with pytest.raises(error):
                act().result(ANSWER_S)

    @rule(speed=st.sampled_from([1.0, 60.0, 1e6]))
    def set_speed(self, speed: float) -> None:
        live = self.model.state in LIVE
        self.act(lambda: self.session.set_speed(speed), live)
        self.model.speed = speed if live else self.model.speed

    @rule()
    def run_out(self) -> None:
        """Speed 0, which a running session obeys at once."""
        live, model = self.model.state in LIVE, self.model
        self.act(lambda: self.session.set_speed(0), live)
        if live:
            model.speed = 0
            if model.state == "RUNNING":
                model.move_on()

    @rule()
    def pause(self) -> None:
        running = self.model.state == "RUNNING"
        self.act(self.session.pause, running)
        self.model.state = "PAUSED" if running else self.model.state

    @rule()
    def resume(self) -> None:
        paused = self.model.state == "PAUSED"
        self.act(self.session.resume, paused)
        if paused:
            self.model.state = "RUNNING"
            self.model.move_on()

    @rule(unit=st.sampled_from(["slice", "slice", "bar", "day"]), count=st.integers(1, 6))
    def step(self, unit: Any, count: int) -> None:
        paused = self.model.state == "PAUSED"
        self.act(lambda: self.session.step(unit, count), paused)
        if paused:
            self.model.step(unit, count)

    @rule(count=st.integers(300, 800))
    @precondition(lambda self: self.model.state == "PAUSED")
    def step_far(self, count: int) -> None:
        self.act(lambda: self.session.step("bar", count), True)
        self.model.step("bar", count)

    @rule(target=places, at=TIMES)
    def seek(self, at: int) -> int:
        legal = not self.model.stopped
        self.act(lambda: self.session.seek(at), legal)
        if legal:
            self.model.seek(at)
        return at

    @rule(at=places)
    def seek_again(self, at: int) -> None:
        self.seek(at)

    @rule(at=TIMES)
    def run_to(self, at: int) -> None:
        model, there = self.model, Model()
        there.stand(at)
        behind = (there.day, there.now) < (model.day, model.now)
        legal = not model.stopped and not behind
        self.act(lambda: self.session.run_to(at), legal, TapedeckError)
        if legal:
            model.seek(at)

    @rule(outside=st.sampled_from([BEGIN - 1, ENDS[1] + 1, 0]))
    def seek_outside(self, outside: int) -> None:
        self.act(lambda: self.session.seek(outside), False, RequestError)

    @rule()
    @precondition(lambda self: self.model.epoch > 2)
    def stop(self) -> None:
        self.session.stop()
        self.model.stopped = True
        if self.model.state != "COMPLETED":  # what is completed stays so
            self.model.state = "STOPPED"

    @invariant()
    def agrees(self) -> None:
        """State, time, day, epoch, sequence, speed, rows and digest are the model's."""
        session, model = self.session, self.model
        until(  # what follows a resume follows it on another thread
            lambda: session.state == model.state and session.view().now_ns == model.now,
            f"what the model has, {vars(model)},", ANSWER_S, every_s=0.001,
        )  # fmt: skip
        view, status = session.view(), session.status()
        day = view.day - session.config.first_day
        assert (day, view.epoch, view.seq) == (model.day, model.epoch, model.seq)
        assert status.speed == model.speed
        place = model.day, model.now
        assert self.known.setdefault(place, view.digest) == view.digest
        bars = session.bars("AAA", "1m", 1000, None, None)
        released = [
            at + m * MINUTE
            for at, minutes in zip(OPENS, MINUTES, strict=True)
            for m in minutes
            if at + (m + 1) * MINUTE <= model.now
        ]
        assert bars.starts_ns.tolist() == released


def test_what_is_completed_stays_so_and_takes_no_command_once_stopped(tmp_path: Path) -> None:
    SessionMachine.catalog = write_catalog(tmp_path)
    SessionMachine.defaults, SessionMachine.known = SessionDefaults(), {}
    machine = SessionMachine()
    for act in (machine.run_out, machine.resume, machine.agrees, machine.stop, machine.agrees):
        act()
    assert machine.session.state == "COMPLETED"
    machine.seek(at=OPENS[0])
    machine.run_to(at=ENDS[1])
    machine.agrees()
    machine.teardown()


@pytest.mark.parametrize(
    "defaults",
    [SessionDefaults(), SessionDefaults(buffer_rows=2, read_rows=1, tick_rows=1)],
    ids=["all is held", "little is held"],
)
def test_any_commands(defaults: SessionDefaults) -> None:
    with TemporaryDirectory() as root:
        SessionMachine.catalog = write_catalog(Path(root))
        SessionMachine.defaults, SessionMachine.known = defaults, {}
        run_state_machine_as_test(
            SessionMachine,
            settings=settings(
                max_examples=25, stateful_step_count=15, deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
