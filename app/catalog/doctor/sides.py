"""The small tables beside the streams: daily bars, corporate actions and halts."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pyarrow.types as pt

from app.catalog.doctor.findings import Findings, Place, Severity
from app.catalog.layout import parse_path, side_path
from app.damage import UNREADABLE

_PRICES = ("open", "high", "low", "close")
_NUMBERS: dict[str, tuple[str, ...]] = {
    "daily": (*_PRICES, "volume"),
    "corporate_actions": ("ratio", "amount"),
    "halts": (),
}
_KINDS = ("split", "dividend")
_COLUMNS: dict[str, dict[str, Any]] = {
    "daily": {"date": pt.is_date32},
    "corporate_actions": {"date": pt.is_date32, "type": pt.is_string},
    "halts": {"start": pt.is_timestamp, "end": pt.is_timestamp},
}


def check_side_file(fs: pafs.FileSystem, root: str, path: str, findings: Findings) -> int:
    """Check one file of a side dataset; the number of its rows."""
    dataset, symbol, _ = parse_path(path)
    place = Place(dataset, symbol, None, path)
    if symbol is None or path != side_path(dataset, symbol):
        said = f"not a file of {dataset}, which has one a symbol, such as {side_path(dataset, 'X')}"
        findings.add(Severity.ERROR, "wrong_place", place, said)
        return 0
    table = _read(fs, f"{root}/{path}", place, findings)
    if table is None or not _has_columns(table, place, findings):
        return 0
    check = {"daily": _check_daily, "halts": _check_halts}.get(dataset, _check_actions)
    try:
        check(table, place, findings)
    except UNREADABLE as error:
        findings.add(Severity.ERROR, "unreadable", place, " ".join(str(error).split()))
    return int(table.num_rows)


def known_splits(fs: pafs.FileSystem, root: str, symbol: str) -> dict[date, float]:
    """Ratio of each split of a symbol by its ex-date; none where its file cannot be used."""
    path = side_path("corporate_actions", symbol)
    if fs.get_file_info(f"{root}/{path}").type != pafs.FileType.File:
        return {}
    unheard = Findings()  # what is wrong with the file is reported when it is checked itself
    place = Place("corporate_actions", symbol, None, path)
    table = _read(fs, f"{root}/{path}", place, unheard)
    if table is None or not _has_columns(table, place, unheard):
        return {}
    rows = table.to_pylist()
    return {r["date"]: r["ratio"] for r in rows if r["type"] == "split" and r["ratio"]}


def _read(fs: pafs.FileSystem, full: str, place: Place, findings: Findings) -> pa.Table | None:
    try:
        with fs.open_input_file(full) as source:
            table = pq.read_table(source, use_threads=False)
        table.validate(full=True)  # texts may be no UTF-8
    except UNREADABLE as error:
        findings.add(Severity.ERROR, "unreadable", place, " ".join(str(error).split()))
        return None
    return table


def _has_columns(table: pa.Table, place: Place, findings: Findings) -> bool:
    wanted = _COLUMNS[place.dataset] | dict.fromkeys(_NUMBERS[place.dataset], _is_number)
    good = True
    for name, check in wanted.items():
        if name not in table.column_names:
            said = f"no column {name!r}; it has {table.column_names}"
        elif not check(table.schema.field(name).type):
            said = f"column {name!r} is {table.schema.field(name).type}"
        else:
            continue
        findings.add(Severity.ERROR, "wrong_columns", place, said)
        good = False
    return good


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_floating(kind) or pt.is_integer(kind) or pt.is_null(kind))


def _check_daily(table: pa.Table, place: Place, findings: Findings) -> None:
    seen: set[date] = set()
    for number, row in enumerate(table.to_pylist(), 1):
        here = place._replace(day=row["date"], row=number)
        numbers = [row[name] for name in _NUMBERS["daily"]]
        if row["date"] is None or any(value is None for value in numbers):
            findings.add(Severity.ERROR, "null", here, str(row))
            continue
        if row["date"] in seen:
            findings.add(Severity.ERROR, "conflict", here, f"a second row of {row['date']}")
        seen.add(row["date"])
        if not np.all(np.isfinite(numbers)):
            findings.add(Severity.ERROR, "nan", here, str(row))
        elif min(numbers) < 0:
            findings.add(Severity.ERROR, "negative", here, str(row))
        elif row["high"] < max(row["open"], row["close"]) or row["low"] > min(
            row["open"], row["close"]
        ):
            findings.add(Severity.ERROR, "ohlc", here, str(row))


def _check_actions(table: pa.Table, place: Place, findings: Findings) -> None:
    for number, row in enumerate(table.to_pylist(), 1):
        value = row["ratio"] if row["type"] == "split" else row["amount"]
        usable = value is not None and np.isfinite(value) and value > 0
        if row["date"] is None or row["type"] not in _KINDS or not usable:
            here = place._replace(day=row["date"], row=number)
            findings.add(Severity.ERROR, "bad_action", here, str(row))


def _check_halts(table: pa.Table, place: Place, findings: Findings) -> None:
    for number, row in enumerate(table.select(["start", "end"]).to_pylist(), 1):
        start, end = row["start"], row["end"]
        if start is None or start.tzinfo is None or (end is not None and end <= start):
            here = place._replace(row=number)
            findings.add(Severity.ERROR, "bad_halt", here, str(row))
