"""The three workloads, generated once and always the same.

W1: 1 symbol x 1,000,000 1m bars. W2: 500 symbols x 390 bars x 10 days.
W3: 20 symbols, 4,000,000 trades and quotes of one day. QUICK holds small ones of the same names,
for a folder of their own: 100,000 bars; 100 symbols x 390 x 2 days; 200,000 trades and quotes.
``bars`` and ``ticks`` make those of other sizes, for the measurements of growth, clock and serving.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.calendar import Hours, TradingCalendar, TradingDay

GROUP_ROWS = 65_536


class Workload(NamedTuple):
    """A catalog and the session that replays all of it."""

    name: str
    start: date
    end: date
    streams: tuple[str, ...]
    write: Callable[[Path], None]


def _days(start: date, end: date) -> list[TradingDay]:
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, start, end)
    return calendar.range(start, end)[0]


def _write(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = pa.array(columns.pop("ts"), pa.int64()).cast(pa.timestamp("ns", "UTC"))
    table = pa.table({"ts": stamps, **columns})
    pq.write_table(table, path, row_group_size=GROUP_ROWS, compression="zstd")


def _bars(dice: np.random.Generator, ts: Any) -> dict[str, Any]:
    close = 100 + np.cumsum(dice.normal(0, 0.02, len(ts)))
    opened = np.concatenate(([100.0], close[:-1]))
    spread = np.abs(dice.normal(0, 0.01, len(ts)))
    return {
        "ts": ts,
        "open": np.round(opened, 2),
        "high": np.round(np.maximum(opened, close) + spread, 2),
        "low": np.round(np.minimum(opened, close) - spread, 2),
        "close": np.round(close, 2),
        "volume": dice.integers(100, 100_000, len(ts)),
        "vwap": np.round((opened + close) / 2, 4),
    }


def _write_w1(root: Path, days: tuple[date, date], rows: int) -> None:
    ts = np.concatenate([day.regular_minutes() for day in _days(*days)])[:rows]
    columns = _bars(np.random.default_rng(1), ts)
    _write(root / "bars_1m" / "symbol=ONE" / "all.parquet", columns)


def write_w2(root: Path, days: tuple[date, date], symbols: int) -> None:
    """Every regular minute of ``symbols`` symbols, S000 and so on."""
    ts = np.concatenate([day.regular_minutes() for day in _days(*days)])
    for number in range(symbols):
        symbol = f"S{number:03d}"
        columns = _bars(np.random.default_rng(1000 + number), ts)
        _write(root / "bars_1m" / f"symbol={symbol}" / "all.parquet", columns)


def _write_ticks(root: Path, per_symbol: int, days: tuple[date, date], symbols: int = 20) -> None:
    """``per_symbol`` trades of each symbol and day, and three times as many quotes."""
    for place, day in enumerate(_days(*days)):
        _write_tick_day(root, per_symbol, day, place, symbols)


def _write_tick_day(root: Path, per_symbol: int, day: TradingDay, place: int, symbols: int) -> None:
    span_ns = day.close_ns - day.open_ns
    for number in range(symbols):
        dice = np.random.default_rng(2000 + number + 1000 * place)
        symbol = f"T{number:02d}"
        # Milliseconds, as real feeds of those years: many stamps are shared.
        trades = day.open_ns + np.sort(dice.integers(0, span_ns // 10**6, per_symbol)) * 10**6
        quotes = day.open_ns + np.sort(dice.integers(0, span_ns // 10**6, 3 * per_symbol)) * 10**6
        venues = np.array(["N", "P", "Q", "Z"])
        name = f"date={day.date}.parquet"
        _write(
            root / "trades" / f"symbol={symbol}" / name,
            {
                "ts": trades,
                "price": np.round(50 + np.cumsum(dice.normal(0, 0.005, len(trades))), 2),
                "size": dice.integers(1, 1000, len(trades)),
                "exchange": dice.choice(venues, len(trades)),
                "conditions": dice.choice(np.array(["", "2000", "20002020"]), len(trades)),
                "suspicious": dice.random(len(trades)) < 0.001,
            },
        )
        bid = np.round(50 + np.cumsum(dice.normal(0, 0.003, len(quotes))), 2)
        _write(
            root / "quotes" / f"symbol={symbol}" / name,
            {
                "ts": quotes,
                "bid": bid,
                "bid_size": dice.integers(1, 50, len(quotes)) * 100,
                "ask": np.round(bid + 0.01, 2),
                "ask_size": dice.integers(1, 50, len(quotes)) * 100,
                "exchange": dice.choice(venues, len(quotes)),
                "side": dice.choice(np.array(["A", "B"]), len(quotes)),
            },
        )


_W1 = (date(2010, 1, 4), date(2020, 3, 26))
_W2 = (date(2024, 3, 4), date(2024, 3, 15))
_W3 = (date(2024, 3, 5), date(2024, 3, 5))

_QUICK_W1 = (date(2010, 1, 4), date(2011, 1, 10))
_QUICK_W2 = (date(2024, 3, 4), date(2024, 3, 5))

WORKLOADS = (
    Workload("W1", *_W1, ("bars_1m",), partial(_write_w1, days=_W1, rows=1_000_000)),
    Workload("W2", *_W2, ("bars_1m",), partial(write_w2, days=_W2, symbols=500)),
    Workload("W3", *_W3, ("trades", "quotes"), partial(_write_ticks, per_symbol=50_000, days=_W3)),
)
QUICK = (
    Workload("W1", *_QUICK_W1, ("bars_1m",), partial(_write_w1, days=_QUICK_W1, rows=100_000)),
    Workload("W2", *_QUICK_W2, ("bars_1m",), partial(write_w2, days=_QUICK_W2, symbols=100)),
    Workload("W3", *_W3, ("trades", "quotes"), partial(_write_ticks, per_symbol=2_500, days=_W3)),
)


def first_days(start: date, count: int) -> tuple[date, date]:
    """The first and the last of ``count`` trading days."""
    days = _days(start, start + timedelta(days=2 * count + 10))
    return days[0].date, days[count - 1].date


def bars(symbols: int, days: int, start: date = _W2[0]) -> Workload:
    """As W2, of another size; its first symbols are those of W2."""
    span = first_days(start, days)
    write = partial(write_w2, days=span, symbols=symbols)
    return Workload(f"bars-{symbols}x{days}-{start.year}", *span, ("bars_1m",), write)


def ticks(symbols: int, days: int, per_symbol: int, start: date = _W2[0]) -> Workload:
    """As W3, of another size: so many trades a symbol and day, and three times as many quotes."""
    span = first_days(start, days)
    write = partial(_write_ticks, per_symbol=per_symbol, days=span, symbols=symbols)
    name = f"ticks-{symbols}x{days}x{per_symbol}-{start.year}"
    return Workload(name, *span, ("trades", "quotes"), write)


def prepare(folder: Path, workload: Workload) -> Path:
    """The catalog of a workload; written where it is not there yet."""
    root = folder / workload.name
    done = root / "_complete"
    if not done.is_file():
        workload.write(root)
        done.write_text("complete\n")
    return root
