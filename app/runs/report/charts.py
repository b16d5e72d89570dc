"""The data of the page's charts and of its trades table, small enough to be sent."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from app.model import Floats, Ints
from app.runs.report.csv_files import known, trade_returns
from app.runs.report.downsample import candles, extremes
from app.runs.report.drawdown import falls_of
from app.runs.report.local_time import local_ms, local_ns
from app.runs.report.summary import Run
from app.times import DAY_NS

MAX_SYMBOLS = 40  # that have a price chart: those with the most fills
MAX_MARKERS = 1_500  # of one symbol
MAX_TRADES = 5_000
MAX_BARS = 24  # symbols or strategies in a chart of P&L
MAX_DAYS_WITHOUT_NIGHTS = 60


def chart_data(run: Run, summary: dict[str, Any]) -> dict[str, Any]:
    """All that the page's script draws; times are milliseconds of exchange time."""
    facts = run.facts
    return {
        "currency": facts.currency,
        "account": _account(run),
        "benchmark": _benchmark(run),
        "months": _months(summary["monthly_returns"]),
        "prices": [_price(run, symbol) for symbol in charted_symbols(run)],
        "pnl": {
            "symbol": _bars(summary["pnl_by_symbol"], "symbol"),
            "strategy": _bars(summary["pnl_by_strategy"], "strategy_id"),
            "hour": _columns(summary["pnl_by_hour"], "hour"),
            "weekday": _columns(summary["pnl_by_weekday"], "weekday"),
            "day": _columns(summary["pnl_by_day"], "date"),
        },
        "spans": _spans(run),
        "trades": _trades(run),
    }


def charted_symbols(run: Run) -> list[str]:
    """Symbols that were filled and have prices, those with the most fills first."""
    names, codes = run.fills.symbol
    counts = Counter(dict(zip(names, np.bincount(codes).tolist(), strict=True)))
    filled = sorted(names, key=lambda name: (-counts[name], name))
    priced = [n for n in filled if n in run.facts.prices and len(run.facts.prices[n].ts_ns)]
    return priced[:MAX_SYMBOLS]


def _account(run: Run) -> dict[str, Any]:
    """Equity from the initial cash on, and how far it was below its peak."""
    falls = falls_of(run.account, run.facts.initial_cash)
    if not len(falls.ts_ns):
        times = np.array(
            [ns for day in run.facts.days for ns in (day.open_ns, day.close_ns)], np.int64
        )
        flat = [run.facts.initial_cash] * len(times)
        return {"x": local_ms(times, run.facts.tz), "equity": flat, "fall": [0.0] * len(times)}
    rows = np.union1d(extremes(falls.equity), extremes(falls.fall, 2_000))
    times = falls.ts_ns.copy()
    times[0] = min([int(times[0]), *(day.open_ns for day in run.facts.days[:1])])
    return {
        "x": local_ms(times[rows], run.facts.tz),
        "equity": _short(falls.equity[rows], 2),
        "fall": _short(falls.fall[rows], 6),
    }


def _benchmark(run: Run) -> dict[str, Any] | None:
    """The benchmark's closes, scaled to start where the account does."""
    facts = run.facts
    if not facts.benchmark:
        return None
    days = [day for day in facts.finished_days if facts.benchmark.get(day.date)]
    before = [d for d in sorted(facts.benchmark) if days and d < facts.days[0].date]
    closes = np.array([facts.benchmark[day.date] for day in days])
    if not len(closes):
        return None
    base = facts.benchmark[before[-1]] if before else closes[0]
    return {
        "name": facts.benchmark_symbol or "benchmark",
        "x": local_ms(np.array([day.close_ns for day in days], np.int64), facts.tz),
        "y": _short(closes / base * facts.initial_cash, 2),
    }


def _months(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A row a year of twelve months, and what they make together."""
    years = sorted({row["month"][:4] for row in rows})
    found = {row["month"]: row["return"] for row in rows}
    values = [[found.get(f"{year}-{month:02d}") for month in range(1, 13)] for year in years]
    totals = [float(np.prod([1 + v for v in row if v is not None]) - 1) for row in values]
    return {"years": years, "values": values, "totals": totals}


def _price(run: Run, symbol: str) -> dict[str, Any]:
    """Candles and fills of one symbol."""
    zone = run.facts.tz
    made = candles(run.facts.prices[symbol], run.facts.opens_ns())
    fills = run.fills
    mine = np.flatnonzero(fills.symbol.codes == fills.symbol.names.index(symbol))
    shown = mine[np.linspace(0, len(mine) - 1, min(len(mine), MAX_MARKERS)).astype(np.int64)]
    actions = [n for n in run.journal.actions if n.payload["symbol"] == symbol]
    return {
        "symbol": symbol,
        "candle": [made.bars, made.days],
        "x": local_ms(made.ts_ns, zone),
        "ohlc": [_short(column, 6) for column in (made.open, made.high, made.low, made.close)],
        "fills": {
            "x": local_ms(fills.price_time_ns[shown], zone),
            "y": _short(fills.price[shown], 6),
            "q": (fills.sign * fills.quantity)[shown].tolist(),
            "s": fills.strategy.codes[shown].tolist(),
        },
        "all_fills": len(mine),
        "strategies": fills.strategy.names,
        "actions": {
            "x": local_ms(np.array([n.ts_ns for n in actions], np.int64), zone),
            "text": [_action(n.payload) for n in actions],
        },
    }


def _action(payload: dict[str, Any]) -> str:
    if payload["kind"] == "split":
        return f"split {payload['ratio']:g}:1"
    return f"{payload['kind']} {payload['amount']:g}"


def _bars(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """The best and the worst, in order of P&L."""
    ordered = sorted(rows, key=lambda row: (row["pnl"], row[key] or ""))
    half = MAX_BARS // 2
    picked = ordered if len(ordered) <= MAX_BARS else ordered[:half] + ordered[-half:]
    names = [row[key] or "(account)" for row in picked]
    return {"x": names, "y": _short(np.array([row["pnl"] for row in picked]), 2), "all": len(rows)}


def _columns(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return {
        "x": [row[key] for row in rows],
        "y": _short(np.array([row["pnl"] for row in rows]), 2),
    }


def _trades(run: Run) -> dict[str, Any]:
    """Columns of the first ``MAX_TRADES`` closed lots, in order of their exit."""
    trades, zone = run.trades, run.facts.tz
    order = np.argsort(trades.exit_ns, kind="stable")[:MAX_TRADES]
    cost = trades.quantity * trades.entry_price
    return {
        "all": len(trades.pnl),
        "symbols": trades.symbol.names,
        "strategies": trades.strategy.names,
        "strategy": trades.strategy.codes[order].tolist(),
        "symbol": trades.symbol.codes[order].tolist(),
        "side": trades.side[order].tolist(),
        "quantity": trades.quantity[order].tolist(),
        "entry": local_ms(trades.entry_ns[order], zone),
        "entry_price": _short(trades.entry_price[order], 6),
        "exit": local_ms(trades.exit_ns[order], zone),
        "exit_price": _short(trades.exit_price[order], 6),
        "pnl": _short(trades.pnl[order], 4),
        "share": trade_returns(trades.pnl[order], cost[order]),
        "costs": _short(trades.costs[order], 4),
        "mae": known(trades.mae[order].round(6)),
        "mfe": known(trades.mfe[order].round(6)),
    }


def _spans(run: Run) -> list[list[int]] | None:
    """First and last time seen of each date, so that nights can be left out of an axis; None
    where there is no night, or so many that they would not be seen."""
    if not 1 < len(run.facts.days) <= MAX_DAYS_WITHOUT_NIGHTS:
        return None
    local = np.sort(local_ns(_seen_ns(run), run.facts.tz))
    first = np.flatnonzero(np.diff(local // DAY_NS, prepend=-1))
    last = np.append(first[1:], len(local)) - 1
    spans: list[list[int]] = (local[np.stack([first, last], axis=1)] // 1_000_000).tolist()
    return spans


def _seen_ns(run: Run) -> Ints:
    """All times that any chart shows."""
    bars = [run.facts.prices[symbol].ts_ns for symbol in charted_symbols(run)]
    fills = run.fills.price_time_ns
    return np.concatenate([_hours_ns(run), run.account.ts_ns, fills, *bars])


def _hours_ns(run: Run) -> Ints:
    """Opens and closes of all days, in order."""
    return np.array([(day.open_ns, day.close_ns) for day in run.facts.days], np.int64).ravel()


def _short(column: Floats, digits: int) -> list[float]:
    """Numbers as short as a chart needs them."""
    found: list[float] = (column.round(digits) + 0.0).tolist()
    return found
