"""Losses found by looking ahead over columns are those of a valuation at every T."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from msgspec.structs import asdict

from app.model import Flag, Items
from app.trading.bus import EventBus, Phase
from app.trading.context import CorporateAction
from app.trading.data_events import MarketEvent
from app.trading.events import (
    DayOpenEvent,
    OrderRequestEvent,
    PortfolioStateEvent,
    PositionState,
    RiskEvaluationTriggerEvent,
    RiskHaltEvent,
    SignalEvent,
    ValuationTriggerEvent,
)
from app.trading.marks import Marks
from app.trading.orders import Order, OrderType, Side
from app.trading.sections import ExecutionSection, PortfolioSection, RiskSection
from app.trading.service import BacktestService
from app.trading.services.execution import ExecutionSimulator
from app.trading.services.portfolio import PortfolioService
from app.trading.services.risk import RiskEngine
from app.trading.services.risk.equity import Equity
from tests.trading.harness import DAYS, ELIGIBLE, Stage, bar, in_order, minute, trade, window

SYMBOLS = ("AAA", "BBB", "CCC")
BARS = 40  # a day
VALUED = (ValuationTriggerEvent, RiskEvaluationTriggerEvent, PortfolioStateEvent)


class EveryT(RiskEngine):
    """Naive: every slice alone, and a valuation at each."""

    def scan(self, event: MarketEvent) -> int:
        return event.low

    def alert(self) -> bool:
        return True


class Random(BacktestService):
    """Signals and orders of two strategies, which hang on the time alone."""

    NAME: ClassVar[str] = "strategy"
    RANK: ClassVar[int] = 30
    PHASE: ClassVar[Phase | None] = Phase.STRATEGY

    def __init__(self, event_bus: EventBus, seed: int) -> None:
        super().__init__(event_bus)
        self._seed, self._count = seed, 0

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus, section)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {MarketEvent: self._on_market}

    def _on_market(self, event: MarketEvent) -> None:
        for place in range(event.low, event.high):
            now_ns = int(event.window.times_ns[place])
            dice = np.random.default_rng([self._seed, now_ns])
            if dice.random() < 0.08:
                self._act(now_ns, dice)
                assert self.port is not None
                self.port.reached = place + 1
                return

    def _act(self, now_ns: int, dice: np.random.Generator) -> None:
        self._count += 1
        strategy, symbol = f"s{dice.integers(2)}", SYMBOLS[dice.integers(3)]
        if dice.random() < 0.6:
            self.publish(
                SignalEvent(
                    ts_event_ns=now_ns, signal_id=f"{strategy}-s{self._count}",
                    strategy_id=strategy, symbol=symbol, direction=int(dice.integers(-1, 2)),
                )
            )  # fmt: skip
            return
        order = Order(
            order_id=f"{strategy}-{self._count}", strategy_id=strategy, symbol=symbol,
            side=Side.BUY if dice.random() < 0.6 else Side.SELL, type=OrderType.LIMIT,
            quantity=float(dice.integers(1, 40)), created_ns=now_ns,
            limit_price=round(100 + float(dice.normal(0, 3)), 2),
        )  # fmt: skip
        self.publish(OrderRequestEvent(ts_event_ns=now_ns, strategy_id=strategy, orders=(order,)))


def rows_of(seed: int, day: int) -> list[Items]:
    """AAA and BBB as bars, CCC as trades between them, some of which do not mark."""
    dice = np.random.default_rng([seed, day])
    rows: list[Items] = []
    for symbol in range(2):
        walk = 100 + dice.normal(0, 0.8, BARS).cumsum().round(2)
        for number, price in enumerate(walk.tolist()):
            if dice.random() < 0.9:
                start = minute(number, DAYS[day])
                rows.append(bar(symbol, start, price, price + 0.3, price - 0.3, price))
    flags = (ELIGIBLE, int(Flag.VOLUME))
    for second in np.sort(dice.integers(60, BARS * 60, 150)).tolist():
        price = round(100 + float(dice.normal(0, 1.5)), 2)
        at_ns = DAYS[day].open_ns + second * 1_000_000_000
        rows.append(trade(2, at_ns, price, flags=flags[int(dice.random() < 0.1)]))
    return rows


def play(risk: type[RiskEngine], seed: int, limits: dict[str, Any], cuts: Sequence[float]) -> Stage:
    split = CorporateAction("BBB", DAYS[1].date, "split", ratio=1.5)
    stage = Stage(SYMBOLS, actions=[split])
    section = RiskSection.model_validate({
        "shortable": "all", "intraday_buying_power": 4.0, "overnight_buying_power": 4.0,
        "sizing": {"method": "fraction_of_equity", "value": 0.8}, **limits,
    })  # fmt: skip
    costs = ExecutionSection.model_validate({"commission": {"per_share": 0.005, "minimum": 1.0}})
    stage.attach(
        ExecutionSimulator.from_config(costs, stage.bus),
        PortfolioService.from_config(
            PortfolioSection(initial_cash=10_000, margin_interest_bps=900.0), stage.bus
        ),
        Random(stage.bus, seed),
        risk.from_config(section, stage.bus),
    )
    for day in range(3):
        rows = rows_of(seed, day)
        stage.market.add(rows)
    stage.start()
    for day in range(3):
        items = in_order(rows_of(seed, day))
        edges = np.unique(items["release_ns"])[[int(c * 100) for c in cuts]]
        for low, high in pairwise([0, *np.sort(edges).tolist(), 2**62]):
            part = items[(items["release_ns"] > low) & (items["release_ns"] <= high)]
            if len(part):
                stage.engine.on_window(window([part], day))
        if day < 2:
            stage.roll()
    stage.end()
    stage.engine.finish("completed")
    return stage


def story(stage: Stage) -> list[dict[str, Any]]:
    """All events but those of valuations, and when they were made."""
    events = [e for e in stage.seen.events if type(e) not in VALUED]
    told = [{"topic": type(e).__name__, **asdict(e)} for e in events]
    return [{k: v for k, v in one.items() if k != "ts_created_ns"} for one in told]


def curve(stage: Stage) -> list[float]:
    columns = [np.stack([c.times_ns, c.equity, c.cash, c.gross]) for c in stage.seen.curves]
    found: list[float] = np.concatenate(columns, axis=1).tolist()
    return found


def halts(stage: Stage) -> list[tuple[int, str]]:
    return [(e.ts_event_ns, e.code) for e in stage.seen.of(RiskHaltEvent) if e.active]


def expected_halts(every: Stage, daily: float, drawdown: float) -> list[tuple[int, str]]:
    """From the states of a run that values at every T."""
    found: list[tuple[int, str]] = []
    last = base = highest = None
    broken: set[str] = set()
    for event in every.seen.events:
        if isinstance(event, DayOpenEvent):
            base = last
            broken.discard("daily_loss")
        if not isinstance(event, PortfolioStateEvent):
            continue
        last = event.equity
        base = last if base is None else base
        highest = max(last, highest or last)
        for code, top, limit in (("daily_loss", base, daily), ("drawdown", highest, drawdown)):
            if code not in broken and 1 - last / top >= limit:
                broken.add(code)
                found.append((event.ts_event_ns, code))
    return found


@pytest.mark.parametrize("action", ["block", "cancel", "flatten"])
def test_a_run_is_that_of_a_valuation_at_every_t(action: str) -> None:
    seen, fast, slow = 0, 0, 0
    for seed in (*range(4), 123, 124):
        dice = np.random.default_rng(seed)
        daily, drawdown = float(dice.uniform(0.005, 0.04)), float(dice.uniform(0.01, 0.08))
        limits = {
            "daily_loss": {"limit_pct": daily, "action": action},
            "drawdown": {"limit_pct": drawdown, "action": "block"},
        }
        one = play(RiskEngine, seed, limits, dice.random(4).tolist())
        every = play(EveryT, seed, limits, [])
        assert story(one) == story(every)
        assert curve(one) == curve(every)
        assert halts(one) == halts(every) == expected_halts(every, daily, drawdown)
        assert one.seen.of(PortfolioStateEvent)[-1].equity == (
            every.seen.of(PortfolioStateEvent)[-1].equity
        )
        seen += len(halts(one))
        fast += len(one.seen.of(ValuationTriggerEvent))
        slow += len(every.seen.of(ValuationTriggerEvent))
    assert seen > 8
    assert fast < slow / 3


def test_equity_ahead_by_hand() -> None:
    """1,000 and 10 AAA, -4 BBB; at 50 and 20 that is 1,420."""
    marks = Marks(2)
    before = window([trade(0, minute(0), 50), trade(1, minute(0), 20)])
    marks.note(MarketEvent(before, 0, 1))
    equity = Equity(marks, {"AAA": 0, "BBB": 1})
    varies = [equity.varies]
    assert equity.tell(state(1000.0, ("AAA", 10), ("BBB", -4)))
    varies.append(equity.varies)
    assert equity.now() == 1420
    whole = window([
        trade(0, minute(1), 51), trade(1, minute(1), 21), trade(0, minute(1), 52),
        trade(1, minute(2), 19), trade(1, minute(3), 99, flags=0), trade(0, minute(4), 40),
    ])  # fmt: skip
    assert equity.ahead(whole, 0, 4).tolist() == [1436, 1444, 1444, 1324]
    assert equity.nets(whole, 0, 2).tolist() == [436_000_000, 444_000_000]
    assert not equity.tell(state(1000.0))
    marks.note(MarketEvent(whole, 0, 2))
    assert equity.now() == 1444
    assert equity.tell(state(1520.0, ("AAA", 0)))
    assert equity.ahead(whole, 2, 4).tolist() == [1444, 1444]
    assert equity.tell(state(1444.0, ("BBB", 0)))
    varies.append(equity.varies)
    assert varies == [False, True, False]


def state(cash: float, *positions: tuple[str, float]) -> PortfolioStateEvent:
    told = tuple(
        PositionState(
            strategy_id="s", symbol=symbol, quantity=quantity, average_price=0.0, mark=None,
            market_value=0.0, unrealised=0.0, realised=0.0, fees=0.0,
        )
        for symbol, quantity in positions
    )  # fmt: skip
    return PortfolioStateEvent(
        ts_event_ns=0, cash=str(cash), equity=0.0, gross_exposure=0.0, net_exposure=0.0,
        realised=0.0, unrealised=0.0, fees=0.0, positions=told,
    )  # fmt: skip
