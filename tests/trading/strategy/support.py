"""Strategies from source texts on a stage, and a broker that fills by hand-made rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from app.trading.bus import EventBus, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    CancelRequestEvent,
    EventBase,
    FillEvent,
    OrderApprovedEvent,
    OrderRequestEvent,
    OrderUpdateEvent,
    RiskEvaluationTriggerEvent,
)
from app.trading.orders import Order, OrderState
from app.trading.sections import StrategySection
from app.trading.service import BacktestService
from app.trading.services.strategy import StrategyRunner
from tests.trading.harness import Stage

HEAD = "from app.trading.strategy import *\n"
WATCHER = (
    HEAD
    + """
class Watcher(Strategy):
    def on_start(self, ctx):
        self.seen = []
"""
)  # line 2 is empty, the class begins in line 3


def section(id: str = "one", **keys: Any) -> StrategySection:
    return StrategySection.model_validate({"id": id, "file": f"{id}.py", **keys})


def make(
    stage: Stage, folder: Path, source: str | Mapping[str, str], *sections: StrategySection
) -> StrategyRunner:
    """A runner of one source as strategy ``one``, or of several by id; attached."""
    sources = {"one": source} if isinstance(source, str) else dict(source)
    for name, text in sources.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    wanted = sections or tuple(section(name) for name in sources)
    runner = StrategyRunner.from_config(wanted, stage.bus, folder)
    stage.attach(runner)
    return runner


def strategy(runner: StrategyRunner, id: str = "one") -> Any:
    """The user's instance."""
    return runner._of[id].instance


def published(stage: Stage, *kinds: type[EventBase]) -> list[EventBase]:
    return [e for e in stage.seen.events if type(e) in kinds]


class Broker(BacktestService):
    """Approves everything at T, and fills market orders at the next bar's or trade's price."""

    NAME: ClassVar[str] = "execution"
    RANK: ClassVar[int] = 10
    PHASE: ClassVar[Phase | None] = Phase.MARKET

    def __init__(self, event_bus: EventBus) -> None:
        super().__init__(event_bus)
        self.asked: list[Order] = []
        self.resting: dict[str, Order] = {}

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            OrderRequestEvent: lambda event: self.asked.extend(event.orders),
            RiskEvaluationTriggerEvent: self._approve,
            CancelRequestEvent: self._cancel,
            MarketEvent: self._fill,
        }

    def scan(self, event: MarketEvent) -> int:
        return event.low if self.resting else event.high

    def _approve(self, event: RiskEvaluationTriggerEvent) -> None:
        for order in self.asked:
            self.publish(OrderApprovedEvent(ts_event_ns=event.ts_event_ns, orders=(order,)))
            self.tell(order, OrderState.ACCEPTED, event.ts_event_ns)
            self.resting[order.order_id] = order
        self.asked.clear()

    def _cancel(self, event: CancelRequestEvent) -> None:
        order = self.resting.pop(event.order_id)
        self.tell(order, OrderState.CANCELLED, event.ts_event_ns)

    def _fill(self, event: MarketEvent) -> None:
        for row in event.items:
            symbol = self.context.symbols[row["symbol"]]
            for order in [o for o in self.resting.values() if o.symbol == symbol]:
                del self.resting[order.order_id]
                self.tell(order, OrderState.FILLED, event.last_ns, order.quantity)
                self.publish(fill(order, event.last_ns, float(row["v"][0])))

    def tell(self, order: Order, state: OrderState, now_ns: int, filled: float = 0.0) -> None:
        self.publish(update(order, state, now_ns, filled))


def update(order: Order, state: OrderState, now_ns: int, filled: float = 0.0) -> OrderUpdateEvent:
    return OrderUpdateEvent(
        ts_event_ns=now_ns, order_id=order.order_id, strategy_id=order.strategy_id,
        symbol=order.symbol, state=state, quantity=order.quantity, filled=filled,
        limit_price=order.limit_price, stop_price=order.stop_price,
    )  # fmt: skip


def fill(
    order: Order, now_ns: int, price: float, quantity: float | None = None, number: int = 1
) -> FillEvent:
    return FillEvent(
        ts_event_ns=now_ns, fill_id=f"{order.order_id}-f{number}", order_id=order.order_id,
        strategy_id=order.strategy_id, symbol=order.symbol, side=order.side,
        quantity=order.quantity if quantity is None else quantity, price=price, commission=0.0,
        fees=0.0, slippage=0.0, price_time_ns=now_ns, arrival_price=None,
        order_type=order.type, source="bars",
    )  # fmt: skip


def requested(stage: Stage) -> list[Order]:
    """All orders that strategies asked for, in order."""
    return [order for event in stage.seen.of(OrderRequestEvent) for order in event.orders]


def ids(orders: Sequence[Order]) -> list[str]:
    return [order.order_id for order in orders]
