"""The blotter service: it hears what the engine says, and lets others read it.

It publishes nothing. On the thread that drains the bus it appends; readers get what is settled
up to the time that the clock shows, never a T that is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from app.trading.bus import EventBus
from app.trading.events import (
    CorporateActionEvent,
    DayEndEvent,
    FillEvent,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    OrderUpdateEvent,
    PortfolioStateEvent,
    RiskHaltEvent,
    SignalEvent,
)
from app.trading.sections import PortfolioSection
from app.trading.service import BacktestService
from app.trading.services.blotter.ledger import Held, Ledger, Snapshot
from app.trading.services.blotter.marking import mark_since, valued
from app.trading.services.blotter.settled import Settled

T = TypeVar("T")


class Blotter(BacktestService):
    """Inline, and only where somebody may look. It keeps all orders and fills of the run."""

    NAME: ClassVar[str] = "blotter"
    RANK: ClassVar[int] = 95

    def __init__(self, section: PortfolioSection, event_bus: EventBus) -> None:
        super().__init__(event_bus)
        self._initial_cash = section.initial_cash
        self._ledger = Ledger()
        self._positions: dict[tuple[str, str], Held] = {}
        self._state: PortfolioStateEvent | None = None
        self._halts: dict[tuple[str, str], None] = {}  # scope and code
        self._changed = False
        # The one that the clock may not show yet, and the one before it.
        self._newest = Snapshot(0), Snapshot(0)

    @classmethod
    def from_config(cls, section: PortfolioSection, event_bus: EventBus) -> Self:
        return cls(section, event_bus)

    # -- on the thread that drains the bus -------------------------------------------------------

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            SignalEvent: self._on_signal,
            OrderRequestEvent: self._on_request,
            OrderApprovedEvent: self._on_approved,
            ModifyApprovedEvent: self._on_said,
            OrderUpdateEvent: self._on_said,
            OrderRejectedEvent: self._on_rejected,
            FillEvent: self._on_fill,
            CorporateActionEvent: self._on_action,
            PortfolioStateEvent: self._on_state,
            RiskHaltEvent: self._on_halt,
            DayEndEvent: self._on_day_end,
        }

    @property
    def fills_made(self) -> int:
        """How many fills there were, of a T that is under way too."""
        return len(self._ledger.fills)

    def settle(self, now_ns: int) -> None:
        """Nothing more follows from any time up to ``now_ns``: it may be read once it has come."""
        if not self._changed:
            return
        self._changed = False
        ledger = self._ledger
        snapshot = Snapshot(
            now_ns, ledger.entries, len(ledger.orders), len(ledger.fills), len(ledger.signals),
            tuple(ledger.open), self._state, dict(self._positions),
            tuple(sorted({code for _, code in self._halts})),
        )  # fmt: skip
        self._newest = self._newest[1], snapshot

    def _on_signal(self, event: SignalEvent) -> None:
        self._ledger.signals.append(event)
        self._changed = True

    def _on_request(self, event: OrderRequestEvent) -> None:
        for order in event.orders:
            self._ledger.take(order)
        self._changed = True

    def _on_approved(self, event: OrderApprovedEvent) -> None:
        for order in event.orders:
            self._ledger.take(order)
        if event.signal_id is not None:
            self._ledger.answer(event.signal_id, event.orders[0].order_id)
        self._changed = True

    def _on_said(self, event: OrderUpdateEvent | ModifyApprovedEvent) -> None:
        self._ledger.note(event.order_id, event)
        if isinstance(event, OrderUpdateEvent) and event.state.final:
            self._ledger.end(event.order_id)
        self._changed = True

    def _on_rejected(self, event: OrderRejectedEvent) -> None:
        if event.request == "signal":
            self._ledger.answer(event.order_id, event.code)
        else:
            self._ledger.note(event.order_id, event)
            if event.request == "order":
                self._ledger.end(event.order_id)
        self._changed = True

    def _on_fill(self, event: FillEvent) -> None:
        self._ledger.fills.append(event)
        self._ledger.note(event.order_id, event)
        self._changed = True

    def _on_action(self, event: CorporateActionEvent) -> None:
        if event.kind == "split":
            self._ledger.note_open(event.symbol, event)
            self._changed = True

    def _on_state(self, event: PortfolioStateEvent) -> None:
        self._state = event
        for one in event.positions:
            self._positions[one.strategy_id, one.symbol] = Held(event.ts_event_ns, one)
        self._changed = True

    def _on_halt(self, event: RiskHaltEvent) -> None:
        key = event.scope, event.code
        if event.active:
            self._halts[key] = None
        else:
            self._halts.pop(key, None)
        self._changed = True

    def _on_day_end(self, event: DayEndEvent) -> None:
        """Mark what is held: the day's prices may be gone from the session tomorrow."""
        now_ns = event.ts_event_ns
        for key, held in self._positions.items():
            if held.state.quantity:
                mark = mark_since(self.context, held.state, held.since_ns, now_ns)
                if mark is not None:
                    self._positions[key] = Held(now_ns, valued(held.state, mark))
                    self._changed = True

    # -- read by anyone --------------------------------------------------------------------------

    def read(self, clock: Callable[[], T], time_of: Callable[[T], int]) -> tuple[T, Settled]:
        """What ``clock`` shows, and all that is settled by then; ``time_of`` is its time.

        A clock's time comes after what follows from it was settled, so at most the newest
        snapshot is ahead of it.
        """
        while True:
            newest = self._newest
            shown = clock()
            if newest is self._newest:
                break
        now_ns = time_of(shown)
        before, last = newest
        found = last if last.time_ns <= now_ns else before
        return shown, Settled(now_ns, self.context, self._ledger, found, self._initial_cash)
