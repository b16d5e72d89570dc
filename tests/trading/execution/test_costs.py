"""Commission, regulatory fees and slippage, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from app.model import Items
from tests.trading.execution.kit import Pit, order
from tests.trading.harness import DAYS, bar, minute, quote

FLAT = (100.0, 100.0, 100.0, 100.0)

# Commission section, quantity, price, currency digits, cost.
COMMISSIONS: list[tuple[dict[str, float], float, float, int, float]] = [
    ({}, 100, 100.0, 2, 0.0),
    ({"per_share": 0.005}, 300, 100.0, 2, 1.5),
    ({"per_share": 0.005, "minimum": 1.0}, 100, 100.0, 2, 1.0),
    ({"per_share": 0.005, "minimum": 1.0}, 201, 100.0, 2, 1.0),  # 1.005: half to even, down
    ({"per_share": 0.005, "minimum": 1.0}, 203, 100.0, 2, 1.02),  # 1.015: half to even, up
    ({"percent": 0.001}, 100, 100.0, 2, 10.0),
    ({"percent": 0.001}, 7, 3.33, 2, 0.02),  # 0.02331
    ({"flat": 0.35}, 1, 100.0, 2, 0.35),
    ({"flat": 0.35, "percent": 0.0005, "per_share": 0.01}, 100, 50.0, 2, 3.85),
    ({"minimum": 2.0}, 1, 1.0, 2, 2.0),
    ({"per_share": 0.005}, 301, 100.0, 0, 2.0),  # 1.505 yen
    ({"per_share": 0.005}, 1, 100.0, 8, 0.005),
]


@pytest.mark.parametrize(("section", "quantity", "price", "digits", "cost"), COMMISSIONS)
def test_commission(
    section: dict[str, float], quantity: float, price: float, digits: int, cost: float
) -> None:
    pit = Pit({"commission": section}, minor_digits=digits)
    pit.approve(order(1, quantity=float(quantity)))
    pit.play(bar(0, minute(0), price, price, price, price))
    assert pit.fills[0].commission == cost
    assert pit.fills[0].fees == 0.0


FEES = [
    {"name": "SEC", "since": "2013-01-01", "percent": 0.0000224},
    {"name": "SEC", "since": "2013-10-07", "percent": 0.0000174},
    {"name": "SEC", "since": "2099-01-01", "percent": 0.5},
    {"name": "TAF", "since": "2012-07-01", "per_share": 0.000119, "maximum": 5.95},
    {"name": "stamp", "since": "2012-07-01", "side": "buy", "percent": 0.005},
    {"name": "levy", "since": "2012-07-01", "side": "both", "per_share": 0.001},
]

# Side, day, quantity at 100: the sum, rounded once.
REGULATORY = [
    ("sell", 0, 1000.0, 3.36),  # SEC 2.24 + TAF 0.119 + levy 1 = 3.359
    ("sell", 1, 1000.0, 2.86),  # SEC 1.74 + TAF 0.119 + levy 1 = 2.859
    ("sell", 1, 100_000.0, 279.95),  # SEC 174 + TAF 5.95 (11.9, at most 5.95) + levy 100
    ("buy", 1, 1000.0, 501.0),  # stamp 500 + levy 1
]


@pytest.mark.parametrize(("side", "day", "quantity", "fees"), REGULATORY)
def test_regulatory_fees_are_those_of_the_trading_date(
    side: str, day: int, quantity: float, fees: float
) -> None:
    pit = Pit({"regulatory": FEES})
    for _ in range(day):
        pit.roll()
    pit.approve(order(1, side=side, quantity=quantity))
    pit.play(bar(0, minute(0, DAYS[day]), *FLAT))
    assert pit.fills[0].fees == fees
    assert pit.fills[0].commission == 0.0


def test_rows_of_one_name_and_two_sides_both_count() -> None:
    rows = [
        {"name": "X", "since": "2012-01-01", "side": "sell", "per_share": 0.01},
        {"name": "X", "since": "2013-01-01", "side": "buy", "per_share": 0.02},
    ]
    pit = Pit({"regulatory": rows})
    pit.approve(order(1), order(2, side="sell"))
    pit.play(bar(0, minute(0), *FLAT))
    assert [f.fees for f in pit.fills] == [2.0, 1.0]


# Slippage section, order, row: price and what is told.
SLIPPAGE: list[tuple[dict[str, Any], str, dict[str, Any], Items, float, float]] = [
    ({"model": "none", "bps": 5.0}, "buy market", {}, bar(0, minute(0), *FLAT), 100, 0),
    ({"model": "fixed_bps", "bps": 5.0}, "buy market", {}, bar(0, minute(0), *FLAT), 100.05, 0.05),
    ({"model": "fixed_bps", "bps": 5.0}, "sell market", {}, bar(0, minute(0), *FLAT), 99.95, 0.05),
    # A stop first at the worse of open and stop, then slippage.
    ({"model": "fixed_bps", "bps": 10.0}, "sell stop", {"stop": 99.0},
     bar(0, minute(0), 100, 100, 98, 98), 98.901, 0.099),
    ({"model": "fixed_bps", "bps": 10.0}, "sell stop", {"stop": 99.0},
     bar(0, minute(0), 95, 96, 94, 95), 94.905, 0.095),
    # Limits pay none; a stop-limit that its trigger fills pays no more than to its limit.
    ({"model": "fixed_bps", "bps": 10.0}, "buy limit", {"limit": 101.0},
     bar(0, minute(0), *FLAT), 100, 0),
    ({"model": "fixed_bps", "bps": 10.0}, "buy limit", {"limit": 99.0},
     bar(0, minute(0), 100, 100, 98, 98), 99, 0),
    ({"model": "fixed_bps", "bps": 10.0}, "buy stop_limit", {"stop": 101.0, "limit": 103.0},
     bar(0, minute(0), 100, 102, 100, 102), 101.101, 0.101),
    ({"model": "fixed_bps", "bps": 50.0}, "buy stop_limit", {"stop": 101.0, "limit": 101.2},
     bar(0, minute(0), 100, 101.1, 100, 101), 101.2, 0.2),
    # Half of the assumed spread without quotes; with them the opposite side is half the spread.
    ({"model": "spread", "bps": 4.0}, "buy market", {}, bar(0, minute(0), *FLAT), 100.02, 0.02),
    ({"model": "spread", "bps": 4.0}, "buy market", {}, quote(0, minute(0), 99, 101), 101, 1),
    ({"model": "spread", "bps": 4.0}, "sell market", {}, quote(0, minute(0), 99.5, 101), 99.5,
     0.75),
    ({"model": "fixed_bps", "bps": 5.0}, "buy market", {}, quote(0, minute(0), 99, 100), 100.05,
     0.05),
    # 20 bps x sqrt(100 / 2500) = 4 bps; of what a quote shows to this side: sqrt(100 / 400).
    ({"model": "volume", "bps": 20.0}, "buy market", {}, bar(0, minute(0), *FLAT, volume=2500),
     100.04, 0.04),
    ({"model": "volume", "bps": 20.0}, "sell market", {},
     quote(0, minute(0), 100, 101, bid_size=400), 99.9, 0.1),
    ({"model": "fixed_bps", "bps": 5.0}, "buy market_on_open", {}, bar(0, minute(0), *FLAT), 100,
     0),
    # Prices are kept at 1e-8.
    ({"model": "fixed_bps", "bps": 1.0}, "buy market", {}, bar(0, minute(0), 1 / 3, 1, 0.1, 1),
     0.33336667, 0.00003334),
]  # fmt: skip


@pytest.mark.parametrize(("section", "what", "terms", "row", "price", "told"), SLIPPAGE)
def test_slippage(
    section: dict[str, Any], what: str, terms: dict[str, Any], row: Items, price: float,
    told: float,
) -> None:  # fmt: skip
    side, type = what.split()
    pit = Pit({"slippage": section})
    pit.market.add([row])
    pit.approve(order(1, type, side, **terms))
    pit.play(row)
    assert (pit.fills[0].price, pit.fills[0].slippage) == (price, told)


def test_volume_slippage_of_an_unknown_size_is_that_of_a_whole_participation() -> None:
    pit = Pit({"policy": "immediate", "slippage": {"model": "volume", "bps": 20.0}})
    pit.play(bar(0, minute(0), *FLAT))
    pit.approve(order(1))
    assert pit.fills[0].price == 100.2
