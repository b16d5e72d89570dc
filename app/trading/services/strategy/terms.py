"""The terms of an order as a strategy gives them, checked at the call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from numbers import Real
from typing import Any, TypedDict, TypeVar, cast

import numpy as np

from app.errors import RequestError, nearest
from app.trading.orders import Order, OrderType, Role, Side, TimeInForce

E = TypeVar("E", bound=StrEnum)
_BPS = 10_000

# The prices that each type needs; no others may be given.
_PRICES: dict[OrderType, frozenset[str]] = {
    OrderType.MARKET: frozenset(),
    OrderType.LIMIT: frozenset({"limit"}),
    OrderType.STOP: frozenset({"stop"}),
    OrderType.STOP_LIMIT: frozenset({"limit", "stop"}),
    OrderType.TRAILING_STOP: frozenset({"trail"}),
    OrderType.MARKET_ON_OPEN: frozenset(),
    OrderType.MARKET_ON_CLOSE: frozenset(),
}
_TYPES = {prices: kind for kind, prices in reversed(_PRICES.items())}


class OrderTerms(TypedDict, total=False):
    """What ``ctx.order`` takes; ``symbol``, ``side`` and ``quantity`` are needed."""

    symbol: str
    side: Side | str
    quantity: float
    type: OrderType | str | None
    limit: float | None
    stop: float | None
    trail: float | None
    trail_bps: float | None
    tif: TimeInForce | str
    reduce_only: bool
    post_only: bool
    tag: str


def read_terms(given: Mapping[str, Any]) -> OrderTerms:
    """A mapping as terms: no unknown names, none of the needed ones missing."""
    known = OrderTerms.__annotations__
    for name in given:
        if name not in known:
            close = ", ".join(nearest(str(name), known)) or "none"
            raise RequestError(
                f"an order has no {name!r}; nearest: {close}; it has: {', '.join(known)}"
            )
    missing = [name for name in ("symbol", "side", "quantity") if name not in given]
    if missing:
        raise RequestError(f"an order without {' and '.join(missing)}: {dict(given)}")
    return cast("OrderTerms", dict(given))


def make_order(
    terms: OrderTerms, order_id: str, strategy_id: str, now_ns: int, **part: Any
) -> Order:
    """The order of these terms; RequestError says which of them cannot be. ``part``: its group."""
    prices = {name: price_of(name, terms.get(name)) for name in ("limit", "stop", "trail")}
    trail_bps = terms.get("trail_bps")
    if trail_bps is not None:
        if prices["trail"] is not None:
            raise RequestError("trail and trail_bps were both given; needed: one of them")
        prices["trail"] = price_of("trail_bps", trail_bps)
        if not trail_bps < _BPS:
            raise RequestError(f"trail_bps is {trail_bps!r}; needed: below {_BPS}")
    kind = _type_of(terms.get("type"), prices)
    tif = member(TimeInForce, "tif", terms.get("tif", TimeInForce.DAY))
    post_only = flag("post_only", terms.get("post_only", False))
    if post_only and kind is not OrderType.LIMIT:
        raise RequestError(f"post_only was given for a {kind} order; it is for limit orders")
    return Order(
        order_id=order_id, strategy_id=strategy_id, symbol=terms["symbol"],
        side=member(Side, "side", terms["side"]), type=kind,
        quantity=positive("quantity", terms["quantity"]), created_ns=now_ns,
        limit_price=prices["limit"], stop_price=prices["stop"], trail=prices["trail"],
        trail_in_bps=trail_bps is not None, tif=tif, post_only=post_only,
        reduce_only=flag("reduce_only", terms.get("reduce_only", False)),
        tag=text("tag", terms.get("tag", "")), **part,
    )  # fmt: skip


def make_exits(
    entry: Order, take_profit: float | None, stop_loss: float | None,
    tif: TimeInForce | str | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """What the children of a bracket have beside what they share with their entry."""
    if entry.reduce_only:
        raise RequestError("a reduce_only order cannot have take_profit or stop_loss")
    gain, loss = price_of("take_profit", take_profit), price_of("stop_loss", stop_loss)
    base = entry.limit_price or entry.stop_price
    levels = [("stop_loss", loss), ("the entry", base), ("take_profit", gain)]
    known = [(name, level) for name, level in levels if level is not None]
    sign = entry.side.sign
    for (low, under), (high, over) in pairwise(known):
        if sign * under >= sign * over:
            raise RequestError(
                f"{low} at {under:g} and {high} at {over:g} of a {entry.side} order; needed: "
                f"stop_loss {'below' if sign > 0 else 'above'} the entry, take_profit beyond it"
            )
    at_once = entry.tif in (TimeInForce.IOC, TimeInForce.FOK)
    exit_tif = (TimeInForce.DAY if at_once else entry.tif) if tif is None else member(
        TimeInForce, "exit_tif", tif
    )  # fmt: skip
    exits = []
    if gain is not None:
        exits.append({"role": Role.TAKE_PROFIT, "type": OrderType.LIMIT, "limit_price": gain})
    if loss is not None:
        exits.append({"role": Role.STOP_LOSS, "type": OrderType.STOP, "stop_price": loss})
    return [{**one, "tif": exit_tif} for one in exits]


def _type_of(given: OrderType | str | None, prices: Mapping[str, float | None]) -> OrderType:
    """The type; where it is not said, the one that has just these prices."""
    there = frozenset(name for name, price in prices.items() if price is not None)
    if given is None:
        found = _TYPES.get(there)
        if found is None:
            raise RequestError(f"no order type has {' and '.join(sorted(there))} together")
        return found
    kind = member(OrderType, "type", given)
    if there != _PRICES[kind]:
        needed = " and ".join(sorted(_PRICES[kind])) or "no price"
        came = " and ".join(sorted(there)) or "none"
        raise RequestError(f"a {kind} order needs {needed}; given: {came}")
    return kind


def member(kind: type[E], name: str, value: Any) -> E:
    """The member of an enumeration that a value names."""
    try:
        return kind(value)
    except ValueError:
        raise RequestError(f"{name} is {value!r}; allowed: {', '.join(kind)}") from None


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise RequestError(f"{name} is {value!r}; needed: True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Text that can be written: no half of a surrogate pair."""
    if not isinstance(value, str) or not _is_writable(value):
        raise RequestError(f"{name} is {value!r}; needed: text")
    return value


def _is_writable(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value)


def is_finite(value: Any) -> bool:
    if type(value) is float:  # the usual case; to ask of Real takes a microsecond
        return math.isfinite(value)
    is_bool = isinstance(value, bool)
    return not is_bool and isinstance(value, Real) and math.isfinite(value)


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    if not is_finite(value) or not value > 0:
        raise RequestError(f"{name} is {value!r}; needed: a number above 0")
    return float(value)


def price_of(name: str, value: Any) -> float | None:
    return None if value is None else positive(name, value)
