"""A small run by hand: a trader, a desk that fills at once, and the audit, on three days."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from app.runs.audit import AuditRunner
from app.runs.manifest import DataFile, RunState
from app.runs.spec import RunSpec, StrategyFile
from app.runs.store import RunStore
from app.runs.writer import AuditWriter
from app.trading.bus import EventBus, Kind, Phase
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.events import (
    DayEndEvent,
    EventBase,
    FillEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    OrderUpdateEvent,
    PortfolioStateEvent,
    PositionState,
    RoundTripEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Side
from app.trading.service import BacktestService
from tests.trading.harness import DAYS, Stage, bar, minute

MINUTES = 30
EVERY = 7  # slices from one order to the next


class Trader(BacktestService):
    """Asks for an order at every seventh slice of a day; one of three is refused."""

    NAME, RANK, PHASE = "trader", 30, Phase.STRATEGY

    def __init__(self, event_bus: EventBus, price: float = 10.5) -> None:
        super().__init__(event_bus)
        self.price = price
        self.orders = 0
        self.slices = 0

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {MarketEvent: self.on_market}

    def on_market(self, event: MarketEvent) -> None:
        assert self.port is not None
        for at in range(event.low, event.high):
            self.slices += 1
            if self.slices % EVERY == 0:
                self.ask(int(event.window.times_ns[at]))
                self.port.reached = at + 1
                return

    def ask(self, now_ns: int) -> None:
        self.orders += 1
        side = Side.BUY if self.orders % 2 else Side.SELL
        order = Order(
            order_id=f"a-{self.orders}", strategy_id="a", symbol="AAA", side=side,
            type=OrderType.LIMIT, quantity=10.0, created_ns=now_ns, limit_price=self.price,
        )  # fmt: skip
        self.publish(OrderRequestEvent(ts_event_ns=now_ns, strategy_id="a", orders=(order,)))


class Desk(BacktestService):
    """Refuses every third order and fills the others at once."""

    NAME, RANK = "desk", 10

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {OrderRequestEvent: self.on_request, DayEndEvent: self.on_day_end}

    def on_request(self, event: OrderRequestEvent) -> None:
        order, now_ns = event.orders[0], event.ts_event_ns
        if int(order.order_id[2:]) % 3 == 0:
            self.publish(
                OrderRejectedEvent(
                    ts_event_ns=now_ns, order_id=order.order_id, strategy_id="a", symbol="AAA",
                    code="third", reason='every "third" one; ,"ts_created_ns":1', by="risk",
                )
            )  # fmt: skip
            return
        self.publish(OrderApprovedEvent(ts_event_ns=now_ns, orders=event.orders))
        self.publish(update_of(order, now_ns, OrderState.WORKING))
        self.publish(fill_of(order, now_ns))
        self.publish(update_of(order, now_ns, OrderState.FILLED))
        self.publish(state_of(order, now_ns))
        if order.side is Side.SELL:
            self.publish(trip_of(order, now_ns))

    def on_day_end(self, event: DayEndEvent) -> None:
        times = np.arange(event.ts_event_ns - 3, event.ts_event_ns)
        values = np.arange(100_000, 100_003, dtype=np.float64)
        self.publish(
            EquityEvent(times_ns=times, equity=values, cash=values, gross=values * 0, net=values)
        )


def update_of(order: Order, now_ns: int, state: OrderState) -> OrderUpdateEvent:
    filled = order.quantity if state is OrderState.FILLED else 0.0
    return OrderUpdateEvent(
        ts_event_ns=now_ns, order_id=order.order_id, strategy_id=order.strategy_id,
        symbol=order.symbol, state=state, quantity=order.quantity, filled=filled,
        limit_price=order.limit_price,
    )  # fmt: skip


def fill_of(order: Order, now_ns: int) -> FillEvent:
    return FillEvent(
        ts_event_ns=now_ns, fill_id=f"{order.order_id}-f1", order_id=order.order_id,
        strategy_id=order.strategy_id, symbol=order.symbol, side=order.side,
        quantity=order.quantity, price=10.25, commission=1.0, fees=0.01, slippage=0.0,
        price_time_ns=now_ns - 1, arrival_price=None, order_type=order.type, source="bars",
        flags=("partial", "ambiguous"),
    )  # fmt: skip


def state_of(order: Order, now_ns: int) -> PortfolioStateEvent:
    position = PositionState(
        strategy_id="a", symbol="AAA", quantity=order.signed_quantity, average_price=10.25,
        mark=None, market_value=0.0, unrealised=0.0, realised=-1.0, fees=1.01,
    )  # fmt: skip
    return PortfolioStateEvent(
        ts_event_ns=now_ns, cash="99897.49", equity=100_000.0, gross_exposure=102.5,
        net_exposure=102.5, realised=0.0, unrealised=0.0, fees=1.01, positions=(position,),
    )  # fmt: skip


def trip_of(order: Order, now_ns: int) -> RoundTripEvent:
    return RoundTripEvent(
        ts_event_ns=now_ns, strategy_id="a", symbol="AAA", side=Side.BUY, quantity=10.0,
        entry_ns=now_ns - 60, entry_price=10.25, exit_price=10.25, pnl=-2.02, costs=2.02,
        mae=None, mfe=0.5,
    )  # fmt: skip


class SmallRun:
    """The run, played day by day; ``cut`` slices a window."""

    def __init__(
        self, writer: AuditWriter, cut: int = MINUTES, price: float = 10.5,
        kind: Kind = Kind.INLINE,
    ) -> None:  # fmt: skip
        self.cut, self.writer = cut, writer
        self.stage = Stage()
        bus = self.stage.bus
        self.stage.attach(Desk(bus), Trader(bus, price), AuditRunner(bus, writer), kind=kind)

    def play(self) -> list[EventBase]:
        """All days, to the orderly end; the events as another subscriber saw them."""
        for day in range(len(DAYS)):
            self.play_day(day)
        self.stage.engine.finish("completed")
        return self.events

    def play_day(self, day: int) -> None:
        if day:
            self.stage.open(day)
        else:
            self.stage.start()
        for first in range(0, MINUTES, self.cut):
            last = min(first + self.cut, MINUTES)
            self.stage.play(*(self.bar(day, number) for number in range(first, last)))
        self.stage.end()

    @staticmethod
    def bar(day: int, number: int) -> Any:
        return bar(0, minute(number, DAYS[day]), 10, 11, 9, 10)

    @property
    def events(self) -> list[EventBase]:
        return self.stage.seen.events


def played(folder: Path, cut: int = MINUTES, **terms: Any) -> SmallRun:
    """A whole run into a folder that this makes, its files closed."""
    folder.mkdir()
    run = SmallRun(AuditWriter(folder, **terms), cut)
    run.play()
    run.writer.close()
    return run


def spec(tmp_path: Path, **fields: Any) -> RunSpec:
    """A run's beginnings, with one strategy's file."""
    source = tmp_path / "made.py"
    source.write_text("VALUE = 1\n")
    return RunSpec(
        **{
            "name": "small", "config": {"backtest": {"name": "small"}, "data": {"symbols": ["ON"]}},
            "seed": 7, "strategies": [StrategyFile("a", "made.py", source)],
            "data": [DataFile("bars_1m/AAA.parquet", 10, "ab"), DataFile("actions", 1, "cd")],
            **fields,
        }
    )  # fmt: skip


def recorded(store: RunStore, tmp_path: Path, cut: int = MINUTES, **made: Any) -> str:
    """A whole run in a store; its id."""
    handle = store.create(spec(tmp_path, **made.pop("spec", {})))
    writer = AuditWriter(handle.path)
    SmallRun(writer, cut, **made).play()
    writer.close()
    store.finish(
        handle, RunState.COMPLETED, events=writer.events, digest="td1:00",
        events_digest=writer.events_digest, summary={"return": 0.25, "sharpe": None},
    )  # fmt: skip
    return handle.id


def types_of(events: Iterable[EventBase]) -> list[str]:
    return [event.topic() for event in events]
