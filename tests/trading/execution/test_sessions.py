"""How long orders work: DAY, GTC, IOC, FOK, the close, half days, extended hours."""

from __future__ import annotations

from typing import Any

import pytest

from app.model import Items
from app.trading.context import Close
from app.trading.due import Agenda
from tests.trading.execution.kit import Pit, order
from tests.trading.harness import DAYS, bar, days_of, minute, quote, trade

LAST = 390  # the close of a full day, in minutes after the open
HALF = days_of("2013-11-27", "2013-12-02")  # Wednesday, the half day, Monday
EXTENDED = days_of("2013-10-04", "2013-10-08", "extended")


def flat(number: int, price: float, day: int = 0, days: Any = DAYS) -> Items:
    return bar(0, minute(number, days[day]), price, price, price, price)


# -- DAY and GTC ---------------------------------------------------------------------------------


def test_a_day_order_expires_at_the_close_after_the_slice_released_then() -> None:
    pit = Pit()
    pit.play(flat(0, 100))
    pit.approve(order(1, "limit", limit=99.0), order(2, "limit", limit=98.0))
    pit.play(flat(LAST - 1, 98.5))
    pit.end()
    assert pit.filled() == [("1", 100.0, 98.5)]
    assert pit.states(2)[-1] == "expired session_closed"
    assert pit.updates(2)[-1].ts_event_ns == DAYS[0].close_ns


def test_a_gtc_order_works_until_it_fills() -> None:
    pit = Pit()
    pit.approve(order(1, "limit", limit=99.0, tif="gtc"))
    pit.play(flat(0, 100))
    pit.roll()
    pit.play(flat(0, 98, 1))
    assert pit.filled() == [("1", 100.0, 98.0)]


@pytest.mark.parametrize("tif", ["day", "ioc", "fok"])
def test_an_order_sent_at_the_close_belongs_to_the_next_session(tif: str) -> None:
    pit = Pit()
    pit.play(flat(LAST - 1, 100))
    pit.approve(order(1, tif=tif))
    assert pit.states(1) == ["accepted"]
    pit.roll()
    assert pit.states(1) == ["accepted", "working"]
    assert pit.updates(1)[-1].ts_event_ns == DAYS[1].first_ns - 1
    pit.play(flat(0, 101, 1))
    assert pit.filled() == [("1", 100.0, 101.0)]


def test_a_gtc_order_sent_at_the_close_rests_at_once() -> None:
    pit = Pit()
    pit.play(flat(LAST - 1, 100))
    pit.approve(order(1, tif="gtc"))
    assert pit.states(1) == ["accepted", "working"]
    pit.roll()
    pit.play(flat(0, 101, 1))
    assert pit.filled() == [("1", 100.0, 101.0)]


def test_an_order_sent_just_before_the_close_expires_with_it() -> None:
    pit = Pit()
    pit.at(DAYS[0].close_ns - 1)
    pit.approve(order(1))
    pit.roll()
    assert pit.states(1)[-1] == "expired session_closed"


# Every type that rests, with a price that the first day never reaches, the next day's bar, and
# what the order gets there: the gap over night is at the open.
OVER_NIGHT: list[tuple[str, dict[str, Any], tuple[float, float, float, float], float | None]] = [
    ("buy limit", {"limit": 95.0}, (94, 96, 93, 95), 94),
    ("buy limit", {"limit": 95.0}, (97, 98, 94, 95), 95),
    ("sell limit", {"limit": 105.0}, (106, 107, 104, 105), 106),
    ("buy stop", {"stop": 105.0}, (110, 111, 109, 110), 110),
    ("sell stop", {"stop": 95.0}, (90, 91, 89, 90), 90),
    ("buy stop_limit", {"stop": 105.0, "limit": 107.0}, (106, 111, 105, 110), 106),
    ("buy stop_limit", {"stop": 105.0, "limit": 107.0}, (110, 111, 106, 110), 107),
    ("buy stop_limit", {"stop": 105.0, "limit": 107.0}, (110, 111, 108, 110), None),
    ("sell trailing_stop", {"trail": 5.0}, (90, 91, 89, 90), 90),
    ("buy trailing_stop", {"trail": 5.0}, (104, 106, 103, 104), 105),
    ("buy market_on_open", {}, (103, 104, 102, 103), 103),
]


@pytest.mark.parametrize(("what", "terms", "one", "price"), OVER_NIGHT)
@pytest.mark.parametrize("tif", ["day", "gtc"])
@pytest.mark.parametrize("sent", [5, LAST, LAST + 30])
def test_every_type_over_the_close(
    what: str, terms: dict[str, Any], one: tuple[float, float, float, float],
    price: float | None, tif: str, sent: int,
) -> None:  # fmt: skip
    """Sent in the session DAY expires at the close; sent at or after it, it is for the next."""
    side, type = what.split()
    pit = Pit(days=EXTENDED)
    tomorrow = bar(0, minute(0, EXTENDED[1]), *one)
    pit.market.add([tomorrow])
    pit.play(flat(0, 100, 0, EXTENDED))
    pit.at(minute(sent, EXTENDED[0]))
    pit.approve(order(1, type, side, tif=tif, **terms))
    waits = tif == "day" and (sent >= LAST or type == "market_on_open")
    assert pit.states(1) == (["accepted"] if waits else ["accepted", "working"])
    pit.roll()
    if tif == "day" and not waits:
        assert pit.states(1)[-1] == "expired session_closed"
        assert pit.updates(1)[-1].ts_event_ns == EXTENDED[0].close_ns
        price = None
    pit.play(tomorrow)
    assert pit.filled() == ([] if price is None else [("1", 100.0, price)])


def test_an_order_for_the_next_session_expires_at_its_close() -> None:
    pit = Pit()
    pit.at(DAYS[0].close_ns)
    pit.approve(order(1, "limit", limit=1.0))
    pit.roll()
    pit.play(flat(0, 100, 1))
    pit.end()
    assert pit.states(1) == ["accepted", "working", "expired session_closed"]
    assert pit.updates(1)[-1].ts_event_ns == DAYS[1].close_ns


def test_an_order_after_the_last_session_stays_accepted() -> None:
    pit = Pit(days=DAYS[:1])
    pit.at(DAYS[0].close_ns)
    pit.approve(order(1))
    pit.end()
    assert pit.states(1) == ["accepted"]


def test_an_order_before_the_first_day_opens_is_for_that_day() -> None:
    pit = Pit(begin=False)
    pit.engine.start(DAYS[0].first_ns - 1, ())
    pit.approve(order(1))
    assert pit.states(1) == ["accepted"]
    pit.open(0)
    pit.play(flat(0, 100))
    assert pit.filled() == [("1", 100.0, 100.0)]


def test_the_half_day_closes_at_its_own_time() -> None:
    pit = Pit(days=HALF)
    pit.roll()
    pit.play(flat(209, 100, 1, HALF))  # released at 13:00
    pit.approve(order(1), order(2, "limit", limit=99.0, tif="gtc"))
    pit.roll()
    assert pit.states(1) == ["accepted", "working"]
    pit.play(flat(0, 98, 2, HALF))
    assert pit.filled() == [("2", 100.0, 98.0), ("1", 100.0, 98.0)]  # it came first


def test_extended_hours_a_day_order_works_before_the_open_and_not_after_the_close() -> None:
    pit = Pit(days=EXTENDED)
    pit.at(EXTENDED[0].first_ns + 1)
    pit.approve(order(1), order(2, "limit", limit=90.0), order(3, "limit", limit=90.0, tif="gtc"))
    pre, post = -60, LAST + 30
    pit.play(flat(pre, 100, 0, EXTENDED), flat(post, 89, 0, EXTENDED))
    assert pit.filled() == [("1", 100.0, 100.0), ("3", 100.0, 89.0)]
    assert pit.states(2)[-1] == "expired session_closed"


# -- at once or not ----------------------------------------------------------------------------

IOC: list[tuple[str, dict[str, Any], Items, float | None]] = [
    ("market", {}, bar(0, minute(1), 100, 101, 99, 100), 100),
    ("limit", {"limit": 100.0}, bar(0, minute(1), 99.5, 101, 99, 100), 99.5),
    ("limit", {"limit": 99.5}, bar(0, minute(1), 100, 101, 99, 100), None),  # only later inside
    ("limit", {"limit": 100.0}, quote(0, minute(1), 99, 100), 100),
    ("limit", {"limit": 99.0}, quote(0, minute(1), 99, 100), None),
    ("limit", {"limit": 100.0}, trade(0, minute(1), 99.9), 99.9),
    ("limit", {"limit": 100.0}, trade(0, minute(1), 100.0), None),
]


@pytest.mark.parametrize(("type", "terms", "row", "price"), IOC)
@pytest.mark.parametrize("tif", ["ioc", "fok"])
def test_orders_that_fill_at_once_or_not(
    tif: str, type: str, terms: dict[str, Any], row: Items, price: float | None
) -> None:
    pit = Pit()
    pit.approve(order(1, type, tif=tif, **terms))
    pit.play(row)
    if price is None:
        assert pit.states(1)[-1] == "cancelled not_filled_at_once"
        assert pit.filled() == []
    else:
        assert pit.filled() == [("1", 100.0, price)]
        assert pit.states(1) == ["accepted", "working", "filled"]


# -- market on close -----------------------------------------------------------------------------


def closed(pit: Pit, price: float, day: int = 0, known_ns: int | None = None) -> None:
    days = pit.context.days
    known_ns = days[day].close_ns if known_ns is None else known_ns
    pit.market.closes[0, day] = Close(price, "daily", known_ns)


def test_moc_fills_at_the_official_close_when_it_is_known_at_the_close() -> None:
    pit = Pit()
    closed(pit, 101.25)
    pit.play(flat(0, 100))
    pit.approve(order(1, "market_on_close"))
    pit.play(flat(LAST - 1, 101))
    pit.end()
    assert pit.filled() == [("1", 100.0, 101.25)]
    fill = pit.fills[0]
    assert (fill.ts_event_ns, fill.price_time_ns) == (DAYS[0].close_ns, DAYS[0].close_ns)
    assert fill.source == "official_close"


def test_moc_fills_at_the_day_end_when_the_close_is_known_only_then() -> None:
    pit = Pit({"slippage": {"model": "fixed_bps", "bps": 50.0}})
    closed(pit, 101.25, known_ns=DAYS[0].end_ns)
    pit.approve(order(1, "market_on_close"))
    pit.end()
    assert pit.filled() == [("1", 100.0, 101.25)]  # an auction has one price: no slippage
    fill = pit.fills[0]
    assert (fill.ts_event_ns, fill.price_time_ns) == (DAYS[0].end_ns, DAYS[0].close_ns)


def test_moc_on_a_half_day() -> None:
    pit = Pit(days=HALF)
    pit.roll()
    closed(pit, 50.0, 1)
    pit.at(minute(200, HALF[1]))  # ten minutes before 13:00
    pit.approve(order(1, "market_on_close"))
    pit.at(minute(200, HALF[1]) + 1)
    pit.approve(order(2, "market_on_close"))
    pit.end()
    assert pit.filled() == [("1", 100.0, 50.0)]
    assert pit.fills[0].price_time_ns == minute(210, HALF[1])
    assert pit.rejected() == [("2", "moc_after_cutoff")]
    assert pit.states(2) == []


@pytest.mark.parametrize("cutoff", [0.0, 5.0])
def test_the_cut_off_is_a_setting(cutoff: float) -> None:
    pit = Pit({"moc_cutoff_min": cutoff})
    pit.at(minute(LAST - 3))
    pit.approve(order(1, "market_on_close"))
    assert bool(pit.rejected()) is (cutoff == 5.0)


@pytest.mark.parametrize("tif", ["day", "gtc"])
def test_moc_sent_at_the_close_is_for_the_next_one(tif: str) -> None:
    pit = Pit()
    closed(pit, 100.0)
    closed(pit, 105.0, 1)
    pit.at(DAYS[0].close_ns)
    pit.approve(order(1, "market_on_close", tif=tif))
    pit.roll()
    pit.end()
    assert pit.filled() == [("1", 100.0, 105.0)]


def test_moc_of_a_symbol_without_a_close_expires() -> None:
    pit = Pit()
    pit.approve(order(1, "market_on_close"))
    pit.end()
    assert pit.states(1) == ["accepted", "working", "expired no_official_close"]
    assert pit.updates(1)[-1].ts_event_ns == DAYS[0].end_ns


def test_moc_of_a_symbol_that_is_halted_at_the_close_expires() -> None:
    pit = Pit(halts=(("AAA", minute(LAST - 20), minute(LAST + 20)),))
    closed(pit, 100.0)
    pit.approve(order(1, "market_on_close"))
    pit.end()
    assert pit.states(1)[-1] == "expired halted"


def test_moc_is_settled_once_the_auction_is_over() -> None:
    pit = Pit()
    closed(pit, 100.0, known_ns=DAYS[0].end_ns)
    pit.approve(order(1, "market_on_close"))
    pit.at(DAYS[0].close_ns)
    pit.cancel(1)
    pit.modify(1, quantity=50.0)
    pit.end()
    assert pit.rejected() == [("1", "cancel_after_close"), ("1", "modify_after_close")]
    assert pit.filled() == [("1", 100.0, 100.0)]


def test_moc_can_be_cancelled_before_the_close() -> None:
    pit = Pit()
    closed(pit, 100.0)
    pit.approve(order(1, "market_on_close"))
    pit.at(DAYS[0].close_ns - 1)
    pit.cancel(1)
    pit.end()
    assert pit.states(1)[-1] == "cancelled requested"


# -- market on open ------------------------------------------------------------------------------


def test_moo_fills_at_the_first_regular_price() -> None:
    pit = Pit({"slippage": {"model": "fixed_bps", "bps": 50.0}}, days=EXTENDED)
    pit.at(EXTENDED[0].first_ns + 1)
    pit.approve(order(1, "market_on_open"))
    pit.play(flat(-5, 90, 0, EXTENDED), flat(2, 101, 0, EXTENDED))
    assert pit.filled() == [("1", 100.0, 101.0)]
    assert pit.fills[0].price_time_ns == minute(2, EXTENDED[0])


MOO_TICKS: list[tuple[list[Items], float]] = [
    ([trade(0, minute(0) - 1, 90), trade(0, minute(0), 101)], 101),
    ([quote(0, minute(0) - 1, 89, 90), quote(0, minute(0), 100, 102)], 102),
    ([quote(0, minute(0), 103, 102), quote(0, minute(0) + 5, 100, 102.5)], 102.5),
]


@pytest.mark.parametrize(("rows", "price"), MOO_TICKS)
def test_moo_on_ticks(rows: list[Items], price: float) -> None:
    pit = Pit(days=EXTENDED)
    pit.at(EXTENDED[0].first_ns + 1)
    pit.market.add(rows)
    pit.approve(order(1, "market_on_open"))
    pit.play(*rows)
    assert pit.filled() == [("1", 100.0, price)]


@pytest.mark.parametrize("tif", ["day", "gtc"])
def test_moo_sent_after_the_open_is_for_the_next_one(tif: str) -> None:
    pit = Pit()
    pit.play(flat(0, 100))
    pit.approve(order(1, "market_on_open", tif=tif))
    pit.play(flat(1, 101))
    pit.roll()
    pit.play(flat(0, 102, 1))
    assert pit.filled() == [("1", 100.0, 102.0)]


def test_moo_sent_at_the_open_is_for_this_one() -> None:
    pit = Pit()
    pit.at(minute(0))
    pit.approve(order(1, "market_on_open"))
    pit.play(flat(0, 100))
    assert pit.filled() == [("1", 100.0, 100.0)]


def test_moo_without_a_price_expires_or_waits_for_the_next_open() -> None:
    pit = Pit(days=EXTENDED)
    pit.approve(order(1, "market_on_open"), order(2, "market_on_open", tif="gtc"))
    pit.play(flat(LAST + 5, 99, 0, EXTENDED))  # after the close is not regular
    pit.roll()
    pit.play(flat(-5, 98, 1, EXTENDED), flat(0, 101, 1, EXTENDED))
    assert pit.states(1)[-1] == "expired session_closed"
    assert pit.filled() == [("2", 100.0, 101.0)]


def test_a_session_that_began_after_the_close_is_closed_at_its_end() -> None:
    """No SessionCloseEvent comes then; nothing is left over."""
    pit = Pit(begin=False, days=EXTENDED)
    late = EXTENDED[0].close_ns - 5
    pit.engine.start(late, ())
    pit.engine.open_day(0, late)
    pit.day = 0
    pit.approve(order(1))
    pit.engine._agenda = Agenda()  # as if the close had been missed
    pit.end()
    assert pit.states(1)[-1] == "expired session_closed"
