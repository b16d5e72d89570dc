"""Going anywhere in a session's time: within its branch, or back by a new one.

A branch is one execution from the session's start. To go back where its clock cannot be set back,
the branch that is shown is closed, and the same session is executed again, at speed 0 and heard by
nobody, up to the place; then it takes the place of the old one, with the next epoch. Until then
readers see the old one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Condition, RLock, Thread, current_thread
from time import monotonic
from typing import NamedTuple

from app.errors import SessionFailedError, StateError
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.commands import Outcome
from app.managers.data_manager.delivery import Listener, WindowConsumer
from app.managers.data_manager.goals import BehindError, Goal, Place
from app.managers.lifecycle import ENDED, State
from app.managers.system_manager.audience import Audience
from app.managers.system_manager.branch import Branch
from app.managers.system_manager.journal import Journal, Sent
from app.managers.system_manager.session_record import SessionRecord
from app.managers.system_manager.way_back import Builder, StoppedError, WayBack
from app.runs.journal import EPOCH
from app.times import format_time
from app.trading.events import EventBase
from app.trading.services.strategy.line import EmptyPlaceError

log = logging.getLogger(__name__)

_JOIN_S = 3.0
Answers = list[Callable[[], None]]


class Shown(NamedTuple):
    """What readers see: changed as one."""

    branch: Branch
    going_back: bool = False
    error: BaseException | None = None  # of an execution that was to take this one's place

    @property
    def state(self) -> State:
        if self.error is not None:
            return State.FAILED
        return State.RUNNING if self.going_back else self.branch.coordinator.state


class Transport:
    """Commands about time, whichever branch is there. Every method is thread-safe."""

    def __init__(
        self, branch: Branch, builder: Builder, record: SessionRecord | None = None
    ) -> None:
        """``record`` is that of a session without an engine: one for all its branches."""
        self.shown = Shown(branch)
        self._record = record
        self._attach_record(branch)
        self.journal = Journal()
        self._builder = builder
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._back: WayBack | None = None
        self._thread: Thread | None = None
        self._closed = False
        self._audience = Audience()

    # -- seen ----------------------------------------------------------------------------

    @property
    def speed(self) -> float:
        back = self._back
        return self.shown.branch.coordinator.speed if back is None else back.speed

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the session has ended; False on a timeout."""
        until_s = None if timeout_s is None else monotonic() + timeout_s
        while True:
            shown, left_s = self.shown, _left_s(until_s)
            if not shown.going_back and not shown.branch.coordinator.wait_ended(left_s):
                return False
            with self._changed:
                left_s = _left_s(until_s)
                if not self._changed.wait_for(lambda: not self.shown.going_back, left_s):
                    return False
                if self.shown.state in ENDED:
                    return True

    def attach(self, consumer: WindowConsumer) -> None:
        with self._lock:
            self._audience.attach(consumer, self.shown.branch.coordinator.delivery)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after each commit that is seen, until the result is called."""
        with self._lock:
            key = self._audience.listen(listener, self.shown.branch.coordinator.delivery)
        return partial(self._unlisten, key)

    def _unlisten(self, key: int) -> None:
        with self._lock:
            remove = self._audience.let_go(key)
        remove()

    # -- commands ------------------------------------------------------------------------

    def pause(self) -> Future[Outcome]:
        """Interrupts a way back: the session is PAUSED as far as it has come."""
        with self._lock:
            back = self._back
            if back is None:
                return self._coordinator("pause").pause()
            asked: Future[Outcome] = Future()
            back.paused.append((asked, self._number()))
            back.look_again()
            return asked

    def resume(self) -> Future[Outcome]:
        with self._lock:
            return self._free("resume").resume()

    def set_speed(self, speed: float) -> Future[Outcome]:
        with self._lock:
            back = self._back
            if back is None:
                return self._coordinator("speed").set_speed(speed)
            back.set_speed(speed)
            done: Future[Outcome] = Future()
            done.set_result(self._outcome(self._number()))
            return done

    def apply(self, name: str, act: Callable[[Branch], Future[Outcome]]) -> Future[Outcome]:
        """Any other command; StateError while the session goes back."""
        with self._lock:
            self._free(name)
            return act(self.shown.branch)

    def publish(self, make: Callable[[int], EventBase]) -> Future[Outcome]:
        """An order, cancel or change of now, between two slices; it is kept on a way back."""

        def act(branch: Branch) -> Future[Outcome]:
            return branch.coordinator.call(lambda: self._publish(branch, make))

        return self.apply("order", act)

    def _publish(self, branch: Branch, make: Callable[[int], EventBase]) -> None:
        desk = branch.desk
        assert desk is not None
        place, seq = branch.coordinator.place, branch.view.seq

        def make_noted(now_ns: int) -> EventBase:
            made = make(now_ns)
            branch.note_sent(made)
            return made

        event = desk.publish(make_noted, place.now_ns)
        self.journal.sent.append(Sent(place, seq, event, desk.orders_made))

    def run_to(self, goal: Goal) -> Future[Outcome]:
        """Go on until a goal is reached; BehindError where that is in the past."""
        with self._lock:
            branch = self.shown.branch
            if self._ended_well() and self._back is None:
                if goal.place is not None and goal.place == branch.coordinator.place:
                    return self.seek(goal.place)
                raise BehindError(
                    "nothing lies ahead: the session is COMPLETED; "
                    "POST /api/v1/session/seek goes back"
                )
            return self._free("run-to").run_to(goal)

    def seek(self, place: Place) -> Future[Outcome]:
        """Go to a place, ahead or behind; what was going on before is interrupted."""
        asked: Future[Outcome] = Future()
        told: Answers = []
        with self._lock:
            self._coordinator("seek")
            if self._back is not None:
                self._aim_anew(self._back, place, asked, told)
            elif self._ended_well():
                found = self.shown.branch.coordinator.reopen(place)
                if found is None:
                    self._go_back(place, asked)
                else:
                    told.append(partial(asked.set_result, found))
            else:
                going = self._coordinator("seek").seek(place)
                going.add_done_callback(partial(self._after_seek, place, asked))
        _give(told)
        return asked

    def _after_seek(self, place: Place, asked: Future[Outcome], done: Future[Outcome]) -> None:
        """The branch that is shown has come there, or cannot."""
        error = done.exception()
        if error is None:
            asked.set_result(done.result())
            return
        told: Answers = []
        with self._lock:
            completed = isinstance(error, StateError) and self._ended_well()
            if self._closed and isinstance(error, BehindError):
                error = StateError("the session was stopped", self.shown.state)
            if self._closed or not (completed or isinstance(error, BehindError)):
                told.append(partial(asked.set_exception, error))
            elif self._back is not None:
                self._aim_anew(self._back, place, asked, told)
            else:
                self._go_back(place, asked)
        _give(told)

    def _attach_record(self, branch: Branch) -> None:
        """Whoever keeps the record hears what this branch is told from now on."""
        record = self._record
        if record is not None:
            record.follow(branch)
            branch.coordinator.attach_log(record, record.finish)
        elif branch.desk is not None and branch.desk.record is not None:
            branch.coordinator.attach_log(branch.desk.record)

    # -- the ground of commands, under the lock --------------------------------------------

    def _number(self) -> int:
        return self.shown.branch.coordinator.next_number()

    def _outcome(self, number: int, interrupted: bool = False) -> Outcome:
        """As the session is seen."""
        view = self.shown.branch.view
        return Outcome(number, view.now_ns, view.seq, self.shown.state, interrupted)

    def _ended_well(self) -> bool:
        over = self._closed or self.shown.error is not None
        return not over and self.shown.branch.coordinator.state is State.COMPLETED

    def _coordinator(self, name: str) -> BacktestStreamCoordinator:
        """That of what is shown; StateError where the session is over for good."""
        if self._closed or self.shown.error is not None:
            state = self.shown.state
            raise StateError(f"the session is {state}: it takes no {name}", state)
        return self.shown.branch.coordinator

    def _free(self, name: str) -> BacktestStreamCoordinator:
        """The coordinator, unless the session is on its way back."""
        if self._back is not None:
            raise StateError(f"a seek is going on: no {name}; pause it or wait", self.shown.state)
        return self._coordinator(name)

    # -- the way back ------------------------------------------------------------------------

    def _go_back(self, place: Place, asked: Future[Outcome]) -> None:
        branch = self.shown.branch
        branch.coordinator.note("seek", Goal(place).described())
        self._back = back = WayBack(
            self._lock, self._builder, self.journal, branch.view.epoch + 1, place,
            (asked, self._number()), branch.coordinator.speed,
        )  # fmt: skip
        self.shown = self.shown._replace(going_back=True)
        self._thread = Thread(target=self._run, args=(back,), name="SessionSeek", daemon=True)
        self._thread.start()

    def _aim_anew(self, back: WayBack, place: Place, asked: Future[Outcome], told: Answers) -> None:
        """A later seek is the one that counts."""
        self._answer(back, told, interrupted=True)
        back.place, back.asked, back.paused = place, (asked, self._number()), []
        back.look_again()

    def _run(self, back: WayBack) -> None:
        told: Answers = []
        try:
            self._go(back, told)
        finally:
            _give(told)

    def _go(self, back: WayBack, told: Answers) -> None:
        try:
            self._tell("state")
            self._leave(back)
            branch = back.execute()
        except StoppedError:
            self._give_up(back, None, told)
        except BaseException as error:
            if not self._stay(back, error, told):
                log.exception("the session could not go back")
                self._give_up(back, error, told)
        else:
            self._show(back, branch, told)

    def _leave(self, back: WayBack) -> None:
        """Close the branch that is shown; it stays readable, and no consumer hears of it."""
        branch = self.shown.branch
        self._audience.leave(branch.coordinator.delivery)
        if branch.desk is not None:
            branch.desk.why_stopped = (
                f"a seek to {format_time(back.place.now_ns)} began epoch {branch.view.epoch + 1}, "
                "another run"
            )
        if self._record is not None:
            branch.coordinator.attach_log(None)  # the record goes on
        branch.close()
        if branch.coordinator.delivers:
            raise SessionFailedError("the merge thread did not stop: something holds it")

    def _show(self, back: WayBack, branch: Branch, told: Answers) -> None:
        """Readers see the new branch from now on, and consumers hear it."""
        with self._lock:
            if self._closed:
                branch.close()
                self._give_up(back, None, told)
                return
            place, epoch = branch.coordinator.place, branch.view.epoch
            self.journal.cut(epoch, place)
            self._attach_record(branch)
            branch.coordinator.note(EPOCH, {"speed": branch.coordinator.speed})
            self.shown = Shown(branch)
            self._back = self._thread = None
            self._answer(back, told, interrupted=bool(back.paused))
            self._changed.notify_all()
            log.info("epoch %d begins at %s", epoch, format_time(place.now_ns))
            self._tell("epoch")  # first: what the branch says comes after it
            self._audience.follow(branch.coordinator.delivery)

    def _stay(self, back: WayBack, error: BaseException, told: Answers) -> bool:
        """Whether the session is as COMPLETED as it was: it waited for clients, and none came."""
        why: BaseException | None = error
        while why is not None and not isinstance(why, EmptyPlaceError):
            why = why.__cause__
        with self._lock:
            branch = self.shown.branch
            if why is None or self._closed or branch.coordinator.state is not State.COMPLETED:
                return False
            self._back = self._thread = None
            self.shown = Shown(branch)
            self._attach_record(branch)
            self._audience.come_back(branch.coordinator.delivery)
            refused = StateError(f"no way back: {why}", self.shown.state)
            told.append(partial(back.asked[0].set_exception, refused))
            told += [partial(one.set_result, self._outcome(n)) for one, n in back.paused]
            self._changed.notify_all()
            self._tell("end")
            return True

    def _give_up(self, back: WayBack, error: BaseException | None, told: Answers) -> None:
        """Without a branch to show: FAILED, or stopped where it was stopped."""
        with self._lock:
            self._back = self._thread = None
            if self._record is not None:
                self._record.finish("stopped" if self._closed or error is None else "failed", error)
            self.shown = Shown(self.shown.branch, error=None if self._closed else error)
            self._answer(back, told, interrupted=True)
            self._changed.notify_all()
            self._tell("end")

    def _answer(self, back: WayBack, told: Answers, interrupted: bool) -> None:
        """Answer seek and pauses, as the session is seen now."""
        asked, number = back.asked
        told.append(partial(asked.set_result, self._outcome(number, interrupted)))
        told += [partial(one.set_result, self._outcome(n)) for one, n in back.paused]

    def _tell(self, why: str) -> None:
        """As the session is seen now."""
        self._audience.tell(self.shown.state, self.shown.branch.view, why)

    # -- the end -------------------------------------------------------------------------------

    def stop(self) -> Outcome:
        """Stop for good; any thread, any number of times, at once where it has ended."""
        with self._lock:
            self._closed = True
            number, back, thread = self._number(), self._back, self._thread
        if back is not None:
            back.stop()
        if thread is not None and thread is not current_thread():
            thread.join(_JOIN_S)
        self.shown.branch.stop()
        with self._lock:
            return self._outcome(number)

    def close(self) -> None:
        """Stop, and let another session be made."""
        self.stop()
        self.shown.branch.close()


def _left_s(until_s: float | None) -> float | None:
    return None if until_s is None else max(0.0, until_s - monotonic())


def _give(told: Answers) -> None:
    """Answer who waits; outside the lock, for a caller may do anything with the answer."""
    for answer in told:
        answer()
