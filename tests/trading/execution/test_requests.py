"""What execution refuses, cancels and modifies; post-only orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.model import Items
from app.trading.events import OrderRejectedEvent
from app.trading.services.execution.codes import SENTENCES, Why
from tests.trading.execution.kit import Pit, bracket, order
from tests.trading.harness import DAYS, bar, minute, quote, trade

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("market", {"symbol": "ZZZ"}, "unknown_symbol"),
    ("market", {"quantity": 0.0}, "bad_quantity"),
    ("market", {"quantity": -1.0}, "bad_quantity"),
    ("market", {"quantity": np.nan}, "bad_quantity"),
    ("market", {"quantity": np.inf}, "bad_quantity"),
    ("limit", {}, "bad_price"),
    ("limit", {"limit": 0.0}, "bad_price"),
    ("stop", {"limit": 5.0}, "bad_price"),
    ("stop_limit", {"stop": 5.0}, "bad_price"),
    ("trailing_stop", {"stop": 5.0}, "bad_price"),
    ("trailing_stop", {"trail": -1.0}, "bad_price"),
    ("stop", {"stop": 5.0, "tif": "ioc"}, "tif_not_allowed"),
    ("market_on_close", {"tif": "fok"}, "tif_not_allowed"),
    ("market", {"post_only": True}, "post_only_not_limit"),
    ("limit", {"limit": 5.0, "post_only": True, "tif": "ioc"}, "post_only_not_limit"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "terms", "code"), REFUSED)
def test_orders_that_cannot_be_worked(type: str, terms: dict[str, Any], code: str) -> None:
    pit = Pit()
    pit.approve(order(1, type, **terms))
    assert pit.rejected() == [("1", code)]
    event = pit.seen.of(OrderRejectedEvent)[0]
    assert event.by == "execution"
    assert event.request == "order"
    assert event.reason
    assert pit.updates(1) == []


@pytest.mark.parametrize("finished", [False, True])
def test_an_order_id_is_used_once(finished: bool) -> None:
    pit = Pit()
    pit.approve(order(1))
    if finished:
        pit.cancel(1)
    pit.approve(order(1))
    assert pit.rejected() == [("1", "duplicate_order_id")]


# -- cancel ------------------------------------------------------------------------------------


def test_cancel_tells_the_reason_it_was_given() -> None:
    pit = Pit()
    pit.approve(order(1))
    pit.cancel(1, "daily_loss")
    assert pit.states(1) == ["accepted", "working", "cancelled daily_loss"]
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    assert pit.fills == []


def test_cancel_of_an_order_that_waits_for_its_session() -> None:
    pit = Pit()
    pit.at(DAYS[0].close_ns)
    pit.approve(order(1))
    pit.cancel(1)
    pit.roll()
    assert pit.states(1) == ["accepted", "cancelled requested"]


def test_requests_of_orders_that_are_gone_or_never_were() -> None:
    pit = Pit()
    pit.approve(order(1))
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    for number in (1, 7):
        pit.cancel(number)
        pit.modify(number, quantity=5.0)
    assert pit.rejected() == [
        ("1", "cancel_final_order"), ("1", "modify_final_order"),
        ("7", "cancel_unknown_order"), ("7", "modify_unknown_order"),
    ]  # fmt: skip
    events = pit.seen.of(OrderRejectedEvent)
    assert [e.request for e in events] == ["cancel", "modify"] * 2
    assert events[0].reason == "the order is filled"


# -- modify ------------------------------------------------------------------------------------

MODIFIED: list[tuple[str, dict[str, Any], dict[str, Any], Items, tuple[float, float] | None]] = [
    ("limit", {"limit": 90.0}, {"limit_price": 99.0}, bar(0, minute(1), 100, 101, 98, 100),
     (100.0, 99.0)),
    ("limit", {"limit": 99.0}, {"quantity": 40.0}, bar(0, minute(1), 100, 101, 98, 100),
     (40.0, 99.0)),
    ("limit", {"limit": 99.0}, {"quantity": 140.0}, bar(0, minute(1), 100, 101, 98, 100),
     (140.0, 99.0)),
    ("stop", {"stop": 120.0}, {"stop_price": 101.0}, bar(0, minute(1), 100, 101, 98, 100),
     (100.0, 101.0)),
    ("stop_limit", {"stop": 120.0, "limit": 121.0}, {"stop_price": 101.0, "limit_price": 102.0},
     bar(0, minute(1), 100, 101, 98, 100), (100.0, 101.0)),
    # The level of 105 (low 100) becomes 101, then 99.5 + 1 after a low of 99.5.
    ("trailing_stop", {"trail": 5.0}, {"trail": 1.0}, bar(0, minute(1), 100, 101, 98, 100),
     (100.0, 101.0)),
    ("trailing_stop", {"trail": 5.0}, {"stop_price": 100.5}, bar(0, minute(1), 100, 101, 98, 100),
     (100.0, 100.5)),
    ("trailing_stop", {"trail": 500.0, "trail_in_bps": True}, {"trail": 100.0},
     bar(0, minute(1), 100, 101, 98, 100), (100.0, 101.0)),
    ("market", {}, {"quantity": 30.0}, bar(0, minute(1), 100, 101, 98, 100), (30.0, 100.0)),
]  # fmt: skip


@pytest.mark.parametrize(("type", "terms", "change", "row", "fill"), MODIFIED)
def test_modify(
    type: str, terms: dict[str, Any], change: dict[str, Any], row: Items,
    fill: tuple[float, float],
) -> None:  # fmt: skip
    pit = Pit()
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(order(1, type, **terms))
    pit.modify(1, **change)
    assert pit.states(1)[-1] == "working modified"
    pit.play(row)
    assert [(f.quantity, f.price) for f in pit.fills] == [fill]


NOT_MODIFIED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("market", {}, {"limit_price": 5.0}, "modify_no_such_term"),
    ("limit", {"limit": 90.0}, {"stop_price": 5.0}, "modify_no_such_term"),
    ("stop", {"stop": 120.0}, {"trail": 5.0}, "modify_no_such_term"),
    ("limit", {"limit": 90.0}, {"limit_price": 0.0}, "modify_bad_term"),
    ("limit", {"limit": 90.0}, {"quantity": np.nan}, "modify_bad_term"),
]


@pytest.mark.parametrize(("type", "terms", "change", "code"), NOT_MODIFIED)
def test_changes_that_an_order_cannot_have(
    type: str, terms: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    pit = Pit()
    pit.approve(order(1, type, **terms))
    pit.modify(1, **change)
    assert pit.rejected() == [("1", code)]
    assert pit.states(1) == ["accepted", "working"]
    event = pit.seen.of(OrderRejectedEvent)[0]
    assert (event.request, event.symbol) == ("modify", "AAA")


def test_the_quantity_may_not_go_below_what_is_filled() -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1))
    pit.play(trade(0, minute(0), 100, 400))
    pit.modify(1, quantity=40.0)
    pit.modify(1, quantity=41.0)
    assert pit.rejected() == [("1", "modify_below_filled")]
    pit.play(trade(0, minute(1), 100, 400))
    assert pit.filled() == [("1", 40.0, 100.0), ("1", 1.0, 100.0)]


def test_a_triggered_stop_has_no_stop_to_change() -> None:
    pit = Pit()
    pit.approve(order(1, "stop_limit", stop=102.0, limit=101.0))
    pit.play(bar(0, minute(0), 103, 104, 102, 103))
    assert pit.states(1)[-1] == "working triggered"
    pit.modify(1, stop_price=105.0)
    assert pit.rejected() == [("1", "modify_no_such_term")]
    pit.modify(1, limit_price=103.0)
    pit.play(bar(0, minute(1), 102, 104, 102, 103))
    assert pit.filled() == [("1", 100.0, 102.0)]


def test_new_terms_do_not_fill_on_data_that_began_before_them() -> None:
    pit = Pit()
    pit.approve(order(1, "limit", limit=90.0))
    pit.at(minute(1) + 5)
    pit.modify(1, limit_price=99.0)
    pit.play(bar(0, minute(1), 98, 98, 98, 98), bar(0, minute(2), 97, 97, 97, 97))
    assert pit.filled() == [("1", 100.0, 97.0)]


def test_fewer_shares_keep_their_place_and_their_data() -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1), order(2))
    pit.at(minute(0) + 5)
    pit.modify(1, quantity=80.0)
    pit.play(trade(0, minute(1), 100, 1000))
    assert pit.filled() == [("1", 80.0, 100.0), ("2", 20.0, 100.0)]


def test_more_shares_lose_their_place() -> None:
    pit = Pit({"policy": "realistic"})
    pit.approve(order(1), order(2))
    pit.modify(1, quantity=120.0)
    pit.play(trade(0, minute(1), 100, 1500))
    assert pit.filled() == [("2", 100.0, 100.0), ("1", 50.0, 100.0)]


def test_exits_follow_the_quantity_of_their_entry() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1), 104.0, 96.0))
    pit.modify(1, quantity=150.0)
    pit.play(bar(0, minute(0), 100, 101, 99, 100), bar(0, minute(1), 96, 96, 96, 96))
    assert pit.filled() == [("1", 150.0, 100.0), ("3", 150.0, 96.0)]


def test_an_exit_works_no_more_than_its_entry_has_filled() -> None:
    """The entry of 100 gets 40, its exit is asked to work 80, then the entry gets 50 more."""
    pit = Pit({"policy": "realistic"})
    pit.approve(*bracket(order(1, "limit", limit=100.5), 104.0))
    pit.play(trade(0, minute(0), 100, 400))
    pit.modify(2, quantity=80.0)
    assert pit.updates(2)[-1].quantity == 40.0
    pit.play(trade(0, minute(1), 100, 500))
    assert pit.updates(2)[-1].quantity == 80.0


def test_an_exit_may_be_modified_before_its_entry_fills() -> None:
    pit = Pit()
    pit.approve(*bracket(order(1), 104.0, 96.0))
    pit.modify(3, stop_price=98.0)
    assert pit.states(3) == ["accepted", "accepted modified"]
    pit.play(bar(0, minute(0), 100, 101, 97, 100))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 98.0)]


# -- post-only ---------------------------------------------------------------------------------

# What is known when the order comes, what it meets next: refused, or its fill's price.
POST_ONLY: list[tuple[list[Items], list[Items], float, float | None]] = [
    ([bar(0, minute(0), 100, 100, 100, 100)], [], 100.0, None),
    ([bar(0, minute(0), 100, 100, 100, 100)], [], 101.0, None),
    ([bar(0, minute(0), 100, 100, 100, 100)], [bar(0, minute(1), 98.9, 99, 98, 99)], 99.0, None),
    ([bar(0, minute(0), 100, 100, 100, 100)], [bar(0, minute(1), 100, 100, 98, 99)], 99.0, 99.0),
    ([], [bar(0, minute(1), 98, 98, 98, 98)], 99.0, None),
    ([quote(0, minute(1), 99, 100)], [], 100.0, None),
    ([quote(0, minute(1), 99, 100)], [quote(0, minute(2), 98, 98.5)], 99.5, None),
    ([quote(0, minute(1), 99, 100)], [quote(0, minute(2), 99, 100), quote(0, minute(3), 98, 99)],
     99.5, 99.5),
    ([trade(0, minute(1), 100)], [trade(0, minute(2), 99)], 99.5, None),
    ([trade(0, minute(1), 100)], [trade(0, minute(2), 100), trade(0, minute(3), 99)], 99.5, 99.5),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "limit", "price"), POST_ONLY)
def test_post_only(
    before: list[Items], after: list[Items], limit: float, price: float | None
) -> None:
    pit = Pit()
    if before:
        pit.play(*before)
    pit.approve(order(1, "limit", limit=limit, post_only=True))
    if after:
        pit.play(*after)
    if price is None:
        assert pit.rejected() == [("1", "post_only_would_take")]
        assert pit.states(1)[-1] == "rejected post_only_would_take"
        assert pit.fills == []
    else:
        assert pit.filled() == [("1", 100.0, price)]


def test_post_only_after_the_first_bar_is_a_limit_like_any() -> None:
    pit = Pit()
    pit.approve(order(1, "limit", limit=99.0, post_only=True))
    pit.play(bar(0, minute(0), 100, 100, 100, 100), bar(0, minute(1), 98, 98, 98, 98))
    assert pit.filled() == [("1", 100.0, 98.0)]


def test_post_only_at_night_is_judged_by_the_next_session() -> None:
    pit = Pit()
    pit.play(bar(0, minute(389), 90, 90, 90, 90))
    pit.approve(order(1, "limit", limit=99.0, post_only=True, tif="gtc"))
    assert pit.states(1)[-1] == "working"
    pit.roll()
    pit.play(bar(0, minute(0, DAYS[1]), 100, 100, 98, 100))
    assert pit.filled() == [("1", 100.0, 99.0)]


def test_every_code_of_why_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Why)
    assert all(text.endswith(".") for text in SENTENCES.values())
