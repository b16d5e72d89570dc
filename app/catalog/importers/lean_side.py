"""Lean's daily bars and factor files to the datasets ``daily`` and ``corporate_actions``."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from app.calendar import Hours, TradingCalendar
from app.catalog.importers.cast import as_array
from app.catalog.importers.lean_factors import corporate_actions, read_factor_rows
from app.catalog.importers.lean_files import LeanFile, read_text, read_zip
from app.catalog.importers.lean_rows import bar_columns
from app.catalog.importers.report import ImportReport
from app.catalog.importers.rows import Rows
from app.catalog.importers.stamps import read_stamps
from app.catalog.layout import side_path
from app.catalog.shapes import DAILY, whole_sizes
from app.catalog.writer import DayWriter, Folders
from app.errors import RangeError
from app.model import Ints

_DAILY_COLUMNS = 6
_DATE_LETTERS = 8


class Target(NamedTuple):
    """Where an import reads and writes, and what it knows of the exchange."""

    source: pafs.FileSystem
    fs: pafs.FileSystem
    root: str
    folders: Folders
    zone: str
    calendar: str
    memory_rows: int
    report: ImportReport

    def write_side(self, dataset: str, file: LeanFile, table: pa.Table) -> None:
        """Write a symbol's one file of a side dataset."""
        path = f"{self.root}/{side_path(dataset, file.symbol)}"
        metadata = {"source": file.name, "zone": self.zone}
        with DayWriter(self.fs, path, metadata, self.folders) as writer:
            writer.add(table)
        self.report.files_written += 1


def import_daily(target: Target, file: LeanFile) -> None:
    """``YYYYMMDD 00:00``, open, high, low, close, volume; of a day that comes twice the first.

    Without a row that can be used no file is written.
    """
    report = target.report
    report.files_read += 1
    pieces, numbers = [DAILY.empty_table()], [np.empty(0, np.int64)]
    for row_numbers, texts in read_zip(target.source, file, (_DAILY_COLUMNS,), report):
        report.rows_read += len(row_numbers)
        rows = Rows(file.name, row_numbers, report.rejected)
        pieces.append(_daily_rows(rows, [as_array(c) for c in texts]))
        numbers.append(row_numbers[~rows.bad])
    table = _without_repeated_days(
        pa.concat_tables(pieces), file.name, np.concatenate(numbers), report
    )
    volume = table.column("volume")
    if pc.all(pc.equal(pc.floor(volume), volume), min_count=0).as_py():
        table = whole_sizes(table, ("volume",))
    if table.num_rows:
        target.write_side("daily", file, table)
        report.rows_written += table.num_rows


def _daily_rows(rows: Rows, cells: list[pa.Array]) -> pa.Table:
    stamps = read_stamps(pc.utf8_slice_codeunits(cells[0], 0, _DATE_LETTERS), "%Y%m%d")
    rows.reject(stamps.null | stamps.unreadable, "unreadable time", "date", cells[0])
    made = {"date": pa.array(stamps.ns, pa.timestamp("ns")).cast(pa.date32())}
    for name, column in bar_columns(rows, cells).items():
        check = rows.check_size if name == "volume" else rows.check_price
        values, null = check(name, column)
        rows.reject(null, "null", name)
        made[name] = pa.array(values)
    return pa.table(made).cast(DAILY).filter(pa.array(~rows.bad))


def _without_repeated_days(
    table: pa.Table, file: str, numbers: Ints, report: ImportReport
) -> pa.Table:
    days: Ints = table.column("date").cast(pa.int32()).to_numpy()
    order = np.argsort(days, kind="stable")
    table, days = table.take(order), days[order]
    again = np.zeros(len(days), bool)
    again[1:] = days[1:] == days[:-1]
    rows = Rows(file, numbers[order], report.rejected)
    rows.reject(again, "day that comes twice (the first is kept)", "date", table.column("date"))
    return table.filter(pa.array(~again))


def import_factors(target: Target, file: LeanFile) -> None:
    """Splits and dividends of one factor file; without any no file is written."""
    report = target.report
    report.files_read += 1
    text = read_text(target.source, file)
    rows = read_factor_rows(text, file.name, report)
    if len(rows) < 2:
        return
    first, last = rows[0].day, rows[-2].day

    def next_day(day: date) -> date:
        return _next_trading_day(target.calendar, day, first.year, last.year)

    table = corporate_actions(rows, next_day, file.name, report)
    if table.num_rows:
        target.write_side("corporate_actions", file, table)
        report.actions += table.num_rows


@lru_cache(maxsize=64)
def _calendar(name: str, first_year: int, last_year: int) -> TradingCalendar:
    return TradingCalendar(name, Hours.REGULAR, 0, date(first_year, 1, 1), date(last_year, 12, 31))


def _next_trading_day(calendar: str, day: date, first_year: int, last_year: int) -> date:
    known = _calendar(calendar, first_year, last_year)
    return known.day(known.index_from(day + timedelta(days=1))).date


def regular_session(calendar: str, day: date) -> tuple[int, int] | None:
    """Regular open and close of a day, None where it is no trading day."""
    try:
        days, _ = _calendar(calendar, day.year, day.year).range(day, day)
    except RangeError:
        return None
    return days[0].open_ns, days[0].close_ns
