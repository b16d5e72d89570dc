"""Rows of a file in chunks of bounded size, as numpy columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray

from app.catalog.doctor.findings import Findings, Place, Severity
from app.catalog.layout import parse_path
from app.catalog.schema import check_schema, known_columns
from app.damage import UNREADABLE
from app.errors import CatalogError
from app.model import Floats, Ints
from app.times import format_time

Mask = NDArray[np.bool_]
_CHUNK_ROWS = 65_536
_SHOWN = (
    "open", "high", "low", "close", "volume", "price", "size", "bid", "bid_size", "ask", "ask_size",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of one stream, in the order of the file."""

    dataset: str
    symbol: str
    file: str
    day: date | None  # of the path, later the one its times say
    numbers: Ints  # 1-based, within the file
    ts_ns: Ints
    values: dict[str, Floats]  # numbers and truths; NaN where null
    nulls: dict[str, Mask]  # only of columns that have any

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, chosen: Mask | slice) -> Rows:
        """The chosen rows."""
        return replace(
            self,
            numbers=self.numbers[chosen],
            ts_ns=self.ts_ns[chosen],
            values={name: column[chosen] for name, column in self.values.items()},
            nulls={name: column[chosen] for name, column in self.nulls.items()},
        )

    def place(self, at: int) -> Place:
        """Where row ``at`` of these stands."""
        return Place(self.dataset, self.symbol, self.day, self.file, int(self.numbers[at]))

    def text(self, at: int) -> str:
        """Row ``at`` for people."""
        pairs = [f"{name}={self._value(name, at)}" for name in _SHOWN if name in self.values]
        return " ".join([format_time(int(self.ts_ns[at])), *pairs])

    def _value(self, name: str, at: int) -> str:
        return "null" if self.is_null(name)[at] else f"{self.values[name][at]:.10g}"

    def is_null(self, name: str) -> Mask:
        found = self.nulls.get(name)
        return np.zeros(len(self), bool) if found is None else found


def read_rows(
    fs: pafs.FileSystem, root: str, path: str, findings: Findings, wanted: Callable[[str], bool]
) -> Iterator[Rows]:
    """All rows of a file of a stream dataset; what makes it unusable becomes a finding."""
    dataset, symbol, day = parse_path(path)
    place = Place(dataset, symbol, day, path)
    try:
        with fs.open_input_file(f"{root}/{path}") as source, pq.ParquetFile(source) as file:
            check_schema(dataset, file.schema_arrow, path)
            if symbol is None and "symbol" not in file.schema_arrow.names:
                said = "neither its path nor a column names a symbol"
                findings.add(Severity.ERROR, "wrong_place", place, said)
                return
            if not file.metadata.num_rows:
                findings.add(Severity.WARNING, "empty_file", place, "0 rows")
            yield from _chunks(file, path, findings, wanted)
    except CatalogError as error:
        findings.add(Severity.ERROR, "wrong_columns", place, str(error))
    except UNREADABLE as error:
        findings.add(Severity.ERROR, "unreadable", place, " ".join(str(error).split()))


def _chunks(
    file: pq.ParquetFile, path: str, findings: Findings, wanted: Callable[[str], bool]
) -> Iterator[Rows]:
    symbol = parse_path(path)[1]
    columns = known_columns(parse_path(path)[0], file.schema_arrow)
    number = 1
    for group in range(file.metadata.num_row_groups):
        order = _SymbolOrder(path, findings)
        names = columns if symbol is not None else [*columns, "symbol"]
        for batch in file.iter_batches(_CHUNK_ROWS, [group], names, use_threads=False):
            numbers = np.arange(number, number + batch.num_rows)
            number += batch.num_rows
            parts = {symbol: None} if symbol is not None else order.parts(batch, numbers)
            for name, chosen in parts.items():
                if wanted(name):
                    own = batch if chosen is None else batch.filter(pa.array(chosen))
                    its_numbers = numbers if chosen is None else numbers[chosen]
                    yield _timed(_convert(own, path, name, its_numbers), own, findings)


class _SymbolOrder:
    """Symbols of a row group that holds many: each one's rows must stand together."""

    def __init__(self, path: str, findings: Findings) -> None:
        dataset, _, day = parse_path(path)
        self._place = Place(dataset, None, day, path)
        self._findings = findings
        self._seen: set[str] = set()
        self._last: str | None = None

    def parts(self, batch: pa.RecordBatch, numbers: Ints) -> dict[str, Mask | None]:
        """The rows of each symbol of a batch."""
        if not batch.num_rows:
            return {}
        column = batch.column("symbol")
        encoded = column if pt.is_dictionary(column.type) else column.dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        words = encoded.dictionary.to_pylist()
        found = {words[c]: codes == c for c in dict.fromkeys(codes.tolist()) if c >= 0}
        place = self._place._replace(row=int(numbers[0]))
        runs = 1 + int(np.count_nonzero(np.diff(codes)))
        if runs > len(np.unique(codes)) or (self._seen & found.keys()) - {self._last}:
            said = "symbols alternate in its rows"
            self._findings.add(Severity.ERROR, "interleaved", place, said)
        if absent := int(np.count_nonzero(codes < 0)):
            self._findings.add(Severity.ERROR, "null", place, "symbol is null", absent)
        self._seen |= found.keys()
        self._last = words[codes[-1]] if codes[-1] >= 0 else None
        return found


def _convert(batch: pa.RecordBatch, path: str, symbol: str, numbers: Ints) -> Rows:
    values: dict[str, Floats] = {}
    nulls: dict[str, Mask] = {}
    for name in batch.schema.names:
        column = batch.column(name)
        is_truth = pt.is_boolean(column.type)
        if not (is_truth or pt.is_integer(column.type) or pt.is_floating(column.type)):
            continue
        if column.null_count:
            nulls[name] = column.is_null().to_numpy(zero_copy_only=False)
        plain = pc.fill_null(column, False) if is_truth else column
        values[name] = plain.to_numpy(zero_copy_only=False).astype(np.float64)
    times = pc.fill_null(batch.column("ts").cast(pa.timestamp("ns", "UTC")).cast(pa.int64()), 0)
    dataset, _, day = parse_path(path)
    return Rows(dataset, symbol, path, day, numbers, times.to_numpy(), values, nulls)


def _timed(rows: Rows, batch: pa.RecordBatch, findings: Findings) -> Rows:
    """The rows that have a time."""
    column = batch.column("ts")
    if not column.null_count:
        return rows
    absent: Mask = column.is_null().to_numpy(zero_copy_only=False)
    first = int(np.argmax(absent))
    findings.add(Severity.ERROR, "null", rows.place(first), "ts is null", int(absent.sum()))
    return rows.take(~absent)
