"""Loss limits: when they break, what they do, when they end."""

from __future__ import annotations

from typing import Any

import pytest

from app.times import MINUTE_NS
from app.trading.events import CancelRequestEvent, RiskHaltEvent, ValuationTriggerEvent
from app.trading.orders import OrderState, Side
from tests.trading.harness import bar, days_of
from tests.trading.risk.desk import SAID, Desk, approved, codes, only


def said_at(desk: Desk, price: float) -> list[Any]:
    """What risk says at the next bar, which closes at this price."""
    before = len(desk.stage.seen.events)
    desk.price(AAA=price)
    return [e for e in desk.stage.seen.events[before:] if type(e) in SAID]


def account(**section: Any) -> Desk:
    """10,000, with margin for entries beside what is held."""
    return Desk(real=True, intraday_buying_power=4.0, **section)


def test_the_daily_loss_is_measured_from_the_days_open() -> None:
    """100 shares of 100: from 10,000, 9,501 is 4.99 % below, 9,500 is 5 %."""
    desk = account(daily_loss={"limit_pct": 0.05})
    desk.hold(100)
    assert said_at(desk, 95.01) == []
    halt: RiskHaltEvent = only(said_at(desk, 95.0))
    assert (halt.scope, halt.code, halt.action, halt.active) == (
        "account", "daily_loss", "block", True,
    )  # fmt: skip
    assert halt.reason == (
        "equity 9,500.00 is 5 % below that at the day's open, 10,000.00; allowed: less than 5 %"
    )
    assert said_at(desk, 90.0) == []  # told once


def test_a_day_later_it_is_lifted_and_measured_anew() -> None:
    desk = account(daily_loss={"limit_pct": 0.05})
    desk.hold(100)
    assert codes(said_at(desk, 94.0)) == ["daily_loss"]
    before = len(desk.stage.seen.events)
    desk.new_day()
    lifted = only([e for e in desk.stage.seen.events[before:] if type(e) is RiskHaltEvent])
    assert (lifted.active, lifted.reason) == (False, "another day has opened")
    assert codes(desk.ask(desk.order(quantity=1))) == ["approved"]
    assert said_at(desk, 89.31) == []  # 5 % of 9,400 is 470
    assert codes(said_at(desk, 89.30)) == ["daily_loss"]


def test_a_days_base_is_its_marks_though_nothing_was_valued_at_them() -> None:
    """The limit broke at 90 and was watched no more; the day ended at 80, extended hours too."""
    desk = Desk(
        real=True, intraday_buying_power=4.0, daily_loss={"limit_pct": 0.1},
        context={"days": days_of("2013-10-04", "2013-10-08", "extended")},
    )  # fmt: skip
    desk.hold(100)
    assert codes(said_at(desk, 90.0)) == ["daily_loss"]
    desk.price(at=420, AAA=80.0)  # after the regular close
    desk.new_day()
    assert said_at(desk, 72.01) == []
    assert codes(said_at(desk, 72.0)) == ["daily_loss"]


def test_the_drawdown_is_measured_from_the_highest_and_stays() -> None:
    """12,000 at the top; 10 % below is 10,800."""
    desk = account(drawdown={"limit_pct": 0.1})
    desk.hold(100)
    assert said_at(desk, 120.0) == said_at(desk, 108.01) == []
    halt = only(said_at(desk, 108.0))
    assert "is 10 % below its highest, 12,000.00" in halt.reason
    desk.new_day()
    assert codes(desk.ask(desk.order(quantity=1))) == ["drawdown"]
    assert said_at(desk, 130.0) == []
    assert codes(desk.ask(desk.order(quantity=1))) == ["drawdown"]


def test_both_can_break_at_once() -> None:
    desk = account(daily_loss={"limit_pct": 0.05}, drawdown={"limit_pct": 0.1})
    desk.hold(100)
    assert codes(said_at(desk, 80.0)) == ["daily_loss", "drawdown"]
    desk.new_day()
    assert codes(desk.ask(desk.order(quantity=1))) == ["drawdown"]


@pytest.mark.parametrize("action", ["block", "cancel", "flatten"])
def test_entries_are_refused_exits_taken_and_orders_cancelled_as_the_action_says(
    action: str,
) -> None:
    """6,000, 30 AAA at 65 and 20 BBB at 50 are 8,950."""
    desk = account(daily_loss={"limit_pct": 0.05, "action": action})
    desk.hold(30)
    desk.hold(20, "BBB", strategy="s2", price=50.0)
    entry = desk.order(quantity=5, type="limit", limit_price=90.0)
    stop = desk.order("sell", 30, type="stop", stop_price=80.0)
    closing = desk.order("sell", 5, "BBB", strategy="s2")
    desk.ask(entry, stop, closing)
    said = said_at(desk, 65.0)
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
    desk = account(drawdown={"limit_pct": 0.05, "action": "flatten"})
    late = desk.order(quantity=7, type="limit", limit_price=99.0)
    desk.ask(late)
    desk.hold(30)
    first = only(approved(said_at(desk, 80.0)))
    assert said_at(desk, 80.0) == []  # it is at work
    desk.update(first, OrderState.EXPIRED)
    second = only(approved(said_at(desk, 90.0)))
    assert (second.order_id, second.quantity) == ("s1-r2", 30)
    desk.fill(second, 95.0)
    assert said_at(desk, 80.0) == []
    before = len(desk.stage.seen.events)
    desk.fill(late, 99.0)
    assert only(approved(desk.stage.seen.events[before:])).quantity == 7


def test_the_account_is_valued_only_where_a_limit_may_break() -> None:
    """And at every T while positions are to be closed."""

    def valued(desk: Desk, *prices: float) -> list[int]:
        """The numbers of the bars, in one window."""
        before, start_ns = len(desk.stage.seen.events), desk.now_ns
        times = [start_ns + i * MINUTE_NS for i in range(len(prices))]
        desk.stage.play(*(bar(0, t, p, p, p, p) for t, p in zip(times, prices, strict=True)))
        events = desk.stage.seen.events[before:]
        found = {e.ts_event_ns for e in events if type(e) is ValuationTriggerEvent}
        return sorted((time_ns - start_ns) // MINUTE_NS - 1 for time_ns in found)

    plain = account()
    plain.hold(100)
    assert valued(plain, 100.0, 1.0) == []
    desk = account(drawdown={"limit_pct": 0.05}, daily_loss={"limit_pct": 0.2, "action": "flatten"})
    assert valued(desk, 10.0, 100.0) == []
    desk.hold(100)
    assert valued(desk, 100.0, 96.0, 110.0, 104.6, 104.4, 90.0) == [4]  # 110 less 5 %: 104.5
    assert valued(desk, 100.0, 80.5, 79.5, 85.0, 100.0) == [2, 3, 4]


def test_the_first_days_base_is_its_first_valuation() -> None:
    desk = Desk(5000, real=True, daily_loss={"limit_pct": 0.1})
    desk.hold(50)
    assert codes(said_at(desk, 90.0)) == ["daily_loss"]
