"""State and commands of a session: submitted by any thread, applied between slices."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Condition
from typing import Any

from app.errors import StateError, TapedeckError
from app.managers.data_manager.command_log import EPOCH, CommandLog
from app.managers.data_manager.commands import Command, CommandQueue
from app.managers.data_manager.goals import BehindError, Place
from app.managers.lifecycle import ENDED, State, check_move
from app.managers.time_manager import ClockWriter, TimeManager
from app.times import format_time

_WITHIN = frozenset({"pause", "resume", "speed"})


class Control:
    """Under the coordinator's lock, unless it says otherwise."""

    def __init__(
        self, changed: Condition, time_manager: TimeManager, clock: ClockWriter,
        numbers: Iterator[int] | None = None,
    ) -> None:  # fmt: skip
        self.state = State.STARTING
        self.step: Command | None = None  # the step, seek or run-to that is going on
        self.day_over = False  # the clock stands on the day's end; read by others
        self.rewind: Callable[[Place], bool] = lambda _: False  # set the clock back, if it can be
        self.log: CommandLog | None = None  # hears what took effect
        self._changed = changed
        self._time = time_manager
        self._clock = clock
        self._commands = CommandQueue(numbers)
        self._answers: deque[Callable[[], None]] = deque()
        self._closed = False
        self._calls: deque[Command] = deque()

    def submit(self, name: str, fill: Callable[[Command], None] | None = None) -> Command:
        """Put a command into the queue; any thread. StateError when the session is over."""
        with self._changed:
            if self.state in ENDED or self._closed:
                raise StateError(f"the session is {self.state}: it takes no {name}", self.state)
            command = self._commands.put(name)
            if fill is not None:
                fill(command)
            self._changed.notify_all()
            return command

    @property
    def has_commands(self) -> bool:
        return bool(self._commands)

    @property
    def has_answers(self) -> bool:
        """Whether somebody is to be answered by ``flush``: what was applied, or refused."""
        return bool(self._answers)

    def next_number(self) -> int:
        """A number for a command that is carried out elsewhere (stop); any thread."""
        with self._changed:
            return self._commands.next_number()

    def apply(self, within_window: bool = False) -> list[str]:
        """Apply what waits now, in order of arrival; what was changed (state, speed, epoch).

        Within a window only what needs no slice to be over, up to the first that does.
        """
        changes: list[str] = []
        taken = self._commands.take_while(_WITHIN) if within_window else self._commands.take_all()
        for command in taken:
            place, view = self.place, self._time.view
            try:
                why = self._apply(command)
            except TapedeckError as error:
                self._answers.append(partial(command.refuse, error))
                continue
            if command.action is not None:
                continue
            if self.log is not None:
                self.log.applied(command.name, command.args, place, view)
            if why == EPOCH:
                self.note(EPOCH, {"speed": self._clock.speed})
            changes.append(why)
            if command is not self.step:
                self._answer(command)
        return changes

    def note(self, name: str, args: Mapping[str, Any]) -> None:
        """Tell the log of something that is no command, where the session stands."""
        if self.log is not None:
            self.log.applied(name, args, self.place, self._time.view)

    def run_calls(self) -> bool:
        """Carry out the calls that were applied; outside the lock, for they may take a while.

        Whether there were any.
        """
        called = bool(self._calls)
        while self._calls:
            command = self._calls.popleft()
            assert command.action is not None
            try:
                command.action()
            except TapedeckError as error:
                self._answers.append(partial(command.refuse, error))
            except Exception as error:
                command.refuse(error)
                raise
            else:
                self._answer(command)
        return called

    def _apply(self, command: Command) -> str:
        if command.action is not None:
            self._calls.append(command)
            return "call"
        if command.goal is not None:
            return self._aim(command)
        if command.name == "speed":
            self._clock.set_speed(command.speed)
            return "speed"
        if command.name == "pause":
            self.halt()
        else:
            self.move(State.RUNNING)
            self._clock.anchor(self._time.view.now_ns)
            if command.name == "step":
                self.step = command
                command.began = self._time.view
        return "state"

    def _aim(self, command: Command) -> str:
        """Go to a goal. One that lies behind is refused; a seek's session waits there, PAUSED."""
        goal, here = command.goal, self.place
        assert goal is not None
        goal.aim(here, self._time.days)
        behind = goal.place is not None and goal.place < here
        if behind and command.name != "seek":
            raise BehindError(
                f"that lies in the past: it is {format_time(here.now_ns)}; "
                "POST /api/v1/session/seek goes back"
            )
        self.answer_step(interrupted=True)
        if behind or goal.place == here:
            if self.state is State.RUNNING:
                self.move(State.PAUSED)
            if goal.place is not None and behind and self.rewind(goal.place):
                return EPOCH
        else:
            if self.state is not State.RUNNING:
                self.move(State.RUNNING)
            self.step, command.count, command.began = command, 1, self._time.view
        if behind:
            raise BehindError(f"{format_time(here.now_ns)} is later")
        return "state"

    @property
    def place(self) -> Place:
        """Where the session stands."""
        view = self._time.view
        return Place(view.day, view.now_ns, self.day_over)

    def move(self, state: State) -> None:
        """Change the state; StateError where the move is illegal."""
        check_move(self.state, state)
        self.state = state
        self._changed.notify_all()

    def halt(self) -> None:
        """Pause a session that runs."""
        self.move(State.PAUSED)
        self.answer_step(interrupted=True)

    def count_step(self, done: int) -> bool:
        """Count a step down; True when it is over and the session PAUSED again. Takes the lock."""
        with self._changed:
            if self.step is None or self.state is not State.RUNNING:
                return False  # it was stopped meanwhile
            self.step.count -= done
            if self.step.count > 0:
                return False
            self.move(State.PAUSED)
            self.answer_step()
        self.flush()
        return True

    def answer_step(self, interrupted: bool = False) -> None:
        step, self.step = self.step, None
        if step is not None:
            self._answer(step, interrupted)

    def _answer(self, command: Command, interrupted: bool = False) -> None:
        view = self._time.view
        answer = partial(command.answer, view.now_ns, view.seq, self.state, interrupted)
        self._answers.append(answer)

    def flush(self) -> None:
        """Answer who waits; outside the lock, for a caller may do anything with the answer."""
        while self._answers:
            self._answers.popleft()()

    def close(self, state: State) -> None:
        """Take no further commands; a live session goes to ``state``."""
        self._closed = True
        if self.state not in ENDED:
            self.state = state
        self._changed.notify_all()

    def reopen(self) -> None:
        """A COMPLETED session was set back: it is PAUSED, and takes commands again."""
        self.state, self._closed = State.PAUSED, False
        self._changed.notify_all()

    def finish(self, state: State) -> None:
        """The final state; whoever waits is answered."""
        self.state = state
        self.answer_step(interrupted=state is not State.COMPLETED)
        for command in [*self._calls, *self._commands.take_all()]:
            error = StateError(f"the session is {state}: it takes no {command.name}", state)
            self._answers.append(partial(command.refuse, error))
        self._closed = True
        self._changed.notify_all()
