"""A stage with a portfolio on it, and an exchange that fills what a test says, when it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Self

from app.trading.bus import EventBus, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    CashEvent,
    FillEvent,
    PortfolioStateEvent,
    PositionState,
    RoundTripEvent,
    ScheduleEvent,
    TimerEvent,
)
from app.trading.orders import OrderType, Side
from app.trading.sections import PortfolioSection
from app.trading.service import BacktestService
from app.trading.services.portfolio import PortfolioService
from tests.trading.harness import Stage


def fill(
    number: int, at_ns: int, quantity: float, price: float, *, symbol: str = "AAA",
    strategy: str = "one", commission: float = 0.0, fees: float = 0.0,
) -> FillEvent:  # fmt: skip
    """An execution; ``quantity`` below 0 is a sale."""
    return FillEvent(
        ts_event_ns=at_ns, fill_id=f"{strategy}-{number}-f1", order_id=f"{strategy}-{number}",
        strategy_id=strategy, symbol=symbol, side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity), price=price, commission=commission, fees=fees, slippage=0.0,
        price_time_ns=at_ns, arrival_price=None, order_type=OrderType.MARKET, source="bars",
    )  # fmt: skip


class Exchange(BacktestService):
    """Publishes fills at their times: after the slice of that time, or where there is none."""

    NAME = "execution"
    RANK = 10
    PHASE = Phase.MARKET

    def __init__(self, event_bus: EventBus, fills: Iterable[FillEvent] = ()) -> None:
        super().__init__(event_bus)
        self.waiting = sorted(fills, key=lambda f: f.ts_event_ns)

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {MarketEvent: self._on_market, TimerEvent: self._on_timer}

    def scan(self, event: MarketEvent) -> int:
        if not self.waiting:
            return event.high
        times = event.window.times_ns[event.low : event.high]
        return event.low + int(times.searchsorted(self.waiting[0].ts_event_ns))

    def timers(self) -> list[ScheduleEvent]:
        """So that fills between slices come in time as well."""
        return [
            ScheduleEvent(ts_event_ns=0, owner="execution", token="fills", at_ns=f.ts_event_ns)
            for f in self.waiting
        ]

    def _on_market(self, event: MarketEvent) -> None:
        self._publish_due(event.last_ns)

    def _on_timer(self, event: TimerEvent) -> None:
        self._publish_due(event.ts_event_ns)

    def _publish_due(self, now_ns: int) -> None:
        while self.waiting and self.waiting[0].ts_event_ns <= now_ns:
            self.publish(self.waiting.pop(0))


class Desk(Stage):
    """A stage whose account begins with 100,000, if nothing else is said."""

    def __init__(
        self, symbols: Sequence[str] = ("AAA",), *, fills: Iterable[FillEvent] = (),
        section: PortfolioSection | None = None, **stage: Any,
    ) -> None:  # fmt: skip
        super().__init__(symbols, **stage)
        self.exchange = Exchange(self.bus, fills)
        self.attach(
            self.exchange, PortfolioService.from_config(section or PortfolioSection(), self.bus)
        )

    def start(self, day: int = 0) -> None:
        super().start(day)
        self.send(*self.exchange.timers())

    @property
    def states(self) -> list[PortfolioStateEvent]:
        return self.seen.of(PortfolioStateEvent)

    @property
    def state(self) -> PortfolioStateEvent:
        """The newest."""
        return self.states[-1]

    def position(self, symbol: str = "AAA", strategy: str = "one") -> PositionState:
        """As it was told last."""
        told = [p for s in self.states for p in s.positions]
        return next(p for p in reversed(told) if (p.symbol, p.strategy_id) == (symbol, strategy))

    @property
    def trips(self) -> list[RoundTripEvent]:
        return self.seen.of(RoundTripEvent)

    def cash_events(self) -> list[tuple[str, str | None, str | None, Decimal]]:
        return [
            (e.kind, e.symbol, e.strategy_id, Decimal(e.amount)) for e in self.seen.of(CashEvent)
        ]
