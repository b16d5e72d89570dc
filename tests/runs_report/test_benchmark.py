"""The comparison with a benchmark, by hand."""

from __future__ import annotations

from datetime import date, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from app.runs.report import write_report
from tests.runs_report.made import at_closes, days_of, facts, write_run

DAYS = days_of("2024-06-03", "2024-07-01")  # 20 sessions
BEFORE = DAYS[0].date - timedelta(3)


def report(
    folder: Path, ours: list[float], closes: dict[date, float] | None, **more: Any
) -> dict[str, Any]:
    run = write_run(folder / "run", equity=at_closes(DAYS[: len(ours)], ours))
    return write_report(run, facts(days=DAYS[: len(ours)], benchmark=closes, **more))


def path(returns: list[float], start: float) -> list[float]:
    values = []
    for change in returns:
        start *= 1 + change
        values.append(start)
    return values


def closes_of(values: list[float], first: float = 50.0) -> dict[date, float]:
    return {BEFORE: first} | {day.date: v for day, v in zip(DAYS, values, strict=False)}


def test_twice_the_benchmark(tmp_path: Path) -> None:
    theirs = [0.01, -0.005] * 10
    ours = [2 * change for change in theirs]
    made = report(tmp_path, path(ours, 1000.0), closes_of(path(theirs, 50.0)))["statistics"]
    grown, ours_grown = (1.01 * 0.995) ** 10, (1.02 * 0.99) ** 10
    assert made["benchmark_days"] == 20
    assert made["benchmark_return"] == pytest.approx(grown - 1)
    assert made["benchmark_excess_return"] == pytest.approx(ours_grown - grown)
    assert made["benchmark_max_drawdown"] == pytest.approx(-0.005)
    assert made["benchmark_volatility"] == pytest.approx(0.0075 * sqrt(20 / 19) * sqrt(252))
    assert made["beta"] == pytest.approx(2.0)
    assert made["alpha"] == pytest.approx(0.0, abs=1e-12)
    assert made["correlation"] == pytest.approx(1.0)
    # The difference is the benchmark's own return once more.
    assert made["tracking_error"] == pytest.approx(made["benchmark_volatility"])
    assert made["information_ratio"] == pytest.approx(0.0025 / (0.0075 * sqrt(20 / 19)) * sqrt(252))


def test_a_steady_gain_on_top_is_alpha(tmp_path: Path) -> None:
    theirs = [0.01, -0.005] * 10
    ours = [change + 0.001 for change in theirs]
    made = report(tmp_path, path(ours, 1000.0), closes_of(path(theirs, 50.0)))
    assert made["statistics"]["beta"] == pytest.approx(1.0)
    assert made["statistics"]["alpha"] == pytest.approx(0.252)
    assert made["statistics"]["tracking_error"] == 0.0
    assert "did not differ" in made["not_defined"]["information_ratio"]


def test_without_the_close_before_the_first_day_does_not_count(tmp_path: Path) -> None:
    closes = {day.date: price for day, price in zip(DAYS[:3], (50.0, 55.0, 44.0), strict=True)}
    made = report(tmp_path, [2000.0, 2100.0, 2100.0], closes)["statistics"]
    assert made["benchmark_days"] == 2
    assert made["benchmark_return"] == pytest.approx(-0.12)
    assert made["benchmark_excess_return"] == pytest.approx(0.05 + 0.12)
    assert made["benchmark_max_drawdown"] == pytest.approx(-0.2)


def test_a_day_without_its_close_is_left_out(tmp_path: Path) -> None:
    closes = closes_of([51.0, 52.0, 53.0, 54.0])
    del closes[DAYS[1].date]
    made = report(tmp_path, [1000.0] * 4, closes)["statistics"]
    assert made["benchmark_days"] == 2
    assert made["benchmark_return"] == pytest.approx(51 / 50 * 54 / 53 - 1)


@pytest.mark.parametrize(
    ("ours", "closes", "name", "why"),
    [
        ([1000.0] * 3, None, "benchmark_return", "no benchmark was named"),
        ([1000.0] * 3, {}, "beta", "no return in these days"),
        ([1000.0] * 3, closes_of([50.0] * 3), "beta", "3 trading days"),
        ([1000.0] * 20, closes_of([50.0] * 20), "beta", "did not vary"),
        ([1000.0] * 20, closes_of([50.0] * 20), "alpha", "did not vary"),
        ([1000.0] * 20, closes_of([50.0, 60.0] * 10), "correlation", "did not vary"),
        ([-1.0, 5.0], closes_of([50.0] * 2), "benchmark_return", "at or below zero"),
    ],
)
def test_not_defined(
    tmp_path: Path, ours: list[float], closes: dict[date, float] | None, name: str, why: str
) -> None:
    made = report(tmp_path, ours, closes)
    assert made["statistics"][name] is None
    assert why in made["not_defined"][name]
