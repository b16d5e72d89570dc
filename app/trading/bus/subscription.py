"""A subscriber in a task of an event loop, for work that awaits.

The loop runs on another thread than the one that drains. Events cross with
``call_soon_threadsafe``; the barrier is released where the ``async with`` ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from inspect import isawaitable
from threading import Lock, get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from app.trading.bus.errors import BusError, ClosedError
from app.trading.bus.port import Envelope, Handler, Kind, Phase, Port, RemotePort, Scan, inside

if TYPE_CHECKING:
    from app.trading.bus.rounds import Rounds


class AsyncSubscription(RemotePort):
    """A place on the bus whose events one task consumes, in one event loop.

    ``async with sub.consume() as envelope`` gives ``envelope.event``. The next event comes after
    the end of that block, and so does the next round. The task that consumes first consumes all:
    if it ends before the subscription is closed, the drain that has an event for it fails.
    """

    kind: ClassVar[Kind] = Kind.ASYNC

    def __init__(
        self, bus: Rounds, name: str, rank: int, handlers: Mapping[type, Handler],
        phase: Phase | None = None, scan: Scan | None = None,
        alert: Callable[[], bool] | None = None, *, topics: Iterable[type] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(bus, name, rank, handlers, phase, scan, alert)
        self._handles = tuple(handlers if topics is None else topics)
        self._state = Lock()  # what follows is looked at by the draining thread as well
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._task: asyncio.Task[Any] | None = None
        self._ended = False  # its task has
        self._failed = False  # its last event did, which the drain has been told
        self._closed = False
        # Only the loop's thread looks at these.
        self._arrival: asyncio.Future[None] | None = None
        self._envelope: Envelope | None = None

    @property
    def handles(self) -> Collection[type]:
        return self._handles

    def consume(self) -> Consuming:
        """The next event, as an asynchronous context manager.

        Entering raises ClosedError when the subscription or the bus has been closed.
        """
        return Consuming(self)

    async def run(self) -> None:
        """Consume with the handlers it was subscribed with, until it is closed."""
        while True:
            try:
                envelope = await self.next()
            except ClosedError:
                return
            try:
                answer = self.handlers[type(envelope.event)](envelope.event)
                if isawaitable(answer):
                    await answer
            except Exception as error:
                self.done(envelope, error)
            except BaseException as error:
                self.done(envelope, error)
                raise
            else:
                self.done(envelope)

    # -- in its task -------------------------------------------------------------------------

    async def next(self) -> Envelope:
        """Wait for an event, and open it."""
        self._bind()
        if self._envelope is not None:
            raise BusError(f"{self.name} consumed an event before it was done with the last one")
        while not self.hold.events:
            if self._closed:
                raise ClosedError(f"{self.name} has been closed")
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        self.barrier.begin(self.hold)
        self._envelope = envelope = Envelope(self.bus, self.hold.events[0])
        inside.set(envelope)
        return envelope

    def done(self, envelope: Envelope, cause: BaseException | None = None) -> None:
        """The event is handled; or it has failed, and the rest of its round is dropped."""
        envelope.open, self._envelope = False, None
        self._failed = cause is not None
        self.barrier.lower(self.hold, cause, len(self.hold.events) if self._failed else 1)

    def _bind(self) -> None:
        """The first task that consumes is the one that does."""
        task = asyncio.current_task()
        if task is self._task is not None:
            return
        with self._state:
            if self._task is not None or self._ended or task is None:
                raise BusError(f"{self.name} is consumed by one task, and that is another one")
            self._task, self._thread = task, get_ident()
            self._loop = task.get_loop()
        task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: asyncio.Task[Any]) -> None:
        with self._state:
            self._ended = True
            if self.hold.events:
                self.barrier.cut(self.hold, None if self._failed else _end_of(task))
        if self._failed:
            self.close()

    def _arrive(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # -- for the bus -------------------------------------------------------------------------

    def begin(self) -> None:
        events = self.take_inbox()
        with self._state:
            if self._closed:  # the bus is: that ends the round
                return
            if self._ended:
                ended = _end_of(self._task)
                self.barrier.cut(self.hold, None if self._failed else ended, events[0])
                return
            self.barrier.give(self.hold, events)
            loop = self._loop
        try:
            self._wake(loop)
        except RuntimeError as error:
            self.barrier.cut(self.hold, error)

    def leave(self) -> None:
        super().leave()
        with self._state:
            self._closed = True
            if self._task is None or self._ended:
                self.barrier.cut(self.hold, None)
            loop = self._loop
        with suppress(RuntimeError):  # a loop that is closed has no task to be told
            self._wake(loop)

    def may_publish(self) -> bool:
        """Whether one of its events is being handled, and this is the loop's thread."""
        return self._envelope is not None and self._thread == get_ident()

    def refuse_drainer(self) -> None:
        running = _running_loop()
        if running is not None and self._loop in (running, None) and not self._ended:
            raise BusError(
                f"{self.name} is handled in an event loop, and its thread cannot wait for it; "
                "drain on another thread, as asyncio.to_thread does"
            )

    def _wake(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None:
            loop.call_soon_threadsafe(self._arrive)


class Consuming:
    """``async with`` around the handling of one event."""

    __slots__ = ("_envelope", "_subscription")

    def __init__(self, subscription: AsyncSubscription) -> None:
        self._subscription = subscription

    async def __aenter__(self) -> Envelope:
        self._envelope = await self._subscription.next()
        return self._envelope

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._subscription.done(self._envelope, error)


class AsyncRunner:
    """One consumer task a port, in one loop, until it is stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._started: set[Port] = set()

    async def run(self, ports: Iterable[Port]) -> None:
        async with self._group:
            for port in ports:
                self._start(port)
            await self._stopped.wait()

    def add(self, port: Port) -> None:
        """A port that came later; from any thread."""
        self._loop.call_soon_threadsafe(self._start, port)

    def stop(self) -> None:
        """From any thread; the tasks end by themselves, as their ports are closed."""
        with suppress(RuntimeError):  # the loop is closed: it has stopped already
            self._loop.call_soon_threadsafe(self._stopped.set)

    def _start(self, port: Port) -> None:
        if port in self._started or self._stopped.is_set():
            return
        if isinstance(port, AsyncSubscription) and port.handlers:
            self._started.add(port)
            self._group.create_task(port.run(), name=port.name)


def _end_of(task: asyncio.Task[Any] | None) -> BusError:
    """Why a subscription is consumed no more."""
    error = BusError("its task ended without consuming the event")
    if task is not None and task.done() and not task.cancelled():
        error.__cause__ = task.exception()
    return error


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
