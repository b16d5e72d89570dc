"""What execution refuses, with a code and a sentence; None where it takes the order or change."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from app.trading.events import ModifyApprovedEvent
from app.trading.orders import Order, OrderType, TimeInForce
from app.trading.services.execution.codes import Reject
from app.trading.services.execution.working import WorkingOrder

Refusal = tuple[Reject, str]

_MARKET = OrderType.MARKET  # a member found through its class costs a call
_LIMITS = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_TRAILS = frozenset({OrderType.TRAILING_STOP})
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_IOC_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})


def refuse_order(order: Order, symbols: Mapping[str, int]) -> Refusal | None:
    """Terms that cannot be worked."""
    if order.symbol not in symbols:
        return Reject.UNKNOWN_SYMBOL, f"{order.symbol} is not among the run's symbols"
    if not _above_zero(order.quantity):
        return Reject.BAD_QUANTITY, f"quantity {order.quantity}; needed: a number above 0"
    priceless = order.limit_price is None and order.stop_price is None and order.trail is None
    refusal = None if priceless and order.type is _MARKET else _refuse_prices(order)
    if refusal is not None:
        return refusal
    if order.tif in _AT_ONCE and order.type not in _IOC_TYPES:
        return Reject.TIF_NOT_ALLOWED, f"{order.tif} is for market and limit orders only"
    if order.post_only and (order.type is not OrderType.LIMIT or order.tif in _AT_ONCE):
        return Reject.POST_ONLY_NOT_LIMIT, "post-only is for limit orders that may rest"
    return None


def _refuse_prices(order: Order) -> Refusal | None:
    """Prices that its type has none of are looked at too: they must make sense."""
    for name, price, kinds in (
        ("limit_price", order.limit_price, _LIMITS),
        ("stop_price", order.stop_price, _STOPS),
        ("trail", order.trail, _TRAILS),
    ):
        if order.type in kinds if price is None else not _above_zero(price):
            return Reject.BAD_PRICE, f"{name} {price} of a {order.type} order; needed: above 0"
    return None


def refuse_change(order: WorkingOrder, event: ModifyApprovedEvent) -> Refusal | None:
    """New terms that an order cannot have."""
    kind = order.type
    trails = kind is OrderType.TRAILING_STOP
    for name, value, has in (
        ("quantity", event.quantity, True),
        ("limit_price", event.limit_price, kind in _LIMITS),
        ("stop_price", event.stop_price, order.is_stop and not order.triggered),
        ("trail", event.trail, trails and not order.triggered),
    ):
        if value is not None and not has:
            return Reject.MODIFY_NO_SUCH_TERM, f"a {_state(order)} order has no {name} to change"
        if value is not None and not _above_zero(value):
            return Reject.MODIFY_BAD_TERM, f"{name} {value}; needed: a number above 0"
    if event.quantity is not None and event.quantity <= order.filled:
        return (
            Reject.MODIFY_BELOW_FILLED,
            f"quantity {event.quantity}; needed: more than the {order.filled} already filled",
        )
    return None


def _state(order: WorkingOrder) -> str:
    return f"triggered {order.type}" if order.triggered else str(order.type)


def _above_zero(value: float) -> bool:
    return 0 < value < inf
