"""What can be read while an engine trades: whole moments, at the prices of now."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.managers.system_manager import SystemManager
from app.managers.system_manager.plan import TradingPlan, session_config
from app.trading.context import CorporateAction
from app.trading.events import (
    CancelRequestEvent,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    PortfolioStateEvent,
    RiskHaltEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Side, TimeInForce
from app.trading.sections import BacktestConfig, ExecutionSection, PortfolioSection, RiskSection
from app.trading.services.blotter import Blotter, Settled
from app.trading.services.execution import ExecutionSimulator
from app.trading.services.portfolio import PortfolioService
from app.trading.services.risk import RiskEngine
from tests.core.harness import FAST
from tests.trading.harness import DAYS, Stage, bar, minute, trade
from tests.trading.whole.market import write_market
from tests.trading.whole.test_determinism import config


class Watched(Stage):
    """A stage with all services but strategies, and a blotter."""

    def __init__(self, symbols: tuple[str, ...] = ("AAA", "BBB"), **context: Any) -> None:
        super().__init__(symbols, **context)
        section = PortfolioSection(initial_cash=10_000)
        self.attach(
            ExecutionSimulator.from_config(ExecutionSection(), self.bus),
            PortfolioService.from_config(section, self.bus),
            RiskEngine.from_config(RiskSection(), self.bus),
        )
        self.blotter = Blotter.from_config(section, self.bus)
        self.blotter.attach()
        self.start()

    def look(self, now_ns: int | None = None) -> Settled:
        """What is settled by a time; by default all."""
        self.blotter.settle(self.engine.now_ns)
        return self.seen_at(self.engine.now_ns if now_ns is None else now_ns)

    def seen_at(self, now_ns: int) -> Settled:
        return self.blotter.read(lambda: now_ns, int)[1]

    def ask(self, number: int, **terms: Any) -> str:
        """Send an order of strategy ``one`` now."""
        asked: dict[str, Any] = {"symbol": "AAA", "side": Side.BUY, "quantity": 10.0, **terms}
        asked.setdefault("type", OrderType.MARKET)
        order = Order(
            order_id=f"one-{number}", strategy_id="one", created_ns=self.engine.now_ns, **asked
        )
        now_ns = self.engine.now_ns
        self.send(OrderRequestEvent(ts_event_ns=now_ns, strategy_id="one", orders=(order,)))
        return order.order_id


def flat(symbol: int, number: int, price: float, day: int = 0, **more: Any) -> Any:
    return bar(symbol, minute(number, DAYS[day]), price, price, price, price, **more)


def test_only_what_is_settled_and_shown_can_be_seen() -> None:
    stage = Watched()
    stage.play(flat(0, 0, 10.0))
    stage.look()
    first_ns = stage.engine.now_ns
    stage.ask(1)
    assert stage.seen_at(first_ns).orders() == []  # it is under way
    assert [o.state for o in stage.look().orders()] == [OrderState.WORKING]
    stage.play(flat(0, 1, 11.0))
    assert [o.state for o in stage.seen_at(first_ns).orders()] == [OrderState.WORKING]
    stage.blotter.settle(stage.engine.now_ns)
    # The clock still shows the minute before: the fill is not known to anybody.
    before = stage.seen_at(first_ns)
    assert [o.state for o in before.orders()] == [OrderState.WORKING]
    assert not before.fills()
    assert not before.positions()
    assert before.account().cash == 10_000
    after = stage.seen_at(stage.engine.now_ns)
    assert [o.state for o in after.orders()] == [OrderState.FILLED]
    assert len(after.fills()) == 1
    assert after.account().cash == 9_890
    # What was read before stays as it was.
    assert [o.state for o in before.orders()] == [OrderState.WORKING]


def test_a_reader_that_a_settling_overtakes_looks_again() -> None:
    """A clock read before a snapshot, and a snapshot after the next, would not fit together."""
    stage = Watched()
    stage.play(flat(0, 0, 10.0))
    stage.look()
    clock = iter([stage.engine.now_ns, minute(2)])

    def overtaken() -> int:
        shown = next(clock)
        if shown < minute(2):
            stage.ask(1)
            stage.blotter.settle(stage.engine.now_ns)
            stage.play(flat(0, 1, 11.0))
            stage.blotter.settle(stage.engine.now_ns)
        return shown

    shown, settled = stage.blotter.read(overtaken, int)
    assert (shown, len(settled.fills())) == (minute(2), 1)


def test_history_of_an_order() -> None:
    stage = Watched()
    stage.play(flat(0, 0, 10.0))
    order_id = stage.ask(1, type=OrderType.LIMIT, limit_price=9.0, tif=TimeInForce.GTC)
    now_ns = stage.engine.now_ns
    stage.send(ModifyApprovedEvent(
        ts_event_ns=now_ns, strategy_id="one", order_id=order_id, limit_price=9.5,
    ))  # fmt: skip
    stage.send(CancelRequestEvent(ts_event_ns=now_ns, strategy_id="one", order_id="one-7"))
    order = stage.look().order(order_id)
    assert order is not None
    assert (order.limit_price, order.state, order.reason) == (9.5, OrderState.WORKING, "modified")
    stage.send(ModifyApprovedEvent(
        ts_event_ns=now_ns, strategy_id="one", order_id=order_id, stop_price=9.5,
    ))  # fmt: skip
    stage.send(CancelRequestEvent(ts_event_ns=now_ns, strategy_id="one", order_id=order_id))
    order = stage.look().order(order_id)
    assert order is not None
    assert [(s.state, s.reason) for s in order.steps][3:] == [
        (OrderState.WORKING, "modified"),
        (OrderState.WORKING, order.steps[4].reason),
        (OrderState.CANCELLED, "requested"),
    ]
    assert order.steps[4].reason.startswith("modify refused, modify_no_such_term: ")
    assert (order.live, order.code, stage.look().order("one-7")) == (False, None, None)


def test_a_refused_order_says_why() -> None:
    stage = Watched()
    stage.play(flat(0, 0, 10.0))
    stage.ask(1, quantity=10_000.0)
    (order,) = stage.look().orders({OrderState.REJECTED})
    assert (order.code, order.state) == ("buying_power", OrderState.REJECTED)
    assert "allowed" in order.reason
    (event,) = stage.seen.of(OrderRejectedEvent)
    assert stage.look().events("one-1") == [event]
    assert stage.look().account().open_orders == 0


def test_partial_fills_have_one_average() -> None:
    """10 at 10 and 30 at 12: 460 / 40."""
    stage = Watched()
    section = ExecutionSection.model_validate({"policy": "realistic", "participation_pct": 0.5})
    other = Stage(("AAA",))
    blotter = Blotter.from_config(PortfolioSection(), other.bus)
    other.attach(ExecutionSimulator.from_config(section, other.bus), blotter)
    other.start()
    other.play(flat(0, 0, 10.0))
    order = Order(
        order_id="m-1", strategy_id="m", symbol="AAA", side=Side.BUY, type=OrderType.MARKET,
        quantity=40.0, created_ns=other.engine.now_ns,
    )  # fmt: skip
    other.send(OrderApprovedEvent(ts_event_ns=other.engine.now_ns, orders=(order,)))
    other.play(flat(0, 1, 10.0, volume=20, vwap=10.0), flat(0, 2, 12.0, volume=60, vwap=12.0))
    blotter.settle(other.engine.now_ns)
    view = blotter.read(lambda: other.engine.now_ns, int)[1].order("m-1")
    assert view is not None
    assert (view.state, view.filled, view.average_price) == (OrderState.FILLED, 40.0, 11.5)
    assert stage.look().order("m-1") is None


def test_marks_between_valuations_are_the_portfolios() -> None:
    """Trades that may set the last price and bars mark; of one time the bar counts."""
    stage = Watched()
    stage.play(flat(0, 0, 10.0), flat(1, 0, 50.0))
    stage.ask(1)
    stage.ask(2, symbol="BBB")
    stage.play(flat(0, 1, 10.0), flat(1, 1, 50.0))
    stage.look()
    states = len(stage.seen.of(PortfolioStateEvent))
    stage.play(
        trade(0, minute(2) + 1, 11.0), trade(0, minute(2) + 2, 99.0, flags=0),
        trade(1, minute(3), 77.0), flat(1, 2, 51.0),
    )  # fmt: skip
    settled = stage.look()
    assert len(stage.seen.of(PortfolioStateEvent)) == states  # nobody valued it
    assert [(p.symbol, p.mark, p.unrealised) for p in settled.positions()] == [
        ("AAA", 11.0, 10.0), ("BBB", 51.0, 10.0),
    ]  # fmt: skip
    account = settled.account()
    assert (float(account.cash), account.equity, account.unrealised) == (9_400.0, 10_020.0, 20.0)
    earlier = stage.seen_at(minute(2))
    assert [p.mark for p in earlier.positions()] == [10.0, 50.0]
    # The next valuation says the same.
    stage.ask(3, type=OrderType.LIMIT, limit_price=1.0)
    state = stage.seen.of(PortfolioStateEvent)[-1]
    assert (state.equity, state.unrealised) == (account.equity, account.unrealised)


def test_a_day_s_last_mark_stays_when_its_rows_have_gone() -> None:
    stage = Watched()
    stage.play(flat(0, 0, 10.0))
    stage.ask(1)
    stage.play(flat(0, 1, 10.0))
    stage.play(flat(0, 2, 12.0))
    stage.roll()
    stage.market.bars = lambda *_: stage.market.ticks(1, "trades", 0)  # type: ignore[method-assign,arg-type]
    (position,) = stage.look().positions()
    assert (position.mark, position.unrealised) == (12.0, 20.0)


def test_a_split_changes_positions_trails_and_terms() -> None:
    split = CorporateAction("AAA", DAYS[1].date, "split", ratio=2.0)
    stage = Watched(actions=(split,))
    stage.play(flat(0, 0, 10.0))
    stage.ask(1)
    stage.play(flat(0, 1, 10.0))
    stage.ask(
        2, side=Side.SELL, type=OrderType.TRAILING_STOP, trail=1.0, tif=TimeInForce.GTC,
        reduce_only=True,
    )  # fmt: skip
    stage.roll()
    settled = stage.look()
    (position,) = settled.positions()
    assert (position.quantity, position.mark, settled.account().equity) == (20.0, 5.0, 10_000.0)
    order = settled.order("one-2")
    assert order is not None
    assert (order.quantity, order.trail) == (20.0, 0.5)


def test_halts_come_and_go() -> None:
    stage = Watched()
    halt = RiskHaltEvent(
        ts_event_ns=1, scope="account", code="daily_loss", action="block", reason=""
    )
    stage.send(halt)
    assert stage.look().account().halts == ("daily_loss",)
    stage.send(replace(halt, active=False))
    assert stage.look().account().halts == ()


def test_an_empty_account_is_the_capital() -> None:
    account = Watched().look().account()
    assert (account.equity, account.unrealised, account.open_orders) == (10_000.0, 0.0, 0)


def check(settled: Settled) -> int:
    """Everything that is read at once fits together; how many fills there were."""
    fills = settled.fills()
    filled: dict[str, float] = defaultdict(float)
    held: dict[tuple[str, str], float] = defaultdict(float)
    for fill in fills:
        assert fill.ts_event_ns <= settled.now_ns
        filled[fill.order_id] += fill.quantity
        held[fill.strategy_id, fill.symbol] += fill.quantity * fill.side.sign
    for order in settled.orders():
        assert order.filled == pytest.approx(filled[order.order.order_id])
        assert order.updated_ns <= settled.now_ns
    open_orders = [o for o in settled.orders() if o.live]
    assert settled.account().open_orders == len(open_orders)
    positions = {(p.strategy_id, p.symbol): p.quantity for p in settled.positions()}
    assert positions == {key: pytest.approx(q) for key, q in held.items() if abs(q) > 1e-9}
    return len(fills)


def test_every_read_is_whole_while_it_runs(tmp_path: Path) -> None:
    """Many reads of a session at full speed, and each of them is one settled moment."""
    catalog = write_market(tmp_path / "catalog", seed=3)
    wish = BacktestConfig.model_validate(config("inline"))
    manager = SystemManager(str(catalog), FAST, tmp_path / "cache")
    counts: list[int] = []
    try:
        session = manager.start_session(
            session_config(wish, 0), TradingPlan(wish, Path(), watched=True)
        )
        desk = session.desk
        assert desk is not None

        def read() -> None:
            while not session.ended:
                found = desk.look(session.view)
                assert found is not None
                counts.append(check(found[1]))

        reader = threading.Thread(target=read)
        reader.start()
        assert session.wait(60)
        reader.join(10)
        found = desk.look(session.view)
        assert found is not None
        assert check(found[1]) > 50
        assert counts == sorted(counts)
        equity = found[1].account().equity
        assert equity == pytest.approx(float(found[1].account().cash) + sum(
            p.market_value for p in found[1].positions()
        ))  # fmt: skip
    finally:
        manager.close()
