"""A catalog small enough to know by heart: two trading days of three symbols."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.catalog.layout import day_path
from app.times import MINUTE_NS, SECOND_NS

DAYS = (date(2013, 10, 7), date(2013, 10, 8))
OPENS_NS = (1_381_152_600 * SECOND_NS, 1_381_239_000 * SECOND_NS)  # 09:30 New York
SYMBOLS = ("AIG", "BAC", "BRK/B")
MINUTES = 390
TRADES = 1000  # of AIG on the first day, two a second

_TS = pa.timestamp("ns", "UTC")


def build(root: Path, symbols: tuple[str, ...] = SYMBOLS, minutes: int = MINUTES) -> Path:
    """Write it below ``root``; bars of all symbols, trades and quotes of the first."""
    for day, open_ns in zip(DAYS, OPENS_NS, strict=True):
        for number, symbol in enumerate(symbols):
            _write(root, "bars_1m", symbol, day, bars(open_ns, 10.0 * (number + 1), minutes))
    _write(root, "trades", symbols[0], DAYS[0], trades())
    _write(root, "quotes", symbols[0], DAYS[0], quotes())
    return root


def bars(open_ns: int, price: float, minutes: int) -> pa.Table:
    steps = np.arange(minutes)
    close = price + steps / 100
    return pa.table(
        {
            "ts": pa.array(open_ns + steps * MINUTE_NS, pa.int64()).cast(_TS),
            "open": close,
            "high": close + 0.5,
            "low": close - 0.5,
            "close": close,
            "volume": pa.array(100 + steps, pa.int64()),
            "vwap": pa.array(np.where(steps % 2, close, np.nan), from_pandas=True),
        }
    )


def trades() -> pa.Table:
    steps = np.arange(TRADES)
    return pa.table(
        {
            "ts": pa.array(OPENS_NS[0] + steps * SECOND_NS // 2, pa.int64()).cast(_TS),
            "price": 10 + steps / 1000,
            "size": pa.array(1 + steps % 7, pa.int64()),
            "exchange": pa.array(["N", "P", None, "Q"] * (TRADES // 4)),
            "conditions": pa.array(["", "F"] * (TRADES // 2)),
            "suspicious": pa.array(steps % 50 == 0),
        }
    )


def quotes() -> pa.Table:
    steps = np.arange(TRADES)
    bid = np.where(steps == 0, np.nan, 9.9 + steps / 1000)
    return pa.table(
        {
            "ts": pa.array(OPENS_NS[0] + steps * SECOND_NS // 2, pa.int64()).cast(_TS),
            "bid": pa.array(bid, from_pandas=True),
            "bid_size": pa.array([None, *range(1, TRADES)], pa.int64()),
            "ask": 10.1 + steps / 1000,
            "ask_size": pa.array(2 + steps, pa.int64()),
            "exchange": pa.array(["N"] * TRADES),
            "side": pa.array(["B", "A"] * (TRADES // 2)),
        }
    )


def _write(root: Path, dataset: str, symbol: str, day: date, table: pa.Table) -> None:
    path = root / day_path(dataset, symbol, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
