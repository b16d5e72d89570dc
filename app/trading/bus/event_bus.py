"""Events in rounds: what follows from a slice, in one order whatever thread handles it.

In a round every subscriber handles its inbox, in order. What they publish meanwhile is collected
and delivered in the next round, ordered by the publisher's rank, then by its sequence. A round
that publishes nothing ends: the bus is drained. So the result hangs on no thread's timing,
provided that a subscriber knows only what came through its own inbox.

In a round in which a handler fails the others still handle their inboxes; then the failure that
is first by rank is raised.

Market data does not go in rounds: the engine hands it to one phase's subscribers at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic

from app.trading.bus.errors import BusError, ClosedError
from app.trading.bus.port import Handler, Kind, Phase, Port, Scan
from app.trading.bus.rounds import Rounds
from app.trading.bus.subscriber import Subscriber, ThreadedPort
from app.trading.bus.subscription import AsyncRunner, AsyncSubscription
from app.trading.context import RunContext
from app.trading.data_events import MarketEvent

log = logging.getLogger(__name__)

_PLACES: dict[Kind, type[Port]] = {p.kind: p for p in (Port, ThreadedPort, AsyncSubscription)}


class EventBus(Rounds):
    """One a run. It is drained by one thread at a time: the engine's.

    A handler that holds the barrier for longer than ``watchdog_s`` fails the drain by name (None:
    never). One with a thread or task of its own is given up; an inline one is logged while it
    hangs, 1.25 limits after it began at the latest, and interrupted, from a call that blocks only
    when that returns.
    """

    def __init__(self, context: RunContext, watchdog_s: float | None = 30.0) -> None:
        super().__init__(watchdog_s)
        self.context = context
        self._runner: AsyncRunner | None = None

    # -- who listens -----------------------------------------------------------------------

    def subscribe(
        self, name: str, rank: int, handlers: Mapping[type, Handler], *,
        kind: Kind = Kind.INLINE, phase: Phase | None = None, scan: Scan | None = None,
        alert: Callable[[], bool] | None = None,
    ) -> Port:  # fmt: skip
        """Handle events of exactly these types. Ranks are unique, and order what is published.

        ``phase`` is needed for ``MarketEvent``. ``scan`` says, of a market event, the first slice
        that this subscriber must be given alone (``high`` for none); ``alert``, asked next, whether
        valuation and risk are to be triggered at its first slice, which then goes alone. Both are
        called while nothing is being handled.
        """
        return self._add(_PLACES[kind](self, name, rank, handlers, phase, scan, alert))

    def attach(
        self, subscriber: Subscriber, rank: int, topics: Iterable[type], *,
        phase: Phase | None = None, scan: Scan | None = None,
        alert: Callable[[], bool] | None = None,
    ) -> Port:  # fmt: skip
        """Give a subscriber of a class of its own a place: it receives events of these types."""
        handlers = dict.fromkeys(topics, subscriber.receive)
        port = ThreadedPort(
            self, subscriber.name, rank, handlers, phase, scan, alert, subscriber=subscriber
        )
        return self._add(port)

    def subscribe_async(
        self, name: str, rank: int, topics: Iterable[type], *, phase: Phase | None = None,
        scan: Scan | None = None, alert: Callable[[], bool] | None = None,
    ) -> AsyncSubscription:  # fmt: skip
        """A place whose events a task of the caller's consumes, with ``consume``."""
        port = AsyncSubscription(self, name, rank, {}, phase, scan, alert, topics=topics)
        self._add(port)
        return port

    def _add(self, port: Port) -> Port:
        self._roster.add(port)
        self._turn.ready = 0
        if self.barrier.closed:
            port.leave()
            raise ClosedError(f"{port.name} cannot join: the bus has been closed")
        if self._runner is not None:
            self._runner.add(port)
        return port

    # -- life --------------------------------------------------------------------------------

    async def run_async_subscribers(self) -> None:
        """Call the handlers of all ASYNC ports in the running loop, until the bus is closed.

        Ports that come later are taken in. What a handler raises fails the drain, not this.
        """
        if self._runner is not None:
            raise BusError("the asynchronous subscribers of this bus are run already")
        self._runner = AsyncRunner()
        try:
            if not self.barrier.closed:
                await self._runner.run(self._roster.ports)
        finally:
            self._runner = None

    def close(self, timeout_s: float = 5.0) -> None:
        """Everybody leaves: threads clean up and end, asynchronous consumers end.

        From any thread, any number of times; all else raises ClosedError from now on, a drain
        that is under way after its round. Waits up to ``timeout_s`` for threads (from inside a
        handler not at all) and logs which have not ended. BusError where a ``_cleanup`` failed.
        """
        if self.barrier.closed:
            return
        self.barrier.close()
        ports = self._roster.ports
        for port in (self._engine, *ports):
            port.leave()
        if self._runner is not None:
            self._runner.stop()
        self._turn.error = ClosedError("the bus has been closed")
        self._end_turn()
        if not self.is_inside():
            self._join(ports, timeout_s)

    def _join(self, ports: Iterable[Port], timeout_s: float) -> None:
        deadline_s = monotonic() + timeout_s
        failed: list[BusError] = []
        for port in ports:
            try:
                if not port.join(max(0.0, deadline_s - monotonic())):
                    log.warning(
                        "the thread of %s has not ended %g s after the end of the bus",
                        port.name,
                        timeout_s,
                    )
            except BusError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    # -- for the engine ------------------------------------------------------------------------

    def quiet_until(self, event: MarketEvent) -> int:
        """The first slice that some subscriber must be given alone; ``high`` for none."""
        first = event.high
        for scan in self._roster.scans:
            if (found := scan(event)) < first:
                first = found
        return first

    @property
    def runs_ahead(self) -> bool:
        """Whether strategies may be given many slices at once: one subscriber has them all."""
        return self._roster.runs_ahead

    @property
    def alert(self) -> bool:
        """Whether some subscriber wants valuation and risk triggered at the next slice."""
        alert = False
        for ask in self._roster.alerts:  # plainly: it is asked at every T
            alert |= ask()
        return alert
