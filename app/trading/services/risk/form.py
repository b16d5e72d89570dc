"""Whether a request makes sense in itself. What does not is refused, exits too."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.trading.events import SignalEvent
from app.trading.orders import Order, OrderType, Role
from app.trading.services.risk.codes import Code, Refusal, number
from app.trading.services.risk.terms import Terms, is_multiple

_PRICES = ("limit_price", "stop_price", "trail")
_NEEDED: dict[OrderType, tuple[str, ...]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("stop_price", "limit_price"),
    OrderType.TRAILING_STOP: ("trail",),
    OrderType.MARKET_ON_OPEN: (),
    OrderType.MARKET_ON_CLOSE: (),
}
_MAY = {**_NEEDED, OrderType.TRAILING_STOP: ("trail", "stop_price")}
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
_CHILDREN = (Role.TAKE_PROFIT, Role.STOP_LOSS)
_BPS = 10_000


def bad_signal(signal: SignalEvent) -> Refusal | None:
    if signal.direction not in (-1, 0, 1):
        text = f"direction {signal.direction} came; allowed: 1 long, -1 short, 0 flat"
        return Refusal(Code.BAD_SIGNAL, text)
    if not 0 < signal.strength <= 1:
        text = f"strength {signal.strength} came; allowed: above 0 and at most 1"
        return Refusal(Code.BAD_SIGNAL, text)
    return None


def bad_order(order: Order, terms: Terms) -> Refusal | None:
    """Quantity and prices of one order."""
    quantity = order.quantity
    if not 0 < quantity < math.inf:
        text = f"quantity {quantity} came; allowed: a number above 0"
        return Refusal(Code.BAD_QUANTITY, text)
    if order.type is OrderType.MARKET and _priceless(order):
        return None
    return _bad_prices(order) or _off_tick(order, terms.tick)


def _priceless(order: Order) -> bool:
    return order.limit_price is None and order.stop_price is None and order.trail is None


def _bad_prices(order: Order) -> Refusal | None:
    needed, may = _NEEDED[order.type], _MAY[order.type]
    for name in _PRICES:
        price = getattr(order, name)
        if price is None:
            if name in needed:
                text = f"a {order.type} order came without {name}; it needs {' and '.join(needed)}"
                return Refusal(Code.MISSING_PRICE, text)
        elif name not in may:
            text = f"a {order.type} order came with {name} {number(price)}; it takes none"
            return Refusal(Code.BAD_PRICE, text)
        elif not 0 < price < math.inf:
            return Refusal(Code.BAD_PRICE, f"{name} {price} came; allowed: a number above 0")
    if order.trail_in_bps and order.trail is not None and order.trail >= _BPS:
        text = f"trail {number(order.trail)} bps came; allowed: below {_BPS}"
        return Refusal(Code.BAD_PRICE, text)
    return None


def _off_tick(order: Order, tick: float) -> Refusal | None:
    for name in ("limit_price", "stop_price"):
        price = getattr(order, name)
        if price is not None and not is_multiple(price, tick):
            text = f"{name} {number(price)} came; allowed: multiples of the tick {number(tick)}"
            return Refusal(Code.TICK, text)
    return None


def bad_group(strategy_id: str, orders: Sequence[Order], mark: float) -> Refusal | None:
    """Orders that come as one; ``mark`` is the first one's last price, NaN before there is one."""
    text = _fault(strategy_id, orders, mark)
    return None if text is None else Refusal(Code.BAD_GROUP, text)


def _fault(strategy_id: str, orders: Sequence[Order], mark: float) -> str | None:
    first = orders[0]
    for order in orders:
        if order.strategy_id != strategy_id:
            return f"{order.order_id} is of strategy {order.strategy_id}, sent by {strategy_id}"
    if len(orders) == 1:
        if first.role is Role.SINGLE:
            return None
        return f"{first.order_id} came alone as {first.role}; a group comes as one request"
    if len({o.order_id for o in orders}) < len(orders):
        return "two orders of one request have the same order_id"
    if first.group_id is None or any(o.group_id != first.group_id for o in orders):
        return "the orders of one request need one group_id"
    if first.role is Role.OCO:
        others = [o.role for o in orders if o.role is not Role.OCO]
        return f"a {others[0]} order came in an OCO group; allowed: oco" if others else None
    return _bracket_fault(first, orders[1:], mark)


def _bracket_fault(entry: Order, children: Sequence[Order], mark: float) -> str | None:
    roles = [child.role for child in children]
    if entry.role is not Role.ENTRY or sorted(set(roles)) != sorted(roles):
        return "a bracket is an entry, then a take_profit, a stop_loss or one of each"
    for child in children:
        text = _child_fault(entry, child, mark)
        if text is not None:
            return f"{child.role} {child.order_id}: {text}"
    return None


def _child_fault(entry: Order, child: Order, mark: float) -> str | None:
    if child.role not in _CHILDREN:
        return f"role {child.role} came in a bracket; allowed: take_profit and stop_loss"
    if child.parent_id != entry.order_id:
        return f"parent_id {child.parent_id} came; the entry is {entry.order_id}"
    if child.symbol != entry.symbol or child.side is entry.side or not child.reduce_only:
        return f"it must be reduce_only, {entry.side.opposite} and in {entry.symbol}"
    if child.quantity != entry.quantity:
        return f"quantity {number(child.quantity)} came; the entry's is {number(entry.quantity)}"
    types = (OrderType.LIMIT,) if child.role is Role.TAKE_PROFIT else _STOPS
    if child.type not in types:
        return f"type {child.type} came; allowed: {', '.join(types)}"
    return _level_fault(entry, child, mark)


def _level_fault(entry: Order, child: Order, mark: float) -> str | None:
    """A profit is taken beyond the entry's price, a loss before it; a market entry has the mark."""
    base = entry.limit_price or entry.stop_price or mark
    gain = child.role is Role.TAKE_PROFIT
    level = child.limit_price if gain else child.stop_price
    if level is None or math.isnan(base):
        return None
    wanted = entry.side.sign if gain else -entry.side.sign
    if wanted * (level - base) > 0:
        return None
    word = "above" if wanted > 0 else "below"
    return f"its price {number(level)} must be {word} the entry's, {number(base)}"
