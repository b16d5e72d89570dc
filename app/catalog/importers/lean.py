"""Files in the Lean engine's format to catalog files.

Times are milliseconds since midnight on the exchange's wall clock, bars are stamped
with their start, prices are ten thousandfold.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from app.catalog.importers.cast import as_array
from app.catalog.importers.lean_files import LeanFile, find_files, read_zip
from app.catalog.importers.lean_rows import QuoteRows, bar_columns, day_stamps, trade_columns
from app.catalog.importers.lean_side import Target, import_daily, import_factors, regular_session
from app.catalog.importers.report import ImportReport, Progress, no_progress
from app.catalog.importers.sink import Sink
from app.catalog.location import open_filesystem
from app.catalog.writer import Folders

_WIDTHS = {"minute_trade": (6,), "tick_trade": (6,), "tick_quote": (7, 8)}
_DATASETS = {"minute_trade": "bars_1m", "tick_trade": "trades", "tick_quote": "quotes"}


def import_lean(
    source: str,
    to: str,
    *,
    market: str = "usa",
    zone: str = "America/New_York",
    calendar: str = "XNYS",
    symbols: Iterable[str] | None = None,
    memory_rows: int = 1_000_000,
    progress: Progress | None = None,
) -> ImportReport:
    """Import Lean equity data (minute and tick trades, tick quotes, daily, factor files).

    ``source`` is the folder that holds ``equity/<market>``; ``symbols`` limits the import.
    Each file becomes one file of the catalog at ``to``, whole or not at all. Raises
    CatalogError naming the file that cannot be read; those before it are done then.
    """
    fs, root = open_filesystem(source)
    to_fs, to_root = open_filesystem(to)
    report = ImportReport()
    target = Target(fs, to_fs, to_root, Folders(to_fs), zone, calendar, memory_rows, report)
    files = find_files(fs, root, market, symbols, report)
    show_progress = progress or no_progress
    for done, file in enumerate(files):
        show_progress(done, len(files), file.name)
        if file.kind == "factors":
            import_factors(target, file)
        elif file.day is None:
            import_daily(target, file)
        else:
            _import_stream(target, file, file.day)
    show_progress(len(files), len(files), "done")
    return report


def _import_stream(target: Target, file: LeanFile, day: date) -> None:
    dataset = _DATASETS[file.kind]
    session = regular_session(target.calendar, day)
    quotes = QuoteRows()
    sink = Sink(
        dataset, target.zone, target.report, check_grid=False, memory_rows=target.memory_rows
    )
    with sink:
        sink.start_file(file.name)
        for numbers, texts in read_zip(target.source, file, _WIDTHS[file.kind], target.report):
            cells = [as_array(c) for c in texts]
            rows = sink.rows(numbers)
            stamps = day_stamps(rows, cells[0], day)
            if dataset == "bars_1m":
                columns = bar_columns(rows, cells)
            elif dataset == "trades":
                columns = trade_columns(rows, cells, stamps, session, target.zone)
            else:
                columns = quotes.columns(rows, cells)
            sink.add(rows, stamps, cells[0], columns, file.symbol, day)
        sink.write(target.fs, target.root, target.folders, no_progress)
