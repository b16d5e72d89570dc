"""What reduces a position is always taken; what goes beyond it is judged."""

from __future__ import annotations

from typing import Any

import pytest

from app.trading.orders import OrderState, Role, Side, TimeInForce
from tests.trading.harness import minute
from tests.trading.risk.desk import Desk, approved, codes, only

# For each limit that would refuse an entry of 10 AAA at 100: how it is set.
LIMITS: dict[str, dict[str, Any]] = {
    "lot": {"orders": {"lot": 7.0}},
    "min_quantity": {"orders": {"min_quantity": 11.0}},
    "max_quantity": {"orders": {"max_quantity": 9.0}},
    "min_notional": {"orders": {"min_notional": 1001.0}},
    "max_position_quantity": {"max_position_quantity": 9.0},
    "max_position_pct": {"max_position_pct": 0.09},
    "gross_leverage": {"gross_leverage": 0.09},
    "net_leverage": {"net_leverage": 0.09},
    "buying_power": {"intraday_buying_power": 0.09},
    "overnight_buying_power": {"overnight_buying_power": 0.09},
    "cash_buffer": {"cash_buffer_pct": 0.95},
    "budget": {"budgets": {"s1": 0.09}},
    "daily_loss": {"daily_loss": {"limit_pct": 0.0}},
    "drawdown": {"drawdown": {"limit_pct": 0.0}},
    "symbol_halted": {"context": {"halts": (("AAA", 0, minute(9)),)}},
    "max_open_orders": {"max_open_orders": 1},
}


@pytest.mark.parametrize("limit", LIMITS)
def test_exits_refused_by_entry_limits(limit: str) -> None:
    """Naive: entry limits asked of every order. So asked, this order is refused; the same order
    that closes a position is taken, with every limit broken."""
    naive = Desk(**LIMITS[limit])
    if limit == "max_open_orders":
        naive.ask(naive.order("buy", 1))
    terms: dict[str, Any] = {"quantity": 10, "tif": TimeInForce.GTC}
    assert codes(naive.ask(naive.order("buy", **terms)))[-1] == limit

    desk = Desk(**LIMITS[limit])
    desk.hold(-10)
    if limit == "max_open_orders":
        desk.ask(desk.order("buy", 1, reduce_only=True, type="limit", limit_price=1.0))
    assert codes(desk.ask(desk.order("buy", **terms)))[-1] == "approved"


def test_an_exit_goes_on_as_reduce_only() -> None:
    desk = Desk()
    desk.hold(100)
    order = only(approved(desk.ask(desk.order("sell", 100))))
    assert (order.quantity, order.reduce_only) == (100, True)


def test_a_malformed_exit_is_refused() -> None:
    desk = Desk()
    desk.hold(100)
    said = desk.ask(
        desk.order("sell", float("nan")), desk.order("sell", 10, type="limit"),
        desk.order("sell", 10, type="limit", limit_price=99.999),
    )  # fmt: skip
    assert codes(said) == ["bad_quantity", "missing_price", "tick"]


FLIPS: dict[str, tuple[dict[str, Any], float, list[str]]] = {
    "of a symbol that may not be short": ({}, 101, ["not_shortable"]),
    "to as much on the other side": ({"shortable": "all"}, 200, ["approved"]),
    "to more than fits": ({"shortable": "all"}, 201, ["buying_power"]),
    "of which the opening part is not too large": (
        {"shortable": "all", "orders": {"max_quantity": 50.0}}, 150, ["approved"],
    ),
    "of which the opening part is too large": (
        {"shortable": "all", "orders": {"max_quantity": 50.0}}, 151, ["max_quantity"],
    ),
    "to the other side's limit": (
        {"shortable": "all", "max_position_quantity": 30.0}, 130, ["approved"],
    ),
    "beyond the other side's limit": (
        {"shortable": "all", "max_position_quantity": 30.0}, 131, ["max_position_quantity"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLIPS)
def test_of_an_order_that_flips_what_opens_is_judged(name: str) -> None:
    section, quantity, expected = FLIPS[name]
    desk = Desk(**section)
    desk.hold(100)
    said = desk.ask(desk.order("sell", quantity))
    assert codes(said) == expected
    assert not any(order.reduce_only for order in approved(said))


def test_exits_that_together_close_too_much_are_entries_for_the_excess() -> None:
    desk = Desk()
    desk.hold(100)
    first, second, third = (desk.order("sell", q) for q in (60, 60, 40))
    said = desk.ask(first, second, third)
    assert codes(said) == ["approved", "not_shortable", "approved"]
    assert "would sell 20 short" in said[1].reason


def test_the_excess_is_counted_across_batches_until_an_exit_is_final() -> None:
    desk = Desk()
    desk.hold(100)
    first = desk.order("sell", 100, type="limit", limit_price=120.0)
    assert codes(desk.ask(first)) == ["approved"]
    desk.price(AAA=101.0)
    assert codes(desk.ask(desk.order("sell", 1))) == ["not_shortable"]
    desk.update(first, OrderState.CANCELLED)
    assert codes(desk.ask(desk.order("sell", 100))) == ["approved"]


def test_a_brackets_children_do_not_stand_in_the_way_of_an_exit() -> None:
    """They are reduce-only, as is the exit: whatever fills first, nothing is opened."""
    desk = Desk()
    entry, profit, stop = desk.bracket(50)
    desk.ask((entry, profit, stop))
    desk.fill(entry, 100.0)
    said = approved(desk.ask(desk.order("sell", 50)))
    assert [o.reduce_only for o in said] == [True]


def test_an_exit_that_was_overtaken_reserves_nothing() -> None:
    """The stop of the strategy fills first; its limit exit cannot open a short any more."""
    desk = Desk()
    desk.hold(100)
    limit = desk.order("sell", 100, type="limit", limit_price=120.0)
    stop = desk.order("sell", 100, type="stop", stop_price=90.0, reduce_only=True)
    assert codes(desk.ask(limit, stop)) == ["approved", "approved"]
    desk.fill(stop, 90.0)
    assert codes(desk.ask(desk.order(quantity=100))) == ["approved"]


def test_a_reversal_beside_a_stop_opens_all_of_itself() -> None:
    """Long 100, a stop of 100 rests. A sell of 110 would open 10; after the stop it opens 110."""
    desk = Desk(shortable="all", orders={"max_quantity": 109.0})
    desk.hold(100)
    desk.ask(desk.order("sell", 100, type="stop", stop_price=90.0, reduce_only=True))
    said = desk.ask(desk.order("sell", 110), desk.order("sell", 100))
    assert codes(said) == ["max_quantity", "approved"]


def test_oco_exits_close_once() -> None:
    desk = Desk()
    desk.hold(100)
    group: dict[str, Any] = {"role": Role.OCO, "group_id": "g"}
    profit = desk.order("sell", 100, type="limit", limit_price=110.0, **group)
    stop = desk.order("sell", 100, type="stop", stop_price=90.0, **group)
    said = approved(desk.ask((profit, stop)))
    assert [o.reduce_only for o in said] == [True, True]
    assert codes(desk.ask(desk.order("sell", 1))) == ["not_shortable"]


def test_closing_and_opening_orders_of_a_short_position() -> None:
    """Short 100; a cover of 100 at 50 rests. Another buy of 60 opens all its 60, at 100 each:
    gross is the 10,000 that are short now, or 6,000 long later, not both."""
    desk = Desk(20_000, shortable="all")
    desk.hold(-100)
    cover = desk.order("buy", 100, type="limit", limit_price=50.0)
    assert approved(desk.ask(cover))[0].reduce_only
    more = only(approved(desk.ask(desk.order("buy", 60))))
    assert not more.reduce_only
    assert codes(desk.ask(desk.order("buy", 200, "BBB"))) == ["approved"]
    assert codes(desk.ask(desk.order("buy", 1, "BBB"))) == ["buying_power"]


def test_the_dearest_of_several_orders_opens() -> None:
    """Short 100. Buys of 101 at 60 and 99 at 110 rest: 100 open, 99 at 110 and one at 60. With
    one more at 110 it is 11,060; with two 11,170."""
    desk = Desk(11_100, shortable="all")
    desk.hold(-100)
    cheap = desk.order("buy", 101, type="limit", limit_price=60.0)
    dear = desk.order("buy", 99, type="limit", limit_price=110.0)
    assert codes(desk.ask(cheap, dear)) == ["approved", "approved"]
    one = desk.order("buy", 1, type="limit", limit_price=110.0)
    said = desk.ask(one, desk.order("buy", 1, type="limit", limit_price=110.0))
    assert codes(said) == ["approved", "buying_power"]
    assert "11,170.00" in said[1].reason


def test_exits_of_one_strategy_are_measured_by_its_own_position() -> None:
    desk = Desk()
    desk.hold(100, strategy="s1")
    assert codes(desk.ask(desk.order("sell", 10, strategy="s2"))) == ["not_shortable"]
    assert approved(desk.ask(desk.order("sell", 10)))[0].side is Side.SELL


def test_a_position_without_a_price_can_be_left() -> None:
    desk = Desk(prices={"BBB": 50.0})
    desk.hold(10)
    assert codes(desk.ask(desk.order("sell", 10))) == ["approved"]
