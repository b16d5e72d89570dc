"""Bars that a caller supplies, in place of what a catalog has of their symbols."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from app.catalog.layout import encode_symbol
from app.catalog.location import open_filesystem
from app.catalog.pieces import Piece
from app.catalog.schema import NO_TIME_NS, check_schema, known_columns, table_items
from app.catalog.store import Catalog
from app.catalog.writer import write_table
from app.errors import RequestError
from app.feed.judge import DUPLICATE, LATE, RowJudge
from app.model import Dictionary, Ints, Items, StreamType
from app.times import MINUTE_NS, format_time

_DATASET = "bars_1m"
_WRONG = {
    LATE: "is before the row above it; sort them by ts",
    DUPLICATE: "has the ts of an earlier row; a minute has one bar",
}
_INVALID = "is no bar; needed: ts on a whole minute, prices and volume finite and not negative"


class Candles:
    """1m bars by symbol. They lie in a folder of their own that goes with this object."""

    def __init__(self) -> None:
        self.symbols: frozenset[str] = frozenset()
        self._folder: Path | None = None

    def add(self, symbol: str, candles: Any) -> None:
        """Take the bars of a symbol; what was given of it before is replaced.

        ``candles``: an Arrow table, a polars or pandas frame, or numpy arrays or lists by
        column: ``ts`` (the bar's start; with a zone, or whole nanoseconds since the epoch),
        ``open``, ``high``, ``low``, ``close``, ``volume``, and ``vwap`` where there is one.
        RequestError, or CatalogError for a column, where a catalog would not take them as
        they are.
        """
        place = f"candles of {symbol}"
        table = _table(place, candles)
        check_schema(_DATASET, table.schema, place)
        table = table.select(known_columns(_DATASET, table.schema))
        _check_rows(place, table)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tapedeck-candles-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        filesystem, root = open_filesystem(str(self._folder))
        path = f"{root}/{_DATASET}/symbol={encode_symbol(symbol)}/candles.parquet"
        write_table(filesystem, path, table)
        self.symbols |= {symbol}

    def over(self, base: Catalog | None) -> Catalog:
        """A catalog of these and, of other symbols, of what ``base`` has."""
        own = Catalog.open(str(self._folder))
        return own if base is None else _Over(base, own)


class _Over(Catalog):
    """Of ``own``'s symbols nothing is read from ``base``: no ticks, closes or actions either."""

    def __init__(self, base: Catalog, own: Catalog) -> None:
        self.uri, self.filesystem, self.root = base.uri, base.filesystem, base.root
        self.cache_dir = None
        self._base, self._own = base, own
        self._mine = frozenset(own.symbols)
        self._merge()

    def _merge(self) -> None:
        base = {k: v for k, v in self._base._pieces.items() if k[1] not in self._mine}
        self._pieces = base | self._own._pieces
        broken = self._base._broken.items()
        self._broken = {path: found for path, found in broken if found[1] not in self._mine}

    def refresh(self) -> None:
        self._base.refresh()
        self._merge()

    def read(self, piece: Piece, words: Dictionary) -> tuple[Items, Ints | None]:
        return self._of(piece.symbol).read(piece, words)

    def side_files(self, symbols: Iterable[str]) -> list[str]:
        return self._base.side_files(s for s in symbols if s not in self._mine)

    def side_table(self, dataset: str, symbol: str) -> pa.Table | None:
        return self._of(symbol).side_table(dataset, symbol)

    def open_file(self, path: str) -> pa.NativeFile:
        mine = any(piece.path == path for pieces in self._own._pieces.values() for piece in pieces)
        return (self._own if mine else self._base).open_file(path)

    def _of(self, symbol: str) -> Catalog:
        return self._own if symbol in self._mine else self._base


def _table(place: str, candles: Any) -> pa.Table:
    try:
        table = candles if isinstance(candles, pa.Table) else pa.table(candles)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise RequestError(
            f"{place}: {type(candles).__name__} is no table ({error}); give an Arrow table, a "
            "polars or pandas frame, or columns by name"
        ) from error
    if not table.num_rows:
        raise RequestError(f"{place}: the table is empty")
    at = table.schema.get_field_index("ts")
    if at >= 0 and pt.is_int64(table.schema.field(at).type):
        stamps = table.column(at).cast(pa.timestamp("ns", "UTC"))
        table = table.set_column(at, "ts", stamps)
    return table


def _check_rows(place: str, table: pa.Table) -> None:
    """A catalog's replay would leave a wrong row out and count it; here nobody would see that."""
    items, _ = table_items(_DATASET, table, Dictionary())
    fate = RowJudge(StreamType.BAR, on_grid=True).judge(items)
    wrong: Sequence[int] = np.flatnonzero(fate).tolist()
    if not wrong:
        return
    first = wrong[0]
    release = int(items["release_ns"][first])
    ts = "null" if release == NO_TIME_NS else format_time(release - MINUTE_NS)
    more = f" (and {len(wrong) - 1} more rows are wrong)" if len(wrong) > 1 else ""
    raise RequestError(
        f"{place}: row {first + 1}, ts {ts}, {_WRONG.get(int(fate[first]), _INVALID)}{more}"
    )
