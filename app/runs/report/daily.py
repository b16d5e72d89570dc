"""The account at each regular close, idle days included, and what is told by days."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.model import Floats, Ints
from app.runs.report.facts import DayFacts, ReportInput
from app.runs.report.files import Account
from app.runs.report.values import tidy

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Daily:
    """One row a finished day; ``fall`` is the drawdown below the highest equity at any T."""

    days: list[DayFacts]
    initial: float
    equity: Floats
    cash: Floats
    gross: Floats
    net: Floats
    fall: Floats

    @cached_property
    def base(self) -> Floats:
        """Equity at the close before, the initial cash before the first."""
        return np.concatenate([[self.initial], self.equity])[:-1]

    @cached_property
    def returns(self) -> Floats:
        """Simple returns from close to close; only to be asked where ``base`` is above zero."""
        return self.equity / self.base - 1

    @property
    def broke_on(self) -> str | None:
        """The first day after which no return is defined: equity at or below zero."""
        below = np.flatnonzero(self.base <= 0)
        return self.days[int(below[0]) - 1].date.isoformat() if len(below) else None


def daily_of(account: Account, facts: ReportInput) -> Daily:
    """The account as it stood at each regular close."""
    row = account.ts_ns.searchsorted(facts.closes_ns(), "right")
    initial = facts.initial_cash
    peak = np.maximum.accumulate(np.concatenate([[initial], account.equity]))
    equity = _at(account.equity, row, initial)
    return Daily(
        facts.finished_days, initial, equity, _at(account.cash, row, initial),
        _at(account.gross, row, 0.0), _at(account.net, row, 0.0), equity / peak[row] - 1,
    )  # fmt: skip


def _at(column: Floats, row: Ints, before: float) -> Floats:
    """The value of a step function where ``row`` rows have gone by."""
    return np.concatenate([[before], column])[row]


def pnl_by_day(daily: Daily, facts: ReportInput, final: float) -> list[dict[str, Any]]:
    """Change of equity of each day that was begun; the last one's row runs to the end of the run,
    so that all rows add up to the run's P&L."""
    reached = facts.reached_ns
    begun = [d for d in facts.days if reached is None or d.open_ns < reached]
    if not begun:
        return []
    marks = [*daily.equity.tolist()[: len(begun) - 1], final]
    before = [daily.initial, *marks]
    return [
        {"date": day.date.isoformat(), "pnl": tidy(now - then)}
        for day, now, then in zip(begun, marks, before, strict=False)
    ]


def pnl_by_weekday(by_day: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same by day of the week, with the number of such days."""
    found: dict[int, list[float]] = {}
    for row in by_day:
        weekday = int(np.datetime64(row["date"]).astype(np.int64) + 3) % 7
        found.setdefault(weekday, []).append(row["pnl"])
    return [
        {"weekday": _WEEKDAYS[n], "pnl": tidy(sum(found[n])), "days": len(found[n])}
        for n in sorted(found)
    ]


def monthly_returns(daily: Daily) -> list[dict[str, Any]]:
    """Return of each calendar month, from the last close before it to its last close."""
    months = [day.date.strftime("%Y-%m") for day in daily.days]
    rows: list[dict[str, Any]] = []
    base = daily.initial
    for n, month in enumerate(months):
        if n + 1 == len(months) or months[n + 1] != month:
            now = float(daily.equity[n])
            rows.append({"month": month, "return": now / base - 1 if base > 0 else None})
            base = now
    return rows
