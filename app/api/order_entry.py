"""Orders from outside: what is wrong with one as it came, and what it is to the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.api.problems import field_error
from app.api.schemas_trading import OrderStart
from app.trading.events import MANUAL, OrderRequestEvent
from app.trading.orders import Order, OrderType, Role, Side, TimeInForce
from app.trading.services.strategy.terms import make_exits

_PRICES = ("limit_price", "stop_price", "trail", "trail_bps")
_NEEDED: dict[str, tuple[str, ...]] = {
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": ("trail", "trail_bps"),  # one of them
}
_MOST_BPS = 10_000


def faults(body: OrderStart) -> list[dict[str, Any]]:
    """Fields that do not go together, as entries of a 422."""
    needed = _NEEDED.get(body.type, ())
    found = [
        _fault(name, f"a {body.type} order has none", getattr(body, name), _types_with(name))
        for name in _PRICES
        if name not in needed and getattr(body, name) is not None
    ]
    given = [name for name in needed if getattr(body, name) is not None]
    if body.type == "trailing_stop":
        found += _trail_faults(body, given)
    else:
        missing = [name for name in needed if name not in given]
        text = f"a {body.type} order needs it"
        found += [_fault(name, text, None, "a number above 0") for name in missing]
    if body.post_only and body.type != "limit":
        found.append(_fault("post_only", f"not for a {body.type} order", True, "with type limit"))
    if body.exit_tif is not None and body.take_profit is None and body.stop_loss is None:
        found.append(
            _fault("exit_tif", "no bracket", body.exit_tif, "with take_profit or stop_loss")
        )
    return found


def _types_with(name: str) -> str:
    types = " or ".join(kind for kind, needed in _NEEDED.items() if name in needed)
    return f"not given, or with type {types}"


def _trail_faults(body: OrderStart, given: list[str]) -> list[dict[str, Any]]:
    if len(given) != 1:
        came = "both came" if given else "a trailing_stop order needs trail or trail_bps"
        return [_fault("trail", came, body.trail, "one of trail and trail_bps")]
    if body.trail_bps is not None and body.trail_bps >= _MOST_BPS:
        return [_fault("trail_bps", "too far", body.trail_bps, f"below {_MOST_BPS}")]
    return []


def _fault(field: str, message: str, came: Any, allowed: str) -> dict[str, Any]:
    return field_error(f"body.{field}", message, came, allowed)


def order_count(body: OrderStart) -> int:
    """The order and a bracket's exits."""
    return 1 + (body.take_profit is not None) + (body.stop_loss is not None)


def make_request(
    body: OrderStart, number: Callable[[int], list[str]], now_ns: int
) -> OrderRequestEvent:
    """The request for an order, or a bracket; ``number`` gives as many ids.

    RequestError where a bracket's levels cannot be.
    """
    entry_id, *exit_ids = number(order_count(body))
    entry = Order(
        order_id=entry_id, strategy_id=MANUAL, symbol=body.symbol, side=Side(body.side),
        type=OrderType(body.type), quantity=float(body.quantity), created_ns=now_ns,
        limit_price=body.limit_price, stop_price=body.stop_price,
        trail=body.trail if body.trail_bps is None else body.trail_bps,
        trail_in_bps=body.trail_bps is not None, tif=TimeInForce(body.tif),
        reduce_only=body.reduce_only, post_only=body.post_only, tag=body.tag,
        role=Role.ENTRY if exit_ids else Role.SINGLE, group_id=entry_id if exit_ids else None,
    )  # fmt: skip
    parts = make_exits(entry, body.take_profit, body.stop_loss, body.exit_tif) if exit_ids else []
    exits = [
        Order(
            order_id=exit_id, strategy_id=MANUAL, symbol=entry.symbol, side=entry.side.opposite,
            quantity=entry.quantity, created_ns=now_ns, reduce_only=True, group_id=entry_id,
            parent_id=entry_id, tag=entry.tag, **part,
        )
        for exit_id, part in zip(exit_ids, parts, strict=True)
    ]  # fmt: skip
    return OrderRequestEvent(ts_event_ns=now_ns, strategy_id=MANUAL, orders=(entry, *exits))
