"""Run folders made by hand, in the columns that a run writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.calendar import Hours, TradingCalendar
from app.runs.report import DayFacts, PriceColumns, ReportInput
from app.runs.tables import TABLES
from app.times import MINUTE_NS

CONFIG = {
    "version": 1,
    "backtest": {"name": "made", "start": "2024-07-01", "end": "2024-07-02"},
    "services": {"execution": "threaded"},
}
_PLAIN: dict[Any, Any] = {pa.string(): "", pa.float64(): 0.0, pa.int64(): 0, pa.bool_(): False}
_NULLS = ("mark", "arrival_price", "mae", "mfe", "limit_price", "stop_price", "code")


def days_of(start: str, end: str, calendar: str = "XNYS") -> list[DayFacts]:
    """The trading days of an exchange."""
    low, high = date.fromisoformat(start), date.fromisoformat(end)
    days = TradingCalendar(calendar, Hours.REGULAR, 60, low, high).range(low, high)[0]
    return [DayFacts(day.date, day.open_ns, day.close_ns) for day in days]


DAYS = days_of("2024-07-01", "2024-07-02")  # Monday and Tuesday


def minute(number: int, day: DayFacts = DAYS[0]) -> int:
    """The time ``number`` minutes after a day's open."""
    return day.open_ns + number * MINUTE_NS


def facts(days: Sequence[DayFacts] = DAYS, **more: Any) -> ReportInput:
    plain: dict[str, Any] = {
        "name": "made", "days": days, "zone": "America/New_York", "sessions_a_year": 252,
        "initial_cash": 1000.0, "symbols": ["A", "B"], "strategies": ["s"],
    }  # fmt: skip
    return ReportInput(**(plain | more))


def write_table(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One file of a run; what a row leaves out is empty, zero or null."""
    schema = TABLES[name]
    columns = [[row.get(f.name, _default(f)) for row in rows] for f in schema]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / f"{name}.parquet")


def _default(column: Any) -> Any:
    if column.name in _NULLS:
        return None
    return [] if column.name == "flags" else _PLAIN.get(column.type)


def write_run(folder: Path, **tables: Sequence[Mapping[str, Any]]) -> Path:
    """A run folder with these rows; ``events`` are (ts_event_ns, type, payload) rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        rows = tables.get(name, ())
        if name == "events":
            rows = [
                {"seq": n, "payload": json.dumps(row["payload"])} | _without(row, "payload")
                for n, row in enumerate(rows)
            ]
        write_table(folder, name, rows)
    (folder / "manifest.json").write_text(json.dumps({"id": folder.name, "config": CONFIG}))
    return folder


def _without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def equity(*points: tuple[int, float], gross: float = 0.0) -> list[dict[str, Any]]:
    """Rows of (time, equity), with the same gross and net exposure in all."""
    return [
        {"ts_ns": ts, "equity": e, "cash": e - gross, "gross": gross, "net": gross}
        for ts, e in points
    ]


def at_closes(days: Sequence[DayFacts], values: Sequence[float]) -> list[dict[str, Any]]:
    """Equity that changes at each close only."""
    return equity(*((day.close_ns, value) for day, value in zip(days, values, strict=True)))


def event(topic: str, ts_ns: int = DAYS[0].open_ns, **payload: Any) -> dict[str, Any]:
    return {"ts_event_ns": ts_ns, "type": topic, "payload": payload}


def fill(symbol: str, side: str, quantity: float, price: float, **more: Any) -> dict[str, Any]:
    ts_ns = more.pop("ts_event_ns", minute(1))
    return {
        "ts_event_ns": ts_ns, "price_time_ns": ts_ns, "strategy_id": "s", "symbol": symbol,
        "side": side, "quantity": quantity, "price": price,
    } | more  # fmt: skip


def trade(pnl: float, **more: Any) -> dict[str, Any]:
    return {
        "ts_event_ns": minute(10), "entry_ns": minute(5), "strategy_id": "s", "symbol": "A",
        "side": "buy", "quantity": 1.0, "entry_price": 100.0, "exit_price": 100.0 + pnl,
        "pnl": pnl,
    } | more  # fmt: skip


def prices(ts_ns: Sequence[int], closes: Sequence[float]) -> PriceColumns:
    column = np.array(closes, np.float64)
    return PriceColumns(np.array(ts_ns, np.int64), column, column + 1, column - 1, column)
