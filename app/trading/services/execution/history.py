"""An order's life as its events tell it: the terms that it had at each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from app.times import MINUTE_NS
from app.trading.adjust import split_ratios
from app.trading.context import RunContext
from app.trading.events import (
    EventBase,
    FillEvent,
    ModifyApprovedEvent,
    OrderRejectedEvent,
    OrderUpdateEvent,
)
from app.trading.orders import Order, OrderState, OrderType
from app.trading.sections import ExecutionSection
from app.trading.services.execution.codes import Reason
from app.trading.services.execution.latency import delays
from app.trading.services.execution.outcome import Source
from app.trading.services.execution.sessions import Sessions
from app.trading.services.execution.working import WorkingOrder

_CLOSE = 1e-6  # prices are kept at 1e-8
_OWN_REASONS = frozenset(str(reason) for reason in Reason)


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
        self.untaken: list[FillEvent] = []  # passed, but taken by no row
        self._events = [e for e in mine if isinstance(e, (OrderUpdateEvent, FillEvent))]
        self._updates = [e for e in mine if isinstance(e, OrderUpdateEvent)]
        self._changes = _taken_changes(mine)
        self._entries = [
            e for e in known if isinstance(e, FillEvent) and e.order_id == order.parent_id
        ]
        self._context = context
        self._sessions = Sessions(context, section.moc_cutoff_min)
        self._delays = delays(section)
        self._at = 0  # of events

    # -- what is known beforehand ----------------------------------------------------------------

    @property
    def rested_ns(self) -> int | None:
        """When data could fill it first; None before it came to rest."""
        return next((e.ts_event_ns for e in self._updates if e.state is OrderState.WORKING), None)

    @property
    def ended_ns(self) -> int | None:
        """When it came to its end; None while it lives."""
        return next((e.ts_event_ns for e in self._updates if e.state.final), None)

    def meets_from_ns(self, source: Source) -> int:
        """Release of the first rows that could meet it: those of the slice in which it came to
        rest too where it came before that slice, or with its entry within the slice's bar."""
        rested_ns = self.rested_ns
        assert rested_ns is not None
        if self.order.is_child:
            return rested_ns + (source is not Source.BARS or self._entry_bar(rested_ns) is None)
        accepted_ns = min(e.ts_event_ns for e in self._updates)
        return rested_ns + (accepted_ns == rested_ns)

    def _entry_bar(self, now_ns: int) -> FillEvent | None:
        """The fill of its entry that a bar released at ``now_ns`` made."""
        return next(
            (e for e in self._entries if e.ts_event_ns == now_ns and of_row(e, Source.BARS)), None
        )

    # -- stepping --------------------------------------------------------------------------------

    def begin_day(self, day: int) -> None:
        """Another day: a market-on-open order that did not fill waits for its open."""
        self._sessions.open(day)
        self._wait_for_open(day, self._context.days[day].first_ns - 1)

    def _wait_for_open(self, day: int, now_ns: int) -> None:
        order = self.order
        if order.type is OrderType.MARKET_ON_OPEN and 0 <= order.session < day:
            self._sessions.place(order, now_ns)

    def advance(self, before_ns: int) -> None:
        """Apply all that was told before a time."""
        while self._at < len(self._events) and self._events[self._at].ts_event_ns < before_ns:
            self._next()

    def begin_slice(self, now_ns: int) -> None:
        """Apply all that was told before the rows of a slice met the order."""
        self.advance(now_ns)
        while (event := self._pending(now_ns)) is not None and self._precedes(event):
            self._next()
        day, close_ns = self._sessions.day, self._sessions.today.close_ns
        if day is not None and now_ns > close_ns:
            self._wait_for_open(day + 1, close_ns)

    def _pending(self, now_ns: int) -> OrderUpdateEvent | FillEvent | None:
        event = self._events[self._at] if self._at < len(self._events) else None
        return event if event is not None and event.ts_event_ns == now_ns else None

    def _precedes(self, event: OrderUpdateEvent | FillEvent) -> bool:
        """Whether rows of the time of an event come after it.

        It came to rest, or its entry filled on them first; and what was on its way arrived.
        """
        if isinstance(event, FillEvent):
            return False
        if event.reason == Reason.ENTRY_FILLED:
            return True
        if event.state is OrderState.WORKING and self.order.session < 0:
            return True
        return self._delays and (
            event.reason == Reason.MODIFIED
            or (event.state is OrderState.CANCELLED and event.reason not in _OWN_REASONS)
        )

    # -- what a row did --------------------------------------------------------------------------

    def take_fill(self, now_ns: int, price: float | None) -> FillEvent | None:
        """The next fill that a row of this time made, applied; at ``price`` before slippage,
        where that is known. None where the row did not make it."""
        for event in self._events[self._at :]:
            if event.ts_event_ns != now_ns or _reason(event) == Reason.TRIGGERED:
                return None
            if isinstance(event, FillEvent):
                if not of_row(event) or not (price is None or _made_at(event, price)):
                    return None
                while self._next() is not event:
                    pass
                self._next()
                self.untaken.remove(event)
                return event
        return None

    def take(self, now_ns: int, *reasons: str) -> str | None:
        """The next update of this time that has one of these reasons, applied; its reason."""
        for event in self._events[self._at :]:
            if event.ts_event_ns != now_ns or isinstance(event, FillEvent):
                return None
            if event.reason in reasons:
                while self._next() is not event:
                    pass
                return event.reason
        return None

    def _next(self) -> OrderUpdateEvent | FillEvent:
        event = self._events[self._at]
        self._at += 1
        if isinstance(event, OrderUpdateEvent):
            self._apply(event)
        else:
            self.untaken.append(event)
        return event

    # -- what an update means --------------------------------------------------------------------

    def _apply(self, event: OrderUpdateEvent) -> None:
        order = self.order
        quantity = order.quantity
        order.become(event.state)
        order.quantity, order.filled = event.quantity, event.filled
        order.limit = event.limit_price
        if order.type is not OrderType.TRAILING_STOP or _sets_level(event, order):
            order.stop = event.stop_price
        if order.session < 0 and event.state is OrderState.WORKING:
            self._rest(event.ts_event_ns)
        elif event.reason == Reason.TRIGGERED:
            order.triggered = True
        elif event.reason == Reason.SPLIT:
            self._split(event.ts_event_ns)
        elif event.reason == Reason.MODIFIED:
            self._modify(event.ts_event_ns, quantity)
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
        entry = self._entry_bar(now_ns)
        if entry is None:
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

    def _modify(self, now_ns: int, quantity: float) -> None:
        """A change that was taken; ``quantity`` as it was before."""
        order, change = self.order, next(self._changes, None)
        if change is None:
            return
        terms = change.limit_price, change.stop_price, change.trail
        if any(term is not None for term in terms) or order.quantity > quantity:
            order.from_ns, order.met = max(order.from_ns, now_ns), False
        if change.trail is not None:
            order.trail = change.trail


def _taken_changes(events: Iterable[EventBase]) -> Iterator[ModifyApprovedEvent]:
    """The changes that execution took, in order: each has its answer, and none overtakes."""
    asked = iter([e for e in events if isinstance(e, ModifyApprovedEvent)])
    for event in events:
        if isinstance(event, OrderUpdateEvent) and event.reason == Reason.MODIFIED:
            yield from islice(asked, 1)
        elif _refuses_change(event):
            next(asked, None)


def _refuses_change(event: EventBase) -> bool:
    if not isinstance(event, OrderRejectedEvent):
        return False
    return event.by == "execution" and event.request == "modify"


def of_row(fill: FillEvent, source: Source | None = None) -> bool:
    """Whether a row of the price source made a fill; not an auction, nor what was known before."""
    if fill.source == Source.OFFICIAL_CLOSE or "optimistic" in fill.flags:
        return False
    return source is None or fill.source == source


def _made_at(fill: FillEvent, price: float) -> bool:
    """Whether a fill was made of this price; of a quote its slippage may lie in the price."""
    added = fill.side.sign * fill.slippage
    return min(abs(fill.price - price), abs(fill.price - added - price)) < _CLOSE


def _reason(event: OrderUpdateEvent | FillEvent) -> str | None:
    return event.reason if isinstance(event, OrderUpdateEvent) else None


def _sets_level(event: OrderUpdateEvent, order: WorkingOrder) -> bool:
    """Whether an update sets a trailing stop's level, which else moves with the rows alone."""
    begins = order.session < 0 and event.state in (OrderState.ACCEPTED, OrderState.WORKING)
    return begins or event.reason in (Reason.MODIFIED, Reason.SPLIT)
