"""Foreign Parquet files to catalog files, in a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.catalog.importers.report import ImportReport, Progress, no_progress
from app.catalog.importers.sink import Sink
from app.catalog.importers.tables import TableFormat, TableReader, relative_name
from app.catalog.location import open_filesystem, redact_uri
from app.catalog.writer import Folders, list_files
from app.damage import UNREADABLE
from app.errors import CatalogError

_BATCH_ROWS = 65_536


def import_parquet(
    source: str,
    to: str,
    *,
    dataset: str = "bars_1m",
    columns: Mapping[str, str] | None = None,
    time_format: str = "ns",
    zone: str = "America/New_York",
    time_zone: str | None = None,
    stamped: str = "start",
    symbol: str | None = None,
    symbol_from: str | None = None,
    fractional_sizes: bool = False,
    memory_rows: int = 1_000_000,
    progress: Progress | None = None,
) -> ImportReport:
    """Import a Parquet file, or all below a folder, into the catalog at ``to``.

    ``TableFormat`` explains the options. ``time_format`` is for columns of numbers or
    text; a timestamp column says itself what it is. Raises RequestError for options,
    CatalogError for a file that cannot be read; nothing has been written then.
    """
    form = TableFormat(
        dataset, columns or {}, time_format, zone, time_zone, stamped, symbol, symbol_from
    )
    form.check()
    show_progress = progress or no_progress
    fs, root = open_filesystem(source)
    to_fs, to_root = open_filesystem(to)
    files = list_files(fs, root, (".parquet",))
    if not files:
        raise CatalogError(f"{redact_uri(source)}: no Parquet files there")
    report = ImportReport()
    sink = Sink(
        dataset, zone, report, time_zone=time_zone, end_stamped=stamped == "end",
        fractional_sizes=fractional_sizes, memory_rows=memory_rows,
    )  # fmt: skip
    with sink:
        for done, path in enumerate(files):
            name = relative_name(path, root)
            show_progress(done, len(files), f"reading {name}")
            _read_file(fs, path, name, form, sink)
        sink.write(to_fs, to_root, Folders(to_fs), show_progress)
    return report


def _read_file(fs: pafs.FileSystem, path: str, name: str, form: TableFormat, sink: Sink) -> None:
    with _open(fs, path, name) as file:
        reader = TableReader(form, sink, name, file.schema_arrow.names)
        following = 1
        for batch in _batches(file, name, reader.needed):
            reader.add(sink.rows(np.arange(following, following + len(batch))), batch)
            following += len(batch)


def _open(fs: pafs.FileSystem, path: str, name: str) -> pq.ParquetFile:
    try:
        # Buffered ahead, the whole file would stay in memory until it is closed.
        file = pq.ParquetFile(path, filesystem=fs, pre_buffer=False)
        str(file.schema_arrow)  # names and zones that are no UTF-8 are met here, not later
    except UNREADABLE as error:
        raise CatalogError(f"{name}: cannot be read as Parquet: {error}") from error
    return file


def _batches(file: pq.ParquetFile, name: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            batch.validate(full=True)  # texts may be no UTF-8
            yield batch
    except UNREADABLE as error:
        raise CatalogError(f"{name}: cannot be read as Parquet: {error}") from error
