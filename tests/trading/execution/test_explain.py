"""Why an order did or did not fill: the words and numbers, and agreement with the run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from app.model import Flag, Items
from app.trading.context import Close, CorporateAction
from app.trading.events import EventBase, OrderApprovedEvent
from app.trading.orders import Order, Role
from app.trading.services.execution.explain import Explanation, explain
from app.trading.services.execution.history import of_row
from app.trading.services.execution.judge import judge
from app.trading.services.execution.outcome import Outcome, Row
from app.trading.services.execution.working import WorkingOrder
from tests.trading.execution.kit import Pit, bracket, order
from tests.trading.execution.test_properties import SECTIONS, Script, run, scripts
from tests.trading.harness import DAYS, bar, days_of, minute, quote, trade, window

EXTENDED = days_of("2013-10-04", "2013-10-08", "extended")


def why(pit: Pit, one: Order, newest: int = 1000) -> list[Explanation]:
    return explain(one, pit.seen.events, pit.context, pit.section, pit.engine.now_ns, newest)


def codes(pit: Pit, one: Order, newest: int = 1000) -> list[str]:
    return [e.code for e in why(pit, one, newest)]


def flat(number: int, price: float, volume: float = 1000, flags: int = Flag.COMPLETE) -> Items:
    return bar(0, minute(number), price, price, price, price, volume=volume, flags=flags)


def deliver(pit: Pit, rows: list[Items]) -> None:
    """Rows that the market has already."""
    pit.engine.on_window(window(rows, pit.day))


def test_each_bar_says_what_it_did_with_the_prices_compared() -> None:
    pit = Pit(halts=(("AAA", minute(5), minute(6)),))
    pit.at(minute(0) + 5)
    one = order(1, "limit", limit=99.0)
    pit.approve(one)
    pit.play(
        flat(0, 98), bar(0, minute(1), 100, 101, 99.5, 100), bar(0, minute(2), 100, 101, 99, 100),
        flat(3, 98, volume=0), flat(4, 98, flags=Flag.POST_CLOSE), flat(5, 98),
        bar(0, minute(6), 100, 101, 98, 100), flat(7, 98),
    )  # fmt: skip
    assert codes(pit, one) == [
        "began_before_order", "limit_not_reached", "limit_only_touched", "zero_volume",
        "post_close", "halted", "fills",
    ]  # fmt: skip
    missed, filled = why(pit, one)[1], why(pit, one)[-1]
    assert missed.prices == {
        "open": 100.0, "high": 101.0, "low": 99.5, "close": 100.0, "volume": 1000.0, "limit": 99.0,
    }  # fmt: skip
    assert missed.sentence == "The market did not reach the limit."
    assert (missed.time_ns, missed.start_ns, missed.source) == (minute(2), minute(1), "bars")
    assert filled.prices["price"] == 99.0
    assert filled.prices["quantity"] == 100.0


def test_quotes_and_trades() -> None:
    pit = Pit(symbols=("AAA", "BBB"))
    at = minute(0)
    rows = [quote(0, at + 1, 100, 99), quote(0, at + 2, 98, float("nan"), ask_size=float("nan")),
            quote(0, at + 3, 98, 100), quote(0, at + 4, 98, 99), trade(1, at + 1, 9, flags=0),
            trade(1, at + 2, 9), trade(1, at + 3, 8)]  # fmt: skip
    one, two = order(1, "limit", limit=99.0), order(2, "limit", limit=9.0, symbol="BBB")
    pit.market.add([quote(0, at, 98, 99), trade(1, at, 8)])
    pit.play(quote(0, at, 98, 99), trade(1, at, 8))
    pit.approve(one, two)
    pit.play(*rows)
    assert codes(pit, one) == ["crossed_quote", "one_sided_quote", "limit_not_reached", "fills"]
    assert why(pit, one)[1].prices == {"bid": 98.0, "bid_size": 500.0, "limit": 99.0}
    assert codes(pit, two) == ["trade_not_eligible", "limit_only_touched", "fills"]


def test_a_trailing_stop_shows_its_level_at_each_bar() -> None:
    pit = Pit()
    pit.play(flat(0, 100))
    one = order(1, "trailing_stop", "sell", trail=2.0)
    pit.approve(one)
    pit.play(bar(0, minute(1), 100, 105, 99, 104), bar(0, minute(2), 104, 106, 103.5, 105))
    assert [e.prices["stop"] for e in why(pit, one)] == [98.0, 103.0]
    assert [e.prices["stop"] for e in why(pit, one, newest=1)] == [103.0]
    pit.play(flat(3, 103.9))
    assert why(pit, one)[-1].prices["stop"] == 104.0
    assert codes(pit, one) == ["stop_not_reached", "stop_not_reached", "fills"]


def test_orders_that_do_not_rest_say_what_they_wait_for() -> None:
    pit = Pit({"policy": "realistic", "latency_ms": 1000.0})
    entry, profit = bracket(order(1, "limit", limit=90.0), 104.0)
    pit.approve(entry, profit)
    assert codes(pit, entry) == ["not_at_rest"]
    assert codes(pit, profit) == ["waits_for_entry"]


def test_market_on_close() -> None:
    pit = Pit()
    pit.market.closes[0, 0] = Close(101.0, "daily", DAYS[0].close_ns)
    one = order(1, "market_on_close")
    pit.approve(one)
    pit.play(flat(0, 100))
    pit.end()
    told = why(pit, one)
    assert [e.code for e in told] == ["waits_for_close", "fills"]
    assert (told[1].source, told[1].time_ns) == ("official_close", DAYS[0].close_ns)
    assert told[1].prices == {"price": 101.0, "quantity": 100.0}


def test_immediate_fills_have_no_row() -> None:
    pit = Pit({"policy": "immediate"})
    pit.play(flat(0, 100))
    one = order(1)
    pit.approve(one)
    assert [(e.code, e.time_ns) for e in why(pit, one)] == [("fills", minute(1))]


def test_a_group_and_a_pool() -> None:
    pit = Pit()
    orders = bracket(order(1), 104.0, 96.0)
    pit.approve(*orders)
    pit.play(bar(0, minute(0), 100, 101, 99, 100), bar(0, minute(1), 100, 105, 95, 100))
    assert codes(pit, orders[1]) == ["limit_not_reached", "sibling_first"]
    assert codes(pit, orders[2]) == ["stop_not_reached", "fills"]

    pit = Pit({"policy": "realistic"})
    one, two = order(1), order(2)
    pit.approve(one, two)
    pit.play(flat(0, 100, volume=500), flat(1, 100, volume=2000))
    assert codes(pit, one) == ["fills_partly", "fills"]
    assert codes(pit, two) == ["no_liquidity", "fills"]


def test_exits_within_the_bar_of_their_entry() -> None:
    pit = Pit()
    orders = bracket(order(1, "limit", limit=99.0), 104.0, 90.0)
    pit.approve(*orders)
    pit.play(bar(0, minute(0), 100, 105, 98, 104), bar(0, minute(1), 104.5, 105, 104, 105))
    assert codes(pit, orders[1]) == ["entry_within_bar", "fills"]
    assert codes(pit, orders[2]) == ["stop_not_reached", "stop_not_reached"]


def test_through_a_split_and_a_modification() -> None:
    pit = Pit(actions=[CorporateAction("AAA", DAYS[1].date, "split", 7.0)])
    one = order(1, "limit", limit=630.0, tif="gtc")
    pit.approve(one)
    pit.play(flat(0, 700))
    pit.roll()
    first = minute(0, DAYS[1])
    pit.play(bar(0, first, 700, 700, 99, 100), bar(0, minute(1, DAYS[1]), 100, 101, 99, 100))
    pit.modify(1, limit_price=99.5)
    pit.play(bar(0, minute(2, DAYS[1]), 100, 101, 99, 100))
    told = why(pit, one)
    assert [(e.code, e.prices["limit"]) for e in told] == [
        ("limit_not_reached", 630.0), ("spans_split", 90.0), ("limit_not_reached", 90.0),
        ("fills", 99.5),
    ]  # fmt: skip


def test_a_market_on_open_order_over_two_days() -> None:
    pit = Pit(days=EXTENDED)
    one = order(1, "market_on_open", tif="gtc")
    pit.approve(one)
    pit.play(bar(0, minute(-5, EXTENDED[0]), 99, 99, 99, 99))
    pit.roll()
    pit.play(bar(0, minute(-5, EXTENDED[1]), 98, 98, 98, 98),
             bar(0, minute(0, EXTENDED[1]), 101, 101, 101, 101))  # fmt: skip
    assert codes(pit, one) == ["began_before_order", "began_before_order", "fills"]


def test_a_market_on_open_order_passes_over_what_follows_the_close() -> None:
    pit = Pit(days=EXTENDED)
    one = order(1, "market_on_open", tif="gtc")
    pit.approve(one)
    pit.play(bar(0, minute(395, EXTENDED[0]), 99, 99, 99, 99))
    assert codes(pit, one) == ["began_before_order"]


def test_nothing_is_told_of_what_came_after_the_fill_in_its_slice() -> None:
    pit = Pit(symbols=("AAA", "BBB"))
    at = minute(0) + 1
    rows = [quote(0, at, 98, 99), quote(0, at, 97, 98), trade(1, at, 9), trade(1, at, 8)]
    pit.market.add(rows)
    one, two = order(1), order(2, symbol="BBB", tif="ioc")
    pit.approve(one, two)
    deliver(pit, rows)
    assert codes(pit, one) == codes(pit, two) == ["fills"]
    assert why(pit, one)[0].prices["ask"] == 99.0


def test_the_newest_begin_within_a_slice() -> None:
    pit = Pit({"policy": "realistic"})
    rows = [trade(0, minute(0) + 1, 100.0 + n, 200) for n in range(4)]
    pit.market.add(rows)
    one = order(1)
    pit.approve(one)
    deliver(pit, rows)
    assert [e.prices["price"] for e in why(pit, one)] == [100.0, 101.0, 102.0, 103.0]
    assert why(pit, one, newest=2) == why(pit, one)[2:]


def test_a_row_without_liquidity_is_told_from_the_one_that_filled() -> None:
    """The first trade of the slice is another order's; the second is worth 40 shares."""
    pit = Pit({"policy": "realistic"})
    at = minute(0) + 1
    rows = [trade(0, at, 100, 300), trade(0, at, 101, 400)]
    pit.market.add(rows)
    one, two = order(1, quantity=30.0), order(2, quantity=40.0)
    pit.approve(one, two)
    deliver(pit, rows)
    assert codes(pit, two) == ["no_liquidity", "fills"]
    assert why(pit, two)[1].prices == {"price": 101.0, "size": 400.0, "quantity": 40.0}


def test_what_arrives_at_the_time_of_a_slice_comes_before_it() -> None:
    pit = Pit({"policy": "realistic", "latency_ms": 100.0})
    at, later = minute(0), minute(0) + 100_000_000
    one, two = order(1, "limit", limit=90.0), order(2, "limit", limit=99.5)
    pit.market.add([trade(0, at, 100, 1e6)])
    pit.approve(one, two)
    pit.play(trade(0, later, 100, 1e6))
    pit.modify(1, limit_price=99.5)
    pit.cancel(2)
    pit.play(trade(0, later + 100_000_000, 99, 1e6))
    assert [(e.code, e.prices["limit"]) for e in why(pit, one)] == [
        ("limit_not_reached", 90.0), ("fills", 99.5),
    ]  # fmt: skip
    assert codes(pit, two) == ["limit_not_reached"]


def test_exits_of_an_entry_that_filled_at_once_do_not_meet_the_bar_before() -> None:
    pit = Pit({"policy": "immediate"})
    pit.play(bar(0, minute(0), 100, 105, 95, 100))
    orders = bracket(order(1), 104.0, 96.0)
    pit.approve(*orders)
    pit.play(bar(0, minute(1), 100, 101, 99, 100))
    assert codes(pit, orders[1]) == ["limit_not_reached"]
    assert codes(pit, orders[2]) == ["stop_not_reached"]


def test_a_change_that_was_refused_changes_nothing() -> None:
    pit = Pit()
    pit.play(flat(0, 100))
    one = order(1, "trailing_stop", "sell", trail=2.0)
    pit.approve(one)
    pit.modify(1, trail=-1.0)
    pit.modify(1, quantity=50.0)
    pit.play(bar(0, minute(1), 100, 104, 100, 103), flat(2, 103))
    assert [e.prices["stop"] for e in why(pit, one)] == [98.0, 102.0]


def test_an_order_that_ended_before_it_rested() -> None:
    pit = Pit()
    entry, profit = bracket(order(1, "limit", limit=90.0), 104.0)
    pit.approve(entry, profit)
    pit.cancel(1)
    pit.play(flat(0, 100))
    (told,) = why(pit, profit)
    assert (told.code, told.time_ns) == ("waits_for_entry", DAYS[0].first_ns - 1)


def test_only_the_newest_are_told() -> None:
    pit = Pit()
    one = order(1, "limit", limit=50.0)
    pit.approve(one)
    pit.play(*(flat(n, 100) for n in range(30)))
    assert len(why(pit, one)) == 30
    newest = why(pit, one, newest=7)
    assert newest == why(pit, one)[-7:]


HINDERED = {"no_liquidity", "sibling_first", "nothing_to_reduce"}
Judged = dict[tuple[str, int], dict[str, tuple[str, float | None]]]


def judged_run(section: dict[str, Any], seed: int, script: Script) -> tuple[Pit, Judged]:
    """A run, and by order and time what it judged of each row at which stop, before it moved."""
    judged: Judged = {}

    def note(order: WorkingOrder, row: Row, touch: bool) -> Outcome:
        found = judge(order, row, touch)
        rows = judged.setdefault((order.order.order_id, row.release_ns), {})
        rows[repr(row)] = found.why.value, order.stop
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.trading.services.execution.matcher.judge", note)
        return run(section, seed, script), judged


@pytest.mark.parametrize("section", SECTIONS)
@settings(max_examples=40, deadline=None)
@given(played=scripts())
def test_explanations_agree_with_the_run(
    section: dict[str, Any], played: tuple[int, dict[int, list[EventBase]]]
) -> None:
    """Every fill is told once, with its row; rows are judged as the run judged them."""
    seed, script = played
    pit, judged = judged_run(section, seed, script)
    approved = [e for events in script.values() for e in events]
    orders = [o for e in approved if isinstance(e, OrderApprovedEvent) for o in e.orders]
    for one in orders:
        told = why(pit, one)
        fills = [f for f in pit.fills if f.order_id == one.order_id]
        found = [e for e in told if e.code in ("fills", "fills_partly")]
        assert [(e.time_ns, e.prices["price"], e.prices["quantity"]) for e in found] == [
            (f.ts_event_ns, f.price, f.quantity) for f in fills
        ]
        assert all(len(e.prices) > 2 for e, f in zip(found, fills, strict=True) if of_row(f))
        if one.role is Role.SINGLE and section.get("policy") != "realistic":
            assert not {e.code for e in told} & {"no_liquidity", "sibling_first"}
        assert told == sorted(told, key=lambda e: e.time_ns)
        assert told[-5:] == why(pit, one, newest=5)
        for (order_id, time_ns), rows in judged.items():
            if order_id == one.order_id:
                assert_as_judged([e for e in told if e.time_ns == time_ns], list(rows.values()))


def assert_as_judged(told: list[Explanation], rows: list[tuple[str, float | None]]) -> None:
    """Of one order and time: each judgement of the run is told, at the same stop."""
    found = {
        ("fills" if e.code in {*HINDERED, "fills_partly"} else e.code, e.prices.get("stop"))
        for e in told
    }
    assert set(rows) <= found
