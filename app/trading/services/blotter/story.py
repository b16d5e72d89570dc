"""An order's story, told from the events about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from app.trading.events import (
    CorporateActionEvent,
    EventBase,
    FillEvent,
    ModifyApprovedEvent,
    OrderRejectedEvent,
    OrderUpdateEvent,
)
from app.trading.money import plus
from app.trading.orders import Order, OrderState


class Step(NamedTuple):
    """A state that an order was in, or a request about it that was refused."""

    time_ns: int
    state: OrderState
    filled: float
    reason: str


class OrderView:
    """An order as it stands: ``order`` as it was asked for, the rest as it is by now.

    ``average_price`` is of its fills, at the prices of their time; None before the first.
    ``code`` says why it was rejected, ``reason`` what was said last.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.state = OrderState.NEW
        self.quantity, self.filled = order.quantity, 0.0
        self.limit_price, self.stop_price, self.trail = (
            order.limit_price, order.stop_price, order.trail,
        )  # fmt: skip
        self.updated_ns = order.created_ns
        self.code: str | None = None
        self.reason = ""
        self.steps = [Step(order.created_ns, self.state, 0.0, "")]
        self._bought, self._paid = 0.0, 0.0

    @property
    def average_price(self) -> float | None:
        return round(self._paid / self._bought, 8) if self._bought else None

    @property
    def live(self) -> bool:
        return not self.state.final

    def add(self, event: EventBase) -> None:
        """The next event about it."""
        if isinstance(event, OrderUpdateEvent):
            self._update(event)
        elif isinstance(event, FillEvent):
            self._bought = plus(self._bought, event.quantity)
            self._paid += event.quantity * event.price
        elif isinstance(event, OrderRejectedEvent):
            self._refuse(event)
        elif isinstance(event, ModifyApprovedEvent):
            self.trail = self.trail if event.trail is None else event.trail
        elif isinstance(event, CorporateActionEvent):
            self._split(event.ratio)

    def _update(self, event: OrderUpdateEvent) -> None:
        self.quantity, self.filled = event.quantity, event.filled
        self.limit_price, self.stop_price = event.limit_price, event.stop_price
        if event.state is not OrderState.REJECTED:  # why it was has been said before
            self._step(event.ts_event_ns, event.state, event.reason)

    def _refuse(self, event: OrderRejectedEvent) -> None:
        if event.request != "order":
            text = f"{event.request} refused, {event.code}: {event.reason}"
            self._step(event.ts_event_ns, self.state, text)
            return
        self.code = event.code
        self._step(event.ts_event_ns, OrderState.REJECTED, event.reason)

    def _step(self, time_ns: int, state: OrderState, reason: str) -> None:
        self.state, self.updated_ns, self.reason = state, time_ns, reason
        self.steps.append(Step(time_ns, state, self.filled, reason))

    def _split(self, ratio: float) -> None:
        """Updates tell what a split has changed, but for the distance of a trail."""
        if self.trail is not None and not self.order.trail_in_bps:
            self.trail = round(self.trail / ratio, 8)


def tell(order: Order, events: Iterable[EventBase]) -> OrderView:
    """The story of an order up to the last of ``events``."""
    view = OrderView(order)
    for event in events:
        view.add(event)
    return view
