"""``next_bar``, ``immediate`` and ``realistic``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.model import Flag, Items
from app.trading.context import Instrument
from app.trading.events import OrderUpdateEvent
from tests.trading.execution.kit import Pit, bracket, order
from tests.trading.harness import DAYS, ELIGIBLE, bar, minute, quote, trade

MS = 1_000_000


# -- immediate -------------------------------------------------------------------------------------

IMMEDIATE: list[tuple[str, list[Items], float, str, int]] = [
    ("buy", [bar(0, minute(0), 100, 101, 99, 100.5)], 100.5, "bars", minute(1)),
    ("sell", [bar(0, minute(0), 100, 101, 99, 100.5)], 100.5, "bars", minute(1)),
    ("buy", [trade(0, minute(1), 99.0)], 99.0, "trades", minute(1)),
    ("buy", [quote(0, minute(1), 99, 101)], 101.0, "quotes", minute(1)),
    ("sell", [quote(0, minute(1), 99, 101)], 99.0, "quotes", minute(1)),
    # The newest with two sides; without one the last price.
    ("buy", [quote(0, minute(1) - 5, 99, 101), quote(0, minute(1), 99, np.nan)], 101.0, "quotes",
     minute(1) - 5),
    ("buy", [quote(0, minute(1), 99, np.nan), trade(0, minute(1) - 9, 98.0)], 98.0, "quotes",
     minute(1) - 9),
]  # fmt: skip


@pytest.mark.parametrize(("side", "rows", "price", "source", "time_ns"), IMMEDIATE)
def test_immediate_fills_at_t_and_says_so(
    side: str, rows: list[Items], price: float, source: str, time_ns: int
) -> None:
    pit = Pit({"policy": "immediate"})
    pit.play(*rows)
    pit.approve(order(1, side=side))
    assert pit.filled() == [("1", 100.0, price)]
    fill = pit.fills[0]
    assert fill.flags == ("optimistic",)
    assert (fill.source, fill.price_time_ns, fill.ts_event_ns) == (source, time_ns, minute(1))
    assert pit.states(1) == ["accepted", "working", "filled"]


def test_immediate_is_for_market_orders_only() -> None:
    pit = Pit({"policy": "immediate"})
    pit.play(bar(0, minute(0), 100, 101, 99, 100))
    pit.approve(order(1, "limit", limit=105.0), order(2, "stop", stop=95.0))
    assert pit.filled() == []
    pit.play(bar(0, minute(1), 101, 102, 100, 101))
    assert {f.flags for f in pit.fills} == {()}
    assert pit.filled() == [("1", 100.0, 101.0), ("2", 100.0, 101.0)]


def test_immediate_without_a_price_or_a_market_waits_for_data() -> None:
    pit = Pit({"policy": "immediate"}, halts=(("AAA", minute(1), minute(2)),))
    pit.approve(order(1))
    pit.play(bar(0, minute(0), 100, 101, 99, 100.5))
    assert pit.filled() == [("1", 100.0, 100.0)]  # there was no price
    pit.approve(order(2))  # halted
    assert len(pit.fills) == 1
    pit.at(DAYS[0].close_ns)
    pit.approve(order(3, tif="gtc"))  # after the close
    assert len(pit.fills) == 1
    pit.roll()
    pit.play(bar(0, minute(0, DAYS[1]), 103, 103, 103, 103))
    assert pit.filled()[1:] == [("3", 100.0, 103.0)]
    assert pit.states(2)[-1] == "expired session_closed"


def test_immediate_entries_start_their_exits_at_once() -> None:
    pit = Pit({"policy": "immediate"})
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(*bracket(order(1), 104.0, 96.0))
    assert pit.states(2) == ["accepted", "working"]
    pit.play(bar(0, minute(1), 100, 101, 95, 96))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 96.0)]


def test_immediate_reduces_what_there_is() -> None:
    pit = Pit({"policy": "immediate"})
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(order(1, quantity=30.0))
    pit.approve(order(2, side="sell", reduce_only=True, tif="ioc"))
    assert pit.filled() == [("1", 30.0, 100.0), ("2", 30.0, 100.0)]
    assert pit.states(2)[-1] == "cancelled nothing_to_reduce"


# -- realistic: price and liquidity --------------------------------------------------------------

# One bar of 10 % x 5000 = 500 shares; the price of a fill of 100.
BAR = (100.0, 104.0, 98.0, 101.0)  # typical 101
REALISTIC: list[tuple[str, dict[str, Any], float, str, float | None]] = [
    ("buy market", {}, 100.7, "vwap", 100.7),
    ("buy market", {}, np.nan, "vwap", 101.0),
    ("buy market", {}, 120.0, "vwap", 101.0),  # a vwap outside of the bar's range
    ("buy market", {}, 100.7, "typical", 101.0),
    # A limit that is marketable at the open takes, but never above its limit.
    ("buy limit", {"limit": 102.0}, 100.7, "vwap", 100.7),
    ("buy limit", {"limit": 100.5}, 100.7, "vwap", 100.5),
    ("sell limit", {"limit": 99.0}, 100.7, "vwap", 100.7),
    # One that rests gets its limit, never better.
    ("buy limit", {"limit": 99.0}, 98.5, "vwap", 99.0),
    ("sell limit", {"limit": 103.0}, 103.5, "vwap", 103.0),
    ("buy limit", {"limit": 97.0}, 98.5, "vwap", None),
    # A stop gets the worse of where it was reached and the bar's price.
    ("buy stop", {"stop": 102.0}, 100.7, "vwap", 102.0),
    ("buy stop", {"stop": 99.0}, 100.7, "vwap", 100.7),
    ("sell stop", {"stop": 99.0}, 100.7, "vwap", 99.0),
    ("sell stop", {"stop": 101.0}, 99.2, "vwap", 99.2),
    ("buy stop_limit", {"stop": 99.0, "limit": 100.5}, 100.7, "vwap", 100.5),
    ("buy market_on_open", {}, 100.7, "vwap", 100.0),  # at its price
]


@pytest.mark.parametrize(("what", "terms", "vwap", "bar_price", "price"), REALISTIC)
def test_realistic_bar_prices(
    what: str, terms: dict[str, Any], vwap: float, bar_price: str, price: float | None
) -> None:
    side, type = what.split()
    pit = Pit({"policy": "realistic", "bar_price": bar_price})
    pit.approve(order(1, type, side, **terms))
    pit.play(bar(0, minute(0), *BAR, volume=5000, vwap=vwap))
    assert pit.filled() == ([] if price is None else [("1", 100.0, price)])


def test_one_pool_for_all_strategies_in_order_of_arrival() -> None:
    pit = Pit({"policy": "realistic", "participation_pct": 0.25})
    pit.approve(order(1, quantity=150.0), order(2, strategy_id="t", quantity=100.0))
    pit.approve(order(3, side="sell", quantity=40.0))
    pit.play(bar(0, minute(0), 100, 100, 100, 100, volume=1000))
    assert pit.filled() == [("1", 150.0, 100.0), ("2", 100.0, 100.0)]
    assert pit.fills[1].flags == ()
    pit.play(bar(0, minute(1), 101, 101, 101, 101, volume=1000))
    assert pit.filled()[2:] == [("3", 40.0, 101.0)]


def test_partial_fills_until_the_order_is_whole() -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1, quantity=250.0))
    for number in range(3):
        pit.play(bar(0, minute(number), 100, 100, 100, 100, volume=1005))
    assert [(f.fill_id, f.quantity, f.flags) for f in pit.fills] == [
        ("s-1-f1", 100.0, ("partial",)), ("s-1-f2", 100.0, ("partial",)), ("s-1-f3", 50.0, ()),
    ]  # fmt: skip
    assert pit.states(1) == [
        "accepted", "working", "partially_filled", "partially_filled", "filled",
    ]  # fmt: skip


def test_the_rest_of_a_day_order_expires() -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1, quantity=250.0))
    pit.play(bar(0, minute(0), 100, 100, 100, 100, volume=1000))
    pit.end()
    assert pit.states(1)[-1] == "expired session_closed"
    assert (pit.updates(1)[-1].quantity, pit.updates(1)[-1].filled) == (250.0, 100.0)


def test_the_size_behind_a_tick() -> None:
    """A tenth of a trade's size; of a quote the side that is taken, each side its own pool."""
    pit = Pit({"policy": "realistic"}, symbols=("AAA", "BBB"))
    at = minute(0)
    rows = [quote(0, at, 99, 101, bid_size=700, ask_size=300), trade(1, at, 50, 400)]
    pit.market.add(rows)
    pit.approve(order(1), order(2, side="sell"), order(3, symbol="BBB"))
    pit.play(*rows)
    assert pit.filled() == [("3", 40.0, 50.0), ("1", 30.0, 101.0), ("2", 70.0, 99.0)]


@pytest.mark.parametrize("flag", [Flag.AUCTION_OPEN, Flag.AUCTION_CLOSE])
def test_an_auctions_volume_is_for_no_one(flag: Flag) -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1), order(2, "market_on_open"))
    at = minute(0)
    pit.play(trade(0, at, 100, 1e6, flags=ELIGIBLE | flag), trade(0, at + 1, 101, 5000))
    assert pit.filled() == [("2", 100.0, 100.0), ("1", 100.0, 101.0)]


FOK: list[tuple[str, float, list[tuple[str, float, float]]]] = [
    ("fok", 999, []), ("fok", 1000, [("1", 100.0, 100.0)]), ("ioc", 999, [("1", 99.0, 100.0)]),
]  # fmt: skip


@pytest.mark.parametrize(("tif", "volume", "fills"), FOK)
def test_at_once_by_what_there_is(
    tif: str, volume: float, fills: list[tuple[str, float, float]]
) -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1, tif=tif))
    pit.play(bar(0, minute(0), 100, 100, 100, 100, volume=volume))
    assert pit.filled() == fills
    whole = fills == [("1", 100.0, 100.0)]
    assert pit.states(1)[-1] == ("filled" if whole else "cancelled not_filled_at_once")


LOTS: list[tuple[float, float, float]] = [
    # lot, quantity, of a pool of 57.5
    (1.0, 100.0, 57.0), (10.0, 100.0, 50.0), (0.25, 100.0, 57.5), (1.0, 100.5, 57.5),
    (100.0, 100.0, 0.0), (0.0, 100.0, 57.5),
]  # fmt: skip


@pytest.mark.parametrize(("lot", "quantity", "taken"), LOTS)
def test_partial_fills_are_whole_lots(lot: float, quantity: float, taken: float) -> None:
    pit = Pit({"policy": "realistic"}, instruments={"AAA": Instrument("AAA", lot=lot)})
    pit.approve(order(1, quantity=quantity))
    pit.play(bar(0, minute(0), 100, 100, 100, 100, volume=575))
    assert [f.quantity for f in pit.fills] == ([taken] if taken else [])


def test_a_market_entry_over_a_bar_leaves_only_the_stop_in_it() -> None:
    """Its vwap is made of the whole bar, so exits cannot lean on the open."""
    pit = Pit({"policy": "realistic"})
    pit.approve(*bracket(order(1), 104.0, 90.0))
    pit.play(bar(0, minute(0), 100, 105, 99, 104, volume=1e6))
    ((name, quantity, price),) = pit.filled()
    assert (name, quantity) == ("1", 100.0)
    assert price == pytest.approx(308 / 3)
    pit.play(bar(0, minute(1), 104, 105, 103, 104, volume=1e6))
    assert pit.filled()[1][0] == "2"


# -- realistic: latency ----------------------------------------------------------------------------


def latency(**terms: float) -> dict[str, Any]:
    return {"policy": "realistic", **terms}


def test_latency_is_a_timed_event() -> None:
    pit = Pit(latency(latency_ms=250.0))
    at = minute(0)
    pit.play(trade(0, at, 100, 1e6))
    pit.approve(order(1))
    assert pit.states(1) == ["accepted"]
    pit.play(trade(0, at + 249 * MS, 101, 1e6), trade(0, at + 250 * MS, 102, 1e6))
    working = pit.updates(1)[1]
    assert (working.state.value, working.ts_event_ns) == ("working", at + 250 * MS)
    assert pit.filled() == [("1", 100.0, 102.0)]
    assert pit.fills[0].arrival_price == 101.0


def test_changes_and_cancels_travel_too() -> None:
    pit = Pit(latency(latency_ms=100.0))
    at = minute(0)
    pit.play(trade(0, at, 100, 1e6))
    pit.approve(order(1, "limit", limit=98.0))
    pit.cancel(1)
    pit.approve(order(2, "limit", limit=98.0))
    pit.modify(2, limit_price=99.5)
    pit.play(trade(0, at + 150 * MS, 99, 1e6))
    assert pit.states(1) == ["accepted", "working", "cancelled requested"]
    assert pit.states(2)[1:3] == ["working", "working modified"]
    assert pit.filled() == [("2", 100.0, 99.0)]
    assert pit.rejected() == []


def test_post_only_is_judged_by_the_quote_before_its_arrival() -> None:
    """It arrives with the second quote, before that is known: the first is its market."""
    pit = Pit(latency(latency_ms=100.0))
    at = minute(0)
    pit.play(quote(0, at, 99, 100))
    pit.approve(order(1, "limit", limit=100.5, post_only=True))
    pit.play(quote(0, at + 100 * MS, 101, 102))
    assert pit.rejected() == [("1", "post_only_would_take")]


def test_a_late_moc_is_refused_when_it_arrives() -> None:
    pit = Pit(latency(latency_ms=100.0))
    pit.at(minute(380))
    pit.approve(order(1, "market_on_close"))
    assert pit.states(1) == ["accepted"]
    pit.end()
    assert pit.rejected() == [("1", "moc_after_cutoff")]
    assert pit.states(1) == ["accepted", "rejected moc_after_cutoff"]


def test_latency_is_of_the_realistic_policy_only() -> None:
    pit = Pit({"latency_ms": 250.0})
    pit.approve(order(1))
    assert pit.states(1) == ["accepted", "working"]


def arrivals(seed: int, **terms: float) -> list[int]:
    pit = Pit(latency(**terms), seed=seed)
    pit.at(minute(0))
    for number in range(20):
        pit.approve(order(number))
    pit.at(minute(1))
    found = [e for e in pit.seen.of(OrderUpdateEvent) if e.state.value == "working"]
    assert [e.order_id for e in found] == [f"s-{n}" for n in range(20)]
    return [e.ts_event_ns - minute(0) for e in found]


def test_jitter_is_drawn_from_the_runs_seed_and_nothing_overtakes() -> None:
    first = arrivals(7, latency_ms=10.0, latency_jitter_ms=5.0)
    assert first == arrivals(7, latency_ms=10.0, latency_jitter_ms=5.0)
    assert first != arrivals(8, latency_ms=10.0, latency_jitter_ms=5.0)
    assert first == sorted(first)
    assert 10 * MS <= first[0] <= first[-1] <= 15 * MS
    assert len(set(first)) > 1
