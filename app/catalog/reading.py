"""Reading pieces of Parquet files: whole small files at once, shared row groups once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.catalog.pieces import FileStamp, Piece
from app.damage import UNREADABLE
from app.errors import CatalogChangedError, CatalogError

_CACHED_GROUPS = 4
_CACHED_FOOTERS = 8
_WHOLE_FILE_BYTES = 8 << 20


class PieceReader:
    """Pieces of one root as tables. Thread-safe; what it keeps is bounded."""

    def __init__(self, fs: pafs.FileSystem, root: str) -> None:
        self._fs = fs
        self._root = root
        self._groups = RecentValues(_CACHED_GROUPS)
        self._footers = RecentValues(_CACHED_FOOTERS)

    def read(self, piece: Piece) -> pa.Table:
        """The rows of a piece; CatalogChangedError where the file is not the indexed one."""
        if piece.offset == 0 and piece.rows == piece.group_rows:
            return self._read_group(piece)
        key = (piece.path, piece.stamp, piece.row_group)
        group = self._groups.get(key)
        if group is None:
            group = self._read_group(piece)
            self._groups.put(key, group)
        return group.slice(piece.offset, piece.rows)

    def _read_group(self, piece: Piece) -> pa.Table:
        path = f"{self._root}/{piece.path}"
        try:
            with self._open(path, piece) as file:
                table = file.read_row_group(piece.row_group, list(piece.columns), use_threads=False)
        except UNREADABLE as error:
            self._check_unchanged(path, piece)  # a change says more than what came of it
            raise CatalogError(f"{path}: cannot be read as Parquet: {error}") from error
        self._check_unchanged(path, piece)  # after reading: nothing changes unseen before it
        return table

    @contextmanager
    def _open(self, path: str, piece: Piece) -> Iterator[pq.ParquetFile]:
        if piece.groups == 1 and piece.stamp.size <= _WHOLE_FILE_BYTES:
            with self._fs.open_input_file(path) as source:
                content = source.read_buffer()  # one request where the file is remote
            with pq.ParquetFile(pa.BufferReader(content), read_dictionary=piece.texts) as file:
                yield file
            return
        # A footer grows with the file's row groups: it is not parsed again for each of them.
        key = (piece.path, piece.stamp)
        footer = self._footers.get(key)
        with (
            self._fs.open_input_file(path) as source,
            pq.ParquetFile(
                source, metadata=footer, read_dictionary=piece.texts, pre_buffer=True
            ) as file,
        ):
            if footer is None:
                self._footers.put(key, file.metadata)
            yield file

    def _check_unchanged(self, path: str, piece: Piece) -> None:
        try:
            stamp = FileStamp.of(self._fs.get_file_info(path))
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(f"{path}: cannot be looked at: {error}") from error
        if stamp != piece.stamp:
            raise CatalogChangedError(
                f"{path}: the file was {'changed' if stamp.size >= 0 else 'removed'} after the "
                f"session began (was {piece.stamp.size} bytes); start a new session"
            )


class RecentValues:
    """The values that were put last, as many as ``most``. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            return self._kept.get(key)

    def put(self, key: Any, value: Any) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
