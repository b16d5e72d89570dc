"""Who is on the bus. A change replaces what was: a round that has begun is not disturbed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from app.trading.bus.errors import BusError, TopicError
from app.trading.bus.port import Handler, Phase, Port, RemotePort, Scan
from app.trading.data_events import MarketEvent

Call = tuple[Port, Handler]
Leg = tuple[Port, Handler, int]  # an inline handler, and which event of a batch it is called with

_MOST_KINDS = 32  # of a batch whose legs are kept
_MOST_KEPT = 256


class Takers(NamedTuple):
    """Who gets an event, by rank."""

    calls: tuple[Call, ...]  # those that are inline, with their handlers
    handlers: tuple[Handler, ...]  # of these calls
    remote: tuple[RemotePort, ...]  # the others
    stopping: tuple[Port, ...]  # all of those that may stop within market data

    def after(self, calls: int) -> Takers:
        """Those whose turn comes after so many of its calls."""
        return self._replace(calls=self.calls[calls:], handlers=self.handlers[calls:])


class Roster:
    """The ports by rank, and who gets what."""

    ports: tuple[Port, ...]
    inline: tuple[tuple[Port, dict[type, Handler]], ...]
    remote: tuple[RemotePort, ...]  # those not inline
    table: dict[type, Takers]
    market: dict[Phase, Takers]  # of market data in each phase
    scans: tuple[Scan, ...]
    alerts: tuple[Callable[[], bool], ...]
    runs_ahead: bool  # one subscriber at most has the strategy phase

    def __init__(self, topics: frozenset[type]) -> None:
        self.leaving: list[Port] = []
        self._topics = topics
        self._changing = Lock()
        self._set(())

    def add(self, port: Port) -> None:
        for topic in port.handles:
            if topic not in self._topics and not (topic is MarketEvent and port.phase):
                raise TopicError(f"{port.name} cannot subscribe to {topic.__name__}")
        with self._changing:
            taken = [p for p in self.ports if p.rank == port.rank or p.name == port.name]
            if taken or port.rank <= 0:
                by = (
                    f"{taken[0].name}, rank {taken[0].rank}, has one"
                    if taken
                    else "that is below 1"
                )
                raise BusError(f"{port.name} cannot have its name or its rank {port.rank}: {by}")
            port.enter()
            self._set((*self.ports, port))

    def ask_to_leave(self, port: Port) -> None:
        with self._changing:
            if port in self.ports and port not in self.leaving:
                self.leaving.append(port)

    def let_leave(self) -> None:
        """Those that are leaving leave, if what they have published is on its way."""
        with self._changing:
            gone = [p for p in self.leaving if not p.outbox]
            self.leaving = [p for p in self.leaving if p.outbox]
            self._set(tuple(p for p in self.ports if p not in gone))
        for port in gone:
            port.leave()

    def legs(self, batch: Sequence[Any]) -> tuple[Leg, ...]:
        """The calls of a round of several events: by rank, each subscriber's in their order.

        They hang on the events' types alone, and the same few come at every crossing.
        """
        kept, kinds = self._legs, tuple(map(type, batch))
        found = kept.get(kinds)
        if found is None:
            found = tuple(
                (port, handlers[kind], place)
                for port, handlers in self.inline
                for place, kind in enumerate(kinds)
                if kind in handlers
            )
            if len(kinds) <= _MOST_KINDS and len(kept) < _MOST_KEPT:
                kept[kinds] = found
        return found

    def _set(self, ports: tuple[Port, ...]) -> None:
        self.ports = tuple(sorted(ports, key=lambda p: p.rank))
        self.remote = _remote(self.ports)
        self.inline = tuple((p, p.handlers) for p in self.ports if p not in self.remote)
        table: dict[type, list[Port]] = {topic: [] for topic in (*self._topics, MarketEvent)}
        for port in self.ports:
            for topic in port.handles:
                table[topic].append(port)
        self.table = {topic: _takers(topic, takers) for topic, takers in table.items()}
        takers = table[MarketEvent]
        self.market = {
            phase: _takers(MarketEvent, [p for p in takers if p.phase is phase]) for phase in Phase
        }
        self.scans = tuple(p.scan for p in takers if p.scan is not None)
        self.alerts = tuple(p.alert for p in self.ports if p.alert is not None)
        self.runs_ahead = len(self.market[Phase.STRATEGY].stopping) <= 1
        # Last: legs of the ports that were go into the table that was.
        self._legs: dict[tuple[type, ...], tuple[Leg, ...]] = {}


def _takers(topic: type, ports: Sequence[Port]) -> Takers:
    calls = tuple((p, p.handlers[topic]) for p in ports if not isinstance(p, RemotePort))
    stopping = tuple(p for p in ports if topic is MarketEvent and p.phase is Phase.STRATEGY)
    return Takers(calls, tuple(handler for _, handler in calls), _remote(ports), stopping)


def _remote(ports: Sequence[Port]) -> tuple[RemotePort, ...]:
    return tuple(p for p in ports if isinstance(p, RemotePort))
