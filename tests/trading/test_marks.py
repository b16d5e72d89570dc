"""Marks: the last eligible price, whatever the way it was delivered."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Block, Flag, Items, Window
from app.trading.data_events import MarketEvent
from app.trading.marks import Marks
from app.trading.stretch import alone, eligible_prices
from tests.trading.harness import ELIGIBLE, bar, minute, quote, trade, window

M = [minute(n) for n in range(12)]


def noted(*rows: Items, day: int = 0) -> Marks:
    marks = Marks(2)
    note(marks, window(rows, day))
    return marks


def note(marks: Marks, whole: Window) -> None:
    marks.note(MarketEvent(whole, 0, len(whole.times_ns)))


@pytest.mark.parametrize(
    ("row", "price"),
    [
        (bar(0, M[0], 1, 4, 0.5, 2), 2),
        (bar(0, M[0], 1, 4, 0.5, 2, volume=0), 2),  # nothing traded, and that is its price
        (bar(0, M[0], 1, 4, 0.5, 2, flags=int(Flag.POST_CLOSE)), math.nan),
        (bar(0, M[0], 1, 4, 0.5, 2, interval_min=5), math.nan),
        (bar(1, M[0], 1, 4, 0.5, 2), math.nan),
        (trade(0, M[0], 3), 3),
        (trade(0, M[0], 3, flags=int(Flag.HIGH_LOW | Flag.VOLUME)), math.nan),
        (trade(0, M[0], 3, flags=ELIGIBLE | int(Flag.POST_CLOSE)), math.nan),
        (quote(0, M[0], 1, 2), math.nan),
    ],
)
def test_what_marks(row: Items, price: float) -> None:
    assert noted(row).price(0) == pytest.approx(price, nan_ok=True)


def test_the_newest_counts_and_says_when_it_was() -> None:
    rows = (trade(0, M[2], 3), trade(0, M[2], 4), quote(0, M[3], 9, 9))
    marks = noted(bar(0, M[0], 1, 1, 1, 1), *rows)
    assert (marks.price(0), marks.time_ns(0)) == (4, M[2])
    assert (math.isnan(marks.price(1)), marks.time_ns(1)) == (True, 0)


def test_a_price_from_elsewhere_holds_until_the_next() -> None:
    marks = Marks(2)
    marks.set(0, 7.0)
    assert (marks.price(0), marks.time_ns(0)) == (7, 0)
    note(marks, window([trade(0, M[1], 8)]))
    assert (marks.price(0), marks.time_ns(0)) == (8, M[1])


def test_a_split_divides_and_bars_that_span_it_do_not_mark() -> None:
    marks = noted(trade(0, M[0], 70), trade(1, M[0], 70))
    marks.split(0, 7.0)
    assert marks.prices.tolist() == [10, 70]
    note(marks, window([bar(0, M[1], 70, 70, 9.9, 9.9), bar(1, M[1], 70, 70, 9.9, 9.9)], day=1))
    assert marks.prices.tolist() == [10, 9.9]
    note(marks, window([bar(0, M[2], 9.8, 9.8, 9.8, 9.8)], day=1))
    assert marks.price(0) == 9.8
    note(marks, window([bar(0, M[3], 70, 70, 9.9, 9.9)], day=2))  # another day: no split
    assert marks.price(0) == 9.9


def test_splits_of_a_day_multiply_and_those_of_another_are_forgotten() -> None:
    marks = noted(trade(0, M[0], 60), trade(1, M[0], 60))
    marks.split(0, 2.0)
    marks.split(0, 3.0)
    assert marks.prices.tolist() == [10, 60]
    note(marks, window([bar(0, M[1], 60, 60, 10, 11)], day=1))
    assert marks.price(0) == 10
    marks.split(1, 2.0)
    note(marks, window([bar(0, M[2], 60, 60, 10, 12), bar(1, M[2], 60, 60, 30, 30)], day=2))
    assert marks.prices.tolist() == [12, 30]


@pytest.mark.parametrize(
    ("price", "mark"),
    [
        (70.0, 10.0),  # late: as before the split
        (43.1, 10.0),  # within 7 ** 0.25 = 1.6266 of 70
        (113.8, 10.0),
        (43.0, 43.0),
        (113.9, 113.9),
        (12.5, 12.5),
    ],
)
def test_late_prints_of_the_day_of_a_split_do_not_mark(price: float, mark: float) -> None:
    marks = noted(trade(0, M[0], 70), trade(1, M[0], 70))
    marks.split(0, 7.0)
    note(marks, window([trade(0, M[1], price), trade(1, M[1], 75)], day=1))
    assert marks.prices.tolist() == [mark, 75]
    note(marks, window([bar(0, M[2], price, price, price, price)], day=1))
    assert marks.price(0) == mark
    note(marks, window([trade(0, M[3], price)], day=2))  # another day: no split
    assert marks.price(0) == price


def test_late_prints_of_a_reverse_split_and_of_two_splits() -> None:
    marks = noted(trade(0, M[0], 5), trade(1, M[0], 60))
    marks.split(0, 0.1)
    marks.split(1, 2.0)
    marks.split(1, 3.0)
    rows = [trade(0, M[1], 5.1), trade(1, M[1], 59.0), trade(0, M[1], 49.0), trade(1, M[1], 10.1)]
    late = [trade(0, M[2], 4.9), trade(1, M[2], 61.0)]
    note(marks, window([*rows, *late], day=1))
    assert marks.prices.tolist() == [49, 10.1]


def test_a_small_split_is_not_told_apart_from_an_ordinary_day() -> None:
    marks = noted(trade(0, M[0], 105))
    marks.split(0, 1.05)
    note(marks, window([trade(0, M[1], 105)], day=1))
    assert marks.price(0) == 105


def test_without_a_mark_before_the_split_nothing_is_late() -> None:
    marks = Marks(2)
    marks.split(0, 7.0)
    note(marks, window([trade(0, M[1], 70)], day=1))
    assert marks.price(0) == 70


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(1, 99), st.booleans()),
        min_size=1, max_size=30,
    ),
    st.sets(st.integers(1, 9)),
    st.sets(st.integers(1, 9)),
)  # fmt: skip
def test_asking_and_the_size_of_notes_say_nothing(
    rows: list[tuple[int, int, int, bool]], cuts: set[int], asked: set[int]
) -> None:
    made = [trade(s, M[at], p, flags=ELIGIBLE if fits else 0) for s, at, p, fits in rows]
    whole = window(made)
    count = len(whole.times_ns)
    edges = [0, *sorted(c for c in cuts if c < count), count]
    marks = Marks(2)
    for low, high in pairwise(edges):
        marks.note(MarketEvent(whole, low, high))
        until_ns = int(whole.times_ns[high - 1])
        expected = [math.nan, math.nan]
        for symbol, at, price, fits in sorted(rows, key=lambda r: r[1]):  # stable
            if fits and M[at] <= until_ns:
                expected[symbol] = price
        if high in asked or high == count:
            assert marks.prices.tolist() == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(0, 3)), min_size=1),
    st.sets(st.integers(1, 9)),
    st.integers(1, 20),
)
def test_windows_of_a_block_are_looked_at_together(
    rows: list[tuple[int, int, int]], cuts: set[int], ahead: int
) -> None:
    """A trade, a bar, and what does not mark: as each window alone."""
    made = [
        [trade(s, M[at], 3), bar(s, M[at], 1, 1, 1, 2), trade(s, M[at], 4, flags=0),
         quote(s, M[at], 1, 2)][kind]
        for s, at, kind in rows
    ]  # fmt: skip
    whole = window(made)
    block = Block(whole.times_ns, whole.bounds, whole.items)
    edges = [0, *sorted(c for c in cuts if c < len(whole.times_ns)), len(whole.times_ns)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.trading.stretch._ROWS", ahead)
        for low, high in pairwise(edges):
            part = whole._replace(block=block).part(low, high)
            found, expected = Marks(2).eligible(part), eligible_prices(alone(part))
            assert np.array_equal(found.times_ns, part.times_ns)
            assert all(map(np.array_equal, found, expected))


def test_eligible_rows_come_in_delivered_order() -> None:
    whole = window([trade(1, M[1], 3), bar(0, M[0], 1, 1, 1, 2), quote(0, M[1], 1, 2)])
    found = eligible_prices(alone(whole))
    assert np.array_equal(found.times_ns, whole.times_ns)
    assert found.release_ns.tolist() == [M[1], M[1]]
    assert found.symbol.tolist() == [1, 0]
    assert np.array_equal(found.price, [3, 2])


def test_eligible_rows_are_worked_out_once_for_all_who_were_told_of_no_split() -> None:
    one, other, split = (noted(trade(0, M[0], 70)) for _ in range(3))
    split.split(0, 7.0)
    whole = window([trade(0, M[1], 70)], day=1)
    for marks in (one, other, split):
        note(marks, whole)
    assert [marks.price(0) for marks in (one, split, other)] == [70, 10, 70]
    assert one.rows(whole)[0] is other.rows(whole)[0]
    assert split.rows(whole)[0] is split.rows(whole)[0]
