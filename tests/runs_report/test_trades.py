"""Statistics of closed lots, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.report import write_report
from app.runs.report.trades import longest_run
from tests.runs_report.made import facts, minute, trade, write_run


def report(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return write_report(write_run(folder / "run", round_trips=rows), facts())


def test_results(tmp_path: Path) -> None:
    # Won 30, 10 and 20; lost 5 and 15; one of zero.
    made = report(tmp_path, [trade(pnl) for pnl in (30.0, -5.0, 10.0, 0.0, -15.0, 20.0)])
    numbers = made["statistics"]
    assert (numbers["trades"], numbers["winning_trades"], numbers["losing_trades"]) == (6, 3, 2)
    assert numbers["win_rate"] == 0.5
    assert (numbers["average_win"], numbers["average_loss"]) == (20.0, -10.0)
    assert (numbers["largest_win"], numbers["largest_loss"]) == (30.0, -15.0)
    assert numbers["payoff"] == 2.0
    assert numbers["profit_factor"] == 3.0
    assert numbers["expectancy"] == pytest.approx(40 / 6)


def test_streaks_are_in_order_of_exit(tmp_path: Path) -> None:
    # By exit: + + 0 + - - - + ; the file has them in another order.
    by_exit = [1.0, 2.0, 0.0, 3.0, -1.0, -2.0, -3.0, 4.0]
    rows = [trade(pnl, ts_event_ns=minute(10 + n)) for n, pnl in enumerate(by_exit)]
    made = report(tmp_path, rows[::-1])["statistics"]
    assert (made["longest_win_streak"], made["longest_loss_streak"]) == (2, 3)


def test_sides_and_times(tmp_path: Path) -> None:
    rows = [
        trade(1.0, entry_ns=minute(0), ts_event_ns=minute(1)),
        trade(1.0, entry_ns=minute(0), ts_event_ns=minute(3), side="sell"),
        trade(1.0, entry_ns=minute(0), ts_event_ns=minute(8)),
    ]
    made = report(tmp_path, rows)["statistics"]
    assert (made["long_trades"], made["short_trades"]) == (2, 1)
    assert (made["holding_mean_s"], made["holding_median_s"]) == (240.0, 180.0)
    assert made["holding_max_s"] == 480.0


def test_excursions_are_by_the_entry_price(tmp_path: Path) -> None:
    rows = [
        trade(1.0, entry_price=100.0, mae=-2.0, mfe=5.0),
        trade(1.0, entry_price=50.0, mae=-3.0, mfe=0.0),
        trade(1.0, entry_price=50.0),  # closed before any mark
    ]
    made = report(tmp_path, rows)["statistics"]
    assert (made["mae_mean"], made["mae_worst"]) == (pytest.approx(-0.04), pytest.approx(-0.06))
    assert (made["mfe_mean"], made["mfe_best"]) == (pytest.approx(0.025), pytest.approx(0.05))


def test_the_entry_counts_as_a_mark(tmp_path: Path) -> None:
    """One that was never below its entry, one that was never above it."""
    rows = [trade(1.0, mae=0.5, mfe=2.0), trade(-1.0, mae=-3.0, mfe=-1.0)]
    made = report(tmp_path, rows)["statistics"]
    assert (made["mae_mean"], made["mae_worst"]) == (pytest.approx(-0.015), -0.03)
    assert (made["mfe_mean"], made["mfe_best"]) == (pytest.approx(0.01), 0.02)


@pytest.mark.parametrize(
    ("pnls", "missing"),
    [
        ([5.0], {"payoff", "profit_factor", "average_loss", "largest_loss"}),
        ([-5.0], {"payoff", "average_win", "largest_win"}),
        ([0.0], {"payoff", "profit_factor", "average_win", "average_loss"}),
    ],
)
def test_what_needs_wins_and_losses(tmp_path: Path, pnls: list[float], missing: set[str]) -> None:
    made = report(tmp_path, [trade(pnl) for pnl in pnls])
    assert all(made["statistics"][name] is None for name in missing)
    assert all(made["not_defined"][name] for name in missing)
    assert made["not_defined"]["mae_mean"] == "no trade has an excursion"


def test_only_losses_have_a_profit_factor_of_zero(tmp_path: Path) -> None:
    assert report(tmp_path, [trade(-5.0)])["statistics"]["profit_factor"] == 0.0


@given(st.lists(st.booleans(), max_size=40))
def test_longest_run_against_text(hits: list[bool]) -> None:
    text = "".join("x" if hit else " " for hit in hits)
    assert longest_run(np.array(hits, bool)) == max(map(len, text.split()), default=0)
