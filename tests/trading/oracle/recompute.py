"""Cash, fees and equity at each close, from fills.parquet and the bar files alone."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tests.trading.oracle.sma import hours_of, regular_bars


class Account(NamedTuple):
    cash: Decimal
    fees: Decimal
    equity: Decimal


def account_at_closes(
    run: Path, data: Path, symbols: Sequence[str], days: Sequence[str], initial: str
) -> dict[str, Account]:
    """The account at each regular close; fills by the time at which they were known."""
    fills = pq.read_table(run / "fills.parquet").to_pylist()
    closes = {s: [(d, bars[2]) for d, _, bars in regular_bars(data, s, days)] for s in symbols}
    found = {}
    for day in days:
        end = hours_of(day)[1]
        cash, fees, held = Decimal(initial), Decimal(0), dict.fromkeys(symbols, Decimal(0))
        for fill in fills:
            if fill["ts_event_ns"].value > end:
                continue
            quantity = Decimal(repr(fill["quantity"])) * (1 if fill["side"] == "buy" else -1)
            cost = Decimal(repr(fill["commission"])) + Decimal(repr(fill["fees"]))
            cash -= quantity * Decimal(repr(fill["price"])) + cost
            fees += cost
            held[fill["symbol"]] += quantity
        equity = cash
        for symbol, quantity in held.items():
            if quantity:
                last = [c for d, c in closes[symbol] if d <= day and len(c)][-1][-1]
                equity += quantity * Decimal(repr(float(last)))
        found[day] = Account(cash, fees, equity)
    return found
