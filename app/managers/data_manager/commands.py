"""Commands from outside: one queue, numbered, applied between slices in order of arrival."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from enum import StrEnum
from typing import Any, NamedTuple

from app.managers.data_manager.goals import Goal
from app.managers.lifecycle import State
from app.managers.time_manager import View


class Unit(StrEnum):
    """What a step counts."""

    SLICE = "slice"
    BAR = "bar"
    DAY = "day"


class Outcome(NamedTuple):
    """When a command took effect, and the state it left."""

    number: int
    time_ns: int
    seq: int
    state: State
    interrupted: bool = False


class Command:
    """A wish, and the future its caller waits on."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name  # pause, resume, speed, step, seek, run-to or call
        self.number = number
        self.future: Future[Outcome] = Future()
        self.speed = 0.0
        self.unit = Unit.SLICE
        self.count = 0  # what is left of a step
        self.began: View | None = None  # the view at which a step began
        self.args: dict[str, Any] = {}  # as it came
        self.target_ns: int | None = None  # where a step by bar stands next
        self.goal: Goal | None = None  # of a seek or run-to: where it stops
        self.action: Callable[[], None] | None = None  # of a call: what to do between slices

    def answer(self, time_ns: int, seq: int, state: State, interrupted: bool = False) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(Outcome(self.number, time_ns, seq, state, interrupted))

    def refuse(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class CommandQueue:
    """Numbers commands as they come. Not thread-safe: under the coordinator's lock."""

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        self._waiting: deque[Command] = deque()
        self._numbers = itertools.count(1) if numbers is None else numbers

    def next_number(self) -> int:
        return next(self._numbers)

    def put(self, name: str) -> Command:
        command = Command(name, self.next_number())
        self._waiting.append(command)
        return command

    def take_all(self) -> list[Command]:
        """What waits now, in order of arrival."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def take_while(self, names: Collection[str]) -> list[Command]:
        """As ``take_all``, up to the first that has another name."""
        taken: list[Command] = []
        while self._waiting and self._waiting[0].name in names:
            taken.append(self._waiting.popleft())
        return taken

    def __bool__(self) -> bool:
        return bool(self._waiting)
