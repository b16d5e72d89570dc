"""P&L by symbol, by strategy and by hour; each adds up to the run's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from app.model import Floats
from app.runs.report.columns import Labels
from app.runs.report.facts import ReportInput
from app.runs.report.files import Account, Fills, Position, Trades
from app.runs.report.journal import Journal
from app.runs.report.local_time import HOUR_NS, local_ns
from app.runs.report.values import tidy


def sums(labels: Labels, amounts: Floats) -> dict[str, float]:
    """Correctly rounded sums by label."""
    order = np.argsort(labels.codes, kind="stable")
    edges = np.searchsorted(labels.codes[order], np.arange(1, len(labels.names)))
    parts = np.split(amounts[order], edges) if labels.names else []
    return {name: math.fsum(part.tolist()) for name, part in zip(labels.names, parts, strict=True)}


def last_mark(position: Position, facts: ReportInput) -> float:
    """The price that an open position is worth at the end."""
    if position.symbol in facts.marks:
        return facts.marks[position.symbol]
    prices = facts.prices.get(position.symbol)
    if prices is not None and len(prices.close):
        return float(prices.close[-1])
    return position.average_price if position.mark is None else position.mark


def pnl_by(
    key: str,
    fills: Fills,
    trades: Trades,
    positions: Sequence[Position],
    journal: Journal,
    facts: ReportInput,
    pnl: float,
) -> list[dict[str, Any]]:
    """Rows of ``key`` (symbol or strategy_id): what fills and cash events paid, and what its
    positions are worth at the end. A row without a name holds what belongs to the account alone,
    such as interest."""
    labels, closed = _labels(key, fills, trades)
    paid = -fills.sign * fills.notional - fills.commission - fills.fees
    found = {name: [value] for name, value in sums(labels, paid).items()}
    for cash in journal.cash:
        name = getattr(cash, key)
        if name is not None:
            found.setdefault(name, []).append(cash.amount)
    for position in positions:
        worth = position.quantity * last_mark(position, facts)
        found.setdefault(getattr(position, key), []).append(worth)
    named = {name: tidy(math.fsum(parts)) for name, parts in sorted(found.items())}
    counts = _columns(labels, closed, fills, trades)
    rows = [{key: name, "pnl": value, **_row(counts, name)} for name, value in named.items()]
    rest = tidy(pnl - math.fsum(named.values()))
    if abs(rest) > 1e-6:
        rows.append({key: None, "pnl": rest, **_row({}, "")})
    return rows


def _labels(key: str, fills: Fills, trades: Trades) -> tuple[Labels, Labels]:
    if key == "symbol":
        return fills.symbol, trades.symbol
    return fills.strategy, trades.strategy


def _columns(
    labels: Labels, closed: Labels, fills: Fills, trades: Trades
) -> dict[str, dict[str, float]]:
    return {
        "traded_value": sums(labels, fills.notional),
        "costs": sums(labels, fills.commission + fills.fees),
        "fills": sums(labels, np.ones(len(fills.price))),
        "trades": sums(closed, np.ones(len(trades.pnl))),
        "winning_trades": sums(closed, (trades.pnl > 0).astype(np.float64)),
    }


def _row(columns: Mapping[str, Mapping[str, float]], name: str) -> dict[str, Any]:
    def of(column: str) -> float:
        return columns.get(column, {}).get(name, 0.0)

    return {
        "traded_value": tidy(of("traded_value")),
        "costs": tidy(of("costs")),
        "fills": int(of("fills")),
        "trades": int(of("trades")),
        "winning_trades": int(of("winning_trades")),
    }


def pnl_by_hour(account: Account, initial: float, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Change of equity by the hour of exchange time in which it came about.

    A change seen at T came about before it, so that the one of 10:00:00 belongs to the hour of 9.
    What a night brought is seen with the first mark after it.
    """
    if not len(account.ts_ns):
        return []
    hours = local_ns(account.ts_ns - 1, zone) // HOUR_NS % 24
    last = np.append(np.flatnonzero(np.diff(hours)), len(hours) - 1)  # of a stretch of one hour
    values = account.equity[last]
    changes = values - np.concatenate([[initial], values[:-1]])
    return [
        {"hour": int(hour), "pnl": tidy(math.fsum(changes[hours[last] == hour].tolist()))}
        for hour in np.unique(hours[last])
    ]
