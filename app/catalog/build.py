"""Larger Parquet files of many symbols or dates, in any order, to the catalog's layout.

Rows are spread by symbol and trading date, each day is sorted by time (rows of equal
time keep their order), and written whole. Nothing is judged here but that a row has a
time and a symbol: duplicates and oddities stay, for the doctor to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pyarrow.types as pt

from app.catalog.importers.cast import Mask
from app.catalog.importers.localtime import load_zone, local_days
from app.catalog.importers.report import Counts, Progress, no_progress
from app.catalog.importers.rows import Rows
from app.catalog.layout import SIDE_DATASETS, STREAM_DATASETS, day_path, parse_path
from app.catalog.location import open_filesystem, redact_uri
from app.catalog.shapes import NEEDED, TS
from app.catalog.spill import Spill, split_days
from app.catalog.writer import DayWriter, Folders, copy_file, list_files
from app.damage import UNREADABLE
from app.errors import CatalogError
from app.model import Ints

_BATCH_ROWS = 65_536

_Day = tuple[str, date]


@dataclass
class BuildReport:
    """What a build read and wrote; rows without a time or a symbol are ``rejected``."""

    files_read: int = 0
    files_written: int = 0
    files_copied: int = 0
    rows_read: int = 0
    rows_written: int = 0
    rejected: Counts = field(default_factory=Counts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "files_read": self.files_read,
            "files_written": self.files_written,
            "files_copied": self.files_copied,
            "rows_read": self.rows_read,
            "rows_written": self.rows_written,
            "rejected": self.rejected.to_dict(),
        }


class _Source(NamedTuple):
    """One Parquet file; the symbol is None where a column has it."""

    path: str
    name: str
    symbol: str | None


def build_catalog(
    source_uri: str,
    to_uri: str,
    *,
    zone: str = "America/New_York",
    memory_rows: int = 1_000_000,
    progress: Progress | None = None,
) -> BuildReport:
    """Bring the catalog at ``source_uri`` into the layout, one file a symbol and date.

    The source has folders named as the datasets; the symbol of a file is in its path
    (``symbol=X``) or in a column ``symbol``. ``zone`` is the exchange's, for the trading
    date. About ``memory_rows`` rows are held at once. ``daily`` and
    ``corporate_actions`` are copied. Raises CatalogError naming a file that cannot be
    used; what is written by then is whole.
    """
    fs, root = open_filesystem(source_uri)
    to_fs, to_root = open_filesystem(to_uri)
    if isinstance(to_fs, type(fs)) and to_root == root:
        raise CatalogError(f"{redact_uri(to_uri)} is the source itself; build into another folder")
    load_zone(zone)
    report = BuildReport()
    datasets = {d: _find(fs, root, d) for d in (*STREAM_DATASETS, *SIDE_DATASETS)}
    if not any(datasets.values()):
        raise CatalogError(
            f"{redact_uri(source_uri)} has no Parquet files in folders named {', '.join(datasets)}"
        )
    build = _Build(fs, to_fs, to_root, zone, memory_rows, progress or no_progress, report)
    for dataset in STREAM_DATASETS:
        if datasets[dataset]:
            build.run(dataset, datasets[dataset])
    for dataset in SIDE_DATASETS:
        for source in datasets[dataset]:
            copy_file(fs, source.path, to_fs, f"{to_root}/{source.name}")
            report.files_copied += 1
    return report


def _find(fs: pafs.FileSystem, root: str, dataset: str) -> list[_Source]:
    folder = f"{root}/{dataset}"
    if fs.get_file_info(folder).type != pafs.FileType.Directory:
        single = f"{folder}.parquet"
        found = [single] if fs.get_file_info(single).type == pafs.FileType.File else []
    else:
        found = list_files(fs, folder, (".parquet",))
    names = [path[len(root) :].lstrip("/") for path in found]
    return [_Source(p, n, parse_path(n)[1]) for p, n in zip(found, names, strict=True)]


class _Build:
    """One run; its report grows as it goes."""

    def __init__(
        self,
        fs: pafs.FileSystem,
        to_fs: pafs.FileSystem,
        to_root: str,
        zone: str,
        memory_rows: int,
        progress: Progress,
        report: BuildReport,
    ) -> None:
        self._fs = fs
        self._to_fs = to_fs
        self._to_root = to_root
        self._folders = Folders(to_fs)
        self._zone = load_zone(zone)
        self._memory_rows = memory_rows
        self._progress = progress
        self._report = report

    def run(self, dataset: str, sources: list[_Source]) -> None:
        """Spread the rows of all files, then write day by day."""
        with Spill[_Day](self._memory_rows) as spill:
            for done, source in enumerate(sources):
                self._progress(done, len(sources), f"reading {source.name}")
                self._report.files_read += 1
                first = 1
                for batch in self._batches(dataset, source):
                    numbers = np.arange(first, first + batch.num_rows)
                    first += batch.num_rows
                    self._spread(spill, source, batch, numbers)
            self._write(dataset, spill)

    def _batches(self, dataset: str, source: _Source) -> Iterator[pa.Table]:
        try:
            # Buffered ahead, the whole file would stay in memory until it is closed.
            with pq.ParquetFile(source.path, filesystem=self._fs, pre_buffer=False) as file:
                _check_columns(dataset, source, file.schema_arrow)
                for batch in file.iter_batches(
                    min(_BATCH_ROWS, self._memory_rows), use_threads=False
                ):
                    batch.validate(full=True)  # texts may be no UTF-8
                    yield pa.Table.from_batches([batch]).replace_schema_metadata(None)
        except UNREADABLE as error:
            raise CatalogError(f"{source.name}: cannot be read as Parquet: {error}") from error

    def _spread(self, spill: Spill[_Day], source: _Source, table: pa.Table, numbers: Ints) -> None:
        self._report.rows_read += table.num_rows
        rows = Rows(source.name, numbers, self._report.rejected)
        rows.reject(_nulls(table, "ts"), "no time", "ts")
        if source.symbol is None:
            rows.reject(_nulls(table, "symbol"), "no symbol", "symbol")
        at = table.schema.get_field_index("ts")
        table = table.set_column(at, "ts", _nanoseconds(source, table.column("ts")))
        table = table.filter(pa.array(~rows.bad))
        names, codes = [source.symbol or ""], np.zeros(table.num_rows, np.int64)
        if source.symbol is None:
            encoded = _dictionary(table.column("symbol"))
            names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        if "symbol" in table.column_names:
            table = table.drop_columns(["symbol"])
        days = local_days(table.column("ts").cast(pa.int64()).to_numpy(), self._zone)
        for code, day, part in split_days(table, codes, days):
            spill.add((names[code], day), part)

    def _write(self, dataset: str, spill: Spill[_Day]) -> None:
        keys = sorted(spill.keys)
        metadata = {"source": "tapedeck catalog build", "zone": str(self._zone)}
        for done, (symbol, day) in enumerate(keys):
            self._progress(done, len(keys), f"writing {dataset} {symbol} {day}")
            path = f"{self._to_root}/{day_path(dataset, symbol, day)}"
            with DayWriter(self._to_fs, path, metadata, self._folders) as writer:
                for piece in spill.read_sorted((symbol, day)):
                    writer.add(piece)
            self._report.files_written += 1
            self._report.rows_written += writer.rows
        self._progress(len(keys), len(keys), f"{dataset} written")


def _check_columns(dataset: str, source: _Source, schema: pa.Schema) -> None:
    """CatalogError where a column that the dataset needs is absent, or the times have no zone."""
    needed = NEEDED[dataset] if source.symbol is not None else (*NEEDED[dataset], "symbol")
    for name in needed:
        if name not in schema.names:
            raise CatalogError(
                f"{source.name}: no column {name!r} for {dataset}; it has {schema.names}; "
                "'tapedeck import parquet' takes files with other names"
            )
    kind = schema.field("ts").type
    if not pt.is_timestamp(kind) or kind.tz is None:
        raise CatalogError(
            f"{source.name}: column 'ts' is {kind}; needed: a timestamp with a zone "
            "('tapedeck import parquet' takes others)"
        )


def _nanoseconds(source: _Source, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(TS)
    except pa.ArrowInvalid as error:
        raise CatalogError(
            f"{source.name}: column 'ts' has times that cannot be held in nanoseconds "
            f"(years 1678 to 2261 can): {error}"
        ) from error


def _nulls(table: pa.Table, name: str) -> Mask:
    found: Mask = table.column(name).is_null().to_numpy()
    return found


def _dictionary(column: pa.ChunkedArray) -> Any:
    array = column.combine_chunks()
    if pt.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return pc.dictionary_encode(array)
