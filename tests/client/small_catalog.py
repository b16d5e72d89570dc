"""A catalog of two symbols and two days, small enough to be made for each run of the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.catalog.layout import day_path
from app.model import Ints

SYMBOLS = ("AIG", "BRK/B")
DAYS = ("2013-10-07", "2013-10-08")
MINUTES = 390
TRADES = 60
MINUTE_NS = 60 * 10**9


def open_ns(day: str) -> int:
    """09:30 New York, in summer time."""
    return int(np.datetime64(f"{day}T13:30:00", "ns").astype(np.int64))


def bar_table(day: str, base: float) -> pa.Table:
    ts = open_ns(day) + np.arange(MINUTES) * MINUTE_NS
    close = base + np.arange(MINUTES) * 0.01
    return pa.table(
        {
            "ts": stamps(ts), "open": close - 0.005, "high": close + 0.02, "low": close - 0.02,
            "close": close, "volume": np.arange(100, 100 + MINUTES),
            "vwap": pa.nulls(MINUTES, pa.float64()),
        }
    )  # fmt: skip


def trade_table(day: str) -> pa.Table:
    ts = open_ns(day) + np.arange(TRADES) * (MINUTE_NS // 2)
    return pa.table(
        {
            "ts": stamps(ts), "price": 50 + np.arange(TRADES) * 0.01,
            "size": np.arange(1, TRADES + 1), "exchange": ["N"] * TRADES,
            "conditions": pa.nulls(TRADES, pa.string()), "suspicious": [False] * TRADES,
        }
    )  # fmt: skip


def quote_table(day: str) -> pa.Table:
    ts = open_ns(day) + np.arange(TRADES) * (MINUTE_NS // 2)
    bid = pa.array([None, *(49.0 + np.arange(1, TRADES) * 0.01)], pa.float64())
    size = pa.array([None, *range(1, TRADES)], pa.int64())
    return pa.table(
        {
            "ts": stamps(ts), "bid": bid, "bid_size": size, "ask": 51 + np.zeros(TRADES),
            "ask_size": np.full(TRADES, 5), "exchange": ["Q"] * TRADES, "side": ["A"] * TRADES,
        }
    )  # fmt: skip


def stamps(ts: Ints) -> pa.Array:
    return pa.array(ts, pa.timestamp("ns", "UTC"))


def write_small_catalog(root: Path) -> Path:
    """Bars of both symbols and days; trades and quotes of the first symbol and day."""
    for number, symbol in enumerate(SYMBOLS):
        for day in DAYS:
            write(root / day_path_of("bars_1m", symbol, day), bar_table(day, 50.0 + number))
    write(root / day_path_of("trades", SYMBOLS[0], DAYS[0]), trade_table(DAYS[0]))
    write(root / day_path_of("quotes", SYMBOLS[0], DAYS[0]), quote_table(DAYS[0]))
    return root


def day_path_of(dataset: str, symbol: str, day: str) -> str:
    return day_path(dataset, symbol, np.datetime64(day).astype(object))


def write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_broken(root: Path) -> Path:
    """One file whose footer can be read and whose rows cannot."""
    path = root / day_path_of("bars_1m", SYMBOLS[0], DAYS[0])
    write(path, bar_table(DAYS[0], 50.0))
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(bytes(content))
    return path
