"""The index of a catalog: for every piece of every file its symbol, times and rows.

Built from the files' footers once, cached, and made again only for the files
whose size or time of change differ.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.catalog.layout import STREAM_DATASETS, parse_path
from app.catalog.schema import check_schema, is_integral
from app.errors import CatalogError
from app.times import DAY_NS

_VERSION = 1
_READERS = 8
_EPOCH = date(1970, 1, 1)


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
    first_ns: int  # lowest and highest ts
    last_ns: int
    days: tuple[int, ...]  # trading dates (path) or UTC dates, in days since 1970
    integral: bool
    sequenced: bool


class FileEntry(msgspec.Struct):
    """What is known of one file: its pieces, or why it cannot be used."""

    stamp: FileStamp
    pieces: list[Piece] = []
    error: str | None = None


class Index(NamedTuple):
    """All pieces in source order, and the broken files: path to (dataset, symbol, why)."""

    pieces: list[Piece]
    broken: dict[str, tuple[str, str | None, str]]


def load_index(uri: str, fs: pafs.FileSystem, root: str, cache_dir: Path | None) -> Index:
    """The index of a root as it is now; CatalogError where the root is no folder."""
    cache = None if cache_dir is None else cache_dir / f"index-{_name(uri)}.msgpack"
    known = _read_cache(cache)
    listed = dict(_list_files(fs, root))
    entries = {path: known[path] for path in listed if _fresh(known.get(path), listed[path])}
    missing = [path for path in listed if path not in entries]
    if missing:
        with ThreadPoolExecutor(_READERS, thread_name_prefix="CatalogIndex") as pool:
            made = pool.map(lambda path: _examine(fs, root, path, listed[path]), missing)
            entries.update(zip(missing, made, strict=True))
    if cache is not None and (missing or known.keys() - listed.keys()):
        _write_cache(cache, entries)
    pieces = [piece for path in sorted(entries) for piece in entries[path].pieces]
    broken = {
        path: (*parse_path(path)[:2], entry.error)
        for path, entry in sorted(entries.items())
        if entry.error is not None
    }
    return Index(pieces, broken)


def _name(uri: str) -> str:
    where = uri if "://" in uri else str(Path(uri).expanduser().resolve())
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def _fresh(entry: FileEntry | None, stamp: FileStamp) -> bool:
    return entry is not None and entry.stamp == stamp


def _list_files(fs: pafs.FileSystem, root: str) -> Iterator[tuple[str, FileStamp]]:
    try:
        if fs.get_file_info(root).type != pafs.FileType.Directory:
            raise CatalogError(f"catalog root {root!r} is not a folder")
        for dataset in STREAM_DATASETS:
            base = f"{root}/{dataset}"
            selector = pafs.FileSelector(base, allow_not_found=True, recursive=True)
            for info in fs.get_file_info(selector):
                hidden = info.base_name.startswith((".", "_"))
                if info.type == pafs.FileType.File and info.extension == "parquet" and not hidden:
                    yield info.path[len(root) :].lstrip("/"), FileStamp.of(info)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"catalog {root!r} cannot be listed: {error}") from error


def _read_cache(cache: Path | None) -> dict[str, FileEntry]:
    if cache is None or not cache.is_file():
        return {}
    try:
        version, entries = msgspec.msgpack.decode(
            cache.read_bytes(), type=tuple[int, dict[str, FileEntry]]
        )
    except msgspec.DecodeError:
        return {}  # of another version: it is made again
    return entries if version == _VERSION else {}


def _write_cache(cache: Path, entries: dict[str, FileEntry]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.msgpack.encode((_VERSION, entries)))
    temporary.replace(cache)


def _examine(fs: pafs.FileSystem, root: str, path: str, stamp: FileStamp) -> FileEntry:
    full = f"{root}/{path}"
    try:
        with fs.open_input_file(full) as source, pq.ParquetFile(source) as file:
            return FileEntry(stamp, _pieces(file, path, full, stamp))
    except CatalogError as error:
        return FileEntry(stamp, error=str(error))
    except (pa.ArrowException, OSError) as error:
        return FileEntry(stamp, error=f"{full}: cannot be read as Parquet: {error}")


def _pieces(file: pq.ParquetFile, path: str, full: str, stamp: FileStamp) -> list[Piece]:
    dataset, symbol, day = parse_path(path)
    schema = file.schema_arrow
    check_schema(dataset, schema, full)
    days = () if day is None else ((day - _EPOCH).days,)
    integral, sequenced = is_integral(dataset, schema), "sequence" in schema.names
    if symbol is None and "symbol" not in schema.names:
        raise CatalogError(
            f"{full}: neither its path (symbol=X) nor a column 'symbol' names a symbol"
        )
    found = []
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        for name, offset, count, times in _runs(file, group, rows, symbol, full):
            low, high, dates = times if times else _times(file, group, offset, count)
            found.append(
                Piece(
                    dataset,
                    name,
                    path,
                    stamp,
                    group,
                    offset,
                    count,
                    rows,
                    low,
                    high,
                    days or dates,
                    integral,
                    sequenced,
                )  # fmt: skip
            )
            if days and times is None and low > high:
                found.pop()  # no row with a time
    return found


_Run = tuple[str, int, int, tuple[int, int, tuple[int, ...]] | None]


def _runs(
    file: pq.ParquetFile, group: int, rows: int, symbol: str | None, full: str
) -> Iterator[_Run]:
    """Symbol, first row, number of rows and times (where the footer has them) of each run."""
    if symbol is not None:
        if rows:
            yield symbol, 0, rows, _footer_times(file, group)
        return
    column = file.read_row_group(group, ["symbol"], use_threads=False).column(0)
    names = column.combine_chunks()
    if names.null_count:
        raise CatalogError(f"{full}: column 'symbol' has {names.null_count} nulls")
    encoded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
    codes = encoded.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), rows]
    words = encoded.dictionary.to_pylist()
    if len(edges) - 1 > len(set(codes.tolist())):
        raise CatalogError(
            f"{full}: its symbols are interleaved; bring it into order with "
            "'tapedeck catalog build SOURCE --to CATALOG'"
        )
    for low, high in pairwise(edges):
        if high > low:
            yield words[codes[low]], low, high - low, None


def _footer_times(file: pq.ParquetFile, group: int) -> tuple[int, int, tuple[int, ...]] | None:
    """Lowest and highest ts by the footer's statistics, for files of one date."""
    place = file.schema_arrow.get_field_index("ts")
    statistics = file.metadata.row_group(group).column(place).statistics
    if statistics is None or not statistics.has_min_max:
        return None
    unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[file.schema_arrow.field(place).type.unit]
    low, high = int(statistics.min_raw) * unit, int(statistics.max_raw) * unit
    dates = tuple(range(low // DAY_NS, high // DAY_NS + 1))
    return (low, high, dates) if len(dates) <= 2 else None


def _times(file: pq.ParquetFile, group: int, offset: int, count: int) -> Any:
    column = file.read_row_group(group, ["ts"], use_threads=False).column(0)
    stamps = column.slice(offset, count).cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    ns = pc.drop_null(stamps).to_numpy()
    if not len(ns):
        return 0, -1, ()
    return int(ns.min()), int(ns.max()), tuple(np.unique(ns // DAY_NS).tolist())
