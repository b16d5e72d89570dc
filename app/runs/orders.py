"""The table of orders: one row an order, with its terms and how far it came.

Built of events alone. Orders that are final leave the book at the day's end, so it holds no
more than a day's orders and those that rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa

from app.runs.tables import COLUMNS, ORDERS
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


class _Row(msgspec.Struct, gc=False):  # it refers to nothing that refers to it
    """An order's row, in the making: what may change of it, and the order for the rest."""

    number: int
    order: Order
    submitted_ns: int
    quantity: float
    limit_price: float | None
    stop_price: float | None
    trail: float | None
    state: OrderState = OrderState.NEW
    filled: float = 0.0
    approved_ns: int | None = None
    first_fill_ns: int | None = None
    final_ns: int | None = None
    signal_id: str | None = None
    code: str | None = None
    reason: str = ""
    changed: bool = False

    def become(self, state: OrderState, now_ns: int) -> None:
        self.state = state
        self.final_ns = now_ns if state.final else None


class OrderBook:
    """Orders as events tell of them; ``batch`` gives those that changed since it last did."""

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
        self._changed: list[_Row] = []
        self._numbers = 0

    def batch(self) -> Any:
        """A record batch of changed orders, by the order in which they last began to change."""
        rows, self._changed = self._changed, []
        orders = [row.order for row in rows]
        columns = [
            column.of(rows if column.name in _Row.__struct_fields__ else orders)
            for column in COLUMNS["orders"]
        ]
        for row in rows:
            row.changed = False
        return pa.record_batch(columns, schema=ORDERS)

    def _add(self, order: Order, now_ns: int) -> _Row:
        self._numbers += 1
        row = _Row(
            self._numbers, order, now_ns, order.quantity, order.limit_price, order.stop_price,
            order.trail, changed=True,
        )  # fmt: skip
        self._rows[order.order_id] = row
        self._changed.append(row)
        return row

    def _change(self, order_id: str) -> _Row | None:
        """The row of an order that is about to change; None of a signal, or of one long final."""
        row = self._rows.get(order_id)
        if row is not None and not row.changed:
            row.changed = True
            self._changed.append(row)
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
