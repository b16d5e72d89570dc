"""Loss limits: when they break, what they do, when they end."""

from __future__ import annotations

from typing import Any

import pytest

from app.trading.events import CancelRequestEvent, RiskHaltEvent, ValuationTriggerEvent
from app.trading.orders import OrderState, Side
from tests.trading.risk.desk import SAID, Desk, approved, codes, only


def said_at(desk: Desk, equity: float, price: float = 100.0) -> list[Any]:
    """What risk says at the next bar, with this equity."""
    before = len(desk.stage.seen.events)
    desk.portfolio.equity = equity
    desk.price(AAA=price)
    return [e for e in desk.stage.seen.events[before:] if type(e) in SAID]


def test_the_daily_loss_is_measured_from_the_days_open() -> None:
    """From 10,000: 9,501 is 4.99 % below, 9,500 is 5 %."""
    desk = Desk(daily_loss={"limit_pct": 0.05})
    desk.hold(10)
    assert said_at(desk, 9501) == []
    halt: RiskHaltEvent = only(said_at(desk, 9500))
    assert (halt.scope, halt.code, halt.action, halt.active) == (
        "account", "daily_loss", "block", True,
    )  # fmt: skip
    assert halt.reason == (
        "equity 9,500.00 is 5 % below that at the day's open, 10,000.00; allowed: less than 5 %"
    )
    assert said_at(desk, 9000) == []  # told once


def test_a_day_later_it_is_lifted_and_measured_anew() -> None:
    desk = Desk(daily_loss={"limit_pct": 0.05})
    desk.hold(10)
    said_at(desk, 9400)
    assert codes(desk.ask(desk.order(quantity=1))) == ["daily_loss"]
    before = len(desk.stage.seen.events)
    desk.new_day()
    lifted = only([e for e in desk.stage.seen.events[before:] if type(e) is RiskHaltEvent])
    assert (lifted.active, lifted.reason) == (False, "another day has opened")
    assert codes(desk.ask(desk.order(quantity=1))) == ["approved"]
    assert said_at(desk, 8931) == []  # 5 % of 9,400 is 470
    assert codes(said_at(desk, 8930)) == ["daily_loss"]


def test_the_drawdown_is_measured_from_the_highest_and_stays() -> None:
    """12,000 at the top; 10 % below is 10,800."""
    desk = Desk(drawdown={"limit_pct": 0.1})
    desk.hold(10)
    assert said_at(desk, 12_000) == said_at(desk, 10_801) == []
    halt = only(said_at(desk, 10_800))
    assert "is 10 % below its highest, 12,000.00" in halt.reason
    desk.new_day()
    assert codes(desk.ask(desk.order(quantity=1))) == ["drawdown"]
    assert said_at(desk, 13_000) == []
    assert codes(desk.ask(desk.order(quantity=1))) == ["drawdown"]


def test_both_can_break_at_once() -> None:
    desk = Desk(daily_loss={"limit_pct": 0.05}, drawdown={"limit_pct": 0.1})
    desk.hold(10)
    assert codes(said_at(desk, 8000)) == ["daily_loss", "drawdown"]
    desk.new_day()
    assert codes(desk.ask(desk.order(quantity=1))) == ["drawdown"]


@pytest.mark.parametrize("action", ["block", "cancel", "flatten"])
def test_entries_are_refused_exits_taken_and_orders_cancelled_as_the_action_says(
    action: str,
) -> None:
    desk = Desk(intraday_buying_power=4.0, daily_loss={"limit_pct": 0.05, "action": action})
    desk.hold(30)
    desk.hold(20, "BBB", strategy="s2", price=50.0)
    entry = desk.order(quantity=5, type="limit", limit_price=90.0)
    stop = desk.order("sell", 30, type="stop", stop_price=80.0)
    closing = desk.order("sell", 5, "BBB", strategy="s2")
    desk.ask(entry, stop, closing)
    said = said_at(desk, 9000)
    cancelled = [e.order_id for e in said if type(e) is CancelRequestEvent]
    made = {(o.order_id, o.strategy_id, o.symbol, o.side, o.quantity) for o in approved(said)}
    if action == "block":
        assert (cancelled, made) == ([], set())
    elif action == "cancel":
        assert (cancelled, made) == ([entry.order_id], set())
    else:
        assert cancelled == [entry.order_id, stop.order_id]
        assert made == {
            ("s1-r1", "s1", "AAA", Side.SELL, 30), ("s2-r1", "s2", "BBB", Side.SELL, 15),
        }  # fmt: skip
        assert all(o.reduce_only and o.tag == "daily_loss" for o in approved(said))
    said = desk.ask(desk.order(quantity=1), desk.signal(1, symbol="BBB"))
    assert codes(said) == ["daily_loss", "daily_loss"]


def test_flattening_goes_on_until_nothing_is_held() -> None:
    """What it sent expired: it is sent again. A fill that came late is closed too."""
    desk = Desk(drawdown={"limit_pct": 0.05, "action": "flatten"})
    late = desk.order(quantity=7, type="limit", limit_price=99.0)
    desk.ask(late)
    desk.hold(30)
    first = only(approved(said_at(desk, 9000)))
    assert said_at(desk, 9000) == []  # it is at work
    desk.update(first, OrderState.EXPIRED)
    second = only(approved(said_at(desk, 9000)))
    assert (second.order_id, second.quantity) == ("s1-r2", 30)
    desk.fill(second, 95.0)
    assert said_at(desk, 9000) == []
    before = len(desk.stage.seen.events)
    desk.fill(late, 99.0)
    assert only(approved(desk.stage.seen.events[before:])).quantity == 7


def test_valuations_come_at_every_bar_only_while_a_limit_is_armed_and_something_held() -> None:
    def valued(desk: Desk) -> int:
        before = len(desk.stage.seen.of(ValuationTriggerEvent))
        desk.price(AAA=100.0)
        return len(desk.stage.seen.of(ValuationTriggerEvent)) - before

    plain = Desk()
    plain.hold(10)
    assert valued(plain) == 0
    desk = Desk(daily_loss={"limit_pct": 0.05})
    assert valued(desk) == 0
    desk.hold(10)
    assert valued(desk) == 1
    desk.hold(-10)
    assert valued(desk) == 0
    desk.hold(10)
    said_at(desk, 9000)
    assert valued(desk) == 0  # broken, and nothing more to do


def test_the_first_days_base_is_its_first_valuation() -> None:
    desk = Desk(5000, daily_loss={"limit_pct": 0.1})
    desk.hold(10)
    assert codes(said_at(desk, 4500)) == ["daily_loss"]
