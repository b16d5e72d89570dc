"""A split changes shares and prices, not what is reserved."""

from __future__ import annotations

from typing import Any

from app.trading.context import CorporateAction
from app.trading.orders import OrderState, TimeInForce
from tests.trading.harness import DAYS
from tests.trading.risk.desk import Desk, approved, codes, only


def desk_before(ratio: float, kind: str = "split", **section: Any) -> Desk:
    """Its second day begins with a split."""
    action = CorporateAction("AAA", DAYS[1].date, kind, ratio)
    return Desk(context={"actions": (action,)}, **section)


def test_a_position_of_100_is_700_after_a_split_of_7_to_1() -> None:
    desk = desk_before(7.0)
    desk.hold(100)
    desk.new_day()
    order = only(approved(desk.ask(desk.order("sell", 700))))
    assert order.reduce_only
    assert codes(desk.ask(desk.order("sell", 1))) == ["not_shortable"]


def test_the_last_price_is_split_too() -> None:
    """700 shares at 100/7 are 10,000: not one more fits."""
    desk = desk_before(7.0)
    desk.hold(100)
    desk.new_day()
    assert codes(desk.ask(desk.order(quantity=1))) == ["buying_power"]


def test_what_rests_is_worth_as_much_as_before() -> None:
    """60 at 90 become 120 at 45; 20 were filled. 40 at 90 are left: 3,600."""
    desk = desk_before(2.0)
    resting = desk.order(quantity=60, type="limit", limit_price=90.0, tif=TimeInForce.GTC)
    desk.ask(resting)
    desk.fill(resting, 90.0, 20, final=False)  # 2,000 at the mark
    desk.new_day()
    desk.update(resting, OrderState.PARTIALLY_FILLED, filled=40, quantity=120, limit_price=45.0)
    probe = desk.order(quantity=88)  # at 50: 2,000 + 3,600 + 4,400
    assert codes(desk.ask(probe)) == ["approved"]
    assert codes(desk.ask(desk.order(quantity=1))) == ["buying_power"]


def test_whole_shares_stay() -> None:
    """3:2 of 101 is 151.5; the half is paid out."""
    desk = desk_before(1.5)
    desk.hold(101)
    desk.new_day()
    assert only(approved(desk.ask(desk.signal(0)))).quantity == 151


def test_a_dividend_changes_nothing() -> None:
    desk = desk_before(1.0, "dividend")
    desk.hold(100)
    desk.new_day()
    assert only(approved(desk.ask(desk.signal(0)))).quantity == 100


def test_terms_of_a_resting_order_are_on_the_new_basis_when_it_is_modified() -> None:
    desk = desk_before(2.0)
    resting = desk.order(quantity=60, type="limit", limit_price=90.0, tif=TimeInForce.GTC)
    desk.ask(resting)
    desk.new_day()  # 120 at 45: 5,400; at 83.34 they are 10,000.80
    assert codes(desk.ask(desk.modify(resting, limit_price=83.34))) == ["buying_power"]
    assert codes(desk.ask(desk.modify(resting, limit_price=83.33))) == ["modify_approved"]


def test_execution_says_the_terms_to_the_tick() -> None:
    """90.01 / 2 is no price; execution rounds it, and a modification of the size is taken."""
    desk = desk_before(2.0)
    resting = desk.order(quantity=60, type="limit", limit_price=90.01, tif=TimeInForce.GTC)
    desk.ask(resting)
    desk.new_day()
    desk.update(resting, OrderState.WORKING, quantity=120, limit_price=45.0)
    assert codes(desk.ask(desk.modify(resting, quantity=110.0))) == ["modify_approved"]
