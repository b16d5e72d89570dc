"""Splits: resting orders and positions on the new basis, on made and on real data."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.model import Flag, Items, make_items
from app.times import MINUTE_NS
from app.trading.context import CorporateAction, Instrument
from tests.trading.execution.kit import Pit, bracket, order
from tests.trading.harness import DAYS, bar, days_of, minute


def split(ratio: float) -> CorporateAction:
    return CorporateAction("AAA", DAYS[1].date, "split", ratio)


def flat(number: int, price: float, day: int = 0) -> Items:
    return bar(0, minute(number, DAYS[day]), price, price, price, price)


# Type, side, terms, ratio, tick: quantity and prices afterwards. Limits are rounded to what is no
# worse for the order, stops to the nearest tick.
TERMS: list[tuple[str, str, dict[str, Any], float, float, tuple[float, float | None, float | None]]]
TERMS = [
    ("limit", "buy", {"limit": 600.0}, 7.0, 0.01, (700.0, 85.71, None)),  # 85.7142...
    ("limit", "sell", {"limit": 600.0}, 7.0, 0.01, (700.0, 85.72, None)),
    ("limit", "buy", {"limit": 600.0}, 7.0, 0.0, (700.0, 85.71428571, None)),
    ("limit", "buy", {"limit": 600.0}, 7.0, 0.05, (700.0, 85.7, None)),
    ("stop", "buy", {"stop": 601.0}, 7.0, 0.01, (700.0, None, 85.86)),  # 85.857...
    ("stop", "sell", {"stop": 601.0}, 7.0, 0.01, (700.0, None, 85.86)),
    ("stop_limit", "sell", {"stop": 300.0, "limit": 299.0}, 2.0, 0.01, (200.0, 149.5, 150.0)),
    ("limit", "buy", {"limit": 5.0}, 0.1, 0.01, (10.0, 50.0, None)),  # one for ten
    ("limit", "buy", {"limit": 5.0, "quantity": 15.0}, 0.1, 0.01, (1.0, 50.0, None)),
    ("limit", "buy", {"limit": 6.0, "quantity": 5.0}, 1.5, 0.01, (7.0, 4.0, None)),
    ("market", "buy", {}, 7.0, 0.01, (700.0, None, None)),
]


@pytest.mark.parametrize(("type", "side", "terms", "ratio", "tick", "after"), TERMS)
def test_resting_orders_are_restated(
    type: str, side: str, terms: dict[str, Any], ratio: float, tick: float,
    after: tuple[float, float | None, float | None],
) -> None:  # fmt: skip
    pit = Pit(actions=[split(ratio)], instruments={"AAA": Instrument("AAA", tick=tick)})
    pit.approve(order(1, type, side, tif="gtc", **terms))
    pit.roll()
    told = pit.updates(1)[-1]
    assert (told.reason, told.ts_event_ns) == ("split", DAYS[1].first_ns - 1)
    assert (told.quantity, told.limit_price, told.stop_price) == after


def test_an_order_of_which_no_share_is_left_is_cancelled() -> None:
    pit = Pit(actions=[split(0.1)])
    pit.approve(order(1, "limit", limit=5.0, quantity=9.0, tif="gtc"))
    pit.roll()
    assert pit.states(1)[-1] == "cancelled split"


def test_a_day_order_that_waits_for_the_ex_date_is_restated_too() -> None:
    pit = Pit(actions=[split(2.0)])
    pit.at(DAYS[0].close_ns)
    pit.approve(order(1, "limit", limit=50.0))
    pit.roll()
    assert pit.updates(1)[-1].quantity == 200.0
    pit.play(flat(0, 24.0, 1))
    assert pit.filled() == [("1", 200.0, 24.0)]


def test_the_filled_part_is_restated_as_well() -> None:
    pit = Pit({"policy": "realistic"}, actions=[split(7.0)])
    pit.approve(order(1, "limit", limit=701.0, tif="gtc"))
    pit.play(bar(0, minute(0), 700, 700, 700, 700, volume=400))
    pit.roll()
    told = pit.updates(1)[-1]
    assert (told.quantity, told.filled, told.state.value) == (700.0, 280.0, "partially_filled")
    pit.play(bar(0, minute(0, DAYS[1]), 100, 100, 100, 100, volume=1e6))
    assert pit.filled() == [("1", 40.0, 700.0), ("1", 420.0, 100.0)]


def test_a_trailing_level_is_no_price_on_the_grid() -> None:
    pit = Pit(actions=[split(7.0)])
    pit.play(flat(0, 700.0))
    pit.approve(order(1, "trailing_stop", "sell", trail=5.0, tif="gtc"))  # 695 / 7, 5 / 7
    pit.roll()
    assert pit.updates(1)[-1].stop_price == 99.28571429
    pit.play(flat(0, 101.0, 1), flat(1, 100.2857143, 1), flat(2, 100.28571429, 1))
    assert [(f.price, f.ts_event_ns) for f in pit.fills] == [
        (100.28571429, minute(3, DAYS[1])),
    ]  # fmt: skip


def test_a_trailing_stop_keeps_its_distance_in_the_new_terms() -> None:
    pit = Pit(actions=[split(7.0)])
    pit.play(flat(0, 700.0))
    pit.approve(order(1, "trailing_stop", "sell", trail=14.0, tif="gtc"))
    pit.approve(order(2, "trailing_stop", "sell", trail=200.0, trail_in_bps=True, tif="gtc"))
    pit.roll()
    assert [pit.updates(n)[-1].stop_price for n in (1, 2)] == [98.0, 98.0]
    pit.play(flat(0, 110.0, 1), flat(1, 108.0, 1), flat(2, 107.8, 1))
    assert pit.filled() == [("1", 700.0, 108.0), ("2", 700.0, 107.8)]
    assert [f.arrival_price for f in pit.fills] == [100.0, 100.0]


def test_positions_are_restated_so_that_exits_close_all_of_them() -> None:
    pit = Pit(actions=[split(1.5)])
    pit.approve(*bracket(order(1, quantity=5.0), 200.0, 90.0))
    pit.play(flat(0, 100.0))
    pit.roll()
    assert pit.updates(3)[-1].stop_price == 60.0
    pit.play(flat(0, 50.0, 1))
    assert pit.filled()[1:] == [("3", 7.0, 50.0)]  # half a share went for cash
    assert pit.state(2).value == "cancelled"


def test_a_position_that_the_split_ends_leaves_nothing_to_reduce() -> None:
    pit = Pit(actions=[split(0.1)])
    pit.approve(order(1, quantity=5.0))
    pit.play(flat(0, 100.0))
    pit.approve(order(2, "stop", "sell", stop=90.0, quantity=50.0, reduce_only=True, tif="gtc"))
    pit.roll()
    assert pit.states(2)[-2:] == ["working split", "cancelled nothing_to_reduce"]


def test_dividends_and_splits_of_others_change_nothing() -> None:
    dividend = CorporateAction("AAA", DAYS[1].date, "dividend", amount=0.5)
    other = CorporateAction("BBB", DAYS[1].date, "split", 2.0)
    pit = Pit(actions=[dividend, other])
    pit.approve(order(1, "limit", limit=50.0, tif="gtc"))
    pit.roll()
    assert pit.states(1) == ["accepted", "working"]


# -- AAPL, 7:1 on 2014-06-09 -----------------------------------------------------------------------

AAPL_DAYS = days_of("2014-06-06", "2014-06-09", "extended")


def aapl(folder: Path, day: str) -> Items:
    table = pq.read_table(folder / f"parquet/bars_1m/symbol=AAPL/date={day}.parquet")
    columns = [table.column(c).to_numpy() for c in ("open", "high", "low", "close", "volume")]
    start = table.column("ts").to_numpy().astype("datetime64[ns]").astype(np.int64)
    nothing = np.full(len(start), np.nan)
    return make_items(1, start + MINUTE_NS, Flag.COMPLETE, *columns, nothing, 1)


def aapl_pit(**section: Any) -> Pit:
    action = CorporateAction("AAPL", date(2014, 6, 9), "split", 7.0)
    return Pit(section, symbols=("AAPL",), days=AAPL_DAYS, actions=[action])


def test_aapl_through_its_split_with_resting_orders(real_data: Path) -> None:
    """The last bar of the 6th closes at 645.70; the first of the 9th is 645.57 to 92.23."""
    friday, monday = aapl(real_data, "2014-06-06"), aapl(real_data, "2014-06-09")
    pit = aapl_pit()
    pit.play(friday)
    terms: dict[str, Any] = {"symbol": "AAPL", "tif": "gtc", "quantity": 10.0}
    pit.approve(order(1, "limit", limit=647.22, **terms))  # 92.46 after the split
    pit.approve(order(2, "limit", limit=643.3, **terms))  # 91.90
    pit.approve(order(3, "stop", stop=647.5, **terms))  # 92.50
    pit.approve(order(4, "stop", "sell", stop=642.6, **terms))  # 91.80
    pit.approve(order(5, "trailing_stop", "sell", trail=4.9, **terms))  # 0.70 below
    pit.approve(order(6, **terms))
    pit.approve(order(7, "limit", limit=640.5, **terms))  # 91.50, below the day's low
    pit.approve(order(8, "stop_limit", "sell", stop=642.6, limit=641.9, **terms))  # 91.80, 91.70
    pit.approve(order(9, "market_on_open", "sell", **terms))
    pit.roll()
    told = [pit.updates(n)[-1] for n in range(1, 10)]
    assert [(u.quantity, u.limit_price, u.stop_price) for u in told] == [
        (70.0, 92.46, None), (70.0, 91.9, None), (70.0, None, 92.5), (70.0, None, 91.8),
        (70.0, None, 91.54285714), (70.0, None, None), (70.0, 91.5, None),
        (70.0, 91.7, 91.8), (70.0, None, None),
    ]  # fmt: skip
    pit.play(monday)

    first = AAPL_DAYS[1].first_ns  # 08:00 UTC: that bar spans the split and fills nothing
    assert {f.order_id: (f.price, (f.price_time_ns - first) // MINUTE_NS) for f in pit.fills} == {
        "s-1": (92.46, 1),  # open of 08:01
        "s-6": (92.46, 1),
        "s-3": (92.5, 8),  # 08:07 goes from 92.46 to 92.50
        "s-5": (91.99, 189),  # 92.69 - 0.70, within 11:08
        "s-2": (91.89, 190),  # open of 11:10
        "s-4": (91.8, 192),  # within 11:11: 91.86 to 91.73
        "s-8": (91.8, 192),  # all of which lies within its limit
        "s-9": (92.69, 330),  # open of 13:30, the first regular one
    }
    assert all(f.quantity == 70.0 and not f.flags for f in pit.fills)
    assert {f.arrival_price for f in pit.fills} == {92.24285714}  # 645.70 / 7


def test_without_the_split_the_stop_would_have_been_hit_by_the_spanning_bar(
    real_data: Path,
) -> None:
    """The naive run: no corporate action, so a sell stop at 600 fills at 92.23's bar."""
    pit = Pit(symbols=("AAPL",), days=AAPL_DAYS)
    pit.play(aapl(real_data, "2014-06-06"))
    pit.approve(order(1, "stop", "sell", stop=600.0, symbol="AAPL", tif="gtc"))
    pit.roll()
    pit.play(aapl(real_data, "2014-06-09"))
    assert pit.filled() == [("1", 100.0, 600.0)]
