"""Small catalogs, sessions run to their end, and what they delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Condition, current_thread
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.managers.system_manager import (
    ReplaySession,
    SessionConfig,
    SessionDefaults,
    SessionStatus,
    SystemManager,
)
from app.managers.time_manager import Wall
from app.model import Items, Window

MINUTE = 60_000_000_000
SECOND = 1_000_000_000
DAY1, DAY2, DAY3 = date(2013, 10, 4), date(2013, 10, 7), date(2013, 10, 8)
FAST = SessionDefaults(speed=0)


def ns(text: str) -> int:
    """``2013-10-07 13:30`` in UTC, to the second, as nanoseconds."""
    form = "%Y-%m-%d %H:%M:%S" if text.count(":") == 2 else "%Y-%m-%d %H:%M"
    return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()) * SECOND


def open_ns(day: date) -> int:
    """09:30 New York of a day in (northern) summer."""
    return ns(f"{day} 13:30")


Row = dict[str, Any]


def bar(ts: int, price: float = 10.0, volume: int = 100, **other: Any) -> Row:
    return {
        "ts": ts, "open": price, "high": price + 0.5, "low": price - 0.5, "close": price + 0.25,
        "volume": volume, "vwap": None, **other,
    }  # fmt: skip


def trade(ts: int, price: float = 10.0, size: int = 100, **other: Any) -> Row:
    return {
        "ts": ts, "price": price, "size": size, "exchange": "Q", "conditions": "",
        "suspicious": False, **other,
    }  # fmt: skip


def quote(ts: int, bid: float | None = 9.9, ask: float | None = 10.1, **other: Any) -> Row:
    return {
        "ts": ts, "bid": bid, "bid_size": None if bid is None else 100, "ask": ask,
        "ask_size": None if ask is None else 200, "exchange": "Q", "side": "B", **other,
    }  # fmt: skip


def session_bars(day: date, minutes: Sequence[int] = range(390), price: float = 10.0) -> list[Row]:
    """1m bars of a New York summer day, prices rising by the minute."""
    start = open_ns(day)
    return [bar(start + m * MINUTE, price + m / 100, 100 + m) for m in minutes]


_FLOATS = ("open", "high", "low", "close", "vwap", "price", "bid", "ask")
_INTS = ("volume", "size", "bid_size", "ask_size", "sequence")
_TEXTS = ("exchange", "conditions", "side", "auction", "symbol")


def table(rows: Sequence[Row]) -> pa.Table:
    """Rows as an Arrow table with the catalog's types."""
    columns: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name == "ts":
            kind = pa.timestamp("ns", "UTC")
        elif name in _FLOATS or any(isinstance(v, float) for v in values):
            kind = pa.float64()
        elif name in _INTS:
            kind = pa.int64()
        else:
            kind = pa.string() if name in _TEXTS else pa.bool_()
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def write(root: Path, dataset: str, symbol: str, day: date | str, rows: Sequence[Row]) -> Path:
    """One file of the catalog's layout."""
    path = root / dataset / f"symbol={symbol}" / f"date={day}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(rows), path)
    return path


class Recorder:
    """A consumer that keeps copies of all it is given."""

    def __init__(self, rows: int | None = None) -> None:
        self.windows: list[Window] = []
        self.statuses: list[tuple[str, SessionStatus]] = []
        self._rows = rows

    def window_rows(self) -> int | None:
        return self._rows

    def holding(self) -> float | None:
        return None

    def on_window(self, window: Window) -> None:
        self.windows.append(window)

    def on_status(self, status: SessionStatus, why: str) -> None:
        self.statuses.append((why, status))

    @property
    def items(self) -> Items:
        return np.concatenate([w.items for w in self.windows])

    def times(self) -> list[int]:
        return [int(t) for w in self.windows for t in w.times_ns]

    def of(self, stream: int, symbol: int = 0) -> Items:
        items = self.items
        rows: Items = items[(items["stream"] == stream) & (items["symbol"] == symbol)]
        return rows


class Result(NamedTuple):
    status: SessionStatus
    seen: Recorder
    session: ReplaySession


@contextmanager
def open_session(
    root: Path,
    defaults: SessionDefaults = FAST,
    *,
    wall: Wall | None = None,
    before_upkeep: Callable[[], None] | None = None,
    recorder: Recorder | None = None,
    **config: Any,
) -> Iterator[Result]:
    """A session on a catalog, closed at the end whatever happens."""
    manager = SystemManager(str(root), defaults, None, wall, before_upkeep)
    seen = recorder or Recorder()
    manager.on_session(lambda session: session.attach(seen))
    wish: dict[str, Any] = {"symbols": ["*"], "start": str(DAY1), "end": str(DAY3), **config}
    try:
        session = manager.start_session(SessionConfig(**wish))
        yield Result(session.status(), seen, session)
    finally:
        manager.close()


def run(root: Path, defaults: SessionDefaults = FAST, **config: Any) -> Result:
    """A session run to its end; fails the test where it did not complete."""
    with open_session(root, defaults, **config) as (_, seen, session):
        assert session.wait(60), session.status()
        status = session.status()
    assert status.error is None, status.error
    assert status.state == "COMPLETED"
    return Result(status, seen, session)


def with_rows(rows: int) -> SessionDefaults:
    return replace(FAST, read_rows=rows)


class FakeWall(Wall):
    """A wall clock that jumps forward instead of waiting: a day at 60x takes a blink."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, ns: int) -> None:
        self._now_ns += ns

    def wait(self, condition: Condition, until_ns: int | None) -> None:
        if until_ns is None:
            condition.wait()
        elif current_thread().name == "BacktestClockWorker":
            condition.wait(0.0005)  # it ticks by the way; the merge thread moves the time
        else:
            condition.wait(0)  # lets the other threads have the lock
            self._now_ns = max(self._now_ns, min(until_ns, self._now_ns + SECOND // 100))
