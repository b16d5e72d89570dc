"""The pieces of one file: for every run of rows of one stream its symbol, place and times.

Taken from the footer where that says enough, else from the columns ``symbol``
and ``ts``. A file that cannot be used is told apart by why.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.catalog.layout import parse_path
from app.catalog.schema import (
    check_schema,
    check_symbols,
    column_times,
    is_integral,
    is_text,
    known_columns,
)
from app.damage import UNREADABLE
from app.errors import CatalogError
from app.model import Ints
from app.times import DAY_NS

_EPOCH = date(1970, 1, 1)
_UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_BOUND_NS = 2**63 - DAY_NS


class FileStamp(NamedTuple):
    """What tells one version of a file from another; size -1 is no file."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, info: pafs.FileInfo) -> FileStamp:
        if info.type != pafs.FileType.File:
            return cls(-1, 0)
        return cls(info.size, info.mtime_ns if info.mtime_ns is not None else 0)


class Piece(NamedTuple):
    """A run of rows of one stream in one row group of one file."""

    dataset: str
    symbol: str
    path: str  # relative to the root
    stamp: FileStamp
    row_group: int
    offset: int  # first row within the row group
    rows: int
    group_rows: int
    groups: int  # row groups of the file
    first_ns: int  # lowest and highest ts
    last_ns: int
    days: tuple[int, ...]  # trading dates (path) or UTC dates, in days since 1970
    columns: tuple[str, ...]  # those that are read
    texts: tuple[str, ...]  # of these, those of text
    integral: bool
    sequenced: bool


class FileEntry(msgspec.Struct):
    """What is known of one file: its pieces, or why it cannot be used."""

    stamp: FileStamp
    pieces: list[Piece] = []
    error: str | None = None
    passing: bool = False  # the error may be gone the next time: not of the file's content


class _Span(NamedTuple):
    """Lowest and highest ts of some rows, and the UTC dates they lie on."""

    first_ns: int
    last_ns: int
    days: tuple[int, ...]


_NO_TIME = _Span(0, -1, ())


def examine(fs: pafs.FileSystem, root: str, path: str, stamp: FileStamp) -> FileEntry:
    """The pieces of the file ``path`` below ``root``; blocks on I/O."""
    full = f"{root}/{path}"
    try:
        with fs.open_input_file(full) as source, pq.ParquetFile(source) as file:
            return FileEntry(stamp, _pieces(file, path, full, stamp))
    except CatalogError as error:
        return FileEntry(stamp, error=str(error))
    except OSError as error:
        return FileEntry(stamp, error=f"{full}: cannot be read: {error}", passing=True)
    except UNREADABLE as error:
        return FileEntry(stamp, error=f"{full}: cannot be read as Parquet: {error}")


def _pieces(file: pq.ParquetFile, path: str, full: str, stamp: FileStamp) -> list[Piece]:
    dataset, symbol, day = parse_path(path)
    schema = file.schema_arrow
    check_schema(dataset, schema, full)
    if symbol is None:
        check_symbols(schema, full)
    days = () if day is None else ((day - _EPOCH).days,)
    columns = tuple(known_columns(dataset, schema))
    texts = tuple(name for name in columns if is_text(schema.field(name).type))
    integral, sequenced = is_integral(dataset, schema), "sequence" in columns
    groups = file.metadata.num_row_groups
    found = []
    for group in range(groups):
        group_rows = file.metadata.row_group(group).num_rows
        for name, offset, rows, span in _runs(file, group, symbol, full):
            piece = Piece(
                dataset, name, path, stamp, group, offset, rows, group_rows, groups,
                span.first_ns, span.last_ns, days or span.days, columns, texts,
                integral, sequenced,
            )  # fmt: skip
            found.append(piece)
    return _place_timeless(found, full)


def _runs(
    file: pq.ParquetFile, group: int, symbol: str | None, full: str
) -> Iterator[tuple[str, int, int, _Span]]:
    """Symbol, first row, number of rows and times of each run of a row group."""
    rows = file.metadata.row_group(group).num_rows
    if not rows:
        return
    if symbol is not None:
        span = _footer_span(file, group, full)
        if span is None:
            span = _span(column_times(file.read_row_group(group, ["ts"]).column("ts")))
        yield symbol, 0, rows, span
        return
    table = file.read_row_group(group, ["symbol", "ts"], use_threads=False)
    ns = column_times(table.column("ts"))
    codes, words = _symbols(table.column("symbol"), full)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), rows]
    if len(edges) - 1 > len(np.unique(codes)):
        raise CatalogError(
            f"{full}: its symbols are interleaved; bring it into order with "
            "'tapedeck catalog build SOURCE --to CATALOG'"
        )
    for low, high in pairwise(edges):
        yield words[codes[low]], low, high - low, _span(ns[low:high])


def _symbols(column: pa.ChunkedArray, full: str) -> tuple[Ints, list[str]]:
    names = column.combine_chunks()
    if pa.types.is_dictionary(names.type):
        names = names.dictionary_decode()
    empty = names.null_count + (pc.sum(pc.equal(names, "")).as_py() or 0)
    if empty:
        raise CatalogError(f"{full}: column 'symbol' has {empty} nulls or empty names")
    encoded = names.dictionary_encode()
    codes: Ints = encoded.indices.to_numpy()
    return codes, encoded.dictionary.to_pylist()


def _footer_span(file: pq.ParquetFile, group: int, full: str) -> _Span | None:
    """By the footer's statistics; None where they are absent or do not tell the dates."""
    metadata = file.metadata.row_group(group)
    columns = (metadata.column(i) for i in range(metadata.num_columns))
    statistics = next((c.statistics for c in columns if c.path_in_schema == "ts"), None)
    if statistics is None or not statistics.has_min_max:
        return None
    unit_ns = _UNITS_NS[file.schema_arrow.field("ts").type.unit]
    low, high = int(statistics.min_raw) * unit_ns, int(statistics.max_raw) * unit_ns
    if low < -_BOUND_NS or high > _BOUND_NS:
        raise CatalogError(f"{full}: column 'ts' has times outside the years 1678 to 2261")
    days = tuple(range(low // DAY_NS, high // DAY_NS + 1))
    return _Span(low, high, days) if len(days) <= 2 else None


def _span(ns: Ints) -> _Span:
    timed = ns[ns > np.iinfo(np.int64).min]
    if not len(timed):
        return _NO_TIME
    return _Span(int(timed.min()), int(timed.max()), tuple(np.unique(timed // DAY_NS).tolist()))


def _place_timeless(pieces: list[Piece], full: str) -> list[Piece]:
    """Runs without any time stand by their neighbours', so that their rows are read and counted."""
    placed: list[Piece] = []
    for piece in pieces:
        if piece.first_ns <= piece.last_ns:
            placed.append(piece)
            continue
        timed = [p for p in pieces if p.symbol == piece.symbol and p.first_ns <= p.last_ns]
        if not timed:
            raise CatalogError(f"{full}: no row of {piece.symbol!r} has a time: 'ts' is all null")
        before = [p for p in timed if (p.row_group, p.offset) < (piece.row_group, piece.offset)]
        at_ns = before[-1].last_ns if before else timed[0].first_ns
        days = (before[-1] if before else timed[0]).days
        placed.append(piece._replace(first_ns=at_ns, last_ns=at_ns, days=days))
    return placed
