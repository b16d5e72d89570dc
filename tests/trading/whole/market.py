"""A small random market, the same for the same seed, and one whose future was changed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from tests.core.harness import DAY1, DAY2, DAY3, MINUTE, SECOND, open_ns, quote, trade, write

DAYS = (DAY1, DAY2, DAY3)
MINUTES = 50  # of each day: the first so many, then the last one


def bars_of(
    dice: np.random.Generator, day: date, price: float, volume: int
) -> list[dict[str, Any]]:
    rows = []
    for minute in [*range(MINUTES), 388, 389, 390]:
        if dice.random() < 0.1 and minute < MINUTES:
            continue  # a quiet minute
        moves = price + np.cumsum(dice.normal(0, 0.15, 4)).round(2)
        opened, closed = float(moves[0]), float(moves[3])
        rows.append(
            {
                "ts": open_ns(day) + minute * MINUTE,
                "open": round(opened, 2),
                "high": round(max(*moves) + 0.05, 2),
                "low": round(min(*moves) - 0.05, 2),
                "close": round(closed, 2),
                "volume": int(dice.integers(0, volume)),
                "vwap": round(float(np.mean(moves)), 4),
            }
        )
        price = closed
    return rows


def ticks_of(dice: np.random.Generator, day: date) -> tuple[list[Any], list[Any]]:
    """Trades and quotes of the first ten minutes, many of one stamp."""
    trades, quotes, price = [], [], 30.0
    for _ in range(120):
        at = open_ns(day) + int(dice.integers(0, 600)) * SECOND
        price = round(price + float(dice.normal(0, 0.02)), 2)
        trades.append(trade(at, price, int(dice.integers(1, 500)), suspicious=dice.random() < 0.05))
        bid = round(price - 0.01, 2)
        quotes.append(quote(at, bid if dice.random() > 0.03 else None, round(price + 0.01, 2)))
    return sorted(trades, key=lambda r: r["ts"]), sorted(quotes, key=lambda r: r["ts"])


def write_market(root: Path, seed: int, changed_after_ns: int | None = None) -> Path:
    """AAA and BBB as bars, CCC as trades and quotes; what lies after a time may be another."""
    for number, symbol in enumerate(("AAA", "BBB")):
        for day in DAYS:
            dice = np.random.default_rng([seed, number, day.toordinal()])
            rows = bars_of(dice, day, 100.0 + 20 * number, 20_000)
            for row in rows:
                # A bar that is released after the time belongs to the future.
                if changed_after_ns is not None and row["ts"] + MINUTE > changed_after_ns:
                    shift = float(np.random.default_rng(row["ts"]).normal(0, 3))
                    for name in ("open", "high", "low", "close", "vwap"):
                        row[name] = round(row[name] + shift, 2)
                    row["volume"] += 1234
            write(root, "bars_1m", symbol, day, rows)
    for day in DAYS:
        trades, quotes = ticks_of(np.random.default_rng([seed, 9, day.toordinal()]), day)
        for row in trades + quotes:
            if changed_after_ns is not None and row["ts"] > changed_after_ns:
                for name in ("price", "bid", "ask"):
                    if row.get(name) is not None:
                        row[name] = round(row[name] * 1.1, 2)
        write(root, "trades", "CCC", day, trades)
        write(root, "quotes", "CCC", day, quotes)
    return root
