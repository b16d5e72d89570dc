"""The table of orders: one row an order, with its terms and how far it came.

Built of events alone. Orders that are final leave the book at the day's end, so it holds no
more than a day's orders and those that rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.trading.events import (
    DayEndEvent,
    FillEvent,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    OrderUpdateEvent,
)
from app.trading.orders import Order, OrderState


class _Row:
    """An order's row, in the making."""

    __slots__ = (
        "approved_ns", "code", "filled", "final_ns", "first_fill_ns", "limit_price", "number",
        "order", "quantity", "reason", "signal_id", "state", "stop_price", "submitted_ns", "trail",
    )  # fmt: skip

    def __init__(self, number: int, order: Order, submitted_ns: int) -> None:
        self.number, self.order, self.submitted_ns = number, order, submitted_ns
        self.quantity, self.trail = order.quantity, order.trail
        self.limit_price, self.stop_price = order.limit_price, order.stop_price
        self.state, self.filled = OrderState.NEW, 0.0
        self.approved_ns: int | None = None
        self.first_fill_ns: int | None = None
        self.final_ns: int | None = None
        self.signal_id: str | None = None
        self.code: str | None = None
        self.reason = ""

    def become(self, state: OrderState, now_ns: int) -> None:
        self.state = state
        self.final_ns = now_ns if state.final else None

    def columns(self) -> tuple[Any, ...]:
        """In the order of ``tables.ORDERS``."""
        order = self.order
        return (
            self.number, order.order_id, order.strategy_id, order.symbol, order.side, order.type,
            order.tif, self.quantity, self.limit_price, self.stop_price, self.trail,
            order.trail_in_bps, order.reduce_only, order.post_only, order.role, order.group_id,
            order.parent_id, order.tag, self.signal_id, self.state, self.filled,
            self.submitted_ns, self.approved_ns, self.first_fill_ns, self.final_ns, self.code,
            self.reason,
        )  # fmt: skip


class OrderBook:
    """Orders as events tell of them; ``rows`` gives those that changed since it last did."""

    TOPICS = (
        OrderRequestEvent, OrderApprovedEvent, ModifyApprovedEvent, OrderRejectedEvent,
        OrderUpdateEvent, FillEvent, DayEndEvent,
    )  # fmt: skip

    def __init__(self) -> None:
        self.takers: dict[type, Callable[[Any], None]] = {
            OrderRequestEvent: self._on_request,
            OrderApprovedEvent: self._on_approved,
            ModifyApprovedEvent: self._on_modified,
            OrderRejectedEvent: self._on_rejected,
            OrderUpdateEvent: self._on_update,
            FillEvent: self._on_fill,
            DayEndEvent: self._on_day_end,
        }
        self._rows: dict[str, _Row] = {}
        self._changed: dict[str, _Row] = {}
        self._numbers = 0

    def rows(self) -> list[tuple[Any, ...]]:
        """Rows of changed orders, by the order in which they last began to change."""
        found = [row.columns() for row in self._changed.values()]
        self._changed.clear()
        return found

    def _add(self, order: Order, now_ns: int) -> _Row:
        self._numbers += 1
        row = _Row(self._numbers, order, now_ns)
        self._rows[order.order_id] = self._changed[order.order_id] = row
        return row

    def _change(self, order_id: str) -> _Row | None:
        """The row of an order that is about to change; None of a signal, or of one long final."""
        row = self._rows.get(order_id)
        if row is not None:
            self._changed[order_id] = row
        return row

    def _on_request(self, event: OrderRequestEvent) -> None:
        for order in event.orders:
            self._add(order, event.ts_event_ns)

    def _on_approved(self, event: OrderApprovedEvent) -> None:
        for order in event.orders:
            row = self._change(order.order_id) or self._add(order, event.ts_event_ns)
            row.approved_ns, row.signal_id = event.ts_event_ns, event.signal_id

    def _on_modified(self, event: ModifyApprovedEvent) -> None:
        row = self._change(event.order_id)
        if row is not None and event.trail is not None and not row.state.final:
            row.trail = event.trail

    def _on_rejected(self, event: OrderRejectedEvent) -> None:
        """A refusal of the order itself; it lives on when a wish to change it is refused."""
        row = self._change(event.order_id) if event.request == "order" else None
        if row is not None:
            row.become(OrderState.REJECTED, event.ts_event_ns)
            row.code, row.reason = event.code, event.reason

    def _on_update(self, event: OrderUpdateEvent) -> None:
        row = self._change(event.order_id)
        if row is None:
            return
        row.become(event.state, event.ts_event_ns)
        row.quantity, row.filled = event.quantity, event.filled
        if event.reason:
            row.reason = event.reason
        if event.limit_price is not None:
            row.limit_price = event.limit_price
        if event.stop_price is not None:
            row.stop_price = event.stop_price

    def _on_fill(self, event: FillEvent) -> None:
        row = self._change(event.order_id)
        if row is not None and row.first_fill_ns is None:
            row.first_fill_ns = event.ts_event_ns

    def _on_day_end(self, event: DayEndEvent) -> None:
        self._rows = {k: row for k, row in self._rows.items() if not row.state.final}
