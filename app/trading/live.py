"""Free running: the engine behind a live feed. The same rounds and phases for each slice as in a
replay; only the source is not held."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

from app.errors import BehindHorizonError, SessionFailedError, StateError
from app.model import Window
from app.times import format_time
from app.trading.bus import Subscriber
from app.trading.engine import Engine
from app.trading.events import EventBase


class FreeRunner(Subscriber):
    """Drives an engine on a thread of its own, with what a feed gives, in that order.

    All methods return at once and may be called from any thread; what they ask for stands in a
    queue without bound, whose length is ``backlog``. After an error nothing more is handled: it
    is raised, as SessionFailedError, to whoever feeds, waits or closes, and ``failed`` is called
    on the runner's thread. The runner is the only one that may use the engine while it lives.
    """

    def __init__(
        self, engine: Engine, name: str = "FreeRunner", failed: Callable[[], None] | None = None
    ) -> None:
        super().__init__(name)
        self.error: BaseException | None = None  # what the engine or a service failed with
        self._engine = engine
        self._failed = failed
        self._outcome, self._cause = "completed", ""
        self._feeding = Lock()
        self._known_ns: int | None = None  # all up to here has been fed; None before the start

    # -- from the feed -----------------------------------------------------------------------

    def start(self, now_ns: int, strategies: tuple[str, ...] = ()) -> None:
        """All services are attached: begin, at a time before the first day's first instant."""
        self._ask(now_ns, partial(self._engine.start, now_ns, strategies), starts=True)

    def open_day(self, day: int, now_ns: int) -> None:
        """A trading day begins."""
        self._ask(None, partial(self._engine.open_day, day, now_ns))

    def feed(self, window: Window) -> None:
        """Slices of the open day, later than all that was fed: BehindHorizonError otherwise."""
        first_ns, last_ns = int(window.times_ns[0]), int(window.times_ns[-1])
        self._ask(last_ns, partial(self._engine.on_window, window), after_ns=first_ns - 1)

    def advance(self, now_ns: int) -> None:
        """All slices up to this time have been fed: what is due by then happens."""
        self._ask(now_ns, partial(self._engine.advance, now_ns))

    def publish(self, event: EventBase) -> None:
        """An event from outside, such as a manual order; after all that was fed."""
        self._ask(None, partial(self._engine.publish, event))

    def end_day(self, day: int, end_ns: int) -> None:
        """All of the day has been fed."""
        self._ask(end_ns, partial(self._engine.end_day, day, end_ns))

    def close(
        self, outcome: str = "completed", timeout_s: float | None = None, *, cause: str = ""
    ) -> bool:
        """Handle what was fed, finish the run with this outcome (``completed``, ``stopped``, or
        ``failed`` with the feed's ``cause``; ``failed`` after an error) and end the thread; False
        if it has not ended in time.

        Any number of times. The bus is not closed: it is its maker's.
        """
        self._outcome, self._cause = outcome, cause
        ended = self.shutdown(timeout_s)
        self._raise()
        return ended

    def wait_until_idle(self, timeout_s: float | None = None) -> bool:
        """Until all that was fed is handled; False when the time is over."""
        idle = super().wait_until_idle(timeout_s)
        self._raise()
        return idle

    def _ask(
        self, until_ns: int | None, step: Callable[[], None], *, after_ns: int | None = None,
        starts: bool = False,
    ) -> None:  # fmt: skip
        """Queue a step of the engine, by which all up to ``until_ns`` has been fed."""
        self._raise()
        with self._feeding:
            known_ns = self._known_ns
            if starts is not (known_ns is None):
                state = "not started" if known_ns is None else "started"
                raise StateError(f"{self.name} is {state}; start it once, before all else", state)
            begin_ns = until_ns if after_ns is None else after_ns
            if known_ns is not None and begin_ns is not None and begin_ns < known_ns:
                raise BehindHorizonError(
                    f"{self.name} was given {format_time(begin_ns)} or later, after "
                    f"{format_time(known_ns)} had been reached"
                )
            self.receive(step)
            if until_ns is not None:
                self._known_ns = until_ns

    def _raise(self) -> None:
        if self.error is not None:
            raise SessionFailedError(f"{self.name}: {self.error}") from self.error

    # -- on its thread -----------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        """One step, unless an earlier one has failed."""
        if self.error is None:
            self._try(event)

    def _cleanup(self) -> None:
        if self._known_ns is None:
            return
        error = self.error
        if error is None:
            self._try(partial(self._engine.finish, self._outcome, self._cause or None))
            return
        try:
            self._engine.finish("failed", f"{type(error).__name__}: {error}")
        except Exception as second:
            error.add_note(f"the run could not be finished: {type(second).__name__}: {second}")

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:
            self.error = error
            if self._failed is not None:
                self._failed()
