"""How much of the account was at work, for how long, and how often it was turned over."""

from __future__ import annotations

import numpy as np

from app.model import Floats, Ints
from app.runs.report.daily import Daily
from app.runs.report.facts import ReportInput
from app.runs.report.files import Account, Fills
from app.runs.report.performance import few_days
from app.runs.report.values import MIN_DAYS, Missing, Statistics, Value, all_missing, divide, total

_EXPOSURE = ("exposure_time", "exposure_gross", "exposure_net")


def exposure(account: Account, facts: ReportInput) -> Statistics:
    """Shares of the regular trading time, and the highest gross exposure at any T."""
    positive = account.equity > 0
    highest = np.max(account.gross[positive] / account.equity[positive], initial=0.0)
    return {**_over_time(account, facts), "exposure_gross_max": float(highest)}


def _over_time(account: Account, facts: ReportInput) -> Statistics:
    if not facts.days:
        return _no_time()
    if not len(account.ts_ns):
        return dict.fromkeys(_EXPOSURE, 0.0)
    end_ns = facts.end_ns(int(account.ts_ns[-1]))
    at = _trading_ns(np.append(account.ts_ns, end_ns), facts)
    held, all_ns = np.diff(at).astype(np.float64), float(at[-1])
    if not all_ns:
        return _no_time()
    if np.any(account.equity <= 0):
        shares: dict[str, Value] = {"exposure_time": float(held[account.gross > 0].sum()) / all_ns}
        return shares | all_missing(_EXPOSURE[1:], "equity was at or below zero")
    return {
        "exposure_time": float(held[account.gross > 0].sum()) / all_ns,
        "exposure_gross": _mean(account.gross / account.equity, held, all_ns),
        "exposure_net": _mean(account.net / account.equity, held, all_ns),
    }


def _mean(share: Floats, held: Floats, all_ns: float) -> float:
    return float(np.sum(share * held)) / all_ns


def _no_time() -> Statistics:
    return all_missing(_EXPOSURE, "no regular trading time was replayed")


def _trading_ns(ts_ns: Ints, facts: ReportInput) -> Ints:
    """Regular trading time that had gone by at each of these times."""
    opens = facts.opens_ns()
    lengths = np.array([day.close_ns - day.open_ns for day in facts.days], np.int64)
    before = np.concatenate([[0], np.cumsum(lengths)])
    day = opens.searchsorted(ts_ns, "right") - 1
    inside = np.clip(ts_ns - opens[day], 0, lengths[day])
    return np.where(day < 0, 0, before[day] + inside)


def turnover(fills: Fills, daily: Daily, sessions_a_year: float) -> Statistics:
    """Traded value, and one-way turnover: half of it by the mean equity at the closes."""
    traded, days = total(fills.notional), len(daily.days)
    mean = float(daily.equity.mean()) if days else 0.0
    once: float | Missing = Missing("no trading day was finished")
    if days:
        once = traded / 2 / mean if mean > 0 else Missing("mean equity was not above zero")
    yearly: Value = Missing(few_days(days))
    if days >= MIN_DAYS:
        yearly = divide(once, days / sessions_a_year, "no days")
    return {"traded_value": traded, "turnover": once, "turnover_annual": yearly}
