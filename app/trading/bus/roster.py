"""Who is on the bus. A change replaces what was: a round that has begun is not disturbed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from app.trading.bus.errors import BusError, TopicError
from app.trading.bus.port import Phase, Port, RemotePort, Scan
from app.trading.data_events import MarketEvent


class Roster:
    """The ports by rank, and who gets what."""

    ports: tuple[Port, ...]
    remote: tuple[RemotePort, ...]  # those not inline
    table: dict[type, tuple[Port, ...]]
    market: dict[Phase, tuple[Port, ...]]  # who gets the market data of a phase
    scans: tuple[Scan, ...]
    alerts: tuple[Callable[[], bool], ...]

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

    def _set(self, ports: tuple[Port, ...]) -> None:
        self.ports = tuple(sorted(ports, key=lambda p: p.rank))
        self.remote = tuple(p for p in self.ports if isinstance(p, RemotePort))
        table: dict[type, list[Port]] = {topic: [] for topic in (*self._topics, MarketEvent)}
        for port in self.ports:
            for topic in port.handles:
                table[topic].append(port)
        self.table = {topic: tuple(ports) for topic, ports in table.items()}
        takers = self.table[MarketEvent]
        self.market = {phase: tuple(p for p in takers if p.phase is phase) for phase in Phase}
        self.scans = tuple(p.scan for p in takers if p.scan is not None)
        self.alerts = tuple(p.alert for p in self.ports if p.alert is not None)
