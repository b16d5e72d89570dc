"""What the blotter keeps: one thread appends, any may read as far as a snapshot reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from app.trading.events import (
    EventBase,
    FillEvent,
    PortfolioStateEvent,
    PositionState,
    SignalEvent,
)
from app.trading.orders import Order


class Held(NamedTuple):
    """A position as it was valued at ``since_ns``: later prices may mark it anew."""

    since_ns: int
    state: PositionState


Positions = Mapping[tuple[str, str], Held]  # by strategy and symbol


class Snapshot(NamedTuple):
    """How far the ledger reached when all up to ``time_ns`` was settled, and the account then."""

    time_ns: int
    entries: int = 0
    orders: int = 0
    fills: int = 0
    signals: int = 0
    open: tuple[str, ...] = ()  # ids of orders that have not ended, oldest first
    state: PortfolioStateEvent | None = None  # the newest; None before the first
    positions: Positions = MappingProxyType({})
    halts: tuple[str, ...] = ()  # codes of limits that are broken


class _Log:
    """One order, and all that was said of it with its number in the ledger."""

    __slots__ = ("events", "order", "place")

    def __init__(self, order: Order, place: int) -> None:
        self.order, self.place = order, place
        self.events: list[tuple[int, EventBase]] = []


class Ledger:
    """Only ever appended to: what a snapshot has seen stays as it was."""

    def __init__(self) -> None:
        self.entries = 0
        self.orders: list[str] = []
        self.fills: list[FillEvent] = []
        self.signals: list[SignalEvent] = []
        self.open: dict[str, None] = {}
        self._logs: dict[str, _Log] = {}
        self._children: dict[str, list[str]] = {}
        self._outcomes: dict[str, tuple[int, str]] = {}  # of signals

    # -- written ---------------------------------------------------------------------------------

    def take(self, order: Order) -> None:
        """An order that was asked for, or approved with the terms that it has now."""
        order_id = order.order_id
        if order_id in self._logs:
            self._logs[order_id].order = order
            return
        self._logs[order_id] = _Log(order, len(self.orders))
        if order.parent_id is not None:
            self._children.setdefault(order.parent_id, []).append(order_id)
        self.open[order_id] = None
        self.orders.append(order_id)

    def note(self, order_id: str, event: EventBase) -> None:
        """Something about an order; of one that nobody asked for nothing is kept."""
        log = self._logs.get(order_id)
        self.entries += 1
        if log is not None:
            log.events.append((self.entries, event))

    def end(self, order_id: str) -> None:
        self.open.pop(order_id, None)

    def note_open(self, symbol: str, event: EventBase) -> None:
        """Something about all orders in a symbol that have not ended."""
        for order_id in self.open:
            if self._logs[order_id].order.symbol == symbol:
                self.note(order_id, event)

    def answer(self, signal_id: str, outcome: str) -> None:
        """What became of a signal: its order's id, or a code."""
        self.entries += 1
        self._outcomes.setdefault(signal_id, (self.entries, outcome))

    # -- read ------------------------------------------------------------------------------------

    def order(self, order_id: str, orders: int) -> Order | None:
        """One of the first ``orders`` of all."""
        log = self._logs.get(order_id)
        return log.order if log is not None and log.place < orders else None

    def children(self, order_id: str) -> list[str]:
        return list(self._children.get(order_id, ()))

    def events(self, order_id: str, entries: int) -> Iterator[EventBase]:
        """What was said of an order, of the first ``entries`` of all."""
        for number, event in self._logs[order_id].events[:]:
            if number > entries:
                return
            yield event

    def outcome(self, signal_id: str, entries: int) -> str | None:
        number, outcome = self._outcomes.get(signal_id, (0, ""))
        return outcome if 0 < number <= entries else None
