"""The coordinator's commands: each is answered when the merge thread has carried it out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from app.managers.data_manager.commands import Command, Outcome, Unit
from app.managers.data_manager.control import Control
from app.managers.data_manager.goals import Goal, Place


class Commanded:
    """From any thread; in the order in which they came. StateError where one cannot be."""

    _control: Control

    def pause(self) -> Future[Outcome]:
        """Pause between two slices; interrupts a step."""
        return self._control.submit("pause").future

    def resume(self) -> Future[Outcome]:
        return self._control.submit("resume").future

    def set_speed(self, speed: float) -> Future[Outcome]:
        def fill(command: Command) -> None:
            command.speed, command.args = speed, {"speed": speed}

        return self._control.submit("speed", fill).future

    def step(self, unit: Unit, count: int) -> Future[Outcome]:
        """Deliver ``count`` units at speed 0, then pause; answered when done."""

        def fill(command: Command) -> None:
            command.unit, command.count = unit, count
            command.args = {"unit": unit.value, "count": count}

        return self._control.submit("step", fill).future

    def seek(self, place: Place) -> Future[Outcome]:
        """Go to a place at speed 0, then pause; answered when done. BehindError from a later one.

        What was going on before is interrupted.
        """
        return self._aim("seek", Goal(place))

    def run_to(self, goal: Goal) -> Future[Outcome]:
        """Go on at speed 0 until ``goal`` is reached, then pause; answered when done."""
        return self._aim("run-to", goal)

    def _aim(self, name: str, goal: Goal) -> Future[Outcome]:
        def fill(command: Command) -> None:
            command.goal, command.args = goal, goal.described()

        return self._control.submit(name, fill).future

    def call(self, action: Callable[[], None]) -> Future[Outcome]:
        """Run ``action`` on the merge thread between two slices, running or paused."""

        def fill(command: Command) -> None:
            command.action = action

        return self._control.submit("call", fill).future

    def next_number(self) -> int:
        """A number for a command that is carried out elsewhere (stop)."""
        return self._control.next_number()
