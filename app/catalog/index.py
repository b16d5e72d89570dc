"""The index of a catalog: the pieces of all its files, cached.

Built from the files' footers once, and made again only for the files whose
size or time of change differ.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import get_ident
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.fs as pafs

from app.catalog.layout import STREAM_DATASETS, parse_path
from app.catalog.location import redact_uri
from app.catalog.pieces import FileEntry, FileStamp, Piece, examine
from app.errors import CatalogError

log = logging.getLogger(__name__)

_VERSION = 2
_READERS = 8


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
            made = pool.map(lambda path: examine(fs, root, path, listed[path]), missing)
            entries.update(zip(missing, made, strict=True))
    if cache is not None and (missing or known.keys() - listed.keys()):
        _write_cache(cache, entries)
    ordered = sorted(entries, key=_natural)
    pieces = [piece for path in ordered for piece in entries[path].pieces]
    broken = {
        path: (*parse_path(path)[:2], error)
        for path in ordered
        if (error := entries[path].error) is not None
    }
    return Index(pieces, broken)


def _natural(path: str) -> tuple[list[str | int], str]:
    """Files of one stream follow each other by name, numbers by value: part-2 before part-10."""
    words = re.split(r"(\d+)", path)
    return [int(w) if i % 2 else w for i, w in enumerate(words)], path


def _name(uri: str) -> str:
    where = redact_uri(uri) if "://" in uri else str(Path(uri).expanduser().resolve())
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def _fresh(entry: FileEntry | None, stamp: FileStamp) -> bool:
    return entry is not None and entry.stamp == stamp and not entry.passing


def _list_files(fs: pafs.FileSystem, root: str) -> Iterator[tuple[str, FileStamp]]:
    try:
        kind = fs.get_file_info(root).type
        if kind != pafs.FileType.Directory:
            what = "there is nothing" if kind == pafs.FileType.NotFound else "it is a file"
            raise CatalogError(f"catalog root {root!r} is not a folder: {what}")
        for dataset in STREAM_DATASETS:
            base = f"{root}/{dataset}"
            selector = pafs.FileSelector(base, allow_not_found=True, recursive=True)
            for info in fs.get_file_info(selector):
                path = info.path[len(root) :].lstrip("/")
                hidden = any(name.startswith((".", "_")) for name in path.split("/"))
                if info.type == pafs.FileType.File and info.extension == "parquet" and not hidden:
                    yield path, FileStamp.of(info)
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
    except OSError as error:
        log.warning("the catalog's index is made again, %s cannot be read: %s", cache, error)
        return {}
    return entries if version == _VERSION else {}


def _write_cache(cache: Path, entries: dict[str, FileEntry]) -> None:
    temporary = cache.with_suffix(f".{os.getpid()}-{get_ident()}.tmp")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.msgpack.encode((_VERSION, entries)))
        temporary.replace(cache)
    except OSError as error:
        log.warning("the catalog's index cannot be kept in %s: %s", cache, error)
