"""An external sort: rows of many partitions in, each partition in time order out.

What does not fit in memory goes to one temporary file that has no name, so a
killed process leaves nothing behind. Rows of equal time keep the order in which
they were added.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from tempfile import TemporaryFile, gettempdir
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from app.catalog.shapes import ELIGIBILITY
from app.errors import CatalogError
from app.model import Ints

Key = TypeVar("Key", bound=Hashable)
_LEAST_BATCH_ROWS = 256
_EPOCH = date(1970, 1, 1)
_DAY_BITS = 20
_DAY_ZERO = 1 << (_DAY_BITS - 1)


class _Blob(NamedTuple):
    """A record batch in the temporary file."""

    offset: int
    size: int
    schema: int  # number of its schema
    rows: int


class Spill(Generic[Key]):
    """Rows by partition, at most about ``memory_rows`` of them in memory at once.

    Every table needs a ``ts`` column without nulls. Tables of one partition may
    differ in their optional columns and in integer or fractional sizes.
    """

    def __init__(self, memory_rows: int) -> None:
        self._memory_rows = max(1, memory_rows)
        self._pending: dict[Key, list[pa.Table]] = {}
        self._pending_rows = 0
        self._blobs: dict[Key, list[_Blob]] = {}
        self._schemas: list[pa.Schema] = []
        self._rows: dict[Key, int] = {}
        self._file: Any = None

    def __enter__(self) -> Spill[Key]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def keys(self) -> list[Key]:
        """Partitions in order of their first row."""
        return list(self._rows)

    def rows(self, key: Key) -> int:
        return self._rows[key]

    def add(self, key: Key, table: pa.Table) -> None:
        """Append rows to a partition."""
        if not table.num_rows:
            return
        self._pending.setdefault(key, []).append(_plain(table))
        self._pending_rows += table.num_rows
        self._rows[key] = self._rows.get(key, 0) + table.num_rows
        if self._pending_rows >= self._memory_rows:
            self._flush()

    def read_sorted(self, key: Key) -> Iterator[pa.Table]:
        """The rows of a partition in order of ``ts``, in pieces of one schema."""
        if self._file is not None and self._pending_rows:
            self._flush()
        blobs = self._blobs.get(key, [])
        pending = self._pending.get(key, [])
        schemas = [self._schemas[b.schema] for b in blobs] + [t.schema for t in pending]
        schema = pa.unify_schemas(schemas, promote_options="permissive")
        if self._rows[key] <= self._memory_rows or pending:
            tables = [*(self._load(b) for b in blobs), *pending]
            yield _sorted(pa.concat_tables(_conform(t, schema) for t in tables))
            return
        yield from self._merge(self._make_runs(blobs, schema))

    def _flush(self) -> None:
        for key, tables in self._pending.items():
            grouped: dict[int, list[pa.Table]] = {}
            for table in tables:
                grouped.setdefault(self._schema_number(table.schema), []).append(table)
            stored = self._blobs.setdefault(key, [])
            if len(grouped) == 1:
                stored.append(self._store(pa.concat_tables(tables)))
            else:  # their order counts, so they cannot be put together by schema
                stored.extend(self._store(t) for t in tables)
        self._pending, self._pending_rows = {}, 0

    def _schema_number(self, schema: pa.Schema) -> int:
        for number, known in enumerate(self._schemas):
            if known.equals(schema):
                return number
        self._schemas.append(schema)
        return len(self._schemas) - 1

    def _store(self, table: pa.Table) -> _Blob:
        data = table.combine_chunks().to_batches()[0].serialize()
        try:
            if self._file is None:
                self._file = TemporaryFile(prefix="tapedeck-")  # noqa: SIM115 - by __exit__
            offset = self._file.seek(0, 2)
            self._file.write(data)
            self._file.flush()  # or a full disk would be found later, where nobody expects it
        except OSError as error:
            raise CatalogError(
                f"rows that do not fit in memory cannot be put into {gettempdir()}: "
                f"{error.strerror}; set TMPDIR to a folder with room"
            ) from error
        return _Blob(offset, len(data), self._schema_number(table.schema), table.num_rows)

    def _load(self, blob: _Blob) -> pa.Table:
        self._file.seek(blob.offset)
        data = pa.py_buffer(self._file.read(blob.size))
        batch = pa.ipc.read_record_batch(data, self._schemas[blob.schema])
        return pa.Table.from_batches([batch])

    def _make_runs(self, blobs: list[_Blob], schema: pa.Schema) -> list[list[_Blob]]:
        """Sort what fits in memory at a time; each run is stored in small batches."""
        groups: list[list[_Blob]] = []
        room = 0
        for blob in blobs:
            if blob.rows > room or not groups:
                groups.append([])
                room = self._memory_rows
            groups[-1].append(blob)
            room -= blob.rows
        batch_rows = max(_LEAST_BATCH_ROWS, self._memory_rows // (2 * len(groups)))
        runs = []
        for group in groups:
            whole = _sorted(pa.concat_tables(_conform(self._load(b), schema) for b in group))
            runs.append(
                [
                    self._store(whole.slice(at, batch_rows))
                    for at in range(0, whole.num_rows, batch_rows)
                ]
            )
        return runs

    def _merge(self, runs: list[list[_Blob]]) -> Iterator[pa.Table]:
        """Merge runs in order of (time, run, place in the run)."""
        waiting = [iter(run) for run in runs]
        left = [len(run) for run in runs]
        heads: list[Any] = [None] * len(runs)
        while True:
            for run, head in enumerate(heads):
                if (head is None or not head.num_rows) and left[run]:
                    heads[run] = self._load(next(waiting[run]))
                    left[run] -= 1
            times = {r: _times(h) for r, h in enumerate(heads) if h is not None and h.num_rows}
            if not times:
                return
            # Up to the least end of a batch that has more behind it nothing can be missing.
            limit = min(((int(times[r][-1]), r) for r in times if left[r]), default=None)
            pieces = []
            for run, stamps in times.items():
                count = len(stamps)
                if limit is not None:
                    side: Any = "right" if run <= limit[1] else "left"
                    count = int(np.searchsorted(stamps, limit[0], side))
                head = heads[run]
                pieces.append(head.slice(0, count))
                heads[run] = head.slice(count)
            yield _sorted(pa.concat_tables(pieces))


def split_rows(table: pa.Table, codes: Ints) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each code, in their own order; codes ascending."""
    if not len(codes):
        return
    if (codes == codes[0]).all():
        yield int(codes[0]), table
        return
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    table = table.take(order)
    edges = [0, *(np.flatnonzero(np.diff(ranked)) + 1).tolist(), len(ranked)]
    for low, high in pairwise(edges):
        yield int(ranked[low]), table.slice(low, high - low)


def split_days(table: pa.Table, codes: Ints, days: Ints) -> Iterator[tuple[int, date, pa.Table]]:
    """The rows of each code (a symbol's number) and day (since 1970), in their own order."""
    keys = (codes.astype(np.int64) << _DAY_BITS) + (days + _DAY_ZERO)
    for key, part in split_rows(table, keys):
        day = (key & ((1 << _DAY_BITS) - 1)) - _DAY_ZERO
        yield key >> _DAY_BITS, _EPOCH + timedelta(days=day), part


def _times(table: pa.Table) -> Ints:
    stamps: Ints = table.column("ts").cast(pa.int64()).to_numpy()
    return stamps


def _sorted(table: pa.Table) -> pa.Table:
    stamps = _times(table)
    if (stamps[1:] >= stamps[:-1]).all():
        return table
    return table.take(np.argsort(stamps, kind="stable"))


def _plain(table: pa.Table) -> pa.Table:
    """Without dictionary-encoded columns: their dictionaries are not in a batch's bytes."""
    fields = [
        f.with_type(f.type.value_type) if pt.is_dictionary(f.type) else f for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of ``schema``, in its order and types."""
    columns = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(table.column(field.name).cast(field.type))
        else:
            columns.append(_absent(table, field))
    return pa.table(columns, schema=schema)


def _absent(table: pa.Table, field: pa.Field) -> Any:
    """A column that only other tables of the partition have: what its absence means."""
    if field.name in ELIGIBILITY and "suspicious" in table.column_names:
        return pc.invert(pc.fill_null(table.column("suspicious"), False))
    if field.name in ELIGIBILITY or field.name == "suspicious":
        return pa.repeat(pa.scalar(field.name != "suspicious"), table.num_rows)
    return pa.nulls(table.num_rows, field.type)
