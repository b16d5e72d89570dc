"""An order's life as its events tell it: the terms that it had at each time."""

from __future__ import annotations

from collections.abc import Iterable

from app.times import MINUTE_NS
from app.trading.adjust import split_ratios
from app.trading.context import RunContext
from app.trading.events import (
    EventBase,
    FillEvent,
    ModifyApprovedEvent,
    OrderUpdateEvent,
)
from app.trading.orders import Order, OrderState, OrderType
from app.trading.sections import ExecutionSection
from app.trading.services.execution.codes import Reason
from app.trading.services.execution.outcome import Source
from app.trading.services.execution.sessions import Sessions
from app.trading.services.execution.working import WorkingOrder


class History:
    """Steps through an order's events; ``order`` is as it stood at the time reached.

    ``events`` may hold those of other orders: of a bracket's exit the fills of its entry matter.
    """

    def __init__(
        self, order: Order, events: Iterable[EventBase], context: RunContext,
        section: ExecutionSection,
    ) -> None:  # fmt: skip
        known = list(events)
        mine = [e for e in known if getattr(e, "order_id", None) == order.order_id]
        self.order = WorkingOrder(order, context.index(order.symbol))
        self.updates = [e for e in mine if isinstance(e, OrderUpdateEvent)]
        self.fills = [e for e in mine if isinstance(e, FillEvent)]
        self._trails = [
            e for e in mine if isinstance(e, ModifyApprovedEvent) and e.trail is not None
        ]
        self._entries = [
            e for e in known if isinstance(e, FillEvent) and e.order_id == order.parent_id
        ]
        self._context = context
        self._sessions = Sessions(context, section.moc_cutoff_min)
        self._at = 0  # of updates

    # -- what is known beforehand ----------------------------------------------------------------

    @property
    def rested_ns(self) -> int | None:
        """When data could fill it first; None before it came to rest."""
        return next((e.ts_event_ns for e in self.updates if e.state is OrderState.WORKING), None)

    @property
    def ended_ns(self) -> int | None:
        """When it came to its end; None while it lives."""
        return next((e.ts_event_ns for e in self.updates if e.state.final), None)

    def meets_from_ns(self, source: Source) -> int:
        """Release of the first rows that could meet it: those of the slice in which it came to
        rest too where it came before that slice, or with its entry within the slice's bar."""
        rested_ns = self.rested_ns
        assert rested_ns is not None
        if self.order.is_child:
            return rested_ns + (source is not Source.BARS)
        accepted_ns = min(e.ts_event_ns for e in self.updates)
        return rested_ns + (accepted_ns == rested_ns)

    # -- stepping --------------------------------------------------------------------------------

    def begin_day(self, day: int) -> None:
        """Another day: a market-on-open order that did not fill waits for its open."""
        self._sessions.open(day)
        order = self.order
        if order.type is OrderType.MARKET_ON_OPEN and 0 <= order.session < day:
            self._sessions.place(order, self._context.days[day].first_ns - 1)

    def advance(self, before_ns: int) -> None:
        """Apply all that was told before a time; what it came to rest with, at that time too."""
        while self._at < len(self.updates):
            event = self.updates[self._at]
            early = event.ts_event_ns < before_ns
            if not early and (event.ts_event_ns > before_ns or not self._begins(event)):
                return
            self._apply(event)
            self._at += 1

    def _begins(self, event: OrderUpdateEvent) -> bool:
        return event.state is OrderState.WORKING and self.order.session < 0

    def _apply(self, event: OrderUpdateEvent) -> None:
        order = self.order
        before = order.limit, order.stop, order.quantity
        order.become(event.state)
        order.quantity, order.filled = event.quantity, event.filled
        order.limit, order.stop = event.limit_price, event.stop_price
        if order.session < 0 and event.state is OrderState.WORKING:
            self._rest(event.ts_event_ns)
        elif event.reason == Reason.TRIGGERED:
            order.triggered = True
        elif event.reason == Reason.SPLIT:
            self._split(event.ts_event_ns)
        elif event.reason == Reason.MODIFIED:
            self._modify(event, before)
        elif event.reason == Reason.ENTRY_FILLED:
            self._enter(event.ts_event_ns)
        if event.state is OrderState.PARTIALLY_FILLED:
            order.triggered = order.is_stop

    def _rest(self, now_ns: int) -> None:
        self._sessions.open(self._context.day_at(now_ns))
        since_ns = self._enter(now_ns) if self.order.is_child else now_ns
        self._sessions.place(self.order, since_ns)

    def _enter(self, now_ns: int) -> int:
        """An exit begins, or grows, with a fill of its entry: since when it may fill."""
        entry = next((e for e in self._entries if e.ts_event_ns == now_ns), None)
        if entry is None or entry.source != Source.BARS:
            return now_ns
        if entry.price_time_ns == now_ns:
            self.order.entered_ns = now_ns
            self.order.entry_sure = entry.order_type is OrderType.LIMIT
        return now_ns - MINUTE_NS

    def _split(self, now_ns: int) -> None:
        order = self.order
        ratio = split_ratios(self._context, self._context.day_at(now_ns)).get(order.index, 1.0)
        if order.trail is not None and not order.order.trail_in_bps:
            order.trail = round(order.trail / ratio, 8)

    def _modify(
        self, event: OrderUpdateEvent, before: tuple[float | None, float | None, float]
    ) -> None:
        order = self.order
        trails = [e.trail for e in self._trails if e.ts_event_ns <= event.ts_event_ns]
        trail = trails[-1] if trails else order.trail
        moved = (order.limit, order.stop) != before[:2] or order.quantity > before[2]
        if moved or trail != order.trail:
            order.from_ns, order.met = max(order.from_ns, event.ts_event_ns), False
        order.trail = trail
