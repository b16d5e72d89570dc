"""Return and risk from daily equity. docs/report.md has the sources of the formulas."""

from __future__ import annotations

import math

import numpy as np

from app.model import Floats
from app.runs.report.daily import Daily
from app.runs.report.values import (
    MIN_DAYS,
    MIN_DAYS_CAGR,
    NO_SPREAD,
    Missing,
    Statistics,
    Value,
    all_missing,
    divide,
    tidy,
)


def performance(daily: Daily, final: float, sessions_a_year: float) -> Statistics:
    """What the run brought, and with what variation from day to day."""
    days = len(daily.days)
    return {
        "initial_equity": daily.initial,
        "final_equity": tidy(final),
        "pnl": tidy(final - daily.initial),
        "return": final / daily.initial - 1,
        "days": days,
        "sessions_a_year": tidy(sessions_a_year),
        "cagr": _cagr(daily.initial, final, days, sessions_a_year),
        **_of_returns(daily, sessions_a_year),
    }


def calmar(cagr: Value, max_drawdown: Value) -> float | Missing:
    """Growth a year for each unit of the deepest drawdown (Young 1991, over the whole run)."""
    ratio = divide(cagr, max_drawdown, "equity was never below its peak")
    return ratio if isinstance(ratio, Missing) else -ratio


def few_days(days: int, least: int = MIN_DAYS) -> str:
    return f"{days} trading day{'' if days == 1 else 's'}, {least} are needed"


def volatility_of(returns: Floats, sessions_a_year: float) -> float:
    """Sample deviation of daily returns, a year."""
    return float(np.std(returns, ddof=1)) * math.sqrt(sessions_a_year)


def _cagr(initial: float, final: float, days: int, sessions_a_year: float) -> float | Missing:
    if days < MIN_DAYS_CAGR:
        return Missing(few_days(days, MIN_DAYS_CAGR))
    if final <= 0:
        return Missing("the account ended at or below zero")
    return float((final / initial) ** (sessions_a_year / days) - 1)


def _of_returns(daily: Daily, sessions_a_year: float) -> Statistics:
    names = ("best_day", "worst_day", "volatility", "sharpe", "sortino")
    if not daily.days:
        return all_missing(names, "no trading day was finished")
    if daily.broke_on:
        return all_missing(names, f"equity was at or below zero on {daily.broke_on}")
    returns = daily.returns
    return {
        "best_day": float(returns.max()),
        "worst_day": float(returns.min()),
        **_ratios(returns, sessions_a_year),
    }


def _ratios(returns: Floats, sessions_a_year: float) -> Statistics:
    if len(returns) < MIN_DAYS:
        return all_missing(("volatility", "sharpe", "sortino"), few_days(len(returns)))
    mean, root = float(returns.mean()), math.sqrt(sessions_a_year)
    deviation = float(np.std(returns, ddof=1))
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0) ** 2)))
    spread = deviation if deviation > NO_SPREAD else 0.0
    below = downside if downside > NO_SPREAD else 0.0
    return {
        "volatility": spread * root,
        "sharpe": divide(mean * root, spread, "daily returns did not vary"),
        "sortino": divide(mean * root, below, "no day lost"),
    }
