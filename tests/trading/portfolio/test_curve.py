"""The equity curve against a slow, obvious one, and wherever windows are cut."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Block, Flag, Items, Window, join_items
from app.times import SECOND_NS
from app.trading.bus import HandlerError, Phase
from app.trading.context import CorporateAction
from app.trading.data_events import MarketEvent
from app.trading.events import BacktestEndEvent, FillEvent, PortfolioStateEvent
from app.trading.sections import PortfolioSection
from app.trading.services.portfolio.curve import Curve
from tests.trading.harness import (
    DAYS,
    ELIGIBLE,
    bar,
    in_order,
    minute,
    quote,
    trade,
    window,
)  # fmt: skip
from tests.trading.portfolio.desk import Desk, fill

SYMBOLS = ("AAA", "BBB", "CCC")
START = DAYS[0].open_ns
STEP = 30 * SECOND_NS
M = [minute(n) for n in range(20)]

Point = tuple[int, float, float, float, float]  # time, equity, cash, gross, net


def points(desk: Desk) -> list[Point]:
    """The whole curve, of all its events."""
    return [
        point
        for c in desk.seen.curves
        for point in zip(
            c.times_ns.tolist(), c.equity.tolist(), c.cash.tolist(), c.gross.tolist(),
            c.net.tolist(), strict=True,
        )
    ]  # fmt: skip


# -- by hand --------------------------------------------------------------------------------------


def test_a_point_at_each_time_at_which_the_account_changed() -> None:
    """100 bought at 10 for 1.00, at the end of a bar that closed at 11; then 11, 12 and sold."""
    fills = [fill(1, M[2], 100, 10, commission=1), fill(2, M[5], -100, 13, commission=1)]
    desk = Desk(fills=fills)
    desk.start()
    desk.play(*(bar(0, M[n], p, p, p, p) for n, p in enumerate([10, 11, 11, 12, 14, 99])))
    desk.end()
    desk.engine.finish("completed")
    assert points(desk) == [
        (DAYS[0].first_ns - 1, 100_000, 100_000, 0, 0),
        (M[2], 100_099, 98_999, 1100, 1100),
        (M[4], 100_199, 98_999, 1200, 1200),
        (M[5], 100_298, 100_298, 0, 0),
    ]


def test_fills_between_slices_and_short_positions() -> None:
    between = M[1] + SECOND_NS
    desk = Desk(fills=[fill(1, between, -100, 10)])
    desk.start()
    desk.play(*(bar(0, M[n], p, p, p, p) for n, p in enumerate([10.0, 8.0])))
    desk.engine.finish("completed")
    assert points(desk)[1:] == [
        (between, 100_000, 101_000, 1000, -1000),
        (M[2], 100_200, 101_000, 800, -800),
    ]


def test_interest_at_the_time_of_a_days_last_slice_is_one_point_with_it() -> None:
    """The bar after the close does not mark; a trade released with it may not either."""
    section = PortfolioSection(cash_interest_bps=365.0)
    desk = Desk(section=section, days=DAYS[:2], fills=[fill(1, DAYS[0].end_ns, 100, 10)])
    desk.start()
    desk.play(trade(0, M[1], 10), trade(0, DAYS[0].end_ns, 10, flags=ELIGIBLE))
    desk.roll()
    desk.engine.finish("completed")
    # 99,000 x 3.65 % x 3 / 365 = 29.70
    assert points(desk)[1:] == [(DAYS[0].end_ns, 100_029.7, 99_029.7, 1000, 1000)]


def test_what_is_undone_at_the_same_time_is_no_point() -> None:
    desk = Desk()
    desk.start()
    desk.play(bar(0, M[0], 10, 10, 10, 10))
    desk.send(fill(1, M[1], 100, 10), fill(2, M[1], -100, 10))
    desk.play(bar(0, M[1], 11, 11, 11, 11))
    desk.end()
    desk.engine.finish("completed")
    assert points(desk) == [(DAYS[0].first_ns - 1, 100_000, 100_000, 0, 0)]


@pytest.mark.parametrize("outcome", ["stopped", "failed"])
def test_a_stopped_run_has_its_curve_up_to_there(outcome: str) -> None:
    desk = Desk(fills=[fill(1, M[1], 100, 10)])
    desk.start()
    desk.play(bar(0, M[0], 10, 10, 10, 10))
    desk.play(bar(0, M[1], 11, 11, 11, 11))
    desk.engine.finish(outcome)
    assert points(desk)[-1][1] == 100_100


def test_a_run_that_fails_for_a_value_beyond_all_bounds_ends_as_any_other() -> None:
    desk = Desk(fills=[fill(1, M[1], 100, 10), fill(2, M[2], 1e9, 10)])
    desk.start()
    desk.play(bar(0, M[0], 10, 10, 10, 10))
    with pytest.raises(HandlerError, match=r"portfolio failed .* a position is worth 1e"):
        desk.play(bar(0, M[1], 1e6, 1e6, 1e6, 1e6))
    desk.engine.finish("failed")
    assert desk.seen.of(BacktestEndEvent)[0].outcome == "failed"


def test_a_run_that_is_stopped_within_a_window_has_its_curve_up_to_there() -> None:
    desk = Desk(fills=[fill(1, M[1], 100, 10)])
    desk.start()
    rows = (bar(0, M[n], p, p, p, p) for n, p in enumerate([10, 11, 12]))
    desk.bus.send_market(Phase.MARKET, MarketEvent(window(rows), 0, 2))
    desk.bus.drain()
    desk.engine.finish("stopped")
    assert points(desk)[1:] == [
        (M[1], 100_000, 99_000, 1000, 1000),
        (M[2], 100_100, 99_000, 1100, 1100),
    ]


def test_a_fill_at_the_time_of_the_newest_point_takes_its_place() -> None:
    """Before the day's first item, where the curve begins; and at a day's very end."""
    first_ns, end_ns = DAYS[0].first_ns - 1, DAYS[0].end_ns
    desk = Desk()
    desk.start()
    desk.send(fill(1, first_ns, 100, 10, commission=1))
    desk.play(bar(0, M[0], 11, 11, 11, 11))
    desk.end()
    desk.send(fill(2, end_ns, -50, 12))
    desk.send(fill(3, end_ns, -50, 13))
    desk.engine.finish("completed")
    assert points(desk) == [
        (first_ns, 99_999, 98_999, 1000, 1000),
        (M[1], 100_099, 98_999, 1100, 1100),
        (end_ns, 100_249, 100_249, 0, 0),
    ]


# -- against an oracle ----------------------------------------------------------------------------


class Play(NamedTuple):
    """Rows in delivered order, fills (of one symbol only, or of several), where windows are cut."""

    symbols: tuple[str, ...]
    rows: Items
    fills: list[FillEvent]
    cuts: set[int]  # numbers of slices


def slow_curve(rows: Items, fills: Sequence[FillEvent]) -> list[Point]:
    """Row by row in plain Python: the account after each time, where it differs."""
    events: dict[int, list[object]] = {}
    for row in rows:
        events.setdefault(int(row["release_ns"]), []).append(row)
    for one in fills:
        events.setdefault(one.ts_event_ns, []).append(one)
    cash = Decimal(100_000)
    held: dict[int, Decimal] = {}
    marks: dict[int, Decimal] = {}
    paid: dict[int, Decimal] = {}
    found: list[Point] = [(DAYS[0].first_ns - 1, 100_000.0, 100_000.0, 0.0, 0.0)]
    for time_ns in sorted(events):
        for event in events[time_ns]:
            if isinstance(event, FillEvent):
                symbol = SYMBOLS.index(event.symbol)
                quantity = Decimal(str(event.quantity)) * (1 if event.side == "buy" else -1)
                cash -= quantity * Decimal(str(event.price))
                cash -= Decimal(str(event.commission))
                held[symbol] = held.get(symbol, Decimal(0)) + quantity
                paid[symbol] = Decimal(str(event.price))
            else:
                assert isinstance(event, np.void)
                late = int(event["flags"]) & 1
                is_trade = event["stream"] == 0x8000 and int(event["flags"]) & 16
                if event["stream"] == 1 and not late:
                    marks[int(event["symbol"])] = Decimal(str(event["v"][3]))
                elif is_trade and not late:
                    marks[int(event["symbol"])] = Decimal(str(event["v"][0]))
        values = [q * marks.get(s, paid[s]) for s, q in held.items()]
        net, gross = sum(values, Decimal(0)), sum(map(abs, values), Decimal(0))
        point = (time_ns, float(cash + net), float(cash), float(gross), float(net))
        if point[1:] != found[-1][1:]:
            found.append(point)
    return found


prices = st.integers(900, 1100).map(lambda cents: cents / 100)
moments = st.integers(1, 12).map(lambda n: START + n * STEP)


@st.composite
def any_row(draw: st.DrawFn, symbols: int) -> Items:
    symbol, at_ns, price = draw(st.integers(0, symbols - 1)), draw(moments), draw(prices)
    kind = draw(st.sampled_from(["bar", "bar", "trade", "trade", "quote", "wide", "odd", "late"]))
    if kind == "trade":
        return trade(symbol, at_ns, price)
    if kind == "odd":
        return trade(symbol, at_ns, price, flags=int(Flag.VOLUME))
    if kind == "quote":
        return quote(symbol, at_ns, price, price + 0.01)
    width = 5 if kind == "wide" else 1
    flags = int(Flag.POST_CLOSE) if kind == "late" else 0
    start = at_ns - width * 60 * SECOND_NS
    return bar(symbol, start, price, price + 1, price - 1, price, interval_min=width, flags=flags)


@st.composite
def any_fills(draw: st.DrawFn, of: tuple[str, ...]) -> list[FillEvent]:
    whens = sorted(draw(st.lists(moments, max_size=8)))
    symbols = draw(st.sampled_from([of, of[:1], of[-1:]]))
    late = [SECOND_NS * draw(st.sampled_from([0, 0, 7])) for _ in whens]
    return [
        fill(
            n, at_ns + wait, draw(st.sampled_from([100, 30, -30, -70, -100])), draw(prices),
            symbol=draw(st.sampled_from(symbols)), strategy=draw(st.sampled_from(["one", "two"])),
            commission=draw(st.sampled_from([0.0, 1.01])),
        )
        for n, (at_ns, wait) in enumerate(zip(whens, late, strict=True), 1)
    ]  # fmt: skip


@st.composite
def any_play(draw: st.DrawFn) -> Play:
    symbols = draw(st.sampled_from([1, 2, 3]))
    rows = in_order(draw(st.lists(any_row(symbols), min_size=1, max_size=40)))
    cuts = draw(st.sets(st.integers(1, 12)))
    run = draw(st.sampled_from([SYMBOLS[:symbols], SYMBOLS]))
    fills = sorted(draw(any_fills(run)), key=lambda f: f.ts_event_ns)
    return Play(run, rows, fills, cuts)


def cut(whole: Window, cuts: set[int]) -> list[Window]:
    """The same slices in several windows."""
    count = len(whole.times_ns)
    edges = [0, *sorted(c for c in cuts if c < count), count]
    return [whole.part(low, high) for low, high in pairwise(edges)]


def play(play: Play, cuts: set[int], *, merged: bool = False) -> Desk:
    """``merged``: windows say what they were cut of."""
    desk = Desk(play.symbols, fills=play.fills)
    desk.start()
    desk.market.add([play.rows])
    whole = window([play.rows])
    if merged:
        whole = whole._replace(block=Block(whole.times_ns, whole.bounds, whole.items))
    for one in cut(whole, cuts):
        desk.engine.on_window(one)
    desk.engine.advance(DAYS[0].close_ns)
    desk.end()
    desk.engine.finish("completed")
    return desk


@settings(deadline=None)
@given(any_play())
def test_the_curve_is_the_slow_one(one: Play) -> None:
    assert points(play(one, one.cuts)) == slow_curve(one.rows, one.fills)


@settings(deadline=None)
@given(any_play())
def test_where_windows_are_cut_says_nothing(one: Play) -> None:
    whole, parts, single = (play(one, cuts) for cuts in (set(), one.cuts, set(range(1, 99))))
    assert points(parts) == points(whole) == points(single)
    assert told(parts) == told(whole) == told(single)


@settings(deadline=None)
@given(any_play(), st.integers(1, 20), st.sampled_from([0.0, 1e9]))
def test_windows_that_are_looked_at_together_say_the_same(
    one: Play, rows: int, every_s: float
) -> None:
    alone = play(one, one.cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.trading.stretch._ROWS", rows)
        patch.setattr("app.trading.services.portfolio.valuation._EVERY_S", every_s)
        together = play(one, one.cuts, merged=True)
    assert points(together) == points(alone)
    assert told(together) == told(alone)


@settings(deadline=None)
@given(any_play())
def test_few_symbols_are_valued_as_many_are(one: Play) -> None:
    few = play(one, one.cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Curve, "_points_of_one", lambda *_: None)
        patch.setattr("app.trading.services.portfolio.excursions._FEW", -1)
        patch.setattr("app.trading.services.portfolio.state._FEW", -1)
        patch.setattr("app.trading.stretch._ROWS", 10)
        many = play(one, one.cuts, merged=True)
    assert points(few) == points(many)
    assert told(few) == told(many)


def play_days(
    rows: Items, fills: list[FillEvent], actions: list[CorporateAction], *, merged: bool
) -> Desk:
    """Days with interest on cash and shorts; a window each, of all the rows' block or of none."""
    section = PortfolioSection(cash_interest_bps=365.0, borrow_bps=500.0)
    desk = Desk(SYMBOLS, section=section, fills=fills, actions=actions)
    desk.market.add([rows])
    desk.start()
    whole = window([rows])
    if merged:
        whole = whole._replace(block=Block(whole.times_ns, whole.bounds, whole.items))
    for number, day in enumerate(DAYS[:3]):
        low, high = np.searchsorted(whole.times_ns, [day.first_ns, day.end_ns], "right").tolist()
        if low < high:
            desk.engine.on_window(whole.part(low, high)._replace(day=number))
        desk.engine.advance(day.close_ns)
        if number < 2:
            desk.roll()
    desk.end()
    desk.engine.finish("completed")
    return desk


@st.composite
def minutes_of_days(draw: st.DrawFn) -> int:
    return minute(draw(st.integers(1, 4)), draw(st.sampled_from(DAYS[:3])))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), minutes_of_days(), prices), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 2), minutes_of_days(), st.sampled_from([100, -30, -70]))),
    st.sampled_from([None, 2.0, 0.5]), st.integers(1, 30), st.sampled_from([0.0, 1e9]),
)  # fmt: skip
def test_days_that_are_looked_at_together_say_the_same(
    trades: list[tuple[int, int, float]], orders: list[tuple[int, int, int]],
    ratio: float | None, ahead: int, every_s: float,
) -> None:  # fmt: skip
    rows = in_order([trade(*one) for one in trades])
    orders.sort(key=lambda order: order[1])
    fills = [
        fill(n, at_ns, quantity, 10, symbol=SYMBOLS[symbol])
        for n, (symbol, at_ns, quantity) in enumerate(orders)
    ]
    actions = [CorporateAction("BBB", DAYS[2].date, "dividend", 1.0, 0.5)]
    if ratio is not None:
        actions.append(CorporateAction("AAA", DAYS[1].date, "split", ratio))
    alone = play_days(rows, fills, actions, merged=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.trading.stretch._ROWS", ahead)
        patch.setattr("app.trading.services.portfolio.valuation._EVERY_S", every_s)
        together = play_days(rows, fills, actions, merged=True)
    assert points(together) == points(alone)
    assert told(together) == told(alone)


def told(desk: Desk) -> list[tuple[object, ...]]:
    return [(e.topic(), e.ts_event_ns, *said(e)) for e in desk.seen.events]


def said(event: object) -> list[object]:
    names = getattr(event, "__struct_fields__", ())
    return [getattr(event, name) for name in names if name != "ts_created_ns"]


@settings(deadline=None)
@given(any_play())
def test_states_lie_on_the_curve(one: Play) -> None:
    """Every state, and so the one at the regular close, is the curve's newest point."""
    desk = play(one, one.cuts)
    curve = {p[0]: p for p in points(desk)}
    times = sorted(curve)
    for state in last_at_each_time(desk.states):
        newest = curve[max(t for t in times if t <= state.ts_event_ns)]
        assert (state.equity, float(state.cash)) == newest[1:3]
        assert (state.gross_exposure, state.net_exposure) == newest[3:]
    assert desk.states[-1].ts_event_ns == DAYS[0].close_ns


def last_at_each_time(states: Sequence[PortfolioStateEvent]) -> list[PortfolioStateEvent]:
    return list({s.ts_event_ns: s for s in states}.values())


def test_a_split_is_no_step_of_the_curve() -> None:
    actions = [CorporateAction("AAA", DAYS[1].date, "split", 7.0)]
    desk = Desk(actions=actions, fills=[fill(1, M[1], 100, 93.7)])
    desk.start()
    desk.play(bar(0, M[0], 93.7, 93.7, 93.7, 93.71))
    desk.roll()
    desk.play(
        bar(0, DAYS[1].open_ns, 95, 95, 13, 13), bar(0, minute(1, DAYS[1]), 13, 13, 13, 13.39)
    )
    desk.end()
    desk.engine.finish("completed")
    assert [(t, e) for t, e, *_ in points(desk)[1:]] == [
        (M[1], 100_001),
        (minute(2, DAYS[1]), 100_000 - 9370 + 700 * 13.39),
    ]


def test_rows_of_many_symbols_at_one_time() -> None:
    """A position opened on the rows of its own time takes the last of them."""
    rows = join_items(
        [trade(0, M[1], 10), trade(0, M[1], 11), trade(1, M[1], 5), trade(0, M[2], 12)]
    )
    desk = Desk(SYMBOLS, fills=[fill(1, M[1], 10, 10), fill(2, M[1], 10, 5, symbol="BBB")])
    desk.start()
    desk.play(rows)
    desk.engine.finish("completed")
    assert points(desk)[1:] == [
        (M[1], 100_010, 99_850, 160, 160),
        (M[2], 100_020, 99_850, 170, 170),
    ]


def test_what_was_told_of_the_curve_never_changes() -> None:
    desk = Desk(fills=[fill(1, minute(1), 10, 100)])
    desk.start()
    desk.play(*(bar(0, minute(n), 100, 100, 100, 100 + n) for n in range(3)))
    desk.end()
    for column in (getattr(desk.seen.curves[0], name) for name in ("times_ns", "cash", "equity")):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0
