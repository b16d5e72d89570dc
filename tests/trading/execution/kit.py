"""Execution alone on a stage: orders approved by hand, rows by hand, fills as short tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.model import Items
from app.trading.bus import Kind
from app.trading.events import (
    CancelRequestEvent,
    FillEvent,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderUpdateEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Role, Side, TimeInForce
from app.trading.sections import ExecutionSection
from app.trading.services.execution import ExecutionSimulator
from tests.trading.harness import Stage

BUY, SELL = Side.BUY, Side.SELL


def order(number: int | str = 1, type: str = "market", side: str = "buy", **terms: Any) -> Order:
    """An order ``s-<number>`` of 100 AAA by strategy ``s``; ``limit``, ``stop`` for short."""
    for short in ("limit", "stop"):
        if short in terms:
            terms[f"{short}_price"] = terms.pop(short)
    for name, kind in (("tif", TimeInForce), ("role", Role)):
        if name in terms:
            terms[name] = kind(terms[name])
    facts: dict[str, Any] = {
        "order_id": f"s-{number}", "strategy_id": "s", "symbol": "AAA", "quantity": 100.0,
        "created_ns": 0, "type": OrderType(type), "side": Side(side),
    }  # fmt: skip
    return Order(**{**facts, **terms})


def bracket(
    entry: Order, profit: float | None = None, loss: float | None = None, **loss_terms: Any
) -> tuple[Order, ...]:
    """An entry ``s-1`` with exits ``s-2`` (a limit) and ``s-3`` (a stop), good till cancelled."""
    group: dict[str, Any] = {
        "group_id": "g", "parent_id": entry.order_id, "reduce_only": True, "tif": "gtc",
        "side": entry.side.opposite.value, "quantity": entry.quantity, "symbol": entry.symbol,
        "strategy_id": entry.strategy_id,
    }  # fmt: skip
    fields = {f: getattr(entry, f) for f in Order.__struct_fields__}
    orders = [Order(**{**fields, "role": Role.ENTRY, "group_id": "g"})]
    if profit is not None:
        orders.append(order(2, "limit", limit=profit, role=Role.TAKE_PROFIT, **group))
    if loss is not None or loss_terms:
        terms = {"type": "stop", "stop": loss, **loss_terms}
        orders.append(order(3, role=Role.STOP_LOSS, **{**group, **terms}))
    return tuple(orders)


class Pit(Stage):
    """A stage with an ``ExecutionSimulator``; its first day is open."""

    def __init__(
        self, section: dict[str, Any] | None = None, symbols: Sequence[str] = ("AAA",), *,
        kind: Kind = Kind.INLINE, begin: bool = True, **terms: Any,
    ) -> None:  # fmt: skip
        super().__init__(symbols, **terms)
        self.section = ExecutionSection.model_validate(section or {}, strict=False)
        self.simulator = ExecutionSimulator.from_config(self.section, self.bus)
        self.attach(self.simulator, kind=kind)
        if begin:
            self.start()

    def approve(self, *orders: Order) -> None:
        """Risk approves these together, now."""
        self.send(OrderApprovedEvent(ts_event_ns=self.engine.now_ns, orders=orders))

    def cancel(self, number: int, reason: str = "requested") -> None:
        self.send(
            CancelRequestEvent(
                ts_event_ns=self.engine.now_ns, strategy_id="s", order_id=f"s-{number}",
                reason=reason,
            )
        )  # fmt: skip

    def modify(self, number: int, **terms: Any) -> None:
        self.send(
            ModifyApprovedEvent(
                ts_event_ns=self.engine.now_ns, strategy_id="s", order_id=f"s-{number}", **terms
            )
        )

    def at(self, now_ns: int) -> None:
        """The clock stands here, without data."""
        self.engine.advance(now_ns)

    # -- what came of it ---------------------------------------------------------------------

    @property
    def fills(self) -> list[FillEvent]:
        return self.seen.of(FillEvent)

    def filled(self) -> list[tuple[str, float, float]]:
        """Order number, quantity and price of each fill."""
        return [(f.order_id.removeprefix("s-"), f.quantity, f.price) for f in self.fills]

    def updates(self, number: int | str) -> list[OrderUpdateEvent]:
        return [e for e in self.seen.of(OrderUpdateEvent) if e.order_id == f"s-{number}"]

    def states(self, number: int | str) -> list[str]:
        """The states told of an order, with the reason where there is one."""
        return [f"{e.state.value} {e.reason}".strip() for e in self.updates(number)]

    def state(self, number: int | str) -> OrderState:
        return self.updates(number)[-1].state

    def rejected(self) -> list[tuple[str, str]]:
        return [(e.order_id.removeprefix("s-"), e.code) for e in self.seen.of(OrderRejectedEvent)]


def play_day(pit: Pit, *rows: Items) -> None:
    """Rows of the open day, then its end and the next day's opening."""
    if rows:
        pit.play(*rows)
    pit.roll()
