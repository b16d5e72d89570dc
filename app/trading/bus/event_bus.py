"""Events in rounds: what follows from a slice, in one order whatever thread handles it.

In a round every subscriber handles its inbox, in order. What they publish meanwhile is collected
and delivered in the next round, ordered by the publisher's rank, then by its sequence. A round
that publishes nothing ends: the bus is drained. So the result hangs on no thread's timing,
provided that a subscriber knows only what came through its own inbox.

Market data does not go in rounds: the engine hands it to one phase's subscribers at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Any

from app.errors import TapedeckError
from app.times import format_time
from app.trading.context import RunContext
from app.trading.events import TOPICS, EquityEvent, MarketEvent

Handler = Callable[[Any], None]
Scan = Callable[[MarketEvent], int]


class BusError(TapedeckError):
    """The bus was used in a way that it cannot be."""


class TopicError(BusError):
    """Something was published, or subscribed to, that is no topic."""


class HandlerError(TapedeckError):
    """A subscriber raised; ``__cause__`` is what it raised."""

    def __init__(self, subscriber: str, event: Any, cause: BaseException) -> None:
        self.subscriber, self.event = subscriber, event
        time_ns = event.last_ns if isinstance(event, MarketEvent) else event.ts_event_ns
        self.time_ns: int = time_ns
        super().__init__(
            f"{subscriber} failed on {type(event).__name__} at {format_time(time_ns)}: "
            f"{type(cause).__name__}: {cause}"
        )


class Kind(StrEnum):
    """Where a subscriber's handlers run. The result is the same."""

    INLINE = "inline"  # on the thread that drains
    THREADED = "threaded"  # on a thread of its own
    ASYNC = "async"  # in a task of an event loop


class Phase(Enum):
    """When a subscriber gets the market data of T."""

    MARKET = "market"  # first: orders work, marks move
    STRATEGY = "strategy"  # then, when all that followed is settled


class Port:
    """A subscriber's place on the bus: what it publishes goes through here."""

    def __init__(
        self, bus: EventBus, name: str, rank: int, handlers: Mapping[type, Handler],
        phase: Phase | None, scan: Scan | None, alert: Callable[[], bool] | None,
    ) -> None:  # fmt: skip
        self.name, self.rank, self.phase = name, rank, phase
        self.scan, self.alert = scan, alert
        self.handlers = dict(handlers)
        self.inbox: list[Any] = []
        self.outbox: list[Any] = []
        self.reached = 0  # of a market event: the slices before this number are handled
        self._bus = bus

    def publish(self, event: Any) -> None:
        """Publish in the next round; from this subscriber's own handlers only."""
        if type(event) not in self._bus.topics:
            raise TopicError(f"{self.name} published a {type(event).__name__}, which is no topic")
        self.outbox.append(event)

    def close(self) -> None:
        """Leave the bus; takes effect between rounds."""
        self._bus.remove(self)

    def begin(self) -> None:
        """Handle the inbox: here and now, on the thread that drains."""
        inbox, self.inbox = self.inbox, []
        handlers = self.handlers
        for event in inbox:
            try:
                handlers[type(event)](event)
            except Exception as error:
                raise HandlerError(self.name, event, error) from error


class EventBus:
    """One a run. ``drain`` is called by one thread at a time: the engine's."""

    topics: frozenset[type] = frozenset((*TOPICS, EquityEvent))
    ENGINE_RANK = 0

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._ports: list[Port] = []
        self._table: dict[type, tuple[Port, ...]] = {}
        self._leaving: list[Port] = []
        self._engine = Port(self, "engine", self.ENGINE_RANK, {}, None, None, None)
        self._draining = False
        self._add(self._engine)

    # -- who listens -----------------------------------------------------------------------

    def subscribe(
        self, name: str, rank: int, handlers: Mapping[type, Handler], *,
        kind: Kind = Kind.INLINE, phase: Phase | None = None, scan: Scan | None = None,
        alert: Callable[[], bool] | None = None,
    ) -> Port:  # fmt: skip
        """Handle events of exactly these types. Ranks are unique, and order what is published.

        ``phase`` is needed for ``MarketEvent``. ``scan`` says, of a market event, the first slice
        that this subscriber must be given alone (``high`` for none); ``alert`` whether valuation
        and risk are to be triggered at every T. Both are called while nothing is being handled.
        """
        port = self._make(kind, name, rank, handlers, phase, scan, alert)
        self._add(port)
        return port

    def _make(self, kind: Kind, *terms: Any) -> Port:
        return Port(self, *terms)

    def _add(self, port: Port) -> None:
        for topic in port.handlers:
            if topic not in self.topics and not (topic is MarketEvent and port.phase):
                raise TopicError(f"{port.name} cannot subscribe to {topic.__name__}")
        if any(p.rank == port.rank or p.name == port.name for p in self._ports):
            raise BusError(f"{port.name}: its name or its rank {port.rank} is taken")
        self._ports.append(port)
        self._ports.sort(key=lambda p: p.rank)
        self._index()

    def remove(self, port: Port) -> None:
        """A subscriber leaves, between rounds."""
        self._leaving.append(port)
        if not self._draining:
            self._let_leave()

    def _let_leave(self) -> None:
        self._ports = [p for p in self._ports if p not in self._leaving]
        self._leaving.clear()
        self._index()

    def _index(self) -> None:
        table: dict[type, list[Port]] = {topic: [] for topic in self.topics}
        for port in self._ports:
            for topic in port.handlers:
                table.setdefault(topic, []).append(port)
        self._table = {topic: tuple(ports) for topic, ports in table.items()}

    # -- events ----------------------------------------------------------------------------

    def publish(self, event: Any) -> None:
        """Publish in the engine's name, before all others of the next round."""
        self._engine.publish(event)

    def drain(self) -> None:
        """Deliver rounds until one publishes nothing; HandlerError where a handler raised."""
        if self._draining:
            raise BusError("the bus was drained from inside a handler")
        self._draining = True
        try:
            while batch := self._collect():
                table = self._table
                touched: list[Port] = []
                for event in batch:
                    for port in table[type(event)]:
                        if not port.inbox:
                            touched.append(port)
                        port.inbox.append(event)
                self._handle(touched)
                if self._leaving:
                    self._let_leave()
        finally:
            self._draining = False

    def _collect(self) -> list[Any]:
        batch: list[Any] = []
        for port in self._ports:
            if port.outbox:
                batch += port.outbox
                port.outbox.clear()
        return batch

    def _handle(self, ports: list[Port]) -> None:
        """Let these handle their inboxes, and wait until all have."""
        ports.sort(key=lambda p: p.rank)
        for port in ports:
            port.begin()

    def abandon(self) -> None:
        """Drop all that is published and not handled: the run has failed or was stopped."""
        for port in self._ports:
            port.inbox.clear()
            port.outbox.clear()

    def wait_until_system_idle(self) -> None:
        """Return when nothing is published, queued or being handled."""
        self.drain()

    # -- market data -------------------------------------------------------------------------

    def send_market(self, phase: Phase, event: MarketEvent) -> int:
        """Hand slices to a phase's subscribers; how far all of them got. Publishing waits.

        A subscriber of the strategy phase may stop after a slice at which it published.
        """
        ports = [p for p in self._table.get(MarketEvent, ()) if p.phase is phase]
        self._draining = True
        try:
            for port in ports:
                port.reached = event.high
                port.inbox.append(event)
            self._handle(ports)
        finally:
            self._draining = False
        return min((p.reached for p in ports), default=event.high)

    def quiet_until(self, event: MarketEvent) -> int:
        """The first slice that some subscriber must be given alone; ``high`` for none."""
        high = event.high
        for port in self._table.get(MarketEvent, ()):
            if port.scan is not None:
                high = min(high, port.scan(event))
        return high

    @property
    def runs_ahead(self) -> bool:
        """Whether strategies may be given many slices at once: one subscriber has them all."""
        ports = self._table.get(MarketEvent, ())
        return sum(p.phase is Phase.STRATEGY for p in ports) <= 1

    @property
    def alert(self) -> bool:
        """Whether some subscriber wants to be triggered at every T."""
        return any(p.alert is not None and p.alert() for p in self._ports)
