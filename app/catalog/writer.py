"""Writing catalog files: whole or not at all.

A file is written under a temporary name in its own folder (``.<name>.<token>.part``,
which listings of a catalog ignore) and then moved to its place. What a killed
process left there is removed when the same file is written again.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.errors import CatalogError

ROW_GROUP_ROWS = 65_536
METADATA_KEY = "tapedeck"
FORMAT_VERSION = 1
_PART = ".part"


def write_table(
    fs: pafs.FileSystem, path: str, table: pa.Table, metadata: dict[str, str] | None = None
) -> None:
    """Write a table as one Parquet file; an existing file is replaced, never half of one left.

    ``metadata`` joins the format's version under the key ``tapedeck``.
    """
    with DayWriter(fs, path, metadata) as writer:
        writer.add(table)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """What the disk refuses in here is a CatalogError that names the file."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise CatalogError(f"{path}: cannot be written: {why}") from error


class Folders:
    """The folders that one run writes into; each is made and listed once."""

    def __init__(self, fs: pafs.FileSystem) -> None:
        self._fs = fs
        self._parts: dict[str, list[str]] = {}

    def prepare(self, path: str) -> str:
        """Make room for a file, and give the temporary path to write it under.

        What a killed process left of this one file is removed; the parts of other
        files are let be, another process may be writing them.
        """
        folder, _, name = path.rpartition("/")
        if folder not in self._parts:
            with writing(folder):
                self._fs.create_dir(folder, recursive=True)
            found = self._fs.get_file_info(pafs.FileSelector(folder))
            self._parts[folder] = [i.base_name for i in found if i.base_name.endswith(_PART)]
        for part in [p for p in self._parts[folder] if p.startswith(f".{name}.")]:
            self._fs.delete_file(f"{folder}/{part}")
            self._parts[folder].remove(part)
        return f"{folder}/.{name}.{secrets.token_hex(4)}{_PART}"


class DayWriter:
    """One catalog file written in chunks of any size, the same bytes whatever their sizes.

    The file appears when the ``with`` block ends well; where an error leaves the
    block nothing remains. With no chunk at all no file is written.
    """

    def __init__(
        self,
        fs: pafs.FileSystem,
        path: str,
        metadata: dict[str, str] | None = None,
        folders: Folders | None = None,
    ) -> None:
        self.rows = 0
        self._folders = folders or Folders(fs)
        self._fs = fs
        self._path = path
        self._metadata = {"version": FORMAT_VERSION, **(metadata or {})}
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._sink: Any = None
        self._writer: Any = None
        self._part = ""

    def __enter__(self) -> DayWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            with writing(self._path):
                self._finish()
        except BaseException:
            self._abandon()
            raise

    def add(self, table: pa.Table) -> None:
        """Append rows; all chunks must have the same columns and types."""
        with writing(self._path):
            self._add(table)

    def _add(self, table: pa.Table) -> None:
        if self._writer is None:
            self._open(table.schema)
        self.rows += table.num_rows
        self._pending.append(table)
        self._pending_rows += table.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS:
            self._flush(last=False)

    def _open(self, schema: pa.Schema) -> None:
        self._part = self._folders.prepare(self._path)
        text = json.dumps(self._metadata, sort_keys=True)
        self._sink = self._fs.open_output_stream(self._part)
        self._writer = pq.ParquetWriter(
            self._sink,
            schema.with_metadata({METADATA_KEY: text}),
            compression="zstd",
            write_statistics=True,
        )

    def _flush(self, last: bool) -> None:
        """Write the whole row groups among the pending rows, and at the end the rest."""
        table = pa.concat_tables(self._pending).replace_schema_metadata(None)
        table = table.cast(self._writer.schema)
        at = 0
        while table.num_rows - at >= ROW_GROUP_ROWS or (last and at < table.num_rows):
            self._writer.write_table(table.slice(at, ROW_GROUP_ROWS), ROW_GROUP_ROWS)
            at += ROW_GROUP_ROWS
        rest = table.slice(at)
        self._pending, self._pending_rows = [rest], rest.num_rows

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._flush(last=True)
        self._writer.close()
        self._sink.close()
        self._fs.move(self._part, self._path)

    def _abandon(self) -> None:
        if self._sink is None:
            return
        with suppress(OSError):  # it is given up: what it still has need not be written
            if self._writer is not None and self._writer.is_open:
                self._writer.close()
        with suppress(OSError):
            self._sink.close()
        if self._fs.get_file_info(self._part).type == pafs.FileType.File:
            self._fs.delete_file(self._part)


def copy_file(source_fs: pafs.FileSystem, source: str, fs: pafs.FileSystem, path: str) -> None:
    """Copy a file as it is, whole or not at all."""
    part = Folders(fs).prepare(path)
    try:
        with writing(path):
            pafs.copy_files(source, part, source_filesystem=source_fs, destination_filesystem=fs)
            fs.move(part, path)
    except BaseException:
        if fs.get_file_info(part).type == pafs.FileType.File:
            fs.delete_file(part)
        raise


def list_files(fs: pafs.FileSystem, path: str, endings: Iterable[str]) -> list[str]:
    """``path`` itself where it is a file, else all files below it with one of the endings.

    Sorted by path; hidden ones (a leading dot anywhere below ``path``) are left out.
    """
    found = fs.get_file_info(path)
    if found.type == pafs.FileType.File:
        return [path]
    if found.type != pafs.FileType.Directory:
        raise CatalogError(f"{path} is not there; give a file or a folder that exists")
    wanted = tuple(endings)
    return sorted(
        info.path
        for info in fs.get_file_info(pafs.FileSelector(path, recursive=True))
        if info.type == pafs.FileType.File
        and info.path.lower().endswith(wanted)
        and not _is_hidden(info.path[len(path) :])
    )


def _is_hidden(relative: str) -> bool:
    return any(piece.startswith(".") for piece in relative.split("/"))
