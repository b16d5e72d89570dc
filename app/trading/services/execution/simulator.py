"""The execution service: from its inbox to the book.

Of market data it needs only slices in which an order at work could do something (``scan``); all
others pass at the cost of a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from app.trading.bus import EventBus, Kind, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    CancelRequestEvent,
    CorporateActionEvent,
    DayEndEvent,
    DayOpenEvent,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    ScheduleEvent,
    SessionCloseEvent,
    TimerEvent,
)
from app.trading.marks import Marks
from app.trading.orders import Order, OrderState
from app.trading.sections import ExecutionSection
from app.trading.service import BacktestService
from app.trading.services.execution.admission import Refusal, refuse_change, refuse_order
from app.trading.services.execution.agenda import Agenda
from app.trading.services.execution.book import Book
from app.trading.services.execution.changes import modify, split
from app.trading.services.execution.close import Close
from app.trading.services.execution.codes import Reason, Reject
from app.trading.services.execution.latency import Wire
from app.trading.services.execution.matcher import Matcher
from app.trading.services.execution.sessions import Sessions
from app.trading.services.execution.tape import Tapes
from app.trading.services.execution.working import WorkingOrder


class ExecutionSimulator(BacktestService):
    """Fills orders on recorded data, and says so on the bus."""

    NAME: ClassVar[str] = "execution"
    RANK: ClassVar[int] = 10
    PHASE: ClassVar[Phase | None] = Phase.MARKET

    def __init__(self, section: ExecutionSection, event_bus: EventBus) -> None:
        super().__init__(event_bus)
        context = self.context
        self._symbols = {symbol: i for i, symbol in enumerate(context.symbols)}
        self._book = Book(self.publish)
        self._sessions = Sessions(context, section.moc_cutoff_min)
        self._tapes = Tapes(context)
        self._agenda = Agenda(self._tapes)
        self._last = Marks(len(context.symbols))
        self._matcher = Matcher(
            section, context, self._book, self._sessions, self._tapes, self._agenda, self._last,
            self.publish,
        )  # fmt: skip
        self._close = Close(
            context, self._book, self._sessions, self._tapes, self._agenda, self._matcher
        )
        self._wire = Wire(section, context.seed)

    @classmethod
    def from_config(cls, section: ExecutionSection, event_bus: EventBus) -> Self:
        return cls(section, event_bus)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            MarketEvent: self._on_market,
            OrderApprovedEvent: self._on_approved,
            ModifyApprovedEvent: self._on_modify,
            CancelRequestEvent: self._on_cancel,
            TimerEvent: self._on_timer,
            DayOpenEvent: self._on_day_open,
            CorporateActionEvent: self._on_action,
            SessionCloseEvent: self._on_close,
            DayEndEvent: self._on_day_end,
        }

    def attach(self, kind: Kind = Kind.INLINE) -> None:
        super().attach(kind)
        self._book.publish = self._matcher.publish = self.publish

    # -- market data -----------------------------------------------------------------------------

    def scan(self, event: MarketEvent) -> int:
        """The first slice in which an order at work could do something."""
        if not self._book.at_work:
            return event.high
        if event.window is not self._tapes.window:
            self._follow(event)
        return self._agenda.next_slice(event.high)

    def _on_market(self, event: MarketEvent) -> None:
        if event.window is not self._tapes.window:
            self._follow(event)
        self._last.note(event)
        if self._book.at_work:
            self._matcher.run(event.high)
        else:
            self._agenda.next = event.high

    def _follow(self, event: MarketEvent) -> None:
        self._agenda.move(event.window, event.low, self._book.working())

    # -- wishes ----------------------------------------------------------------------------------

    def _on_approved(self, event: OrderApprovedEvent) -> None:
        now_ns = event.ts_event_ns
        orders: list[WorkingOrder] = []
        refusals: dict[int, Refusal] = {}
        for number, asked in enumerate(event.orders):
            order = WorkingOrder(asked, self._symbols.get(asked.symbol, -1))
            orders.append(order)
            refusal = self._refusal(order, event.orders, now_ns)
            if refusal is not None:
                refusals[number] = refusal
        if refusals:
            together = Reject.GROUP_REFUSED, "another order of its group was refused"
            for number, order in enumerate(orders):
                self._book.refuse(order, *refusals.get(number, together), now_ns)
            return
        for order in orders:
            self._book.add(order)
            self._book.accept(order, now_ns)
        self._send(self._arrive, orders, now_ns)

    def _refusal(
        self, order: WorkingOrder, together: tuple[Order, ...], now_ns: int
    ) -> Refusal | None:
        asked = order.order
        order_id, parent_id = asked.order_id, asked.parent_id
        if order_id in self._book.live or order_id in self._book.finished:
            return Reject.DUPLICATE_ORDER_ID, f"there is an order {order_id} already"
        if order.is_child and not any(parent_id == other.order_id for other in together):
            return Reject.UNKNOWN_PARENT, f"its entry {parent_id} did not come with it"
        return refuse_order(asked, self._symbols) or self._late(order, now_ns)

    def _late(self, order: WorkingOrder, now_ns: int) -> Refusal | None:
        if self._wire.delays or not self._sessions.moc_too_late(order, now_ns):
            return None
        return Reject.MOC_AFTER_CUTOFF, "market-on-close orders are no longer taken today"

    def _arrive(self, orders: list[WorkingOrder], now_ns: int) -> None:
        for order in orders:
            if order.is_child or not order.live:
                continue
            if self._wire.delays and self._sessions.moc_too_late(order, now_ns):
                reason = "it arrived when market-on-close orders were no longer taken"
                self._book.refuse(order, Reject.MOC_AFTER_CUTOFF, reason, now_ns)
            else:
                self._matcher.rest(order, now_ns)

    def _on_cancel(self, event: CancelRequestEvent) -> None:
        self._send(self._cancel, event, event.ts_event_ns)

    def _cancel(self, event: CancelRequestEvent, now_ns: int) -> None:
        order = self._book.live.get(event.order_id)
        if order is None:
            self._refuse_gone(event, Reject.CANCEL_UNKNOWN_ORDER, Reject.CANCEL_FINAL_ORDER, now_ns)
        elif self._sessions.in_auction(order, now_ns):
            reason = "the closing auction is over"
            self._refuse_request(event, Reject.CANCEL_AFTER_CLOSE, reason, now_ns)
        else:
            self._book.finish(order, OrderState.CANCELLED, event.reason, now_ns)

    def _on_modify(self, event: ModifyApprovedEvent) -> None:
        self._send(self._modify, event, event.ts_event_ns)

    def _modify(self, event: ModifyApprovedEvent, now_ns: int) -> None:
        order = self._book.live.get(event.order_id)
        if order is None:
            self._refuse_gone(event, Reject.MODIFY_UNKNOWN_ORDER, Reject.MODIFY_FINAL_ORDER, now_ns)
            return
        refusal = refuse_change(order, event)
        if self._sessions.in_auction(order, now_ns):
            refusal = Reject.MODIFY_AFTER_CLOSE, "the closing auction is over"
        if refusal is not None:
            self._refuse_request(event, *refusal, now_ns)
            return
        if modify(order, event) and order.at_work:
            order.from_ns, order.met = max(order.from_ns, now_ns), False
            self._matcher.queue(order)
        self._book.tell(order, now_ns, Reason.MODIFIED)
        if order.at_work:
            self._agenda.plan(order, self._agenda.next)

    def _refuse_gone(
        self, event: CancelRequestEvent | ModifyApprovedEvent, unknown: Reject, final: Reject,
        now_ns: int,
    ) -> None:  # fmt: skip
        state = self._book.finished.get(event.order_id)
        if state is None:
            self._refuse_request(event, unknown, "there is no such order", now_ns)
        else:
            self._refuse_request(event, final, f"the order is {state}", now_ns)

    def _refuse_request(
        self, event: CancelRequestEvent | ModifyApprovedEvent, code: Reject, reason: str,
        now_ns: int,
    ) -> None:  # fmt: skip
        order = self._book.live.get(event.order_id)
        self.publish(
            OrderRejectedEvent(
                ts_event_ns=now_ns, order_id=event.order_id, strategy_id=event.strategy_id,
                symbol="" if order is None else order.order.symbol, code=code.value,
                reason=reason, by=self.NAME,
                request="cancel" if isinstance(event, CancelRequestEvent) else "modify",
            )
        )  # fmt: skip

    # -- time ------------------------------------------------------------------------------------

    def _send(self, handler: Callable[[Any, int], None], message: Any, now_ns: int) -> None:
        """Handle a message when it arrives: now, or after the latency."""
        if not self._wire.delays:
            handler(message, now_ns)
            return
        token, at_ns = self._wire.send((handler, message), now_ns)
        self.publish(
            ScheduleEvent(
                ts_event_ns=now_ns, owner=self.NAME, token=token, at_ns=at_ns, before_slice=True
            )
        )

    def _on_timer(self, event: TimerEvent) -> None:
        if event.owner == self.NAME:
            handler, message = self._wire.receive(event.token)
            handler(message, event.ts_event_ns)

    def _on_day_open(self, event: DayOpenEvent) -> None:
        self._sessions.open(event.day)
        self._tapes.open_day(event.day)
        self._matcher.maker.set_date(self.context.days[event.day].date)
        for order in list(self._book.live.values()):
            waited = order.state is OrderState.ACCEPTED and 0 <= order.session <= event.day
            if waited and order.live:
                self._matcher.work(order, event.ts_event_ns)

    def _on_action(self, event: CorporateActionEvent) -> None:
        index = self._symbols.get(event.symbol)
        if event.kind != "split" or index is None:
            return
        instrument = self.context.instrument(event.symbol)
        self._last.split(index, event.ratio)
        self._book.split_positions(index, event.ratio, instrument.lot)
        for order in [o for o in self._book.live.values() if o.index == index]:
            if not order.live:
                continue
            if split(order, event.ratio, instrument):
                self._book.tell(order, event.ts_event_ns, Reason.SPLIT)
                self._book.cancel_reducing(order, event.ts_event_ns)
            else:
                reason = Reason.SPLIT
                self._book.finish(order, OrderState.CANCELLED, reason, event.ts_event_ns)

    def _on_close(self, event: SessionCloseEvent) -> None:
        self._close.at_close(event.ts_event_ns)

    def _on_day_end(self, event: DayEndEvent) -> None:
        self._close.at_day_end(event.ts_event_ns)
