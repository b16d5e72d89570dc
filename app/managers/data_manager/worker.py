"""Who works a window off before the clock shows it: the trading engine's place in a session."""

from __future__ import annotations

from typing import Protocol

from app.model import Window


class OverError(Exception):
    """The session ends while a worker waits for somebody outside: it is to end too."""


class WindowWorker(Protocol):
    """Called on the merge thread, in order of time. Whatever it raises fails the session.

    What it is told has been merged and is not committed yet: when the clock shows a time, all
    that follows from it is settled.
    """

    def window_rows(self) -> int | None:
        """At most so many rows a window; None for any."""

    def begin(self, day: int, now_ns: int) -> None:
        """The session starts: its first day opens at ``now_ns``."""

    def on_window(self, window: Window) -> None:
        """The next slices."""

    def advance(self, now_ns: int) -> None:
        """The clock will stand on ``now_ns``; all slices up to it have come."""

    def end_day(self, day: int, end_ns: int) -> None:
        """All of the day has come; its record is there."""

    def open_day(self, day: int, now_ns: int) -> None:
        """The next day begins, before its first slice."""

    def due_ns(self) -> int | None:
        """When something is to happen even without data."""

    def finish(self, outcome: str, cause: BaseException | None) -> None:
        """The last call: ``completed``, ``stopped`` or ``failed``, whether it began or not."""
