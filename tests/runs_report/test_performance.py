"""Return and risk from daily equity: numbers worked out by hand."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from app.errors import RequestError
from app.runs.report import DayFacts, write_report
from tests.runs_report.made import at_closes, days_of, equity, facts, minute, write_run

QUARTER = days_of("2024-01-02", "2024-04-02")[:63]


def report(folder: Path, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return write_report(write_run(folder / "run", equity=rows), facts(**more))


def grown(returns: list[float], start: float = 1000.0) -> list[float]:
    values = []
    for change in returns:
        start *= 1 + change
        values.append(start)
    return values


def test_ratios_of_ten_gains_and_ten_losses(tmp_path: Path) -> None:
    # +1 % and -0.5 % in turn: mean 0.25 %, each 0.75 % from it, so the sample variance is
    # 20/19 x 0.0075^2; half of the days lose 0.5 %, so the downside deviation is 0.005/sqrt(2).
    days = QUARTER[:20]
    made = report(tmp_path, at_closes(days, grown([0.01, -0.005] * 10)), days=days)["statistics"]
    assert made["volatility"] == pytest.approx(0.0075 * sqrt(20 / 19) * sqrt(252))
    assert made["sharpe"] == pytest.approx(0.0025 / (0.0075 * sqrt(20 / 19)) * sqrt(252))
    assert made["sortino"] == pytest.approx(0.5 * sqrt(2) * sqrt(252))
    assert made["best_day"] == pytest.approx(0.01)
    assert made["worst_day"] == pytest.approx(-0.005)
    assert made["days"] == 20
    assert made["sessions_a_year"] == 252


def test_a_market_that_never_closes_has_a_longer_year(tmp_path: Path) -> None:
    days, rows = QUARTER[:20], at_closes(QUARTER[:20], grown([0.01, -0.005] * 10))
    made = report(tmp_path, rows, days=days, sessions_a_year=365)["statistics"]
    assert made["volatility"] == pytest.approx(0.0075 * sqrt(20 / 19) * sqrt(365))


def test_a_quarter_of_ten_per_cent_is_a_year_of_46_41(tmp_path: Path) -> None:
    # 63 of 252 sessions; down to 880 and back up on the way: 1.1^4 - 1 = 0.4641, by 12 %.
    values = [1000.0] * 30 + [880.0] + [1100.0] * 32
    made = report(tmp_path, at_closes(QUARTER, values), days=QUARTER)["statistics"]
    assert made["return"] == pytest.approx(0.1)
    assert made["pnl"] == 100.0
    assert made["cagr"] == pytest.approx(0.4641)
    assert made["max_drawdown"] == pytest.approx(-0.12)
    assert made["calmar"] == pytest.approx(0.4641 / 0.12)


@pytest.mark.parametrize(
    ("count", "defined", "undefined"),
    [
        (19, {"best_day"}, {"volatility", "sharpe", "sortino", "cagr", "calmar"}),
        (20, {"volatility", "sharpe", "sortino"}, {"cagr", "calmar"}),
        (59, {"sharpe"}, {"cagr", "calmar"}),
        (60, {"sharpe", "cagr", "calmar"}, set()),
    ],
)
def test_few_days(tmp_path: Path, count: int, defined: set[str], undefined: set[str]) -> None:
    days = QUARTER[:count]
    rows = at_closes(days, grown(([0.01, -0.005] * 32)[:count]))
    made = report(tmp_path, rows, days=days)
    assert all(made["statistics"][name] is not None for name in defined)
    assert all(made["statistics"][name] is None for name in undefined)
    assert all(f"{count} trading days" in made["not_defined"][name] for name in undefined)


@pytest.mark.parametrize(
    ("returns", "name", "why"),
    [
        ([0.0] * 60, "sharpe", "did not vary"),
        ([0.0] * 60, "sortino", "no day lost"),
        ([0.001] * 60, "sharpe", "did not vary"),  # but for the rounding of floats
        ([0.001] * 60, "sortino", "no day lost"),
        ([0.001] * 60, "calmar", "never below its peak"),
        ([-1.0] + [0.0] * 59, "cagr", "at or below zero"),
    ],
)
def test_nothing_to_divide_by(tmp_path: Path, returns: list[float], name: str, why: str) -> None:
    made = report(tmp_path, at_closes(QUARTER[:60], grown(returns)), days=QUARTER[:60])
    assert made["statistics"][name] is None
    assert why in made["not_defined"][name]


def test_idle_days_count(tmp_path: Path) -> None:
    # One gain of 1 % in 20 days: mean 0.0005, sample variance (19 x 0.0005^2 + 0.0095^2) / 19.
    days = QUARTER[:20]
    made = report(tmp_path, equity((minute(5, days[3]), 1010.0)), days=days)["statistics"]
    deviation = sqrt((19 * 0.0005**2 + 0.0095**2) / 19)
    assert made["sharpe"] == pytest.approx(0.0005 / deviation * sqrt(252))


def test_no_return_is_made_of_an_account_that_broke(tmp_path: Path) -> None:
    days = QUARTER[:60]
    made = report(tmp_path, at_closes(days, [500.0, -10.0] + [-10.0] * 58), days=days)
    assert made["statistics"]["return"] == pytest.approx(-1.01)
    assert made["statistics"]["max_drawdown"] == pytest.approx(-1.01)
    for name in ("best_day", "volatility", "sharpe", "sortino"):
        assert made["not_defined"][name] == "equity was at or below zero on 2024-01-03"
    assert made["monthly_returns"][1] == {"month": "2024-02", "return": None}


def test_daily_equity_is_that_of_the_regular_close(tmp_path: Path) -> None:
    # The change at the close itself counts, the one a minute later belongs to the next day.
    days = QUARTER[:2]
    close = days[0].close_ns
    rows = equity((minute(1, days[0]), 990.0), (close, 1020.0), (close + 60 * 10**9, 1071.0))
    write_report(write_run(tmp_path / "run", equity=rows), facts(days=days))
    lines = (tmp_path / "run" / "equity.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["1020.0", "1071.0"]
    assert float(lines[1].split(",")[3]) == pytest.approx(0.02)
    assert float(lines[2].split(",")[3]) == pytest.approx(0.05)


def test_a_run_without_anything(tmp_path: Path) -> None:
    made = report(tmp_path, [])
    numbers = made["statistics"]
    assert (numbers["return"], numbers["pnl"], numbers["final_equity"]) == (0.0, 0.0, 1000.0)
    assert (numbers["max_drawdown"], numbers["exposure_time"], numbers["turnover"]) == (0, 0, 0)
    assert (numbers["trades"], numbers["fills"], numbers["costs"]) == (0, 0, 0.0)
    assert made["not_defined"]["win_rate"] == "no trade was closed"
    assert made["not_defined"]["costs_bps"] == "nothing was traded"
    assert made["not_defined"]["orders_fill_rate"] == "no order came to an end"
    assert set(made["not_defined"]) == {n for n, value in numbers.items() if value is None}


def test_a_run_without_a_day(tmp_path: Path) -> None:
    made = report(tmp_path, [], days=[])
    for name in ("best_day", "exposure_time", "turnover"):
        assert made["statistics"][name] is None


def test_a_day_that_was_not_finished_has_no_daily_value(tmp_path: Path) -> None:
    days = QUARTER[:3]
    rows = equity((minute(1, days[0]), 1010.0), (minute(1, days[1]), 1030.0))
    made = report(tmp_path, rows, days=days, reached_ns=minute(60, days[1]), outcome="stopped")
    assert made["statistics"]["days"] == 1
    assert made["statistics"]["final_equity"] == 1030.0
    assert made["pnl_by_day"] == [
        {"date": "2024-01-02", "pnl": 10.0},
        {"date": "2024-01-03", "pnl": 20.0},
    ]


def test_months_go_from_last_close_to_last_close(tmp_path: Path) -> None:
    days = [
        QUARTER[0],
        QUARTER[20],
        QUARTER[21],
        QUARTER[40],
    ]  # 2 and 31 January, 1 and 29 February
    assert [d.date.isoformat() for d in days[1:3]] == ["2024-01-31", "2024-02-01"]
    made = report(tmp_path, at_closes(days, [1050.0, 1100.0, 1000.0, 990.0]), days=days)
    assert [row["month"] for row in made["monthly_returns"]] == ["2024-01", "2024-02"]
    assert [row["return"] for row in made["monthly_returns"]] == pytest.approx([0.1, -0.1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"initial_cash": 0.0}, "initial_cash is 0.0"),
        ({"sessions_a_year": 0}, "sessions_a_year is 0"),
        ({"days": [QUARTER[1], QUARTER[0]]}, "in order"),
    ],
)
def test_wrong_facts_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        facts(**wrong)


def test_days_may_touch() -> None:
    day = DayFacts(QUARTER[0].date, 0, 10)
    assert len(facts(days=[day, DayFacts(QUARTER[1].date, 10, 20)]).days) == 2
