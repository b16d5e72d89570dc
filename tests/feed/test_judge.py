"""Which rows of a stream are taken: the same however they come."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.schema import NO_TIME_NS
from app.feed.judge import DUPLICATE, INVALID, LATE, TAKEN, JudgedSource, RowJudge
from app.feed.soundness import invalid_rows
from app.model import Stream, StreamType
from tests.feed.fakes import ListSource, bar_items, collect, quote_items, trade_items


def _fates(kind: StreamType, rows: list[tuple[int, bool]]) -> list[int]:
    """The rule, row by row."""
    fates, latest = [], None
    for at, sound in rows:
        if not sound:
            fates.append(INVALID)
            continue
        if latest is not None and at < latest:
            fates.append(LATE)
        elif kind is StreamType.BAR and at == latest:
            fates.append(DUPLICATE)
        else:
            fates.append(TAKEN)
        latest = at if latest is None else max(latest, at)
    return fates


@given(
    st.sampled_from([StreamType.BAR, StreamType.TRADE]),
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_fates_do_not_depend_on_how_rows_are_cut(
    kind: StreamType, rows: list[tuple[int, bool]], cuts: list[int]
) -> None:
    make = bar_items if kind is StreamType.BAR else trade_items
    items = make([at for at, _ in rows], [1.0 if sound else math.nan for _, sound in rows])
    judge = RowJudge(kind)
    edges = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    found = [int(fate) for low, high in pairwise(edges) for fate in judge.judge(items[low:high])]
    assert found == _fates(kind, rows)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.01])
@pytest.mark.parametrize("field", range(5))
def test_a_bar_needs_sound_prices_and_volume(bad: float, field: int) -> None:
    items: Any = bar_items([1, 2])
    items["v"][0, field] = bad
    assert invalid_rows(StreamType.BAR, items).tolist() == [True, False]


@pytest.mark.parametrize(("vwap", "wrong"), [(math.nan, False), (0.0, False), (1.5, False),
                                             (-1.0, True), (math.inf, True)])  # fmt: skip
def test_a_bar_may_lack_its_vwap(vwap: float, wrong: bool) -> None:
    items: Any = bar_items([1])
    items["v"][0, 5] = vwap
    assert invalid_rows(StreamType.BAR, items).tolist() == [wrong]


@pytest.mark.parametrize("field", [0, 1])
def test_a_trade_needs_price_and_size(field: int) -> None:
    items: Any = trade_items([1, 2])
    items["v"][0, field] = math.nan
    items["v"][1, field] = 0.0
    assert invalid_rows(StreamType.TRADE, items).tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ((1, 1, 2, 1), False),
        ((math.nan, math.nan, 2, 1), False),
        ((1, 1, math.nan, math.nan), False),
        ((math.nan, math.nan, math.nan, math.nan), True),
        ((1, math.nan, 2, 1), True),
        ((math.nan, 1, 2, 1), True),
        ((1, 1, -2, 1), True),
        ((1, 1, math.inf, 1), True),
    ],
)
def test_a_quote_may_lack_a_whole_side_but_not_half_of_one(
    values: tuple[float, ...], wrong: bool
) -> None:
    items: Any = quote_items([1])
    items["v"][0, :4] = values
    assert invalid_rows(StreamType.QUOTE, items).tolist() == [wrong]


def test_a_row_without_a_time_is_invalid() -> None:
    for kind, make in ((StreamType.BAR, bar_items), (StreamType.TRADE, trade_items),
                       (StreamType.QUOTE, quote_items)):  # fmt: skip
        assert invalid_rows(kind, make([NO_TIME_NS, 1])).tolist() == [True, False]


def test_a_judged_source_keeps_sequence_and_completeness_with_its_rows() -> None:
    source = ListSource(Stream("A", StreamType.TRADE), trade_items([1, 3, 2, 3]), 2,
                        sequence=[10, 11, 12, 13])  # fmt: skip
    judged = JudgedSource(source)
    batches = asyncio.run(collect(judged))
    assert [b.items["release_ns"].tolist() for b in batches] == [[1, 3], [3]]
    assert [None if b.sequence is None else b.sequence.tolist() for b in batches] == [
        [10, 11],
        [13],
    ]
    assert [b.complete_through_ns for b in batches] == [1, np.iinfo(np.int64).max]
    assert judged.sequenced
    assert judged.discarded == {"late": 1, "duplicate": 0, "invalid": 0}
