"""Every check of an order, with hand numbers: AAA is at 100, BBB at 50, equity is 10,000."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from app.trading.context import Instrument
from app.trading.events import OrderRejectedEvent
from app.trading.orders import OrderState, Role, TimeInForce
from app.trading.services.risk.codes import Code
from tests.trading.harness import DAYS, minute
from tests.trading.risk.desk import Desk, approved, codes, only

ORDERS = "orders"


def ask(section: dict[str, Any], order: dict[str, Any], **desk: Any) -> Any:
    found = Desk(**desk, **section)
    return only(found.ask(found.order(**order)))


# section, order, code (None: approved), what the sentence must hold
CHECKS: dict[str, tuple[dict[str, Any], dict[str, Any], str | None, str]] = {
    "fits": ({}, {"quantity": 100}, None, ""),
    "symbol": ({}, {"symbol": "AAB"}, "unknown_symbol", "nearest: AAA"),
    "quantity of zero": ({}, {"quantity": 0}, "bad_quantity", "quantity 0 came"),
    "quantity below zero": ({}, {"quantity": -5}, "bad_quantity", "-5"),
    "quantity not a number": ({}, {"quantity": float("nan")}, "bad_quantity", "nan"),
    "quantity without end": ({}, {"quantity": float("inf")}, "bad_quantity", "inf"),
    "limit without its price": ({}, {"type": "limit"}, "missing_price", "without limit_price"),
    "stop without its price": ({}, {"type": "stop"}, "missing_price", "without stop_price"),
    "stop-limit without a limit": (
        {}, {"type": "stop_limit", "stop_price": 101.0}, "missing_price",
        "needs stop_price and limit_price",
    ),
    "trailing stop without a trail": ({}, {"type": "trailing_stop"}, "missing_price", "trail"),
    "limit of zero": ({}, {"type": "limit", "limit_price": 0.0}, "bad_price", "above 0"),
    "limit not a number": ({}, {"type": "limit", "limit_price": float("nan")}, "bad_price", "nan"),
    "market with a limit": ({}, {"limit_price": 99.0}, "bad_price", "limit_price 99; it takes"),
    "trail of all": (
        {}, {"type": "trailing_stop", "trail": 10_000.0, "trail_in_bps": True}, "bad_price",
        "below 10000",
    ),
    "limit on the tick": ({}, {"type": "limit", "limit_price": 99.99}, None, ""),
    "limit off the tick": ({}, {"type": "limit", "limit_price": 99.995}, "tick", "tick 0.01"),
    "stop off the tick": ({}, {"type": "stop", "stop_price": 100.001}, "tick", "100.001"),
    "no tick": ({ORDERS: {"tick": 0.0}}, {"type": "limit", "limit_price": 99.995}, None, ""),
    "lot": ({ORDERS: {"lot": 10.0}}, {"quantity": 15}, "lot", "15 came; allowed: multiples"),
    "whole lots": ({ORDERS: {"lot": 10.0}}, {"quantity": 20}, None, ""),
    "part of a share": ({}, {"quantity": 1.5}, "lot", "lot 1"),
    "no lot": ({ORDERS: {"lot": 0.0}}, {"quantity": 1.5}, None, ""),
    "small": ({ORDERS: {"min_quantity": 5.0}}, {"quantity": 4}, "min_quantity", "at least 5"),
    "just not small": ({ORDERS: {"min_quantity": 5.0}}, {"quantity": 5}, None, ""),
    "large": ({ORDERS: {"max_quantity": 50.0}}, {"quantity": 51}, "max_quantity", "at most 50"),
    "just not large": ({ORDERS: {"max_quantity": 50.0}}, {"quantity": 50}, None, ""),
    "notional of 900": ({ORDERS: {"min_notional": 1000.0}}, {"quantity": 9}, "min_notional",
                        "900.00; allowed: at least 1,000.00"),
    "notional of 1000": ({ORDERS: {"min_notional": 1000.0}}, {"quantity": 10}, None, ""),
    "limit above the band": (
        {ORDERS: {"price_band_pct": 0.05}}, {"type": "limit", "limit_price": 105.01},
        "price_band", "more than 5 % above the last price 100; allowed: 105 or less",
    ),
    "limit at the band's edge": (
        {ORDERS: {"price_band_pct": 0.05}}, {"type": "limit", "limit_price": 105.0}, None, "",
    ),
    "limit far away on its passive side": (
        {ORDERS: {"price_band_pct": 0.05}}, {"type": "limit", "limit_price": 50.0}, None, "",
    ),
    "sell limit below the band": (
        {ORDERS: {"price_band_pct": 0.05}, "shortable": "all"},
        {"side": "sell", "type": "limit", "limit_price": 94.99}, "price_band", "below the last",
    ),
    "stop-limit beyond its stop": (
        {ORDERS: {"price_band_pct": 0.05}},
        {"type": "stop_limit", "stop_price": 120.0, "limit_price": 126.5}, "price_band",
        "above its stop 120; allowed: 126 or less",
    ),
    "position in shares": (
        {"max_position_quantity": 30.0}, {"quantity": 31}, "max_position_quantity",
        "would be 31; allowed: 30",
    ),
    "position at its limit": ({"max_position_quantity": 30.0}, {"quantity": 30}, None, ""),
    "position in equity": (
        {"max_position_pct": 0.2}, {"quantity": 21}, "max_position_pct",
        "2,100.00; allowed: 2,000.00, 0.2 times equity 10,000.00",
    ),
    "position of that share": ({"max_position_pct": 0.2}, {"quantity": 20}, None, ""),
    "gross": ({"gross_leverage": 0.5}, {"quantity": 51}, "gross_leverage", "5,100.00; allowed: 5"),
    "gross at its limit": ({"gross_leverage": 0.5}, {"quantity": 50}, None, ""),
    "net long": ({"net_leverage": 0.3}, {"quantity": 31}, "net_leverage", "net long"),
    "net short": ({"net_leverage": 0.3, "shortable": "all"}, {"side": "sell", "quantity": 31},
                  "net_leverage", "net short exposure with all open sell orders would be 3,100.00"),
    "cash account": ({}, {"quantity": 101}, "buying_power", "10,100.00; allowed: 10,000.00"),
    "margin account": ({"intraday_buying_power": 4.0}, {"quantity": 400}, None, ""),
    "beyond margin": ({"intraday_buying_power": 4.0}, {"quantity": 401}, "buying_power", "40,000"),
    "gtc overnight": (
        {"intraday_buying_power": 4.0, "overnight_buying_power": 2.0},
        {"quantity": 201, "tif": TimeInForce.GTC}, "overnight_buying_power", "20,000.00",
    ),
    "gtc within overnight": (
        {"intraday_buying_power": 4.0, "overnight_buying_power": 2.0},
        {"quantity": 200, "tif": TimeInForce.GTC}, None, "",
    ),
    "market-on-close overnight": (
        {"intraday_buying_power": 4.0, "overnight_buying_power": 2.0},
        {"quantity": 201, "type": "market_on_close"}, "overnight_buying_power", "",
    ),
    "buffer": ({"cash_buffer_pct": 0.05}, {"quantity": 96}, "cash_buffer", "9,600.00; allowed: 9"),
    "all but the buffer": ({"cash_buffer_pct": 0.05}, {"quantity": 95}, None, ""),
    "budget": ({"budgets": {"s1": 0.3}}, {"quantity": 31}, "budget", "s1, whose budget is 30 %"),
    "within its budget": ({"budgets": {"s1": 0.3}}, {"quantity": 30}, None, ""),
    "another's budget": ({"budgets": {"s2": 0.3}}, {"quantity": 31}, None, ""),
    "budget of buying power": (
        {"budgets": {"s1": 0.3}, "intraday_buying_power": 2.0}, {"quantity": 60}, None, "",
    ),
    "short": ({}, {"side": "sell"}, "not_shortable", "would sell 10 short"),
    "short of another": ({"shortable": ["BBB"]}, {"side": "sell"}, "not_shortable", "AAA may not"),
    "short of a listed one": ({"shortable": ["AAA"]}, {"side": "sell"}, None, ""),
    "limit below the market reserves its limit": (
        {}, {"type": "limit", "limit_price": 80.0, "quantity": 125}, None, "",
    ),
    "and no more": (
        {}, {"type": "limit", "limit_price": 80.0, "quantity": 126}, "buying_power", "10,080.00",
    ),
    "stop above the market reserves its stop": (
        {}, {"type": "stop", "stop_price": 125.0, "quantity": 81}, "buying_power", "10,125.00",
    ),
    "short limit above the market reserves its limit": (
        {"shortable": "all"}, {"side": "sell", "type": "limit", "limit_price": 125.0,
                               "quantity": 81}, "buying_power", "10,125.00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_one_order(name: str) -> None:
    section, order, code, text = CHECKS[name]
    said = ask(section, order)
    assert getattr(said, "code", None) == code, said
    if code is not None:
        assert text in said.reason
        assert (said.by, said.request, said.order_id) == ("risk", "order", "s1-1")


INSTRUMENTS: dict[str, tuple[Instrument, dict[str, Any], str | None]] = {
    "tick": (Instrument("AAA", tick=0.05), {"type": "limit", "limit_price": 99.97}, "tick"),
    "lot": (Instrument("AAA", lot=100.0), {"quantity": 50}, "lot"),
    "min quantity": (Instrument("AAA", min_quantity=20.0), {"quantity": 10}, "min_quantity"),
    "max quantity": (Instrument("AAA", max_quantity=5.0), {"quantity": 10}, "max_quantity"),
    "min notional": (Instrument("AAA", min_notional=2000.0), {"quantity": 10}, "min_notional"),
    "not to be shorted": (Instrument("AAA", shortable=False), {"side": "sell"}, "not_shortable"),
    "a finer lot than the section's": (Instrument("AAA", lot=0.1), {"quantity": 0.3}, None),
}


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_instruments_terms_come_first(name: str) -> None:
    instrument, order, code = INSTRUMENTS[name]
    section = {"shortable": "all", "orders": {"max_quantity": 40.0}}
    said = ask(section, order, context={"instruments": {"AAA": instrument}})
    assert getattr(said, "code", None) == code


def test_what_the_instrument_leaves_open_the_section_says() -> None:
    section = {"orders": {"max_quantity": 40.0}}
    said = ask(section, {"quantity": 41}, context={"instruments": {"AAA": Instrument("AAA")}})
    assert said.code == "max_quantity"


def test_no_price_yet() -> None:
    said = ask({}, {}, prices={"BBB": 50.0})
    assert said.code == "no_price"


def test_max_open_orders_of_one_strategy() -> None:
    desk = Desk(max_open_orders=2)
    first, second = desk.order(quantity=1), desk.order(quantity=1)
    assert codes(desk.ask(first, second, desk.order(quantity=1))) == [
        "approved", "approved", "max_open_orders",
    ]  # fmt: skip
    assert codes(desk.ask(desk.order(quantity=1, strategy="s2"))) == ["approved"]
    desk.update(first, OrderState.CANCELLED)
    assert codes(desk.ask(desk.order(quantity=1))) == ["approved"]


def test_a_bracket_counts_as_three_orders() -> None:
    desk = Desk(max_open_orders=2)
    said = desk.ask(desk.bracket())
    assert codes(said) == ["max_open_orders", "group_refused", "group_refused"]


def test_a_symbol_is_halted_from_its_start_until_its_end() -> None:
    halts = (("AAA", minute(2), minute(4)), ("BBB", minute(2), 2**63 - 1))
    desk = Desk(context={"halts": halts})
    found = [codes(desk.ask(desk.order(quantity=1)))]
    for _ in range(3):
        desk.price(AAA=100.0)
        found.append(codes(desk.ask(desk.order(quantity=1))))
    assert found == [["approved"], ["symbol_halted"], ["symbol_halted"], ["approved"]]
    said = only(desk.ask(desk.order(symbol="BBB")))
    assert said.reason == "BBB is halted until further notice; only exits are taken"


@pytest.mark.parametrize(("before_close", "code"), [(16, None), (15, "overnight_buying_power")])
def test_late_entries_must_fit_overnight(before_close: int, code: str | None) -> None:
    """DAY orders too, in the last 15 minutes: 390 minutes a day, 20,000 overnight."""
    desk = Desk(intraday_buying_power=4.0, overnight_buying_power=2.0)
    desk.price(at=390 - before_close, AAA=100.0)
    said = only(desk.ask(desk.order(quantity=201)))
    assert getattr(said, "code", None) == code


def test_positions_at_the_close_beyond_overnight_power_are_told_of() -> None:
    desk = Desk(intraday_buying_power=4.0, overnight_buying_power=2.0, cash_buffer_pct=0.1)
    desk.hold(181)
    desk.price(at=390, AAA=100.0)
    told = [e for e in desk.stage.seen.events if getattr(e, "code", "") == "overnight_buying_power"]
    assert only(told).text.startswith("gross exposure at the close is 18,100.00; allowed: 18,000")


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "alone": ({"only": 1}, "came alone as entry"),
    "profit below the entry": ({"profit": 99.0}, "must be above the entry's, 100"),
    "stop above the entry": ({"stop": 101.0}, "must be below the entry's, 100"),
    "stop of a short below it": (
        {"side": "sell", "profit": 90.0, "stop": 99.0}, "must be above the entry's, 100",
    ),
    "profit against the entry's limit": (
        {"type": "limit", "limit_price": 120.0, "profit": 119.0}, "above the entry's, 120",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_bracket_makes_sense(name: str) -> None:
    terms, text = MALFORMED[name]
    desk = Desk(shortable="all", intraday_buying_power=4.0)
    orders = desk.bracket(**{k: v for k, v in terms.items() if k != "only"})
    said = desk.ask(orders[: terms.get("only", 3)])
    assert set(codes(said)) == {"bad_group"}
    assert len(said) == terms.get("only", 3)
    assert text in said[0].reason


def test_a_childs_faults_by_name() -> None:
    desk = Desk()
    entry, profit, stop = desk.bracket()
    faults = {
        "parent_id s1-9 came": replace(stop, parent_id="s1-9"),
        "must be reduce_only, sell and in AAA": replace(stop, reduce_only=False),
        "quantity 9 came; the entry's is 10": replace(stop, quantity=9.0),
        "role single came in a bracket": replace(stop, role=Role.SINGLE),
        "type market came; allowed: stop": replace(stop, type=profit.type.MARKET),
        "need one group_id": replace(stop, group_id="g2"),
        "same order_id": replace(stop, order_id=entry.order_id),
        "sent by s1": replace(stop, strategy_id="s2"),
        "a take_profit, a stop_loss or one of each": replace(stop, role=Role.TAKE_PROFIT),
    }
    for text, faulty in faults.items():
        said = desk.ask((entry, profit, faulty))
        assert codes(said) == ["bad_group"] * 3, text
        assert text in said[0].reason
    assert codes(desk.ask((entry, profit, stop))) == ["approved"]


def test_an_oco_group_holds_oco_orders_only() -> None:
    desk = Desk()
    one = desk.order(type="limit", limit_price=95.0, role=Role.OCO, group_id="g")
    other = desk.order(type="stop", stop_price=105.0, group_id="g")
    assert codes(desk.ask((one, other))) == ["bad_group", "bad_group"]


def test_an_order_id_that_is_open_is_refused() -> None:
    desk = Desk()
    order = desk.order()
    assert codes(desk.ask(order, order)) == ["approved", "duplicate_order"]


def test_codes_are_snake_case_and_said_by_risk_only_from_the_list() -> None:
    assert all(code.value == code.name.lower() for code in Code)


def test_the_whole_group_is_refused_for_one_of_its_orders() -> None:
    desk = Desk(max_position_quantity=15.0)
    group: dict[str, Any] = {"role": Role.OCO, "group_id": "g", "type": "limit"}
    fits = desk.order(quantity=10, limit_price=90.0, **group)
    large = desk.order(quantity=16, limit_price=80.0, **group)
    said: list[OrderRejectedEvent] = desk.ask((fits, large))
    assert codes(said) == ["group_refused", "max_position_quantity"]
    assert said[0].reason == "its group was refused for s1-2 (max_position_quantity)"
    assert approved(desk.ask(desk.order(quantity=15)))[0].quantity == 15  # nothing is left over


def test_days_are_those_of_the_stage() -> None:
    assert DAYS[0].close_ns == minute(390)
