"""Exposure over regular trading time, and turnover, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.runs.report import write_report
from tests.runs_report.made import DAYS, days_of, facts, fill, minute, write_run

DAY = 390  # minutes


def report(folder: Path, rows: list[tuple[int, float, float, float]], **more: Any) -> Any:
    """The statistics of rows of (time, equity, gross, net)."""
    names = ("ts_ns", "equity", "gross", "net")
    table = [dict(zip(names, row, strict=True)) for row in rows]
    fills = more.pop("fills", ())
    return write_report(write_run(folder / "run", equity=table, fills=fills), facts(**more))


def test_shares_of_trading_time(tmp_path: Path) -> None:
    # Long for the first half of Monday (500 of 1000), then short over the night (-200 of 800)
    # until an hour into Tuesday, then nothing: nights do not count.
    made = report(tmp_path, [
        (minute(0), 1000.0, 500.0, 500.0),
        (minute(195), 800.0, 200.0, -200.0),
        (minute(60, DAYS[1]), 900.0, 0.0, 0.0),
    ])["statistics"]  # fmt: skip
    assert made["exposure_time"] == pytest.approx((DAY + 60) / (2 * DAY))
    assert made["exposure_gross"] == pytest.approx((0.5 * 195 + 0.25 * 255) / (2 * DAY))
    assert made["exposure_net"] == pytest.approx((0.5 * 195 - 0.25 * 255) / (2 * DAY))
    assert made["exposure_gross_max"] == 0.5


def test_what_is_held_outside_of_regular_hours_does_not_count(tmp_path: Path) -> None:
    made = report(tmp_path, [
        (DAYS[0].open_ns - 10**12, 1000.0, 900.0, 900.0),
        (DAYS[0].open_ns, 1000.0, 0.0, 0.0),
        (DAYS[0].close_ns + 10**12, 1000.0, 900.0, 900.0),
        (DAYS[1].open_ns, 1000.0, 0.0, 0.0),
    ])["statistics"]  # fmt: skip
    assert (made["exposure_time"], made["exposure_gross"]) == (0.0, 0.0)
    assert made["exposure_gross_max"] == 0.9


def test_a_half_day_is_short(tmp_path: Path) -> None:
    days = days_of("2024-07-03", "2024-07-05")  # the 3rd closes at 13:00
    rows = [(minute(105, days[0]), 1000.0, 1.0, 1.0), (days[1].open_ns, 1000.0, 0.0, 0.0)]
    made = report(tmp_path, rows, days=days)["statistics"]
    assert made["exposure_time"] == pytest.approx(105 / (210 + DAY))


def test_a_stopped_run_has_less_time(tmp_path: Path) -> None:
    rows = [(minute(0), 1000.0, 10.0, 10.0), (minute(30), 1000.0, 0.0, 0.0)]
    made = report(tmp_path, rows, reached_ns=minute(120))["statistics"]
    assert made["exposure_time"] == pytest.approx(30 / 120)


def test_a_run_that_stopped_before_the_open_had_no_time(tmp_path: Path) -> None:
    early_ns = DAYS[0].open_ns - 10**9
    made = report(tmp_path, [(early_ns, 1000.0, 10.0, 10.0)], reached_ns=early_ns)
    assert made["not_defined"]["exposure_time"] == "no regular trading time was replayed"


def test_exposure_of_a_broken_account(tmp_path: Path) -> None:
    made = report(tmp_path, [(minute(0), -5.0, 10.0, 10.0)])
    assert made["statistics"]["exposure_time"] == 1.0
    assert made["not_defined"]["exposure_gross"] == "equity was at or below zero"


def test_turnover(tmp_path: Path) -> None:
    # Bought for 600 and sold for 630 where the mean of the closes is 1015: 615 / 1015.
    days = days_of("2024-06-03", "2024-06-28")  # 19 sessions
    rows = [(minute(1, days[0]), 1000.0, 0.0, 0.0), (days[-1].close_ns, 1285.0, 0.0, 0.0)]
    fills = [fill("A", "buy", 6, 100.0), fill("A", "sell", 6, 105.0)]
    made = report(tmp_path, rows, days=days, fills=fills)
    assert made["statistics"]["traded_value"] == 1230.0
    assert made["statistics"]["turnover"] == pytest.approx(615 / 1015)
    assert "19 trading days" in made["not_defined"]["turnover_annual"]
    days += days_of("2024-07-01", "2024-07-01")
    made = report(tmp_path, [(minute(1, days[0]), 1000.0, 0.0, 0.0)], days=days, fills=fills)
    assert made["statistics"]["turnover_annual"] == pytest.approx(0.615 * 252 / 20)


def test_turnover_needs_equity(tmp_path: Path) -> None:
    made = report(tmp_path, [(minute(1), -5.0, 0.0, 0.0)], fills=[fill("A", "buy", 1, 1.0)])
    assert made["not_defined"]["turnover"] == "mean equity was not above zero"
