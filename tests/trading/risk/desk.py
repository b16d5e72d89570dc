"""A stage with risk and an account whose equity the test states; wishes are judged in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from app.trading.bus import EventBus
from app.trading.events import (
    CancelRequestEvent,
    EventBase,
    FillEvent,
    ModifyApprovedEvent,
    ModifyRequestEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    OrderUpdateEvent,
    PortfolioStateEvent,
    RiskHaltEvent,
    SignalEvent,
    ValuationTriggerEvent,
    WarningEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Role, Side
from app.trading.sections import PortfolioSection, RiskSection
from app.trading.service import BacktestService
from app.trading.services.portfolio import PortfolioService
from app.trading.services.risk import RiskEngine
from tests.trading.harness import DAYS, Stage, bar, minute

SAID = (
    OrderApprovedEvent, ModifyApprovedEvent, OrderRejectedEvent, CancelRequestEvent,
    RiskHaltEvent, WarningEvent,
)  # fmt: skip


class HandPortfolio(BacktestService):
    """Says at each valuation what the test has put into it."""

    NAME: ClassVar[str] = "portfolio"
    RANK: ClassVar[int] = 20

    def __init__(self, event_bus: EventBus, equity: float) -> None:
        super().__init__(event_bus)
        self.equity = equity

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus, section)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {ValuationTriggerEvent: self.value}

    def value(self, event: ValuationTriggerEvent) -> None:
        self.publish(
            PortfolioStateEvent(
                ts_event_ns=event.ts_event_ns, cash=str(self.equity), equity=self.equity,
                gross_exposure=0.0, net_exposure=0.0, realised=0.0, unrealised=0.0, fees=0.0,
                positions=(),
            )
        )  # fmt: skip


class Desk:
    """Day one is open; ``price`` plays bars, ``ask`` a batch, ``fill`` and ``update`` execution.

    ``real``: the account is a PortfolioService's, which begins with ``equity`` as cash.
    """

    def __init__(
        self, equity: float = 10_000, symbols: Sequence[str] = ("AAA", "BBB"),
        prices: Mapping[str, float] | None = None, context: Mapping[str, Any] | None = None,
        real: bool = False, **section: Any,
    ) -> None:  # fmt: skip
        self.stage = Stage(symbols, **(context or {}))
        self.portfolio = HandPortfolio(self.stage.bus, equity)
        self.risk = RiskEngine.from_config(RiskSection(**section), self.stage.bus)
        cash = PortfolioSection(initial_cash=equity)
        account = PortfolioService.from_config(cash, self.stage.bus) if real else self.portfolio
        self.stage.attach(account, self.risk)
        self.stage.start()
        self._minute, self._orders, self._fills = 0, 0, 0
        self.play({"AAA": 100.0, "BBB": 50.0} if prices is None else prices)

    @property
    def now_ns(self) -> int:
        return self.stage.engine.now_ns

    def price(self, at: int | None = None, **prices: float) -> None:
        """One bar of each of these symbols, released together ``at`` minutes after the open."""
        self.play(prices, at)

    def play(self, prices: Mapping[str, float], at: int | None = None) -> None:
        self._minute = self._minute + 1 if at is None else at
        start = minute(self._minute - 1, DAYS[self.stage.day])
        index = self.stage.context.index
        self.stage.play(*(bar(index(s), start, p, p, p, p) for s, p in prices.items()))

    def new_day(self) -> None:
        self.stage.roll()
        self._minute = 0

    def order(
        self, side: str = "buy", quantity: float = 10, symbol: str = "AAA", type: str = "market",
        strategy: str = "s1", **terms: Any,
    ) -> Order:  # fmt: skip
        self._orders += 1
        terms.setdefault("order_id", f"{strategy}-{self._orders}")
        return Order(
            strategy_id=strategy, symbol=symbol, side=Side(side), type=OrderType(type),
            quantity=quantity, created_ns=self.now_ns, **terms,
        )  # fmt: skip

    def bracket(
        self, quantity: float = 10, profit: float = 110, stop: float = 90, side: str = "buy",
        **terms: Any,
    ) -> tuple[Order, Order, Order]:  # fmt: skip
        entry = self.order(side, quantity, role=Role.ENTRY, group_id="g1", **terms)
        closing = "sell" if side == "buy" else "buy"
        shared: dict[str, Any] = {
            "group_id": "g1", "parent_id": entry.order_id, "reduce_only": True,
            "strategy": entry.strategy_id, "symbol": entry.symbol,
        }  # fmt: skip
        return (
            entry,
            self.order(closing, quantity, type="limit", limit_price=profit,
                       role=Role.TAKE_PROFIT, **shared),
            self.order(closing, quantity, type="stop", stop_price=stop,
                       role=Role.STOP_LOSS, **shared),
        )  # fmt: skip

    def signal(
        self, direction: int, strength: float = 1.0, symbol: str = "AAA", strategy: str = "s1"
    ) -> SignalEvent:
        self._orders += 1
        return SignalEvent(
            ts_event_ns=self.now_ns, signal_id=f"{strategy}-s{self._orders}", strategy_id=strategy,
            symbol=symbol, direction=direction, strength=strength,
        )  # fmt: skip

    def modify(self, order: Order, **terms: Any) -> ModifyRequestEvent:
        return ModifyRequestEvent(
            ts_event_ns=self.now_ns, strategy_id=order.strategy_id, order_id=order.order_id, **terms
        )

    def ask(self, *wishes: EventBase | Order | Sequence[Order]) -> list[Any]:
        """Publish all of these at once; what risk said, in its order."""
        before = len(self.stage.seen.events)
        events = [self._event(wish) for wish in wishes]
        for event in events[:-1]:
            self.stage.bus.publish(event)
        self.stage.engine.publish(events[-1])
        return [e for e in self.stage.seen.events[before:] if type(e) in SAID]

    def _event(self, wish: EventBase | Order | Sequence[Order]) -> EventBase:
        if isinstance(wish, EventBase):
            return wish
        orders = (wish,) if isinstance(wish, Order) else tuple(wish)
        return OrderRequestEvent(
            ts_event_ns=self.now_ns, strategy_id=orders[0].strategy_id, orders=orders
        )

    def fill(
        self, order: Order, price: float, quantity: float | None = None, *, final: bool = True
    ) -> None:
        """Execution fills (a part of) an order."""
        self._fills += 1
        done = order.quantity if quantity is None else quantity
        self.stage.bus.publish(
            FillEvent(
                ts_event_ns=self.now_ns, fill_id=f"{order.order_id}-f{self._fills}",
                order_id=order.order_id, strategy_id=order.strategy_id, symbol=order.symbol,
                side=order.side, quantity=done, price=price, commission=0.0, fees=0.0,
                slippage=0.0, price_time_ns=self.now_ns, arrival_price=None,
                order_type=order.type, source="bars",
            )
        )  # fmt: skip
        state = OrderState.FILLED if final else OrderState.PARTIALLY_FILLED
        self.update(order, state, filled=done)

    def update(self, order: Order, state: OrderState, filled: float = 0.0, **terms: Any) -> None:
        terms.setdefault("quantity", order.quantity)
        self.stage.engine.publish(
            OrderUpdateEvent(
                ts_event_ns=self.now_ns, order_id=order.order_id, strategy_id=order.strategy_id,
                symbol=order.symbol, state=state, filled=filled, **terms,
            )
        )  # fmt: skip

    def hold(
        self, quantity: float, symbol: str = "AAA", strategy: str = "s1", price: float = 100.0
    ) -> None:
        """A position that came by itself, so that no limit has a say in it."""
        side = "buy" if quantity > 0 else "sell"
        self.fill(self.order(side, abs(quantity), symbol, strategy=strategy), price)


def codes(said: Sequence[Any]) -> list[str]:
    """Of each answer its code, or what it approves."""
    return [getattr(e, "code", None) or type(e).topic().removeprefix("order_") for e in said]


def only(said: Sequence[Any]) -> Any:
    """The one answer."""
    assert len(said) == 1, said
    return said[0]


def approved(said: Sequence[Any]) -> list[Order]:
    """All orders that were approved."""
    return [o for e in said if type(e) is OrderApprovedEvent for o in e.orders]
