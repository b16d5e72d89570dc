"""``trades.csv`` and ``equity.csv``: the same rows as in the page, for other programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.model import Floats
from app.runs.manifest import write_whole
from app.runs.report.facts import ReportInput
from app.runs.report.summary import Run
from app.times import SECOND_NS, format_time, format_times

TRADE_COLUMNS = (
    "trade", "strategy_id", "symbol", "side", "quantity", "entry_time", "entry_price", "exit_time",
    "exit_price", "pnl", "return", "costs", "mae", "mfe", "holding_s",
)  # fmt: skip
EQUITY_COLUMNS = (
    "date", "close_time", "equity", "return", "pnl", "drawdown", "cash", "gross", "net",
    "benchmark_close",
)  # fmt: skip


def write_trades(path: Path, run: Run) -> None:
    """All closed lots in order of their exit; ``mae`` and ``mfe`` are a share, ``return`` is P&L
    by what the entry cost."""
    trades = run.trades
    cost = trades.quantity * trades.entry_price
    columns = (
        trades.strategy.texts(), trades.symbol.texts(),
        ["long" if side > 0 else "short" for side in trades.side.tolist()],
        trades.quantity.tolist(), format_times(trades.entry_ns), trades.entry_price.tolist(),
        format_times(trades.exit_ns), trades.exit_price.tolist(), trades.pnl.tolist(),
        trade_returns(trades.pnl, cost), trades.costs.tolist(),
        known(trades.mae), known(trades.mfe),
        ((trades.exit_ns - trades.entry_ns) / SECOND_NS).tolist(),
    )  # fmt: skip
    order = np.argsort(trades.exit_ns, kind="stable").tolist()
    rows = list(zip(*columns, strict=True))
    _write(path, TRADE_COLUMNS, ((n, *rows[i]) for n, i in enumerate(order, 1)))


def trade_returns(pnl: Floats, cost: Floats) -> list[float | None]:
    return known(np.divide(pnl, cost, out=np.full(len(pnl), np.nan), where=cost > 0))


def write_equity(path: Path, run: Run) -> None:
    """The account at each regular close."""
    daily = run.daily
    base = np.where(daily.base > 0, daily.base, np.nan)
    columns = (
        daily.equity.tolist(), known(daily.equity / base - 1),
        (daily.equity - daily.base).tolist(), daily.fall.tolist(), daily.cash.tolist(),
        daily.gross.tolist(), daily.net.tolist(), _benchmark(run.facts),
    )  # fmt: skip
    rows = zip(daily.days, *columns, strict=True)
    _write(
        path, EQUITY_COLUMNS,
        ((day.date.isoformat(), format_time(day.close_ns), *rest) for day, *rest in rows),
    )  # fmt: skip


def _benchmark(facts: ReportInput) -> list[float | None]:
    closes = facts.benchmark or {}
    return [closes.get(day.date) for day in facts.finished_days]


def known(column: Floats) -> list[float | None]:
    """Numbers with None for NaN."""
    return [None if math.isnan(value) else value for value in column.tolist()]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())
