"""The answers of the calls about a session's engine, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.times import format_time
from app.trading.sections import FillPolicy

if TYPE_CHECKING:
    from app.managers.system_manager.desk import TradingDesk
    from app.managers.time_manager import View
    from app.trading.events import FillEvent, PositionState
    from app.trading.services.blotter import OrderView, Settled, SignalView
    from app.trading.services.execution.explain import Explanation


def head(view: View) -> dict[str, Any]:
    """Which view an answer shows."""
    return {"time": format_time(view.now_ns), "epoch": view.epoch, "seq": view.seq}


def order_body(view: OrderView) -> dict[str, Any]:
    order = view.order
    return {
        "id": order.order_id,
        "strategy": order.strategy_id,
        "symbol": order.symbol,
        "side": str(order.side),
        "type": str(order.type),
        "quantity": view.quantity,
        "filled": view.filled,
        "average_price": view.average_price,
        "state": str(view.state),
        "limit_price": view.limit_price,
        "stop_price": view.stop_price,
        "trail": view.trail,
        "trail_in_bps": order.trail_in_bps,
        "tif": str(order.tif),
        "reduce_only": order.reduce_only,
        "post_only": order.post_only,
        "role": str(order.role),
        "group": order.group_id,
        "parent": order.parent_id,
        "tag": order.tag,
        "created": format_time(order.created_ns),
        "updated": format_time(view.updated_ns),
        "code": view.code,
        "reason": view.reason,
        "history": [
            {
                "time": format_time(step.time_ns), "state": str(step.state),
                "filled": step.filled, "reason": step.reason,
            }
            for step in view.steps
        ],
    }  # fmt: skip


def fill_body(fill: FillEvent) -> dict[str, Any]:
    return {
        "id": fill.fill_id,
        "order": fill.order_id,
        "strategy": fill.strategy_id,
        "symbol": fill.symbol,
        "side": str(fill.side),
        "quantity": fill.quantity,
        "price": fill.price,
        "commission": fill.commission,
        "fees": fill.fees,
        "slippage": fill.slippage,
        "time": format_time(fill.ts_event_ns),
        "price_time": format_time(fill.price_time_ns),
        "source": fill.source,
        "flags": list(fill.flags),
        "tag": fill.tag,
    }


def signal_body(view: SignalView) -> dict[str, Any]:
    signal = view.signal
    return {
        "id": signal.signal_id,
        "strategy": signal.strategy_id,
        "symbol": signal.symbol,
        "direction": signal.direction,
        "strength": signal.strength,
        "time": format_time(signal.ts_event_ns),
        "tag": signal.tag,
        "outcome": view.outcome,
    }


def position_body(state: PositionState) -> dict[str, Any]:
    return {
        "strategy": state.strategy_id,
        "symbol": state.symbol,
        "quantity": state.quantity,
        "average_price": state.average_price,
        "mark": state.mark,
        "market_value": state.market_value,
        "unrealised": state.unrealised,
        "realised": state.realised,
        "fees": state.fees,
        "stale": state.stale,
    }


def account_body(desk: TradingDesk, settled: Settled) -> dict[str, Any]:
    config, account = desk.config, settled.account()
    return {
        "run": desk.run_id,
        "currency": desk.context.currency,
        "initial_cash": config.portfolio.initial_cash,
        "cash": float(account.cash),
        "equity": account.equity,
        "gross_exposure": account.gross_exposure,
        "net_exposure": account.net_exposure,
        "realised": account.realised,
        "unrealised": account.unrealised,
        "fees": account.fees,
        "open_orders": account.open_orders,
        "optimistic": config.execution.policy is FillPolicy.IMMEDIATE,
        "halts": list(account.halts),
    }


def reason_body(one: Explanation) -> dict[str, Any]:
    return {
        "time": format_time(one.time_ns),
        "start": format_time(one.start_ns),
        "source": one.source,
        "code": one.code,
        "reason": one.sentence,
        "prices": one.prices,
    }
