"""The calls about a session's engine: requests, and how their answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from app.client.answers import Session
from app.client.calls import Call, _given, _poll, json_of
from app.client.trading_answers import (
    Account,
    Fills,
    OrderAnswer,
    Orders,
    Positions,
    Signals,
    Why,
)

Side = Literal["buy", "sell"]

_SESSION = json_of(Session)
_ACCOUNT = json_of(Account)
_POSITIONS = json_of(Positions)
_ORDERS = json_of(Orders)
_ORDER = json_of(OrderAnswer)
_WHY = json_of(Why)
_FILLS = json_of(Fills)
_SIGNALS = json_of(Signals)


def start_trading(
    config: str, set: Sequence[str] = (), *, speed: float | None = None,
    start_paused: bool | None = None, record: bool | None = None,
) -> Call[Session]:  # fmt: skip
    """Starts a session that trades by a configuration in the server's folder.

    ``set`` has other values for its keys, as ``"risk.cash_buffer_pct=0.05"``. The session's
    ``run`` is the id of its record, which it leaves unless ``record`` is False.
    """
    body = {"config": config} | _given(speed=speed, start_paused=start_paused, record=record)
    if set:
        body["set"] = list(set)
    return Call("POST", "/session", _SESSION, body=body, wait_s=None)


def account(*, after: int | None = None, wait_s: float | None = None) -> Call[Account]:
    """Cash, equity and exposure of the session's engine, at the prices of now."""
    return Call("GET", "/session/account", _ACCOUNT, **_poll(after, wait_s))


def positions(
    *, strategy: str | None = None, symbol: str | None = None,
    which: Literal["open", "closed", "all"] | None = None, after: int | None = None,
    wait_s: float | None = None,
) -> Call[Positions]:  # fmt: skip
    """Positions by strategy and symbol, at the prices of now."""
    poll = _poll(after, wait_s)
    poll["params"] |= _given(strategy=strategy, symbol=symbol, which=which)
    return Call("GET", "/session/positions", _POSITIONS, **poll)


def orders(
    *, state: str | None = None, strategy: str | None = None, symbol: str | None = None,
    limit: int | None = None, after: int | None = None, wait_s: float | None = None,
) -> Call[Orders]:  # fmt: skip
    """The newest orders, oldest first; ``state`` "open" is of those that have not ended."""
    poll = _poll(after, wait_s)
    poll["params"] |= _texts(state=state, strategy=strategy, symbol=symbol, limit=limit)
    return Call("GET", "/session/orders", _ORDERS, **poll)


def order(
    order_id: str, *, after: int | None = None, wait_s: float | None = None
) -> Call[OrderAnswer]:
    """One order, and a bracket's exits."""
    return Call("GET", _path(order_id), _ORDER, **_poll(after, wait_s))


def why(
    order_id: str, *, limit: int | None = None, after: int | None = None,
    wait_s: float | None = None,
) -> Call[Why]:  # fmt: skip
    """For each slice since an order came to rest: why it did or did not fill."""
    poll = _poll(after, wait_s)
    poll["params"] |= _texts(limit=limit)
    return Call("GET", _path(order_id) + "/why", _WHY, **poll)


def fills(
    *, strategy: str | None = None, symbol: str | None = None, order: str | None = None,
    limit: int | None = None, after: int | None = None, wait_s: float | None = None,
) -> Call[Fills]:  # fmt: skip
    """The newest fills, oldest first."""
    poll = _poll(after, wait_s)
    poll["params"] |= _texts(strategy=strategy, symbol=symbol, order=order, limit=limit)
    return Call("GET", "/session/fills", _FILLS, **poll)


def signals(
    *, strategy: str | None = None, symbol: str | None = None, limit: int | None = None,
    after: int | None = None, wait_s: float | None = None,
) -> Call[Signals]:  # fmt: skip
    """The newest signals of strategies, oldest first, and what became of them."""
    poll = _poll(after, wait_s)
    poll["params"] |= _texts(strategy=strategy, symbol=symbol, limit=limit)
    return Call("GET", "/session/signals", _SIGNALS, **poll)


def send_order(
    symbol: str, side: Side, quantity: float, type: str | None = None, *,
    limit_price: float | None = None, stop_price: float | None = None, trail: float | None = None,
    trail_bps: float | None = None, tif: str | None = None, reduce_only: bool | None = None,
    post_only: bool | None = None, take_profit: float | None = None,
    stop_loss: float | None = None, exit_tif: str | None = None, tag: str | None = None,
    idempotency_key: str | None = None,
) -> Call[OrderAnswer]:  # fmt: skip
    """Sends an order; answered when all that follows from it at that time is settled.

    Risk may refuse it: then its ``state`` is rejected, with a ``code``. ``take_profit`` and
    ``stop_loss`` make it a bracket's entry. Calls with the same ``idempotency_key`` are one order.
    """
    body = {"symbol": symbol, "side": side, "quantity": quantity} | _given(
        type=type, limit_price=limit_price, stop_price=stop_price, trail=trail,
        trail_bps=trail_bps, tif=tif, reduce_only=reduce_only, post_only=post_only,
        take_profit=take_profit, stop_loss=stop_loss, exit_tif=exit_tif, tag=tag,
    )  # fmt: skip
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return Call("POST", "/session/orders", _ORDER, body=body, headers=headers)


def cancel_order(order_id: str) -> Call[OrderAnswer]:
    """Cancels an order, of any strategy; refused (409) where it has ended."""
    return Call("DELETE", _path(order_id), _ORDER)


def _texts(**values: Any) -> dict[str, str]:
    return {name: str(value) for name, value in _given(**values).items()}


def _path(order_id: str) -> str:
    """``.`` and ``..`` would be taken for folders."""
    encoded = quote(order_id, safe="") if order_id.strip(".") else order_id.replace(".", "%2E")
    return f"/session/orders/{encoded}"
