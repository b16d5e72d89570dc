"""Splits in recorded data: which bars span one, and rows on another basis."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Items, StreamType, join_items, make_items, stream_code
from app.times import MINUTE_NS
from app.trading.adjust import (
    Split,
    adjust_splits,
    shares_after,
    spans_split,
    split_ratios,
    split_shares,
    split_table,
)
from app.trading.context import CorporateAction
from app.trading.money import money
from tests.trading.harness import DAYS, Stage, bar, days_of, quote, trade

T0 = DAYS[0].open_ns
MONDAY = DAYS[1].first_ns


def starts_of(items: Items, interval_min: int = 1) -> np.ndarray:
    starts: np.ndarray = items["release_ns"] - interval_min * MINUTE_NS
    return starts


@pytest.mark.parametrize(
    ("high", "low", "ratio", "spans"),
    [
        (645.57, 92.23, 7.0, True),
        (92.46, 92.30, 7.0, False),
        (645.57, 640.0, 7.0, False),
        (800.0, 92.23, 7.0, True),  # it gapped as well
        (101.0, 9.9, 0.1, True),  # 1:10, from 9.9 to 101
        (101.0, 95.0, 0.1, False),
        (150.0, 100.0, 1.5, True),
        (120.0, 100.0, 1.5, False),
        (105.0, 100.0, 1.05, False),  # a small ratio cannot be told apart
    ],
)
def test_a_bar_spans_a_split(high: float, low: float, ratio: float, spans: bool) -> None:
    row = bar(0, T0, high, high, low, low)
    assert spans_split(row, {0: ratio}).tolist() == [spans]
    assert spans_split(row, {1: ratio}).tolist() == [False]
    assert spans_split(row, {}).tolist() == [False]


def test_only_bars_span() -> None:
    rows = join_items([trade(0, T0, 100, 10), quote(0, T0, 700, 100)])
    assert not spans_split(rows, {0: 7.0}).any()


def test_the_first_bar_of_apple_after_its_split_spans_it(real_data: Path) -> None:
    folder = real_data / "parquet" / "bars_1m" / "symbol=AAPL"
    table = pq.read_table(folder / "date=2014-06-09.parquet", partitioning=None)
    columns = [table[c].to_numpy() for c in ("open", "high", "low", "close", "volume")]
    starts = table["ts"].cast("int64").to_numpy()
    items = make_items(1, starts + MINUTE_NS, 0, *columns)
    assert np.flatnonzero(spans_split(items, {0: 7.0})).tolist() == [0]
    before = pq.read_table(folder / "date=2014-06-06.parquet", partitioning=None)
    columns = [before[c].to_numpy() for c in ("open", "high", "low", "close", "volume")]
    items = make_items(1, before["ts"].cast("int64").to_numpy() + MINUTE_NS, 0, *columns)
    assert not spans_split(items, {0: 7.0}).any()


def test_rows_before_the_split_are_on_its_basis() -> None:
    rows = join_items(
        [
            bar(0, T0, 700, 714, 686, 693, volume=1000, vwap=707),
            bar(0, MONDAY, 100, 102, 98, 99, volume=7000, vwap=101),
        ]
    )
    found = adjust_splits(rows, starts_of(rows), [Split(0, MONDAY, 7.0)], MONDAY)
    assert found["v"].tolist() == [
        [100, 102, 98, 99, 7000, 101, 1],
        [100, 102, 98, 99, 7000, 101, 1],
    ]
    assert rows["v"][0, 0] == 700  # the recorded rows stay as they are


def test_ticks_are_adjusted_too() -> None:
    rows = join_items([trade(0, T0, 700, 10), quote(0, T0, 699.3, 700.7, 20, 30)])
    found = adjust_splits(rows, rows["release_ns"], [Split(0, MONDAY, 7.0)], MONDAY)
    assert found["v"][0, :4].tolist() == [100, 70, -1, -1]
    assert found["v"][1].tolist() == pytest.approx([99.9, 140, 100.1, 210, -1, -1, 0])


def test_a_split_is_in_effect_when_its_day_opens_and_not_before() -> None:
    rows = bar(0, T0, 700, 714, 686, 693)
    splits = [Split(0, MONDAY, 7.0)]
    friday_night = DAYS[0].end_ns
    assert adjust_splits(rows, starts_of(rows), splits, friday_night) is rows
    assert adjust_splits(rows, starts_of(rows), splits, MONDAY - 2) is rows
    assert adjust_splits(rows, starts_of(rows), splits, MONDAY - 1)["v"][0, 0] == 100


def test_a_bar_that_ends_where_the_split_begins_is_before_it() -> None:
    rows = bar(0, MONDAY - MINUTE_NS, 700, 700, 700, 700)
    found = adjust_splits(rows, starts_of(rows), [Split(0, MONDAY, 7.0)], MONDAY)
    assert found["v"][0, 3] == 100


def test_several_splits_multiply_and_other_symbols_stay() -> None:
    rows = join_items([bar(0, T0, 60, 60, 60, 60, volume=10), bar(1, T0, 60, 60, 60, 60)])
    splits = [Split(0, MONDAY, 2.0), Split(0, DAYS[2].first_ns, 0.1)]
    found = adjust_splits(rows, starts_of(rows), splits, DAYS[2].first_ns)
    assert found["v"][0, :5].tolist() == [300, 300, 300, 300, 2]
    assert found["v"][1, 0] == 60


@settings(deadline=None)
@given(
    price=st.integers(1, 10**6).map(lambda cents: cents / 100),
    size=st.integers(0, 10**6),
    ratio=st.sampled_from([2.0, 3.0, 7.0, 0.1, 1.5, 1 / 3]),
    kind=st.sampled_from(list(StreamType)),
)
def test_the_value_of_a_row_stays(price: float, size: int, ratio: float, kind: StreamType) -> None:
    columns = {
        StreamType.BAR: (price, price, price, price, size, price, 1),
        StreamType.TRADE: (price, size, -1, -1),
        StreamType.QUOTE: (price, size, price, size, -1, -1),
    }[kind]
    row = make_items(stream_code(kind, 1), [T0], 0, *columns)
    found = adjust_splits(row, row["release_ns"], [Split(0, MONDAY, ratio)], MONDAY)
    prices = {StreamType.BAR: [0, 1, 2, 3, 5], StreamType.TRADE: [0], StreamType.QUOTE: [0, 2]}
    sizes = {StreamType.BAR: 4, StreamType.TRADE: 1, StreamType.QUOTE: 3}
    for column in prices[kind]:
        assert found["v"][0, column] == price / ratio
        value = found["v"][0, column] * found["v"][0, sizes[kind]]
        assert value == pytest.approx(price * size)


def test_split_table() -> None:
    actions = [
        CorporateAction("BBB", date(2013, 10, 7), "split", 7.0),
        CorporateAction("AAA", date(2013, 10, 6), "split", 2.0),  # a Sunday: from Monday on
        CorporateAction("AAA", date(2012, 1, 2), "split", 3.0),  # before all days
        CorporateAction("AAA", date(2013, 10, 9), "split", 5.0),  # after them
        CorporateAction("AAA", date(2013, 10, 7), "dividend", amount=0.5),
        CorporateAction("ZZZ", date(2013, 10, 7), "split", 4.0),  # not of this run
    ]
    found = split_table(actions, ("AAA", "BBB"), DAYS, "America/New_York")
    midnight_ns = 1_325_480_400 * 10**9  # 2012-01-02T05:00Z
    assert found == (
        Split(0, midnight_ns, 3.0),
        Split(0, DAYS[1].first_ns, 2.0),
        Split(1, DAYS[1].first_ns, 7.0),
    )


def test_split_ratios_of_a_day() -> None:
    actions = [
        CorporateAction("AAA", date(2013, 10, 5), "split", 2.0),
        CorporateAction("AAA", date(2013, 10, 7), "split", 3.0),
        CorporateAction("BBB", date(2013, 10, 7), "dividend", amount=0.5),
        CorporateAction("BBB", date(2013, 10, 8), "split", 0.1),
        CorporateAction("ZZZ", date(2013, 10, 7), "split", 4.0),
    ]
    context = Stage(("AAA", "BBB"), actions=actions).context
    assert [split_ratios(context, day) for day in range(3)] == [{}, {0: 6.0}, {1: 0.1}]


def test_actions_of_a_day_without_a_session_come_on_the_next_in_order_of_dates() -> None:
    sunday = CorporateAction("AAA", date(2013, 10, 6), "split", 2.0)
    saturday = CorporateAction("BBB", date(2013, 10, 5), "dividend", amount=0.5)
    monday = CorporateAction("AAA", date(2013, 10, 7), "dividend", amount=0.1)
    context = Stage(("AAA", "BBB"), actions=[monday, sunday, saturday]).context
    assert context.actions_on(1) == [saturday, sunday, monday]
    assert not context.actions_on(0)
    assert not context.actions_on(2)


def test_the_first_day_has_its_own_actions_only() -> None:
    days = days_of("2013-10-07", "2013-10-08")
    long_ago = CorporateAction("AAA", date(2005, 2, 28), "split", 2.0)
    today = CorporateAction("AAA", date(2013, 10, 7), "split", 3.0)
    context = Stage(days=days, actions=[long_ago, today]).context
    assert context.actions_on(0) == [today]


@pytest.mark.parametrize(
    ("quantity", "ratio", "lot", "stays", "fraction"),
    [
        (100, 7.0, 1.0, 700, 0),
        (105, 0.1, 1.0, 10, 0.5),
        (-105, 0.1, 1.0, -10, -0.5),
        (101, 1.5, 1.0, 151, 0.5),
        (9, 0.1, 1.0, 0, 0.9),
        (300, 1 / 3, 1.0, 100, 0),
        (3e9, 1 / 3, 1.0, 1e9, 0),
        (100, 1 / 3, 1.0, 33, 0.33333333),
        (105, 0.1, 0.01, 10.5, 0),
        (105, 0.1, 100.0, 10, 0.5),  # a board lot may break
        (105, 0.1, 0.0, 10.5, 0),
    ],
)
def test_split_shares(
    quantity: float, ratio: float, lot: float, stays: float, fraction: float
) -> None:
    assert split_shares(quantity, ratio, lot) == (stays, fraction)


def test_an_odd_ratio_is_taken_as_written() -> None:
    assert shares_after(money(1000), 1.0543219) == money("1054.3219")
