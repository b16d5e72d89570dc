"""CSV files to catalog files, in a stream: memory does not grow with the files."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.fs as pafs

from app.catalog.importers.report import Example, ImportReport, Progress, no_progress
from app.catalog.importers.rows import show
from app.catalog.importers.sink import Sink
from app.catalog.importers.tables import TableFormat, TableReader, relative_name
from app.catalog.location import open_filesystem, redact_uri
from app.catalog.writer import Folders, list_files
from app.errors import CatalogError, RequestError
from app.model import Ints

_ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".csv.bz2", ".txt", ".txt.gz")
_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 20


def import_csv(
    source: str,
    to: str,
    *,
    dataset: str = "bars_1m",
    columns: Mapping[str, str] | None = None,
    time_format: str = "rfc3339",
    zone: str = "America/New_York",
    time_zone: str | None = None,
    stamped: str = "start",
    symbol: str | None = None,
    symbol_from: str | None = None,
    delimiter: str = ",",
    header: bool = True,
    fractional_sizes: bool = False,
    memory_rows: int = 1_000_000,
    progress: Progress | None = None,
) -> ImportReport:
    """Import a CSV file, or all below a folder, into the catalog at ``to``.

    ``TableFormat`` explains the options that it shares. Without a ``header`` the
    columns are named 1, 2, 3 and so on. At most about ``memory_rows`` rows are held
    at once. Raises RequestError for options, CatalogError for a file that cannot be
    read; nothing has been written then.
    """
    form = TableFormat(
        dataset, columns or {}, time_format, zone, time_zone, stamped, symbol, symbol_from
    )
    form.check()
    if len(delimiter) != 1:
        raise RequestError(f"delimiter {delimiter!r} must be one character")
    show_progress = progress or no_progress
    fs, root = open_filesystem(source)
    to_fs, to_root = open_filesystem(to)
    files = list_files(fs, root, _ENDINGS)
    if not files:
        raise CatalogError(f"{redact_uri(source)}: no CSV files there ({', '.join(_ENDINGS)})")
    report = ImportReport()
    sink = Sink(
        dataset, zone, report, time_zone=time_zone, end_stamped=stamped == "end",
        fractional_sizes=fractional_sizes, memory_rows=memory_rows,
    )  # fmt: skip
    with sink:
        for done, path in enumerate(files):
            name = relative_name(path, root)
            show_progress(done, len(files), f"reading {name}")
            file = CsvFile(fs, path, name, report, delimiter, header)
            reader = TableReader(form, sink, name, file.names)
            for numbers, batch in file.chunks(reader.needed):
                reader.add(sink.rows(numbers), batch)
        sink.write(to_fs, to_root, Folders(to_fs), show_progress)
    return report


class CsvFile:
    """One CSV file, read as text in chunks."""

    def __init__(
        self,
        fs: pafs.FileSystem,
        path: str,
        name: str,
        report: ImportReport,
        delimiter: str = ",",
        header: bool = True,
    ) -> None:
        self._fs = fs
        self._path = path
        self._name = name
        self._report = report
        self._delimiter = delimiter
        self._header = header
        self.names = self._read_names()

    def chunks(self, needed: list[str]) -> Iterator[tuple[Ints, pa.RecordBatch]]:
        """Row numbers (a header is row 1) and the needed columns, chunk by chunk."""
        try:
            with self._fs.open_input_stream(self._path) as stream:
                width = WidthCheck(self._name, self._report)
                yield from read_csv_chunks(
                    stream, self.names, needed, width,
                    delimiter=self._delimiter, header=self._header,
                )  # fmt: skip
        except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError) as error:
            raise CatalogError(f"{self._name}: cannot be read as CSV: {error}") from error

    def _read_names(self) -> list[str]:
        try:
            with self._fs.open_input_stream(self._path) as stream:
                raw = stream.read(_HEADER_BYTES)
            line = raw.decode("utf-8-sig", "replace").splitlines()[:1]
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(f"{self._name}: cannot be read: {error}") from error
        if not line or not line[0].strip():
            raise CatalogError(f"{self._name}: is empty, or its first line is")
        found = next(csv.reader(line, delimiter=self._delimiter))
        if not self._header:
            return [str(place + 1) for place in range(len(found))]
        return [word.strip() for word in found]


class WidthCheck:
    """Skips the rows of a CSV file that have too few or too many columns, and counts them.

    The reader calls it on a thread of its own, where rows are only noted; they are
    counted where the chunks are taken.
    """

    def __init__(self, file: str, report: ImportReport) -> None:
        self._file = file
        self._report = report
        self._noted: deque[tuple[int, str]] = deque()
        self._numbers: list[int] = []

    def __call__(self, row: Any) -> str:
        what = f"{row.actual_columns} columns instead of {row.expected_columns}: {show(row.text)}"
        self._noted.append((row.number, what))
        return "skip"

    def skipped_from(self, first: int) -> Ints:
        """Count what was noted; the numbers of skipped rows from ``first`` on, so far."""
        while self._noted:
            number, what = self._noted.popleft()
            self._report.rows_read += 1
            example = Example(self._file, number, what)
            self._report.rejected.add("wrong number of columns", 1, [example])
            self._numbers.append(number)
        self._numbers = [n for n in self._numbers if n >= first]
        return np.array(self._numbers, np.int64)


def read_csv_chunks(
    stream: Any,
    names: list[str],
    needed: list[str],
    width: WidthCheck,
    *,
    delimiter: str = ",",
    header: bool = False,
) -> Iterator[tuple[Ints, pa.RecordBatch]]:
    """Chunks of text columns with their row numbers; empty lines are not counted as rows."""
    reader = pacsv.open_csv(
        stream,
        pacsv.ReadOptions(
            use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=int(header)
        ),
        pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=width),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(needed, pa.string()),
            include_columns=needed,
            strings_can_be_null=False,
        ),
    )
    with reader:
        following = 1 + int(header)
        for batch in reader:
            skipped = width.skipped_from(following)
            candidates = np.arange(following, following + len(batch) + len(skipped))
            numbers = candidates[~np.isin(candidates, skipped)][: len(batch)]
            following = int(numbers.max(initial=following - 1)) + 1
            yield numbers, batch
    width.skipped_from(following)
