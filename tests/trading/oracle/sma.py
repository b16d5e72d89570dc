"""An SMA cross, computed with plain numpy from the Parquet files. Shares no code with app/.

Long ``quantity`` while the mean of the last ``fast`` closes is above that of the last ``slow``,
else flat; judged at each regular bar's close, filled at the next regular bar's open of the same
session (a signal at the close belongs to the next session). A day order that meets no bar
expires; the next bar judges anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

MINUTE = 60_000_000_000
CENT = Decimal("0.01")

# Regular hours in UTC, by hand: New York in summer, after 2024-11-03 in winter, half day 11-29.
SUMMER, WINTER = ("13:30", "20:00"), ("14:30", "21:00")
HALF = {"2024-11-29": ("14:30", "18:00")}


class Fill(NamedTuple):
    """What the oracle expects; the bar's start is the time of the price."""

    symbol: str
    ts_ns: int
    side: str
    quantity: int
    price: float
    commission: Decimal


def hours_of(day: str) -> tuple[int, int]:
    opens, closes = HALF.get(day) or (WINTER if day >= "2024-11-03" else SUMMER)
    return tuple(  # type: ignore[return-value]
        int(np.datetime64(f"{day}T{at}", "ns").astype(np.int64)) for at in (opens, closes)
    )


def regular_bars(data: Path, symbol: str, days: Sequence[str]) -> Iterator[tuple[str, int, Any]]:
    """Day, its close, and (start, open, close) of each regular bar."""
    for day in days:
        path = data / "parquet" / "bars_1m" / f"symbol={symbol}" / f"date={day}.parquet"
        if not path.is_file():
            continue
        table = pq.read_table(path)
        start = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
        opened, closed = (table[c].to_numpy() for c in ("open", "close"))
        low, high = hours_of(day)
        keep = (start >= low) & (start < high)
        yield day, high, (start[keep], opened[keep], closed[keep])


def fills_of(
    data: Path, symbol: str, days: Sequence[str], fast: int, slow: int, quantity: int,
    per_share: str, minimum: str,
) -> list[Fill]:  # fmt: skip
    parts = list(regular_bars(data, symbol, days))
    start = np.concatenate([p[2][0] for p in parts])
    opened = np.concatenate([p[2][1] for p in parts])
    closed = np.concatenate([p[2][2] for p in parts])
    whole = np.rint(closed * 10_000).astype(np.int64)  # a tie of means is a tie
    session = np.concatenate([np.full(len(p[2][0]), i) for i, p in enumerate(parts)])
    closes = [p[1] for p in parts]
    commission = max(Decimal(quantity) * Decimal(per_share), Decimal(minimum))
    commission = commission.quantize(CENT, ROUND_HALF_EVEN)
    position, pending, sent_in, fills = 0, 0, -1, []
    for i in range(len(start)):
        if pending and session[i] != sent_in:
            pending = 0  # the order expired at the close
        if pending:
            side = "buy" if pending > 0 else "sell"
            price = float(opened[i])
            fills.append(Fill(symbol, int(start[i]), side, quantity, price, commission))
            position += pending
            pending = 0
        if i + 1 < slow:
            continue
        quick, slow_sum = whole[i - fast + 1 : i + 1].sum(), whole[i - slow + 1 : i + 1].sum()
        wanted = quantity if quick * slow > slow_sum * fast else 0
        pending = wanted - position
        late = start[i] + MINUTE >= closes[session[i]]
        sent_in = session[i] + 1 if late else session[i]
    return fills


def equity_at_closes(
    data: Path, days: Sequence[str], fills: Sequence[Fill], cash: str, symbols: Sequence[str]
) -> dict[str, Decimal]:
    """Cash and positions at the last regular close known, by day."""
    closes: Mapping[str, list[Any]] = {s: list(regular_bars(data, s, days)) for s in symbols}
    found = {}
    for day in days:
        end = hours_of(day)[1]
        money = Decimal(cash)
        held = dict.fromkeys(symbols, 0)
        for fill in fills:
            if fill.ts_ns >= end:
                continue
            sign = 1 if fill.side == "buy" else -1
            money -= sign * fill.quantity * Decimal(repr(fill.price)) + fill.commission
            held[fill.symbol] += sign * fill.quantity
        for symbol, quantity in held.items():
            known = [bars[2] for d, _, bars in closes[symbol] if d <= day and len(bars[2])]
            if quantity:
                money += quantity * Decimal(repr(float(known[-1][-1])))
        found[day] = money
    return found
