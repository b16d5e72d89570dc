"""A subscriber with a thread and a queue of its own, for work that blocks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread, current_thread, get_ident
from typing import TYPE_CHECKING, Any, ClassVar

from app.trading.bus.barrier import Barrier, Hold
from app.trading.bus.errors import BusError, ClosedError
from app.trading.bus.port import Envelope, Handler, Kind, RemotePort, inside

if TYPE_CHECKING:
    from app.trading.bus.rounds import Rounds

log = logging.getLogger(__name__)


class Subscriber:
    """Handles events one after another on a daemon thread named after it.

    Subclass it and override the hooks. ``EventBus.attach`` gives it a place on a bus; without
    one it stands alone, is fed by ``receive`` and keeps its first error for ``wait_until_idle``.
    The thread begins with the first event. The queue has no bound: two subscribers that flood
    each other cannot block each other.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port: ThreadedPort | None = None
        self._barrier, self._hold = Barrier(), Hold(name)
        self._queue: SimpleQueue[list[Any] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._life = Lock()  # over the thread's beginning and end
        self._ended = False
        self._cleanup_error: BusError | None = None

    # -- hooks -----------------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        """Handle one event, on the subscriber's thread."""
        raise NotImplementedError

    def _on_exception(self, event: Any, error: BaseException) -> None:
        """Told of what ``_on_event`` raised, before it fails the drain; it cannot prevent that."""

    def _cleanup(self) -> None:
        """Called once, last of all, on the subscriber's thread if it has begun."""

    def publish(self, event: Any) -> None:
        """Publish in the next round; from ``_on_event`` of a subscriber that is on a bus."""
        if self.port is None:
            raise BusError(f"{self.name} published, but is on no bus")
        self.port.publish(event)

    # -- for whoever feeds it ----------------------------------------------------------------

    def receive(self, event: Any) -> None:
        """Queue an event, from any thread; ClosedError after ``shutdown``."""
        self.take([event])

    @property
    def backlog(self) -> int:
        """How many events it has received and not handled."""
        return len(self._hold.events)

    def wait_until_idle(self, timeout_s: float | None = None) -> bool:
        """Until all that was received is handled; False when the time is over.

        Raises HandlerError where it stands alone and a handler raised.
        """
        if self._is_own_thread():
            raise BusError(f"{self.name} waited for itself from inside its own handler")
        idle = self._barrier.wait_for(self._hold, timeout_s)
        self._raise_failure()
        return idle

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Handle what is queued, clean up and end the thread; False if it has not ended in time.

        On a bus it leaves between rounds. From any thread, any number of times; it waits for
        nothing when called from inside a handler. Raises like ``wait_until_idle``, and BusError
        where ``_cleanup`` failed.
        """
        if self.port is None:
            self.end()
        else:
            self.port.close()
            timeout_s = 0 if self.port.bus.is_inside() else timeout_s
        return self.join(timeout_s)

    # -- for the bus -----------------------------------------------------------------------

    def join_bus(self, port: ThreadedPort) -> None:
        """From now on it counts on the bus's barrier; before it receives anything."""
        with self._life:
            if self.port is not None or self._thread is not None or self._ended:
                raise BusError(f"{self.name} is on a bus already, or has received events")
            self.port = port
            self._barrier, self._hold = port.barrier, port.hold

    def take(self, events: list[Any]) -> None:
        """Queue several events at once."""
        with self._life:
            if self._ended:
                raise ClosedError(f"{self.name} received an event after its shutdown")
            if self._thread is None:
                thread = Thread(target=self._run, name=self.name, daemon=True)
                thread.start()
                self._thread = thread
            self._barrier.give(self._hold, events)
            self._queue.put(events)

    def end(self) -> None:
        """End after what is queued; returns at once."""
        with self._life:
            if self._ended:
                return
            self._ended = True
            if self._thread is not None:
                self._queue.put(None)
                return
        self._clean_up()

    def join(self, timeout_s: float | None) -> bool:
        """Until the thread has ended; False if it has not in time. Raises what was not told yet."""
        thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join(timeout_s)
        self._raise_failure()
        error, self._cleanup_error = self._cleanup_error, None
        if error is not None:
            raise error
        return thread is None or not thread.is_alive()

    def is_handling(self) -> bool:
        """Whether its handler is running, on this very thread."""
        return self._hold.begun and self._is_own_thread()

    # -- its thread ------------------------------------------------------------------------

    def _is_own_thread(self) -> bool:
        return self._thread is not None and self._thread.ident == get_ident()

    def _run(self) -> None:
        if self.port is not None:
            inside.set(Envelope(self.port.bus))
        while (events := self._queue.get()) is not None:
            self._handle(events)
            del events  # not to be kept until the next one comes
        self._clean_up()

    def _handle(self, events: list[Any]) -> None:
        """All of these; the rest is dropped after one that raises."""
        barrier, hold = self._barrier, self._hold
        left = len(events)
        for event in events:
            barrier.begin(hold)
            try:
                self._on_event(event)
            except BaseException as error:
                self._tell_exception(event, error)
                barrier.lower(hold, error, left)
                return
            barrier.lower(hold)
            left -= 1

    def _tell_exception(self, event: Any, error: BaseException) -> None:
        try:
            self._on_exception(event, error)
        except Exception as second:
            error.add_note(f"_on_exception failed as well: {type(second).__name__}: {second}")

    def _clean_up(self) -> None:
        try:
            self._cleanup()
        except Exception as error:
            log.exception("%s failed to clean up", self.name)
            failure = BusError(f"{self.name} failed to clean up: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._cleanup_error = failure

    def _raise_failure(self) -> None:
        failure = None if self.port is not None else self._barrier.take_failure()
        if failure is not None:
            raise failure


class HandlerThread(Subscriber):
    """A subscriber that is nothing but handlers."""

    def __init__(self, name: str, handlers: Mapping[type, Handler]) -> None:
        super().__init__(name)
        self._handlers = dict(handlers)

    def _on_event(self, event: Any) -> None:
        self._handlers[type(event)](event)


class ThreadedPort(RemotePort):
    """The place of a ``Subscriber`` on the bus."""

    kind: ClassVar[Kind] = Kind.THREADED

    def __init__(
        self, bus: Rounds, name: str, rank: int, handlers: Mapping[type, Handler], *terms: Any,
        subscriber: Subscriber | None = None,
    ) -> None:  # fmt: skip
        super().__init__(bus, name, rank, handlers, *terms)
        self.subscriber = subscriber or HandlerThread(name, handlers)

    def enter(self) -> None:
        self.subscriber.join_bus(self)

    def begin(self) -> None:
        with suppress(ClosedError):  # the bus has been closed: that ends the round
            self.subscriber.take(self.take_inbox())

    def may_publish(self) -> bool:
        return self.subscriber.is_handling()

    def leave(self) -> None:
        super().leave()
        self.subscriber.end()

    def join(self, timeout_s: float) -> bool:
        return self.subscriber.join(timeout_s)
