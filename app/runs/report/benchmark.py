"""The run against a benchmark, on the days for which both have a return."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from datetime import date

import numpy as np

from app.model import Floats
from app.runs.report.daily import Daily
from app.runs.report.facts import ReportInput
from app.runs.report.performance import few_days, volatility_of
from app.runs.report.values import (
    MIN_DAYS,
    NO_SPREAD,
    Missing,
    Statistics,
    all_missing,
    divide,
)

_SPREAD = (
    "benchmark_volatility", "beta", "alpha", "correlation", "tracking_error", "information_ratio",
)  # fmt: skip
_ALL = (
    "benchmark_days", "benchmark_return", "benchmark_max_drawdown", "benchmark_excess_return",
    *_SPREAD,
)  # fmt: skip


def benchmark_statistics(daily: Daily, facts: ReportInput) -> Statistics:
    """Comparison by daily returns; the benchmark's from close to close."""
    if facts.benchmark is None:
        return all_missing(_ALL, "no benchmark was named")
    if daily.broke_on:
        return all_missing(_ALL, f"equity was at or below zero on {daily.broke_on}")
    theirs = benchmark_returns(daily, facts)
    both = ~np.isnan(theirs)
    if not both.any():
        return all_missing(_ALL, "the benchmark has no return in these days")
    ours, theirs = daily.returns[both], theirs[both]
    grown = float(np.prod(1 + theirs))
    return {
        "benchmark_days": int(both.sum()),
        "benchmark_return": grown - 1,
        "benchmark_max_drawdown": _max_drawdown(theirs),
        "benchmark_excess_return": float(np.prod(1 + ours)) - grown,
        **_spread(ours, theirs, facts.sessions_a_year),
    }


def benchmark_returns(daily: Daily, facts: ReportInput) -> Floats:
    """Return of each finished day, NaN where its close or the one of the day before is unknown."""
    closes = facts.benchmark or {}
    before = _close_before(daily.days[0].date, closes) if daily.days else None
    known = [before, *(closes.get(day.date) for day in daily.days)]
    column = np.array([c if c else np.nan for c in known], np.float64)
    return column[1:] / column[:-1] - 1


def _close_before(day: date, closes: Mapping[date, float]) -> float | None:
    """The newest close of a date before the run's first day."""
    dates = sorted(closes)
    at = bisect_left(dates, day)
    return closes[dates[at - 1]] if at else None


def _max_drawdown(returns: Floats) -> float:
    path = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return float((path / np.maximum.accumulate(path) - 1).min())


def _spread(ours: Floats, theirs: Floats, sessions_a_year: float) -> Statistics:
    if len(ours) < MIN_DAYS:
        return all_missing(_SPREAD, few_days(len(ours)))
    covariance = np.cov(ours, theirs, ddof=1)
    variance = float(covariance[1, 1])
    still = "the benchmark's returns did not vary"
    beta = divide(float(covariance[0, 1]), variance if variance > NO_SPREAD**2 else 0.0, still)
    active = ours - theirs
    error = volatility_of(active, sessions_a_year)
    error = error if error > NO_SPREAD else 0.0
    mean = float(active.mean()) * sessions_a_year
    return {
        "benchmark_volatility": volatility_of(theirs, sessions_a_year),
        "beta": beta,
        "alpha": _alpha(ours, theirs, beta, sessions_a_year),
        "correlation": _correlation(covariance),
        "tracking_error": error,
        "information_ratio": divide(mean, error, "returns did not differ from the benchmark's"),
    }


def _alpha(
    ours: Floats, theirs: Floats, beta: float | Missing, sessions_a_year: float
) -> float | Missing:
    """The intercept of the regression on the benchmark, a year (Jensen 1968)."""
    if isinstance(beta, Missing):
        return beta
    return (float(ours.mean()) - beta * float(theirs.mean())) * sessions_a_year


def _correlation(covariance: Floats) -> float | Missing:
    spreads = math.sqrt(float(covariance[0, 0]) * float(covariance[1, 1]))
    spreads = spreads if spreads > NO_SPREAD**2 else 0.0
    return divide(float(covariance[0, 1]), spreads, "one of the two did not vary")
