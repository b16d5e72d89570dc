"""Brackets and OCO groups: which comes first in a bar, and what a fill means for the others."""

from __future__ import annotations

from typing import Any

import pytest

from app.model import Items
from app.trading.context import Close
from app.trading.orders import Order, Role
from tests.trading.execution.kit import Pit, bracket, order
from tests.trading.harness import DAYS, bar, minute, quote, trade

Bar = tuple[float, float, float, float]
MARKET, LIMIT, STOP = order(1), order(1, "limit", limit=99.0), order(1, "stop", stop=102.0)
STOP_LIMIT = order(1, "stop_limit", stop=102.0, limit=103.0)
TRAILING = order(1, "trailing_stop", trail=2.0)  # its level is 102
ON_OPEN = order(1, "market_on_open")

# Entry, then exits at 104 and 96. Bars; what fills with (order, bar from 1, price), flags of the
# last fill.
BRACKETS: list[tuple[str, Order, list[Bar], list[tuple[str, int, float]], tuple[str, ...]]] = [
    ("both exits in one bar: the stop first", MARKET, [(100, 101, 99, 100), (100, 105, 95, 100)],
     [("1", 1, 100), ("3", 2, 96)], ("ambiguous",)),
    ("the profit alone", MARKET, [(100, 101, 99, 100), (100, 105, 99, 104)],
     [("1", 1, 100), ("2", 2, 104)], ()),
    ("the stop alone", MARKET, [(100, 101, 99, 100), (100, 101, 95, 96)],
     [("1", 1, 100), ("3", 2, 96)], ()),
    ("the open is first: profit", MARKET, [(100, 101, 99, 100), (105, 106, 90, 95)],
     [("1", 1, 100), ("2", 2, 105)], ()),
    ("the open is first: a gap through the stop", MARKET,
     [(100, 101, 99, 100), (94, 106, 90, 105)], [("1", 1, 100), ("3", 2, 94)], ()),
    ("after an entry at the open both work that bar: profit", MARKET, [(100, 105, 99, 104)],
     [("1", 1, 100), ("2", 1, 104)], ()),
    ("after an entry at the open both work that bar: stop", MARKET, [(100, 103, 95, 96)],
     [("1", 1, 100), ("3", 1, 96)], ()),
    ("after an entry at the open both in that bar", MARKET, [(100, 105, 95, 100)],
     [("1", 1, 100), ("3", 1, 96)], ("ambiguous",)),
    ("after an entry inside only the stop works: not the profit", LIMIT,
     [(100, 105, 98, 104), (103, 103.5, 100, 101)], [("1", 1, 99)], ()),
    ("after an entry inside, the profit in the next bar", LIMIT,
     [(100, 105, 98, 104), (105, 106, 104, 105)], [("1", 1, 99), ("2", 2, 105)], ()),
    ("after a limit inside the price fell on to the stop", LIMIT, [(100, 101, 95, 97)],
     [("1", 1, 99), ("3", 1, 96)], ()),
    ("as before, but the profit was touched too", LIMIT, [(100, 105, 95, 97)],
     [("1", 1, 99), ("3", 1, 96)], ("ambiguous",)),
    ("after a stop inside the stop may have come before", STOP, [(100, 103, 95, 102)],
     [("1", 1, 102), ("3", 1, 96)], ("ambiguous",)),
    ("an entry at the open of a limit", LIMIT, [(98.5, 105, 98, 104)],
     [("1", 1, 98.5), ("2", 1, 104)], ()),
    ("after a stop-limit inside, as after a stop", STOP_LIMIT, [(100, 103, 95, 102)],
     [("1", 1, 102), ("3", 1, 96)], ("ambiguous",)),
    ("a stop-limit triggered inside, filled at its limit: not the profit", STOP_LIMIT,
     [(100, 105, 97, 102.5), (103, 103.5, 100, 101)], [("1", 1, 103)], ()),
    ("a stop-limit that is triggered and rests leaves its exits waiting", STOP_LIMIT,
     [(100, 105, 95, 104)], [], ()),
    ("after a stop inside, an open below its exit's stop came before", STOP, [(95, 103, 95, 103)],
     [("1", 1, 102), ("3", 1, 96)], ("ambiguous",)),
    ("a stop-limit at the open: both work that bar", STOP_LIMIT, [(102.5, 105, 100, 104)],
     [("1", 1, 102.5), ("2", 1, 104)], ()),
    ("a stop through which it gaps is an entry at the open: both", STOP, [(103, 105, 95, 104)],
     [("1", 1, 103), ("3", 1, 96)], ("ambiguous",)),
    ("after a trailing stop inside only the stop works", TRAILING,
     [(100, 105, 97, 104), (104.5, 105, 104, 105)], [("1", 1, 102), ("2", 2, 104.5)], ()),
    ("a market-on-open entry after its open is for tomorrow", ON_OPEN, [(100, 105, 95, 104)],
     [], ()),
    ("exits wait while the entry does", LIMIT, [(100, 105, 99.5, 104), (104, 105, 100, 101)],
     [], ()),
]  # fmt: skip


@pytest.mark.parametrize(("what", "entry", "bars", "fills", "flags"), BRACKETS)
def test_brackets(
    what: str, entry: Order, bars: list[Bar], fills: list[tuple[str, int, float]],
    flags: tuple[str, ...],
) -> None:  # fmt: skip
    pit = Pit()
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(*bracket(entry, 104.0, 96.0))
    pit.play(*(bar(0, minute(i), *one) for i, one in enumerate(bars, 1)))

    found = [(f.order_id[2:], (f.ts_event_ns - minute(1)) // (minute(1) - minute(0)), f.price)
             for f in pit.fills]  # fmt: skip
    assert found == fills, what
    assert (pit.fills[-1].flags if pit.fills else ()) == flags
    if len(fills) == 2:
        other = "3" if fills[1][0] == "2" else "2"
        assert pit.states(other)[-1] == "cancelled sibling_filled"


@pytest.mark.parametrize("policy", ["next_bar", "realistic"])
def test_exits_of_a_market_on_open_entry_work_in_the_bar_of_the_open(policy: str) -> None:
    """It fills at the open under every policy, so what follows in the bar comes after it."""
    pit = Pit({"policy": policy})
    pit.approve(*bracket(ON_OPEN, 104.0, 90.0))
    pit.play(bar(0, minute(0), 100, 105, 99, 104, volume=1e6))
    assert pit.filled() == [("1", 100.0, 100.0), ("2", 100.0, 104.0)]


def test_a_stop_limit_exit_within_the_bar_of_its_entry() -> None:
    """It fills at its stop, not at the open of 95, which came before the entry at 102."""
    pit = Pit()
    pit.approve(*bracket(STOP, None, 96.0, type="stop_limit", limit=94.0))
    pit.play(bar(0, minute(0), 95, 103, 94.5, 103))
    assert pit.filled() == [("1", 100.0, 102.0), ("3", 100.0, 96.0)]


def test_a_short_bracket_is_the_mirror() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1, side="sell"), 96.0, 104.0))
    pit.play(bar(0, minute(0), 100, 105, 95, 100))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 104.0)]
    assert pit.fills[1].flags == ("ambiguous",)


def test_the_states_of_a_bracket() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1), 104.0, 96.0))
    assert [pit.states(n) for n in "123"] == [["accepted", "working"], ["accepted"], ["accepted"]]
    pit.play(bar(0, minute(0), 100, 101, 99, 100))
    assert [pit.states(n)[-1] for n in "123"] == ["filled", "working", "working"]
    pit.play(bar(0, minute(1), 104, 104, 104, 104))
    assert [pit.states(n)[-1] for n in "23"] == ["filled", "cancelled sibling_filled"]


def test_exits_on_ticks_work_from_the_slice_after_their_entry() -> None:
    pit = Pit()
    one = minute(0)
    pit.approve(*bracket(order(1), 104.0, 96.0))
    pit.play(trade(0, one, 100), trade(0, one, 95), trade(0, one + 1, 95.5))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 95.5)]


def test_a_quote_that_reaches_both_exits_fills_the_stop() -> None:
    """Exits on the wrong sides of the market: the stop first, there as well."""
    pit = Pit()
    pit.market.add([quote(0, minute(0), 99, 100)])
    pit.approve(*bracket(order(1), 96.0, 104.0))
    pit.play(quote(0, minute(0), 99, 100), quote(0, minute(1), 99, 100))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 99.0)]


# -- trailing exits --------------------------------------------------------------------------------


def test_a_trailing_exit_starts_from_the_entry_price_and_moves_by_the_high() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1), None, None, type="trailing_stop", stop=None, trail=2.0))
    pit.play(bar(0, minute(0), 100, 103, 99, 102), bar(0, minute(1), 102, 102, 101, 101))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 101.0)]  # 103 - 2


def test_within_the_bar_of_its_entry_only_the_close_moves_a_trailing_exit() -> None:
    """Entry at 99 inside; the high of 106 may have come before it."""
    pit = Pit()
    entry = order(1, "limit", limit=99.0)
    pit.approve(*bracket(entry, None, None, type="trailing_stop", stop=None, trail=3.0))
    pit.play(bar(0, minute(0), 100, 106, 98, 101), bar(0, minute(1), 101, 101, 97.5, 98))
    assert pit.filled() == [("1", 100.0, 99.0), ("3", 100.0, 98.0)]  # 101 - 3, not 106 - 3


# -- the end of an entry ------------------------------------------------------------------------


def test_exits_go_with_an_entry_that_is_cancelled() -> None:
    pit = Pit()
    pit.approve(*bracket(LIMIT, 104.0, 96.0))
    pit.cancel(1)
    assert [pit.states(n)[-1] for n in "123"] == [
        "cancelled requested", "cancelled entry_cancelled", "cancelled entry_cancelled",
    ]  # fmt: skip


def test_exits_go_with_an_entry_that_expires() -> None:
    pit = Pit()
    pit.approve(*bracket(LIMIT, 104.0, 96.0))
    pit.end()
    assert [pit.states(n)[-1] for n in "123"] == [
        "expired session_closed", "cancelled entry_expired", "cancelled entry_expired",
    ]  # fmt: skip


def test_an_exit_may_be_cancelled_alone() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1), 104.0, 96.0))
    pit.cancel(2)
    pit.play(bar(0, minute(0), 100, 105, 99, 100), bar(0, minute(1), 100, 105, 95, 100))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 96.0)]
    assert pit.fills[1].flags == ()


def test_day_exits_of_an_entry_at_the_close_belong_to_the_next_session() -> None:
    pit = Pit()
    pit.market.closes[0, 0] = Close(100.0, "daily", DAYS[0].close_ns)
    pit.approve(*bracket(order(1, "market_on_close"), 104.0, 96.0, tif="day"))
    pit.roll()
    assert [pit.states(n)[-1] for n in "123"] == ["filled", "working", "working"]
    assert pit.updates(2)[-1].ts_event_ns == DAYS[0].close_ns  # GTC
    assert pit.updates(3)[-1].ts_event_ns == DAYS[1].first_ns - 1  # DAY
    pit.play(bar(0, minute(0, DAYS[1]), 100, 101, 95, 96))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 96.0)]


def test_a_group_is_refused_as_one() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1), 104.0, -96.0))
    assert pit.rejected() == [("1", "group_refused"), ("2", "group_refused"), ("3", "bad_price")]
    assert [pit.states(n) for n in "123"] == [[], [], []]


def test_an_exit_needs_its_entry() -> None:
    pit = Pit()
    profit = bracket(order(1), 104.0)[1]
    pit.approve(profit)
    assert pit.rejected() == [("2", "unknown_parent")]


# -- partial fills ------------------------------------------------------------------------------


def test_exits_grow_with_the_entry_and_an_exit_ends_it() -> None:
    """Ten per cent of each trade; the entry of 100 gets 40, then 20."""
    pit = Pit({"policy": "realistic"})
    pit.approve(*bracket(order(1, "limit", limit=100.5), 104.0, 96.0))
    at = minute(0)
    pit.play(trade(0, at, 100, 400), trade(0, at + 1, 100, 200))
    assert [(u.state.value, u.quantity, u.reason) for u in pit.updates(3)] == [
        ("accepted", 100.0, ""), ("working", 40.0, ""), ("working", 60.0, "entry_filled"),
    ]  # fmt: skip
    pit.play(trade(0, at + 2, 105, 250))
    assert pit.filled()[2:] == [("2", 25.0, 104.0)]
    assert pit.states(1)[-1] == "cancelled exit_filled"
    assert (pit.updates(3)[-1].quantity, pit.updates(3)[-1].reason) == (35.0, "sibling_filled")
    assert pit.updates(2)[-1].state.value == "partially_filled"
    pit.play(trade(0, at + 3, 95, 10_000))
    assert pit.filled()[3:] == [("3", 35.0, 95.0)]
    assert pit.states(2)[-1] == "cancelled sibling_filled"


def test_a_stop_that_found_no_liquidity_goes_on_as_a_market_order() -> None:
    pit = Pit({"policy": "realistic"})
    at = minute(0)
    pit.approve(order(1, "stop", "sell", stop=96.0))
    pit.play(trade(0, at, 95, 5), trade(0, at + 1, 97, 400), trade(0, at + 2, 98, 5000))
    assert pit.states(1)[2] == "working triggered"
    assert pit.filled() == [("1", 40.0, 97.0), ("1", 60.0, 98.0)]


# -- OCO -------------------------------------------------------------------------------------------


def oco(*orders: Order) -> tuple[Order, ...]:
    fields: list[dict[str, Any]] = [
        {f: getattr(o, f) for f in Order.__struct_fields__} for o in orders
    ]
    return tuple(Order(**{**f, "role": Role.OCO, "group_id": "g"}) for f in fields)


OCO: list[tuple[str, list[Bar], list[tuple[str, float, float]], tuple[str, ...]]] = [
    ("the limit", [(100, 101, 98, 99)], [("1", 100.0, 99.0)], ()),
    ("the stop", [(100, 103, 100, 103)], [("2", 100.0, 102.0)], ()),
    ("both: the stop", [(100, 103, 98, 99)], [("2", 100.0, 102.0)], ("ambiguous",)),
    ("the limit at the open", [(98, 103, 98, 99)], [("1", 100.0, 98.0)], ()),
    ("neither", [(100, 101, 100, 100)], [], ()),
]


@pytest.mark.parametrize(("what", "bars", "fills", "flags"), OCO)
def test_oco(
    what: str, bars: list[Bar], fills: list[tuple[str, float, float]], flags: tuple[str, ...]
) -> None:
    pit = Pit()
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(*oco(order(1, "limit", limit=99.0), order(2, "stop", stop=102.0)))
    pit.play(*(bar(0, minute(i), *one) for i, one in enumerate(bars, 1)))
    assert pit.filled() == fills
    assert (pit.fills[-1].flags if fills else ()) == flags
    if fills:
        other = 3 - int(fills[0][0])
        assert pit.states(other)[-1] == "cancelled sibling_filled"


# Orders of a group that met the bar before the one that fills; they have moved by then, and must
# not be asked again: the naive version fills the first at 103, at 100.
MOVED: list[tuple[str, Order, Order, Bar, float]] = [
    ("a trailing level moves after the test: 98 was not reached",
     order(1, "trailing_stop", "sell", trail=2.0), order(2, "limit", "sell", limit=104.0),
     (100, 105, 99, 104), 104.0),
    ("a stop-limit that this bar triggers did not rest at its open",
     order(1, "stop_limit", stop=102.0, limit=101.0), order(2, "limit", limit=98.0),
     (100, 103, 97, 103), 98.0),
]  # fmt: skip


@pytest.mark.parametrize(("what", "first", "second", "one", "price"), MOVED)
def test_an_order_of_a_group_meets_a_bar_once(
    what: str, first: Order, second: Order, one: Bar, price: float
) -> None:
    pit = Pit()
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(*oco(first, second))
    pit.play(bar(0, minute(1), *one))
    assert pit.filled() == [("2", 100.0, price)], what
    assert pit.fills[0].flags == ()


def test_oco_across_symbols_and_sizes() -> None:
    pit = Pit(symbols=("AAA", "BBB"))
    two = order(2, "limit", limit=50.0, symbol="BBB", quantity=150.0)
    pair = oco(order(1, "limit", limit=99.0), two)
    pit.approve(*pair)
    pit.play(bar(0, minute(0), 98, 98, 98, 98), bar(1, minute(0), 49, 49, 49, 49))
    assert pit.filled() == [("1", 100.0, 98.0)]
    assert pit.states(2)[-1] == "cancelled sibling_filled"


def test_a_partial_fill_reduces_the_others_of_an_oco_group() -> None:
    pit = Pit({"policy": "realistic"})
    at = minute(0)
    pit.approve(*oco(order(1, "limit", limit=99.0), order(2, "limit", limit=90.0, quantity=50.0)))
    pit.play(trade(0, at, 98, 300))
    assert pit.filled() == [("1", 30.0, 98.0)]
    assert pit.updates(2)[-1].quantity == 20.0
    pit.play(trade(0, at + 1, 98, 300))
    assert pit.states(2)[-1] == "cancelled sibling_filled"


def test_cancelling_one_of_an_oco_group_leaves_the_others() -> None:
    pit = Pit()
    pit.approve(*oco(order(1, "limit", limit=99.0), order(2, "stop", stop=102.0)))
    pit.cancel(1)
    pit.play(bar(0, minute(0), 100, 103, 98, 99))
    assert pit.filled() == [("2", 100.0, 102.0)]


# -- reduce-only ---------------------------------------------------------------------------------


def flat(number: int, price: float) -> Items:
    return bar(0, minute(number), price, price, price, price)


def test_a_reduce_only_order_never_does_more_than_close() -> None:
    pit = Pit()
    pit.approve(order(1, quantity=60.0))
    pit.play(flat(0, 100))
    pit.approve(order(2, side="sell", quantity=100.0, reduce_only=True))
    pit.play(flat(1, 101))
    assert pit.filled() == [("1", 60.0, 100.0), ("2", 60.0, 101.0)]
    assert pit.fills[1].flags == ("partial",)
    assert pit.states(2)[-1] == "cancelled nothing_to_reduce"


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_reduce_only_order_with_nothing_to_reduce_is_cancelled(side: str) -> None:
    pit = Pit()
    if side == "buy":
        pit.approve(order(1))
        pit.play(flat(0, 100))
    pit.approve(order(2, side=side, reduce_only=True))
    assert pit.states(2) == ["accepted", "cancelled nothing_to_reduce"]


def test_a_reduce_only_order_is_cancelled_when_another_fill_closes_the_position() -> None:
    pit = Pit()
    pit.approve(order(1))
    pit.play(flat(0, 100))
    pit.approve(order(2, "stop", "sell", stop=90.0, reduce_only=True))
    pit.approve(order(3, side="sell"))
    pit.play(flat(1, 100))
    assert pit.states(2)[-1] == "cancelled nothing_to_reduce"


def test_an_entry_that_may_only_reduce_is_cancelled_with_its_exits() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1, side="sell", reduce_only=True), 96.0, 104.0))
    assert [pit.states(n)[-1] for n in "123"] == [
        "cancelled nothing_to_reduce", "cancelled entry_cancelled", "cancelled entry_cancelled",
    ]  # fmt: skip


@pytest.mark.parametrize("policy", ["next_bar", "immediate"])
def test_an_order_that_fills_whole_or_not_is_not_cut_to_the_position(policy: str) -> None:
    pit = Pit({"policy": policy})
    pit.approve(order(1, quantity=60.0))
    pit.play(flat(0, 100))
    pit.approve(order(2, side="sell", tif="fok", reduce_only=True))
    pit.play(flat(1, 101))
    assert pit.filled() == [("1", 60.0, 100.0)]
    assert pit.states(2)[-1] == "cancelled not_filled_at_once"
    pit.approve(order(3, side="sell", quantity=60.0, tif="fok", reduce_only=True))
    pit.play(flat(2, 102))
    assert pit.filled()[1:] == [("3", 60.0, 101.0 if policy == "immediate" else 102.0)]


def test_each_strategy_reduces_its_own_position() -> None:
    pit = Pit()
    pit.approve(order(1), order(2, strategy_id="t", side="sell", reduce_only=True))
    pit.play(flat(0, 100))
    assert pit.filled() == [("1", 100.0, 100.0)]


def test_exits_that_reverse_no_more_than_they_can_reduce() -> None:
    """Short 50, a bracket buys 100: only 50 are there to be sold again."""
    pit = Pit()
    pit.approve(order(9, side="sell", quantity=50.0))
    pit.play(flat(0, 100))
    pit.approve(*bracket(order(1), 104.0, 96.0))
    pit.play(flat(1, 100), flat(2, 105))
    assert pit.filled()[1:] == [("1", 100.0, 100.0), ("2", 50.0, 105.0)]
    assert pit.states(2)[-1] == "cancelled nothing_to_reduce"
    assert pit.states(3)[-1] == "cancelled nothing_to_reduce"
