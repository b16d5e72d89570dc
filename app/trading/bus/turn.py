"""Whose turn it is to deliver, and how others wait until the bus is idle."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread, current_thread, get_ident
from time import monotonic

from app.trading.bus.errors import BusError, ClosedError

HOLDER = 0  # the only key of ``Turn.held``


class Turn:
    """One thread delivers at a time: the one whose ident ``held`` has.

    It is a dict because ``setdefault`` takes the turn in one step, at a third of a lock's price.
    """

    def __init__(self, is_quiet: Callable[[], bool]) -> None:
        self.held: dict[int, int] = {}
        self.ready = 0  # the thread that drains by itself, if it has nothing to prepare
        self.asked = False  # somebody waits, or leaves the bus: to be looked at after the turn
        self.error: BaseException | None = None  # what the last delivery failed with
        self._home: Thread | None = None  # the thread that drains by itself, as an engine's does
        self._is_quiet = is_quiet
        self._changed = Condition()
        self._waiting = 0
        self._settled = 0

    def is_mine(self) -> bool:
        return self.held.get(HOLDER) == get_ident()

    def try_to_take(self) -> bool:
        """Take it if it is free; of a thread that does not have it."""
        return self.held.setdefault(HOLDER, get_ident()) == get_ident()

    def take(self, deadline_s: float | None = None) -> bool:
        """Take it when it is free; False at the (monotonic) deadline."""
        return self.try_to_take() or self._wait_for(self.try_to_take, deadline_s)

    def give_back(self) -> None:
        """If it was taken. Whoever calls this looks at ``asked`` afterwards."""
        if self.held.get(HOLDER) == get_ident():
            self.held.clear()

    def settle_in(self) -> None:
        """The running thread drains by itself from now on."""
        self._home, self.ready = current_thread(), get_ident()

    def is_elsewhere(self) -> bool:
        """Whether another thread delivers, or will deliver what is published."""
        if self.held:
            return True
        home = self._home
        return home is not None and home is not current_thread() and home.is_alive()

    def wait_for_others(self, deadline_s: float | None) -> bool | None:
        """While it is elsewhere: until the bus has been idle at some moment; False at the deadline.

        None when it is no longer elsewhere. BusError where the last delivery failed.
        """
        settled = self._settled

        def has_been_idle() -> bool:
            return self._settled != settled or self._is_idle()

        def is_over() -> bool:
            return self.error is not None or has_been_idle() or not self.is_elsewhere()

        over = self._wait_for(is_over, deadline_s)
        if self.error is not None:
            kind = ClosedError if isinstance(self.error, ClosedError) else BusError
            raise kind(f"the bus failed: {self.error}") from self.error
        if has_been_idle():
            return True
        return None if over else False

    def fail(self, error: BaseException) -> None:
        """A delivery has raised this; it stands until the next one begins."""
        self.error, self.ready = error, 0

    def tell(self, asked: bool) -> None:
        """The turn is over: let those that wait look. ``asked``: somebody could not leave yet."""
        with self._changed:
            self.asked = asked or self._waiting > 0
            self._settled += self._is_idle()
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return not self.held and self._is_quiet()

    def _wait_for(self, condition: Callable[[], bool], deadline_s: float | None) -> bool:
        timeout_s = None if deadline_s is None else max(0.0, deadline_s - monotonic())
        with self._changed:
            self._waiting += 1
            self.asked = True
            try:
                return self._changed.wait_for(condition, timeout_s)
            finally:
                self._waiting -= 1
