"""Who writes down what a session was told: the record's place beside the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from app.errors import RunError
from app.managers.data_manager.goals import Place
from app.managers.time_manager import View
from app.runs.journal import END, EPOCH

__all__ = ["END", "EPOCH", "CommandLog", "Ending", "GuardedLog"]

Ending = Callable[[str, BaseException | None], None]


class CommandLog(Protocol):
    """Hears what took effect, and where: on the merge thread, under the coordinator's lock."""

    def applied(self, name: str, args: Mapping[str, Any], place: Place, view: View) -> None:
        """``view`` is that of the place. RunError where it cannot be written down."""


class GuardedLog:
    """A log whose failure ends the session: nothing takes effect in secret."""

    def __init__(self, log: CommandLog, fail: Callable[[BaseException], None]) -> None:
        self._log, self._fail = log, fail

    def applied(self, name: str, args: Mapping[str, Any], place: Place, view: View) -> None:
        try:
            self._log.applied(name, args, place, view)
        except RunError as error:
            self._fail(error)
