"""Drawdowns at every T: a table by hand, and plain Python as an oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.report.drawdown import drawdowns
from app.runs.report.files import Account
from app.runs.report.values import Missing
from app.times import format_time
from tests.runs_report.made import DAYS, facts, minute

END = DAYS[-1].close_ns


def account(*points: tuple[int, float]) -> Account:
    times = np.array([ts for ts, _ in points], np.int64)
    column = np.array([value for _, value in points], np.float64)
    return Account(times, column, column, column * 0, column * 0)


def at(*values: float) -> Account:
    """One value a minute, from the first minute on."""
    return account(*((minute(n), value) for n, value in enumerate(values, 1)))


@pytest.mark.parametrize(
    ("values", "deepest", "amount", "start", "trough", "end"),
    [
        ((1100, 990, 1100), -0.1, -110, 2, 2, 3),
        ((900, 1000), -0.1, -100, 1, 1, 2),  # below the initial 1000 from the first mark on
        ((1100, 1050, 880, 990, 1200, 1199), -0.2, -220, 2, 3, 5),
        ((1100, 1045, 1100, 1045), -0.05, -55, 2, 2, 3),  # of two of one depth the first
        ((1100, 990), -0.1, -110, 2, 2, None),
        ((1000, 1000, 900, 900, 950), -0.1, -100, 3, 3, None),
    ],
)
def test_deepest(
    values: tuple[float, ...], deepest: float, amount: float, start: int, trough: int,
    end: int | None,
) -> None:  # fmt: skip
    made = drawdowns(at(*values), facts())
    assert made["max_drawdown"] == pytest.approx(deepest)
    assert made["max_drawdown_amount"] == amount
    assert made["max_drawdown_start"] == format_time(minute(start))
    assert made["max_drawdown_trough"] == format_time(minute(trough))
    if end is None:
        assert made["max_drawdown_end"] == Missing("not yet regained")
        assert made["max_drawdown_length_s"] == (END - minute(start)) / 1e9
    else:
        assert made["max_drawdown_end"] == format_time(minute(end))
        assert made["max_drawdown_length_s"] == 60 * (end - start)


def test_the_longest_need_not_be_the_deepest() -> None:
    made = drawdowns(at(1100, 1000, 1100, 1099, 1098, 1097, 1100), facts())
    assert made["max_drawdown_length_s"] == 60
    assert made["longest_drawdown_s"] == 180


def test_time_at_the_peak_is_no_drawdown() -> None:
    """The account stood at its first peak for a day before it fell."""
    made = drawdowns(account((minute(1), 1100.0), (minute(3, DAYS[1]), 1000.0)), facts())
    assert made["max_drawdown_start"] == format_time(minute(3, DAYS[1]))
    assert made["max_drawdown_length_s"] == (END - minute(3, DAYS[1])) / 1e9


def test_a_stopped_run_ends_where_it_stopped() -> None:
    made = drawdowns(at(900), facts(reached_ns=minute(31)))
    assert made["max_drawdown_length_s"] == 30 * 60


@pytest.mark.parametrize("values", [(), (1000,), (1001, 1002, 1002)])
def test_never_below_a_peak(values: tuple[float, ...]) -> None:
    made = drawdowns(at(*values), facts())
    assert (made["max_drawdown"], made["max_drawdown_length_s"]) == (0.0, 0.0)
    assert made["max_drawdown_trough"] == Missing("equity was never below its peak")


def plain(points: list[tuple[int, float]], initial: float, end_ns: int) -> dict[str, Any]:
    """Drawdowns as one would count them on paper, mark by mark."""
    peak, deepest, own_start, longest, length = initial, 0.0, None, 0, 0
    start: int | None = None
    spells: list[tuple[int, int, float]] = []
    low = 0.0
    for ts, value in points:
        if value >= peak:
            if start is not None:
                spells.append((start, ts, low))
            peak, start, low = value, None, 0.0
            continue
        start = ts if start is None else start
        low = min(low, value / peak - 1)
    if start is not None:
        spells.append((start, end_ns, low))
    for begun, over, depth in spells:
        longest = max(longest, over - begun)
        if depth < deepest:
            deepest, own_start, length = depth, begun, over - begun
    return {"deepest": deepest, "start": own_start, "longest": longest, "length": length}


@given(st.lists(st.sampled_from([700.0, 800.0, 900.0, 950.0, 1000.0, 1050.0, 1100.0]), max_size=30))
def test_against_plain_python(values: list[float]) -> None:
    points = [(minute(n), value) for n, value in enumerate(values, 1)]
    made, expected = drawdowns(account(*points), facts()), plain(points, 1000.0, END)
    assert made["max_drawdown"] == expected["deepest"]
    assert made["longest_drawdown_s"] == expected["longest"] / 1e9
    assert made["max_drawdown_length_s"] == expected["length"] / 1e9
    if expected["start"] is not None:
        assert made["max_drawdown_start"] == format_time(expected["start"])
