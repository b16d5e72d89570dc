"""A subscriber's place on the bus, and the three kinds of place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from enum import StrEnum
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar

from app.trading.bus.barrier import Hold
from app.trading.bus.errors import BusError, ClosedError, TopicError
from app.trading.data_events import MarketEvent

if TYPE_CHECKING:
    from app.trading.bus.rounds import Rounds

Handler = Callable[[Any], object]  # what it returns is awaited, if it can be, for ASYNC only
Scan = Callable[[MarketEvent], int]


class Kind(StrEnum):
    """Where a subscriber's handlers run. The result is the same."""

    INLINE = "inline"  # on the thread that drains
    THREADED = "threaded"  # on a thread of its own
    ASYNC = "async"  # in a task of an event loop


class Phase(StrEnum):  # a plain Enum is hashed in Python
    """When a subscriber gets the market data of T."""

    MARKET = "market"  # first: orders work, marks move
    STRATEGY = "strategy"  # then, when all that followed is settled


class Envelope:
    """An event that is being handled away from the draining thread."""

    __slots__ = ("bus", "event", "open")

    def __init__(self, bus: Rounds, event: Any = None) -> None:
        self.bus, self.event, self.open = bus, event, True


# Inside of what the running thread or task is, where that is not the draining thread.
inside: ContextVar[Envelope | None] = ContextVar("inside", default=None)


class Port:
    """A subscriber's place on the bus: what it publishes goes through here.

    This one is inline: the thread that drains calls its handlers, without an inbox.
    """

    kind: ClassVar[Kind] = Kind.INLINE

    def __init__(
        self, bus: Rounds, name: str, rank: int, handlers: Mapping[type, Handler],
        phase: Phase | None = None, scan: Scan | None = None,
        alert: Callable[[], bool] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.rank, self.phase = name, rank, phase
        self.scan, self.alert = scan, alert
        self.handlers = dict(handlers)
        self.outbox: list[Any] = []
        self.reached = 0  # of a market event: the slices before this number are handled
        self.bus = bus
        self.open_topics = bus.topics  # none after it has left
        self._senders = bus.senders
        self._check_handlers()

    @property
    def handles(self) -> Collection[type]:
        """The events that it gets, by exact type."""
        return self.handlers

    def publish(self, event: Any) -> None:
        """Publish in the next round; from this subscriber's own handlers only."""
        if type(event) not in self.open_topics:
            raise self.refusal(event)
        outbox = self.outbox
        if not outbox:
            self._senders.append(self)
        outbox.append(event)

    def close(self) -> None:
        """Leave the bus; takes effect between rounds. What it has published is still delivered."""
        self.bus.remove(self)

    # -- for the bus -----------------------------------------------------------------------

    def enter(self) -> None:
        """It has got its place, and will get events from now on."""

    def leave(self) -> None:
        """It gets and publishes nothing any more."""
        self.open_topics = frozenset()

    def join(self, timeout_s: float) -> bool:
        """Until what it runs on has ended; False if it has not in time."""
        return True

    def refusal(self, event: Any) -> BusError:
        """Why this cannot be published."""
        if not self.open_topics:
            return ClosedError(f"{self.name} published after it had left the bus")
        return TopicError(f"{self.name} published a {type(event).__name__}, which is no topic")

    def _check_handlers(self) -> None:
        for topic, handler in self.handlers.items():
            if self.kind is not Kind.ASYNC and iscoroutinefunction(handler):
                raise BusError(
                    f"{self.name}'s handler of {topic.__name__} is a coroutine function; "
                    f"that needs kind async, not {self.kind}"
                )


class RemotePort(Port, ABC):
    """One whose handlers run elsewhere: it holds the barrier while they do."""

    def __init__(
        self, bus: Rounds, name: str, rank: int, handlers: Mapping[type, Handler], *terms: Any
    ) -> None:  # fmt: skip
        super().__init__(bus, name, rank, handlers, *terms)
        self.inbox: list[Any] = []
        self.hold = Hold(name, rank)
        self.barrier = bus.barrier

    @abstractmethod
    def begin(self) -> None:
        """Hand the inbox over to where the handlers run."""

    def take_inbox(self) -> list[Any]:
        inbox, self.inbox = self.inbox, []
        return inbox

    def publish(self, event: Any) -> None:
        """Publish in the next round; BusError from anywhere but its own running handler."""
        if self.open_topics and not self.may_publish():
            raise BusError(f"{self.name} published from outside of its own handlers")
        super().publish(event)

    @abstractmethod
    def may_publish(self) -> bool:
        """Whether its handler is running, on this very thread."""

    def refuse_drainer(self) -> None:
        """BusError if this thread cannot drain: it would wait for itself."""
