"""What is left out of a chart hides no extreme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.runs.report import PriceColumns
from app.runs.report.downsample import candles, extremes
from app.times import MINUTE_NS
from tests.runs_report.made import days_of

DAYS = days_of("2024-01-02", "2024-12-31")
OPENS = np.array([day.open_ns for day in DAYS], np.int64)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=300), st.integers(4, 60))
@example([0.0] * 10 + [5.0, -5.0] + [1.0] * 9, 4)
def test_extremes_are_kept(values: list[float], most: int) -> None:
    column = np.array(values)
    rows = extremes(column, most)
    assert (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, len(values) - 1)
    assert (column[rows].min(), column[rows].max()) == (column.min(), column.max())
    assert len(rows) <= max(most, 4)


def test_short_columns_stay_whole() -> None:
    assert extremes(np.array([3.0, 1.0, 2.0]), 4).tolist() == [0, 1, 2]
    assert extremes(np.array([]), 4).tolist() == []


def bars(days: int, minutes: int) -> PriceColumns:
    """Bars that count up: open n, high n + 2, low n - 2, close n + 1."""
    times = [OPENS[d] + m * MINUTE_NS for d in range(days) for m in range(minutes)]
    number = np.arange(days * minutes, dtype=np.float64)
    return PriceColumns(np.array(times), number, number + 2, number - 2, number + 1)


def test_few_bars_are_their_own_candles() -> None:
    made = candles(bars(1, 10), OPENS, most=10)
    assert (made.bars, made.days, len(made.open)) == (1, 0, 10)


def test_candles_are_parts_of_days() -> None:
    # 2 days of 10 bars, at most 8 candles: 4 a day, so 3 bars each and a short last one.
    made = candles(bars(2, 10), OPENS, most=8)
    assert (made.bars, made.days) == (3, 0)
    assert made.open.tolist() == [0, 3, 6, 9, 10, 13, 16, 19]
    assert made.close.tolist() == [3, 6, 9, 10, 13, 16, 19, 20]
    assert made.high.tolist() == [4, 7, 10, 11, 14, 17, 20, 21]
    assert made.low.tolist() == [-2, 1, 4, 7, 8, 11, 14, 17]
    assert made.ts_ns[4] == OPENS[1]


def test_candles_of_days() -> None:
    made = candles(bars(9, 4), OPENS, most=5)
    assert (made.bars, made.days) == (0, 2)
    assert made.open.tolist() == [0, 8, 16, 24, 32]
    assert made.close.tolist() == [8, 16, 24, 32, 36]


@pytest.mark.parametrize(("days", "minutes"), [(1, 390), (5, 390), (200, 40), (250, 390)])
def test_never_many_more_than_asked_for(days: int, minutes: int) -> None:
    made = candles(bars(days, minutes), OPENS, most=100)
    assert len(made.open) <= 100
    assert made.high.max() == days * minutes + 1
    assert made.low.min() == -2
