"""Wishes of one T are judged together, each with all that is open and all taken before it."""

from __future__ import annotations

from typing import Any

import pytest

from app.trading.events import OrderRejectedEvent
from app.trading.orders import Order, OrderState, Role, TimeInForce
from tests.trading.risk.desk import Desk, approved, codes, only


def test_batch_of_orders_breaches_limits_together() -> None:
    """Naive: each of them against one snapshot. Alone each fits; together they are 12,000."""
    wanted = [("AAA", 40), ("BBB", 80), ("AAA", 40)]

    def naive(symbol: str, quantity: float) -> bool:
        snapshot = Desk()
        return codes(snapshot.ask(snapshot.order(quantity=quantity, symbol=symbol))) == ["approved"]

    prices = {"AAA": 100, "BBB": 50}
    together = sum(prices[s] * q for s, q in wanted if naive(s, q))
    assert together == 12_000  # so the naive check breaks a limit of 10,000

    desk = Desk()
    said = desk.ask(*(desk.order(quantity=q, symbol=s) for s, q in wanted))
    assert codes(said) == ["approved", "approved", "buying_power"]


TOGETHER: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[str]]] = {
    "gross leverage": (
        {"gross_leverage": 0.5, "shortable": "all"},
        [{"quantity": 30}, {"side": "sell", "symbol": "BBB", "quantity": 50}, {"quantity": 20}],
        ["approved", "gross_leverage", "approved"],
    ),
    "position": (
        {"max_position_quantity": 50.0},
        [{"quantity": 30}, {"quantity": 30}, {"quantity": 20, "strategy": "s2"}],
        ["approved", "max_position_quantity", "approved"],
    ),
    "share of equity": (
        {"max_position_pct": 0.5},
        [{"quantity": 30}, {"quantity": 21}, {"quantity": 20, "strategy": "s2"}],
        ["approved", "max_position_pct", "approved"],
    ),
    "budget, each its own": (
        {"budgets": {"s1": 0.5, "s2": 0.2}},
        [{"quantity": 30}, {"quantity": 21}, {"quantity": 20, "strategy": "s2"},
         {"quantity": 1, "strategy": "s2"}],
        ["approved", "budget", "approved", "budget"],
    ),
    "net leverage: a sell does not make room for a buy, for it may not fill": (
        {"net_leverage": 0.2, "shortable": "all"},
        [{"side": "sell", "quantity": 20}, {"symbol": "BBB", "quantity": 40},
         {"symbol": "BBB", "quantity": 1}],
        ["approved", "approved", "net_leverage"],
    ),
    "cash buffer": (
        {"cash_buffer_pct": 0.1},
        [{"quantity": 60}, {"quantity": 31}, {"quantity": 30}],
        ["approved", "cash_buffer", "approved"],
    ),
    "long and short of a symbol take the worse of the two, not the sum": (
        {"shortable": "all"},
        [{"quantity": 100, "type": "limit", "limit_price": 100.0},
         {"quantity": 100, "side": "sell", "type": "limit", "limit_price": 100.0},
         {"quantity": 1}],
        ["approved", "approved", "buying_power"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_limits_count_what_was_taken_before(name: str) -> None:
    section, orders, expected = TOGETHER[name]
    desk = Desk(**section)
    assert codes(desk.ask(*(desk.order(**order) for order in orders))) == expected


def test_strategies_do_not_net_each_other() -> None:
    """Long 60 of one and short 60 of the other use 12,000 of buying power."""
    desk = Desk(shortable="all")
    said = desk.ask(
        desk.order(quantity=60), desk.order("sell", 60, strategy="s2"),
        desk.order("sell", 40, strategy="s2"),
    )  # fmt: skip
    assert codes(said) == ["approved", "buying_power", "approved"]


def test_open_orders_stay_reserved_until_they_are_final() -> None:
    desk = Desk()
    resting = desk.order(quantity=60, type="limit", limit_price=90.0, tif=TimeInForce.GTC)
    assert codes(desk.ask(resting)) == ["approved"]  # 5,400
    desk.price(AAA=100.0)
    assert codes(desk.ask(desk.order(quantity=47))) == ["buying_power"]
    desk.update(resting, OrderState.WORKING)
    assert codes(desk.ask(desk.order(quantity=47))) == ["buying_power"]
    desk.update(resting, OrderState.EXPIRED)
    assert codes(desk.ask(desk.order(quantity=100))) == ["approved"]


def test_fills_take_what_was_reserved() -> None:
    """30 of 80 fill at 100: 3,000 held and 5,000 reserved. Cancelled: only what is held."""
    desk = Desk()
    order = desk.order(quantity=80)
    desk.ask(order)
    desk.fill(order, 100.0, 30, final=False)
    assert codes(desk.ask(desk.order(quantity=21))) == ["buying_power"]
    probe = desk.order(quantity=20)
    assert codes(desk.ask(probe)) == ["approved"]
    desk.update(probe, OrderState.CANCELLED)
    desk.update(order, OrderState.CANCELLED, filled=30)
    assert codes(desk.ask(desk.order(quantity=71))) == ["buying_power"]
    assert codes(desk.ask(desk.order(quantity=70))) == ["approved"]


def test_a_refusal_by_execution_releases() -> None:
    desk = Desk()
    order = desk.order(quantity=100)
    desk.ask(order)
    refused: dict[str, Any] = {
        "ts_event_ns": desk.now_ns, "order_id": order.order_id, "strategy_id": "s1",
        "symbol": "AAA", "code": "too_late", "reason": "it is", "by": "execution",
    }  # fmt: skip
    desk.stage.send(OrderRejectedEvent(request="modify", **refused))
    assert codes(desk.ask(desk.order(quantity=1))) == ["buying_power"]
    desk.stage.send(OrderRejectedEvent(**refused))
    assert codes(desk.ask(desk.order(quantity=100))) == ["approved"]


def test_prices_move_what_is_held_not_what_is_reserved() -> None:
    """50 held at 120 are 6,000 of 11,000; 40 reserved at 100 are 4,000: 1,000 is left."""
    desk = Desk()
    desk.hold(50)
    resting = desk.order(quantity=40, type="limit", limit_price=100.0)
    assert codes(desk.ask(resting)) == ["approved"]
    desk.portfolio.equity = 11_000
    desk.price(AAA=120.0)
    assert codes(desk.ask(desk.order(quantity=21, symbol="BBB"))) == ["buying_power"]
    assert codes(desk.ask(desk.order(quantity=20, symbol="BBB"))) == ["approved"]


def test_of_an_oco_group_one_order_is_reserved() -> None:
    desk = Desk()
    group: dict[str, Any] = {"role": Role.OCO, "group_id": "g"}
    dear = desk.order(quantity=80, type="stop", stop_price=110.0, **group)  # 8,800
    cheap = desk.order(quantity=80, type="limit", limit_price=90.0, **group)
    assert codes(desk.ask((dear, cheap))) == ["approved"]
    assert codes(desk.ask(desk.order(quantity=13))) == ["buying_power"]
    assert codes(desk.ask(desk.order(quantity=12))) == ["approved"]


def test_a_bracket_reserves_its_entry_only() -> None:
    desk = Desk()
    assert codes(desk.ask(desk.bracket(100))) == ["approved"]
    assert codes(desk.ask(desk.order(quantity=1))) == ["buying_power"]


def test_many_lines_are_counted() -> None:
    """70 symbols at 100, one share each: 7,000 of 7,000."""
    symbols = [f"S{i:02}" for i in range(70)]
    desk = Desk(7000, symbols, dict.fromkeys(symbols, 100.0))
    for symbol in symbols[:68]:
        desk.hold(1, symbol)
    said = desk.ask(*(desk.order(quantity=1, symbol=s) for s in symbols[67:]))
    assert codes(said) == ["approved", "approved", "buying_power"]


# -- modifications -----------------------------------------------------------------------------


def resting(desk: Desk, quantity: float = 60, price: float = 100.0, **terms: Any) -> Order:
    order = desk.order(quantity=quantity, type="limit", limit_price=price, **terms)
    desk.ask(order)
    return order


MODIFIES: dict[str, tuple[dict[str, Any], str]] = {
    "to all that fits": ({"quantity": 100.0}, "modify_approved"),
    "to more than fits": ({"quantity": 101.0}, "buying_power"),
    "dearer": ({"limit_price": 166.66}, "modify_approved"),
    "too dear": ({"limit_price": 166.67}, "buying_power"),
    "smaller": ({"quantity": 1.0}, "modify_approved"),
    "to nothing": ({"quantity": 0.0}, "bad_quantity"),
    "off the tick": ({"limit_price": 99.999}, "tick"),
    "off the lot": ({"quantity": 10.5}, "lot"),
    "with a stop": ({"stop_price": 90.0}, "bad_price"),
}


@pytest.mark.parametrize("name", MODIFIES)
def test_a_modification_is_judged_as_an_order_that_replaces(name: str) -> None:
    terms, code = MODIFIES[name]
    desk = Desk()
    order = resting(desk)
    said = only(desk.ask(desk.modify(order, **terms)))
    assert codes([said]) == [code]
    if code == "modify_approved":
        assert (said.quantity, said.limit_price) == (
            terms.get("quantity"), terms.get("limit_price"),
        )  # fmt: skip
    else:
        assert (said.request, said.order_id) == ("modify", order.order_id)


def test_a_modification_changes_what_is_reserved() -> None:
    desk = Desk()
    order = resting(desk)
    assert codes(desk.ask(desk.modify(order, quantity=101.0), desk.order(quantity=41))) == [
        "buying_power", "buying_power",
    ]  # fmt: skip
    said = desk.ask(desk.modify(order, quantity=20.0), desk.order(quantity=80))
    assert codes(said) == ["modify_approved", "approved"]


def test_what_shrinks_is_allowed_beyond_any_limit() -> None:
    desk = Desk(daily_loss={"limit_pct": 0.05})
    order = resting(desk)
    desk.portfolio.equity = 5000
    said = desk.ask(desk.modify(order, quantity=59.0), desk.modify(order, quantity=60.0))
    assert codes(said) == ["daily_loss", "modify_approved", "daily_loss"]


def test_an_exit_may_be_modified_at_will() -> None:
    desk = Desk()
    desk.hold(10)
    order = desk.order("sell", 10, type="stop", stop_price=90.0)
    assert approved(desk.ask(order))[0].reduce_only
    assert codes(desk.ask(desk.modify(order, quantity=500.0, stop_price=95.0))) == [
        "modify_approved"
    ]


def test_an_order_that_is_not_open_or_not_ones_own_cannot_be_modified() -> None:
    desk = Desk()
    order = resting(desk)
    other = only(desk.ask(desk.modify(desk.order(strategy="s2", order_id="s1-1"), quantity=1.0)))
    assert other.code == "unknown_order"
    desk.update(order, OrderState.CANCELLED)
    gone = only(desk.ask(desk.modify(order, quantity=1.0)))
    assert (gone.code, gone.reason) == ("unknown_order", "s1-1 is not an open order of s1")


def test_a_modification_below_what_is_filled() -> None:
    desk = Desk()
    order = resting(desk)
    desk.fill(order, 100.0, 20, final=False)
    said = only(desk.ask(desk.modify(order, quantity=20.0)))
    assert (
        said.reason == "quantity 20 came, and 20 is filled; allowed: more than that, or cancel it"
    )


def test_what_execution_does_not_modify_is_reserved_as_before() -> None:
    """60 at 100, approved to become 10; execution says no: 6,000 are reserved again."""
    desk = Desk()
    order = resting(desk)
    desk.ask(desk.modify(order, quantity=10.0))
    desk.stage.send(
        OrderRejectedEvent(
            ts_event_ns=desk.now_ns, order_id=order.order_id, strategy_id="s1", symbol="AAA",
            code="quantity_filled", reason="more is filled", by="execution", request="modify",
        )
    )  # fmt: skip
    assert codes(desk.ask(desk.order(quantity=41))) == ["buying_power"]
    assert codes(desk.ask(desk.order(quantity=40))) == ["approved"]
