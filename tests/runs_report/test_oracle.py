"""Our ratios against empyrical-reloaded, where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.runs.report import write_report
from tests.runs_report.made import at_closes, days_of, facts, write_run

empyrical = pytest.importorskip("empyrical")
DAYS = days_of("2023-01-03", "2023-12-29")


@pytest.mark.parametrize("seed", range(5))
def test_daily_ratios(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    theirs = random.normal(0.0004, 0.01, len(DAYS))
    ours = 0.6 * theirs + random.normal(0.0002, 0.008, len(DAYS))
    closes = {days_of("2022-12-30", "2022-12-30")[0].date: 50.0}
    closes |= {d.date: v for d, v in zip(DAYS, 50 * np.cumprod(1 + theirs), strict=True)}
    run = write_run(
        tmp_path / "run", equity=at_closes(DAYS, (1000 * np.cumprod(1 + ours)).tolist())
    )
    made = write_report(run, facts(days=DAYS, benchmark=closes))["statistics"]
    year = {"annualization": 252}
    expected = {
        "return": empyrical.cum_returns_final(ours),
        "cagr": empyrical.cagr(ours, **year),
        "volatility": empyrical.annual_volatility(ours, **year),
        "sharpe": empyrical.sharpe_ratio(ours, **year),
        "sortino": empyrical.sortino_ratio(ours, **year),
        "calmar": empyrical.calmar_ratio(ours, **year),
        "max_drawdown": empyrical.max_drawdown(ours),
        "beta": empyrical.beta(ours, theirs),
        "benchmark_return": empyrical.cum_returns_final(theirs),
        "benchmark_max_drawdown": empyrical.max_drawdown(theirs),
        "information_ratio": empyrical.excess_sharpe(ours, theirs) * np.sqrt(252),
    }
    assert {name: made[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    # It compounds the intercept over a year, we multiply it.
    assert (1 + made["alpha"] / 252) ** 252 - 1 == pytest.approx(
        empyrical.alpha(ours, theirs, **year), rel=1e-9
    )
