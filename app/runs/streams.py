"""A run's tables as files: Arrow IPC streams while it runs, Parquet when it has ended.

A stream is written batch by batch straight to the operating system, so what was flushed
outlives the process. Its reader takes every whole batch and stops at a torn tail. Parquet is
cut by rows, not by how batches came: the same rows give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.damage import UNREADABLE
from app.errors import NotFoundError, RunError
from app.runs.manifest import UNFINISHED
from app.runs.tables import ORDERS, TABLES, batch_of_rows

GROUP_ROWS = 65_536
# A dictionary makes numbers and distinct texts slower to write, and mostly larger.
_DISTINCT = frozenset({"payload", "fill_id", "order_id", "signal_id", "group_id", "parent_id"})
_WORDS = (pa.string(), pa.date32(), pa.int16())


def stream_path(folder: Path, table: str) -> Path:
    return folder / f"{table}.arrows"


def parquet_path(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"


def unfinished_path(folder: Path, table: str) -> Path:
    """Where a Parquet file is written before it stands."""
    return folder / f".{table}.parquet{UNFINISHED}"


class StreamFile:
    """One table's stream, being written. RunError where the disk takes no more.

    With ``anew`` it is written beside the one that is there, until it is to take its place.
    """

    def __init__(self, folder: Path, table: str, anew: bool = False) -> None:
        self.path = stream_path(folder, table)
        self._beside = folder / f".{self.path.name}{UNFINISHED}"
        schema = TABLES[table]
        try:
            self._sink = pa.OSFile(str(self._beside if anew else self.path), "wb")
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._writer = pa.ipc.new_stream(self._sink, schema)
        self._write(batch_of_rows(schema, ()))  # the schema goes out with the first batch

    def write(self, batch: Any) -> None:
        """Append a batch; it is with the operating system on return."""
        if batch.num_rows:
            self._write(batch)

    def _write(self, batch: Any) -> None:
        try:
            self._writer.write_batch(batch)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def take_the_place(self) -> None:
        """Of the one that it is written beside."""
        try:
            self._beside.replace(self.path)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def close(self) -> None:
        """End the stream; any number of times."""
        if self._sink.closed:
            return
        try:
            self._writer.close()
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        finally:
            self._sink.close()


def _cannot_write(path: Path, error: OSError) -> RunError:
    why = os.strerror(error.errno) if error.errno else str(error)  # Arrow's own names the path
    return RunError(f"{path}: cannot be written: {why}")


# -- reading -----------------------------------------------------------------------------------


def read_stream(path: Path) -> Iterator[Any]:
    """The whole record batches of a stream, oldest first; a torn tail is left out.

    RunError where it breaks before its end, or holds what no run writes.
    """
    with pa.OSFile(str(path), "rb") as source:
        try:
            reader = pa.ipc.open_stream(source)
            while True:
                yield _checked(reader.read_next_batch(), path)
        except StopIteration:
            return
        except UNREADABLE as error:
            if source.tell() < source.size():
                raise RunError(f"{path}: broken at byte {source.tell()}: {error}") from error


def _checked(batch: Any, path: Path) -> Any:
    """Arrow trusts a file's offsets and texts: what reads them may not."""
    wanted = TABLES[path.stem]
    if not batch.schema.equals(wanted):
        raise RunError(f"{path}: its columns are not those of {path.stem}: {batch.schema.names}")
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        raise RunError(f"{path}: holds values that cannot be: {error}") from error
    return batch


def read_batches(folder: Path, table: str) -> Iterator[Any]:
    """Record batches of a table as it lies there, Parquet or stream; none where it does not.

    Of a running run's orders a row comes again as often as it changed.
    """
    if table not in TABLES:
        raise NotFoundError(f"a run has no table {table!r}; there are: {', '.join(TABLES)}")
    sealed = parquet_path(folder, table)
    if sealed.exists():
        try:
            with pq.ParquetFile(sealed) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    yield _checked(batch, sealed)
        except UNREADABLE as error:
            raise RunError(f"{sealed}: cannot be read: {error}") from error
    elif stream_path(folder, table).exists():
        yield from read_stream(stream_path(folder, table))


def read_table(folder: Path, table: str) -> Any:
    """A whole table, up to the last flush; of orders one row each, as they stand last."""
    batches = list(read_batches(folder, table))
    found = pa.Table.from_batches(batches, TABLES[table])
    return newest_orders(found) if table == "orders" else found


def newest_orders(rows: Any) -> Any:
    """The last row of each order, by its number."""
    numbers = rows["number"].to_numpy()
    _, from_end = np.unique(numbers[::-1], return_index=True)
    return rows.take(len(numbers) - 1 - from_end)


# -- sealing -----------------------------------------------------------------------------------


def seal(folder: Path, but: Container[str] = ()) -> None:
    """Turn streams of a folder into Parquet files, all but these tables' own; RunError where that
    cannot be written.

    Each stream goes when its Parquet file stands, so it may be cut short and called again.
    """
    for table in TABLES:
        if table not in but and stream_path(folder, table).exists():
            _seal_table(folder, table)


def _seal_table(folder: Path, table: str) -> None:
    batches: Iterable[Any] = read_stream(stream_path(folder, table))
    if table == "orders":
        batches = newest_orders(pa.Table.from_batches(list(batches), ORDERS)).to_batches()
    with sealing(folder, table):
        write_parquet(unfinished_path(folder, table), TABLES[table], batches)


@contextmanager
def sealing(folder: Path, table: str) -> Iterator[None]:
    """Within it the unfinished file is written, which then takes the stream's place."""
    sealed = parquet_path(folder, table)
    try:
        yield
        unfinished_path(folder, table).replace(sealed)
        stream_path(folder, table).unlink()
    except OSError as error:
        raise _cannot_write(sealed, error) from error


def write_parquet(path: Path, schema: Any, batches: Iterable[Any]) -> None:
    """A file of these batches; how they were cut shows nowhere. OSError where it cannot be."""
    words = [f.name for f in schema if f.type in _WORDS and f.name not in _DISTINCT]
    with path.open("wb") as sink:
        with pq.ParquetWriter(
            sink, schema, compression="zstd", compression_level=1, use_dictionary=words
        ) as writer:
            for group in regrouped(schema, batches):
                writer.write_table(group, row_group_size=GROUP_ROWS)
        sink.flush()
        os.fsync(sink.fileno())


def regrouped(schema: Any, batches: Iterable[Any]) -> Iterator[Any]:
    """The same rows as contiguous tables of GROUP_ROWS, but for the last."""
    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= GROUP_ROWS:
            table = pa.Table.from_batches(waiting, schema)
            whole = rows - rows % GROUP_ROWS
            for start in range(0, whole, GROUP_ROWS):
                yield table.slice(start, GROUP_ROWS).combine_chunks()
            waiting, rows = table.slice(whole).to_batches(), rows - whole
    if rows:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()
