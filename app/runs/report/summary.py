"""A run's numbers: all that the page shows, the index keeps and JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runs.report.activity import exposure, turnover
from app.runs.report.benchmark import benchmark_statistics
from app.runs.report.breakdown import pnl_by, pnl_by_hour
from app.runs.report.costs import cost_statistics, execution_statistics
from app.runs.report.daily import Daily, daily_of, monthly_returns, pnl_by_day, pnl_by_weekday
from app.runs.report.drawdown import drawdowns
from app.runs.report.facts import ReportInput
from app.runs.report.files import (
    Account,
    Fills,
    Orders,
    Position,
    Trades,
    read_account,
    read_fills,
    read_open_positions,
    read_orders,
    read_trades,
)
from app.runs.report.journal import Journal, by_count, read_journal
from app.runs.report.notices import notices_of
from app.runs.report.performance import calmar, performance
from app.runs.report.trades import trade_statistics
from app.runs.report.values import Statistics, split

REPORT_VERSION = 1


@dataclass(frozen=True)
class Run:
    """The files of a run, read, and what was told of it."""

    facts: ReportInput
    account: Account
    fills: Fills
    trades: Trades
    orders: Orders
    positions: list[Position]
    journal: Journal
    daily: Daily

    @property
    def final_equity(self) -> float:
        equity = self.account.equity
        return float(equity[-1]) if len(equity) else self.facts.initial_cash


def read_run(folder: Path, facts: ReportInput) -> Run:
    account = read_account(folder)
    return Run(
        facts, account, read_fills(folder), read_trades(folder), read_orders(folder),
        read_open_positions(folder), read_journal(folder), daily_of(account, facts),
    )  # fmt: skip


def statistics(run: Run) -> Statistics:
    """All of ``terms.TERMS``, by name."""
    facts, daily = run.facts, run.daily
    gains = performance(daily, run.final_equity, facts.sessions_a_year)
    falls = drawdowns(run.account, facts)
    return {
        **gains,
        "calmar": calmar(gains["cagr"], falls["max_drawdown"]),
        **falls,
        **exposure(run.account, facts),
        **turnover(run.fills, daily, facts.sessions_a_year),
        **trade_statistics(run.trades),
        **cost_statistics(run.fills, run.journal),
        **execution_statistics(run.fills, run.orders, run.journal),
        **benchmark_statistics(daily, facts),
    }


def summary_of(run: Run) -> dict[str, Any]:
    """Statistics with None where one is not defined, the reasons of these, and the tables."""
    values, reasons = split(statistics(run))
    return {
        "report_version": REPORT_VERSION,
        "name": run.facts.name,
        "currency": run.facts.currency,
        "outcome": run.facts.outcome,
        "statistics": values,
        "not_defined": reasons,
        "notices": [notice._asdict() for notice in notices_of(run.facts, run.fills, run.journal)],
        "rejected_by_code": by_count(run.journal.refusals),
        "warnings_by_code": by_count(run.journal.warnings),
        "coverage": {s: run.facts.coverage.get(s) for s in run.fills.symbol.names},
        "monthly_returns": monthly_returns(run.daily),
        **_breakdowns(run, values["pnl"]),
    }


def _breakdowns(run: Run, pnl: float) -> dict[str, Any]:
    by_day = pnl_by_day(run.daily, run.facts, run.final_equity)
    parts = (run.fills, run.trades, run.positions, run.journal, run.facts, pnl)
    return {
        "pnl_by_symbol": pnl_by("symbol", *parts),
        "pnl_by_strategy": pnl_by("strategy_id", *parts),
        "pnl_by_hour": pnl_by_hour(run.account, run.facts.initial_cash, run.facts.tz),
        "pnl_by_weekday": pnl_by_weekday(by_day),
        "pnl_by_day": by_day,
    }
