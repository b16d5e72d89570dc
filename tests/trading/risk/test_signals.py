"""Signals: sizes by hand, repeated and reversed, and what is left of one that may not open."""

from __future__ import annotations

from typing import Any

import pytest

from app.trading.context import Instrument
from app.trading.events import CancelRequestEvent, OrderApprovedEvent, SignalEvent
from app.trading.orders import OrderState, OrderType, Role, Side, TimeInForce
from tests.trading.risk.desk import Desk, approved, codes, only

FRACTION: dict[str, Any] = {"sizing": {"value": 0.5}}
FIXED: dict[str, Any] = {"sizing": {"method": "fixed_quantity", "value": 30.0}}

# section, equity, price, lot, strength: shares, computed by hand
SIZES: dict[str, tuple[dict[str, Any], float, float, float, float, float]] = {
    "half of 10,000 at 100": (FRACTION, 10_000, 100.0, 1, 1.0, 50),
    "rounded down: 5,000 / 33 = 151.5": (FRACTION, 10_000, 33.0, 1, 1.0, 151),
    "of strength 0.3": (FRACTION, 10_000, 100.0, 1, 0.3, 15),
    "to lots of 40": (FRACTION, 10_000, 100.0, 40, 1.0, 40),
    "to tenths: 5,000 / 33 = 151.51": (FRACTION, 10_000, 33.0, 0.1, 1.0, 151.5),
    "of a budget of 0.4": ({**FRACTION, "budgets": {"s1": 0.4}}, 10_000, 100.0, 1, 1.0, 20),
    "of the default, a tenth": ({}, 10_000, 100.0, 1, 1.0, 10),
    "fixed": (FIXED, 10_000, 100.0, 1, 1.0, 30),
    "fixed, half as strong": (FIXED, 10_000, 100.0, 1, 0.5, 15),
    "fixed, of a budget of 0.5": ({**FIXED, "budgets": {"s1": 0.5}}, 10_000, 100.0, 1, 1.0, 15),
    "all of equity": ({"sizing": {"value": 1.0}}, 10_000, 100.0, 1, 1.0, 100),
    "a price that divides with dust": ({"sizing": {"value": 0.3}}, 10_000, 0.1, 1, 1.0, 30_000),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_size(name: str) -> None:
    section, equity, price, lot, strength, shares = SIZES[name]
    context = {"instruments": {"AAA": Instrument("AAA", lot=lot)}}
    desk = Desk(equity, prices={"AAA": price}, context=context, **section)
    signal = desk.signal(1, strength)
    event: OrderApprovedEvent = only(desk.ask(signal))
    order = only(event.orders)
    assert order.quantity == shares
    assert (order.side, order.type, order.tif) == (Side.BUY, OrderType.MARKET, TimeInForce.DAY)
    assert order.order_id == event.signal_id == signal.signal_id
    assert order.created_ns == event.ts_event_ns == desk.now_ns


def long(desk: Desk, shares: float = 50) -> None:
    """A long position through a signal, filled."""
    order = only(approved(desk.ask(desk.signal(1))))
    assert order.quantity == shares
    desk.fill(order, 100.0)


def test_a_signal_that_is_repeated_adds_nothing() -> None:
    desk = Desk(**FRACTION)
    first, second = desk.signal(1), desk.signal(1)
    said = desk.ask(first, second)
    assert [e.signal_id for e in said] == [first.signal_id]
    assert desk.ask(desk.signal(1)) == []  # at work
    desk.fill(said[0].orders[0], 100.0)
    assert desk.ask(desk.signal(1)) == []  # held
    assert desk.ask(desk.signal(1, 0.5)) == []  # above the target


def test_it_tops_up_to_its_target() -> None:
    desk = Desk(**FRACTION)
    desk.fill(only(approved(desk.ask(desk.signal(1, 0.4)))), 100.0)
    assert only(approved(desk.ask(desk.signal(1)))).quantity == 30


def test_partial_fills_count() -> None:
    desk = Desk(**FRACTION)
    order = only(approved(desk.ask(desk.signal(1))))
    desk.fill(order, 100.0, 20, final=False)
    assert desk.ask(desk.signal(1)) == []
    desk.update(order, OrderState.CANCELLED, filled=20)
    assert only(approved(desk.ask(desk.signal(1)))).quantity == 30


def test_flat_closes_once() -> None:
    desk = Desk(**FRACTION)
    long(desk)
    order = only(approved(desk.ask(desk.signal(0), desk.signal(0))))
    assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, 50, True)
    desk.fill(order, 100.0)
    assert desk.ask(desk.signal(0)) == []


def test_short_and_back() -> None:
    """50 long, then 50 short: one order of 100; then flat: 50 bought."""
    desk = Desk(shortable="all", **FRACTION)
    long(desk)
    order = only(approved(desk.ask(desk.signal(-1))))
    assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, 100, False)
    desk.fill(order, 100.0)
    assert desk.ask(desk.signal(-1)) == []
    order = only(approved(desk.ask(desk.signal(0))))
    assert (order.side, order.quantity, order.reduce_only) == (Side.BUY, 50, True)


def test_flat_takes_back_a_reversal_at_work() -> None:
    desk = Desk(shortable="all", **FRACTION)
    long(desk)
    flip = only(approved(desk.ask(desk.signal(-1))))
    said = desk.ask(desk.signal(0))
    assert cancelled(said) == [flip.order_id]
    assert only(approved(said)).quantity == 50


def test_short_where_none_may_be_only_closes() -> None:
    desk = Desk(**FRACTION)
    long(desk)
    order = only(approved(desk.ask(desk.signal(-1))))
    assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, 50, True)
    assert desk.ask(desk.signal(-1)) == []  # it is being closed
    desk.fill(order, 100.0)
    refused = only(desk.ask(desk.signal(-1)))
    assert (refused.code, refused.request) == ("not_shortable", "signal")
    assert "AAA may not be sold short" in refused.reason


def test_a_reversal_that_may_not_open_closes_and_says_why() -> None:
    """Short positions of 20 shares at most: -50 is refused, the long 50 is closed all the same."""
    desk = Desk(shortable="all", max_position_quantity=50.0, **FRACTION)
    long(desk)
    desk.hold(-20, strategy="s2")
    warning, event = desk.ask(desk.signal(-1))
    assert codes([warning, event]) == ["signal_only_closes", "approved"]
    assert "(max_position_quantity): the short position would be 70; allowed: 50" in warning.text
    order = only(event.orders)
    assert (order.quantity, order.reduce_only) == (50, True)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "direction": ({}, {"direction": 2}, "bad_signal"),
    "strength of zero": ({}, {"direction": 1, "strength": 0.0}, "bad_signal"),
    "strength above one": ({}, {"direction": 1, "strength": 1.1}, "bad_signal"),
    "strength not a number": ({}, {"direction": 1, "strength": float("nan")}, "bad_signal"),
    "symbol": ({}, {"direction": 1, "symbol": "ZZZ"}, "unknown_symbol"),
    "less than a share": ({"sizing": {"value": 0.009}}, {"direction": 1}, "sized_to_zero"),
    "a limit": ({"gross_leverage": 0.05}, {"direction": 1}, "gross_leverage"),
    "a buffer": (
        {"sizing": {"value": 1.0}, "cash_buffer_pct": 0.01}, {"direction": 1}, "cash_buffer",
    ),
    "less than the smallest order": (
        {"orders": {"min_quantity": 11.0}}, {"direction": 1}, "min_quantity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_signal_is_named(name: str) -> None:
    section, terms, code = REFUSED[name]
    desk = Desk(**section)
    signal = desk.signal(**terms)
    said = only(desk.ask(signal))
    assert (said.code, said.order_id, said.request) == (code, signal.signal_id, "signal")


def test_no_price_yet() -> None:
    desk = Desk(prices={"BBB": 50.0})
    assert only(desk.ask(desk.signal(1))).code == "no_price"


def test_equity_is_of_the_same_moment() -> None:
    desk = Desk(**FRACTION)
    desk.portfolio.equity = 8000
    assert only(approved(desk.ask(desk.signal(1)))).quantity == 40


def test_signals_and_orders_are_taken_in_the_order_they_came_in() -> None:
    desk = Desk(sizing={"value": 1.0})
    said = desk.ask(desk.order(quantity=1, symbol="BBB"), desk.signal(1))
    assert [e.symbol for e in said if codes([e]) == ["buying_power"]] == ["AAA"]
    desk = Desk(sizing={"value": 1.0})
    said = desk.ask(desk.signal(1), desk.order(quantity=1, symbol="BBB"))
    assert [e.symbol for e in said if codes([e]) == ["buying_power"]] == ["BBB"]


# -- beside other orders -----------------------------------------------------------------------


def cancelled(said: list[Any]) -> list[str]:
    return [e.order_id for e in said if type(e) is CancelRequestEvent]


def test_flat_cancels_entries_that_rest() -> None:
    desk = Desk(**FRACTION)
    entry = desk.order(quantity=10, type="limit", limit_price=90.0)
    desk.ask(entry)
    said = desk.ask(desk.signal(0))
    assert (cancelled(said), approved(said)) == ([entry.order_id], [])
    assert desk.ask(desk.signal(0)) == []  # asked once


def test_an_entry_at_work_is_cancelled_by_a_signal_against_it() -> None:
    desk = Desk(shortable="all", **FRACTION)
    order = only(approved(desk.ask(desk.signal(1))))
    said = desk.ask(desk.signal(-1))
    assert cancelled(said) == [order.order_id]
    assert only(approved(said)).quantity == 50


def test_even_where_the_signal_itself_is_refused() -> None:
    desk = Desk(**FRACTION)
    order = only(approved(desk.ask(desk.signal(1))))
    said = desk.ask(desk.signal(-1))
    assert (cancelled(said), codes(said)[-1]) == ([order.order_id], "not_shortable")


def test_entries_of_its_own_direction_count() -> None:
    desk = Desk(**FRACTION)
    desk.ask(desk.order(quantity=20, type="limit", limit_price=90.0))
    assert only(approved(desk.ask(desk.signal(1)))).quantity == 30


def test_exits_that_rest_leave_with_the_position() -> None:
    """A limit exit and a bracket's children; the closing order is not in their way."""
    desk = Desk(shortable="all", intraday_buying_power=2.0, **FRACTION)
    long(desk)
    limit = desk.order("sell", 50, type="limit", limit_price=120.0)
    entry, profit, stop = desk.bracket(10)
    desk.ask(limit, (entry, profit, stop))
    assert desk.ask(desk.signal(1)) == []  # in their direction nothing is touched
    desk.fill(entry, 100.0)
    said = desk.ask(desk.signal(-1))
    assert cancelled(said) == [limit.order_id, profit.order_id, stop.order_id]
    assert only(approved(said)).quantity == 110


def test_children_leave_with_an_entry_that_never_filled() -> None:
    desk = Desk(**FRACTION)
    entry, profit, stop = desk.bracket(10)
    desk.ask((entry, profit, stop))
    assert cancelled(desk.ask(desk.signal(0))) == [entry.order_id]


def test_other_strategies_are_left_alone() -> None:
    desk = Desk(**FRACTION)
    theirs = desk.order(quantity=10, type="limit", limit_price=90.0, strategy="s2")
    desk.ask(theirs)
    long(desk)
    said = desk.ask(desk.signal(0))
    assert (cancelled(said), only(approved(said)).quantity) == ([], 50)


def test_a_signals_exit_is_taken_whatever_the_limits_say() -> None:
    section: dict[str, Any] = {"max_open_orders": 1, "daily_loss": {"limit_pct": 0.01}}
    desk = Desk(**section, **FRACTION)
    long(desk)
    desk.portfolio.equity = 9000
    stop = desk.order("sell", 50, type="stop", stop_price=90.0, reduce_only=True, role=Role.SINGLE)
    assert codes(desk.ask(stop)) == ["daily_loss", "approved"]
    said = desk.ask(desk.signal(-1))
    assert only(approved(said)).quantity == 50


def test_strategies_are_sized_apart() -> None:
    desk = Desk(sizing={"value": 0.5}, budgets={"s1": 0.5, "s2": 0.5})
    said: list[SignalEvent] = [desk.signal(1), desk.signal(1, strategy="s2")]
    assert [o.quantity for o in approved(desk.ask(*said))] == [25, 25]
