"""A catalog of Parquet files: where it is, what it has, and reading a piece of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.catalog.index import load_index
from app.catalog.layout import SIDE_DATASETS, parse_path, side_path
from app.catalog.location import open_filesystem, redact_uri
from app.catalog.pieces import Piece
from app.catalog.reading import PieceReader
from app.catalog.schema import COLUMNS, table_items
from app.damage import UNREADABLE
from app.errors import CatalogError, NotFoundError, nearest
from app.model import Dictionary, Ints, Items

__all__ = ["Catalog", "CatalogEntry", "daily_closes", "open_filesystem"]


class CatalogEntry(NamedTuple):
    """What a catalog has of one symbol in one dataset; times are of the items' ``ts``."""

    first_ns: int
    last_ns: int
    days: int
    rows: int


class Catalog:
    """The stream datasets of one root. Thread-safe; reading never changes it."""

    def __init__(
        self, uri: str, cache_dir: Path | None, filesystem: pafs.FileSystem | None = None
    ) -> None:
        self.uri = redact_uri(uri)
        self.filesystem, self.root = (
            open_filesystem(uri) if filesystem is None else (filesystem, uri.rstrip("/"))
        )
        self.cache_dir = cache_dir
        self._reader = PieceReader(self.filesystem, self.root)
        self._pieces: dict[tuple[str, str], list[Piece]] = {}
        self._broken: dict[str, tuple[str, str | None, str]] = {}
        self.refresh()

    @classmethod
    def open(
        cls, uri: str, cache_dir: Path | None = None, filesystem: pafs.FileSystem | None = None
    ) -> Catalog:
        """Open and index ``uri``; the index is cached in ``cache_dir`` where one is given.

        With a ``filesystem`` of your own, ``uri`` is a path in it.
        """
        return cls(uri, cache_dir, filesystem)

    def refresh(self) -> None:
        """List the files again; only those that are new or changed are looked into."""
        index = load_index(self.uri, self.filesystem, self.root, self.cache_dir)
        pieces: dict[tuple[str, str], list[Piece]] = {}
        for piece in index.pieces:
            pieces.setdefault((piece.dataset, piece.symbol), []).append(piece)
        self._pieces, self._broken = pieces, index.broken

    @property
    def symbols(self) -> list[str]:
        """All symbols, by code point."""
        return sorted({symbol for _, symbol in self._pieces})

    def datasets(self, symbol: str) -> list[str]:
        return [d for d in COLUMNS if (d, symbol) in self._pieces]

    def pieces(self, dataset: str, symbol: str) -> Sequence[Piece]:
        """The pieces of one stream in source order; empty where there are none."""
        return self._pieces.get((dataset, symbol), ())

    def check_symbols(self, symbols: Iterable[str]) -> None:
        """NotFoundError with the nearest names for symbols that the catalog lacks.

        CatalogError where a symbol is missing because its files cannot be read.
        """
        known = self.symbols
        missing = sorted(set(symbols) - set(known))
        if not missing:
            return
        nameless = ""
        for _, symbol, message in self._broken.values():
            if symbol in missing:
                raise CatalogError(message)
            if symbol is None and not nameless:  # it may hold any symbol
                nameless = f"; one of its files cannot be used: {message}"
        hints = "; ".join(
            f"{m!r} (nearest: {', '.join(nearest(m, known)) or 'none'})" for m in missing[:5]
        )
        raise NotFoundError(
            f"the catalog has no symbol {hints}; it has {len(known)} symbols{nameless}"
        )

    def check_files(
        self,
        datasets: Iterable[str],
        symbols: Iterable[str] | None,
        first: date = date.min,
        last: date = date.max,
    ) -> None:
        """CatalogError for a file of these streams and dates that cannot be read.

        ``symbols`` None stands for all. A file whose path names no date may hold any.
        """
        wanted, named = set(datasets), None if symbols is None else set(symbols)
        for path, (dataset, symbol, message) in self._broken.items():
            day = parse_path(path)[2]
            in_range = day is None or first <= day <= last
            ours = symbol is None or named is None or symbol in named
            if dataset in wanted and ours and in_range:
                raise CatalogError(message)

    @property
    def broken_files(self) -> list[str]:
        """One sentence for each file that cannot be used."""
        return [message for _, _, message in self._broken.values()]

    def summary(self) -> dict[str, dict[str, CatalogEntry]]:
        """For each symbol and dataset: first and last time, days and rows."""
        found: dict[str, dict[str, CatalogEntry]] = {s: {} for s in self.symbols}
        for (dataset, symbol), pieces in sorted(self._pieces.items()):
            days = {day for piece in pieces for day in piece.days}
            found[symbol][dataset] = CatalogEntry(
                min(p.first_ns for p in pieces),
                max(p.last_ns for p in pieces),
                len(days),
                sum(p.rows for p in pieces),
            )
        return found

    def read(self, piece: Piece, words: Dictionary) -> tuple[Items, Ints | None]:
        """All rows of a piece as items in source order; blocks on I/O."""
        return self._items(piece, self._reader.read(piece), words)

    def read_part(
        self, piece: Piece, offset: int, rows: int, words: Dictionary
    ) -> tuple[Items, Ints | None, int | None]:
        """As ``read``, of ``rows`` rows from ``offset`` on; and the lowest ts after them."""
        table = self._reader.read(piece)
        items, sequence = self._items(piece, table.slice(offset, rows), words)
        rest = pc.min(table.column("ts").slice(offset + rows))
        if not rest.is_valid:
            return items, sequence, None
        return items, sequence, int(rest.cast(pa.timestamp("ns", rest.type.tz)).value)

    def _items(self, piece: Piece, table: pa.Table, words: Dictionary) -> tuple[Items, Ints | None]:
        try:
            return table_items(piece.dataset, table, words)
        except UNREADABLE as error:
            raise CatalogError(
                f"{self.root}/{piece.path}: row group {piece.row_group + 1} holds values that "
                f"cannot be: {error}"
            ) from error

    def open_file(self, path: str) -> pa.NativeFile:
        """The bytes of a file, by its path below the root."""
        return self.filesystem.open_input_stream(f"{self.root}/{path}")

    def side_files(self, symbols: Iterable[str]) -> list[str]:
        """Paths below the root of all side tables that these symbols have."""
        paths = [side_path(dataset, symbol) for symbol in symbols for dataset in SIDE_DATASETS]
        found = self.filesystem.get_file_info([f"{self.root}/{path}" for path in paths])
        pairs = zip(paths, found, strict=True)
        return [path for path, info in pairs if info.type == pafs.FileType.File]

    def side_table(self, dataset: str, symbol: str) -> pa.Table | None:
        """A symbol's table of a side dataset (``daily``, ...), None where there is none."""
        path = f"{self.root}/{side_path(dataset, symbol)}"
        if self.filesystem.get_file_info(path).type != pafs.FileType.File:
            return None
        try:
            with self.filesystem.open_input_file(path) as source:
                table = pq.read_table(source)
            table.validate(full=True)  # texts may be no UTF-8
        except UNREADABLE as error:
            raise CatalogError(f"{path}: cannot be read as Parquet: {error}") from error
        return table


def daily_closes(catalog: Catalog, symbol: str) -> dict[int, float]:
    """Official closes of the ``daily`` dataset by day number (days since 1970-01-01)."""
    table = catalog.side_table("daily", symbol)
    if table is None:
        return {}
    path, needed = f"{catalog.root}/{side_path('daily', symbol)}", "date (date32), close (double)"
    absent = {"date", "close"} - set(table.column_names)
    if absent:
        raise CatalogError(f"{path}: no column {sorted(absent)[0]!r}; needed: {needed}")
    try:
        days = table.column("date").cast(pa.date32()).cast(pa.int32()).to_pylist()
        closes = table.column("close").cast(pa.float64()).to_pylist()
    except UNREADABLE as error:
        raise CatalogError(f"{path}: {error}; needed: {needed}") from error
    return {d: c for d, c in zip(days, closes, strict=True) if c is not None and np.isfinite(c)}
