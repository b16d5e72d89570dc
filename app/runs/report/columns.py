"""Columns of a run's Parquet files as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.damage import UNREADABLE
from app.errors import RunError
from app.model import Floats, Ints
from app.runs.tables import TABLES


class Labels(NamedTuple):
    """A column of texts: the distinct ones by code point, and each row's place among them."""

    names: list[str]
    codes: Ints

    def texts(self) -> list[str]:
        return [self.names[code] for code in self.codes.tolist()]


def read_table(folder: Path, name: str, columns: Sequence[str]) -> pa.Table:
    """These columns of a file; RunError where it is missing, broken or lacks one."""
    with _opened(folder / name, columns) as file:
        return _plain(folder / name, file.read(columns=list(columns)), columns)


def read_rows(
    folder: Path, name: str, columns: Sequence[str], where: str, among: Sequence[str]
) -> pa.Table:
    """The rows whose text in the column ``where`` is one of ``among``, without holding the rest."""
    wanted = pa.array(among, pa.string())
    with _opened(folder / name, columns) as file:
        picked = [
            batch.filter(pc.is_in(batch[where].cast(pa.string()), wanted))
            for batch in file.iter_batches(columns=list(columns))
        ]
        schema = pa.schema([field for field in file.schema_arrow if field.name in columns])
        return _plain(folder / name, pa.Table.from_batches(picked, schema), columns)


@contextmanager
def _opened(path: Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """A file that has these columns, and RunError for what is wrong with it while it is read."""
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow, columns)
            yield file
    except UNREADABLE as error:
        raise RunError(f"{path}: cannot be read: {error}; is the run over?") from error


def _check_columns(path: Path, found: pa.Schema, columns: Sequence[str]) -> None:
    missing = sorted(set(columns) - set(found.names))
    if missing:
        raise RunError(f"{path}: no column {', '.join(missing)}; it has {', '.join(found.names)}")


def _plain(path: Path, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The columns in the types that a run writes, of whatever encoding they are in the file."""
    wanted = TABLES[path.stem]
    found = table.select(columns).cast(pa.schema([wanted.field(name) for name in columns]))
    found.validate(full=True)  # Arrow trusts a file's texts: what reads them may not
    return found


def times(table: pa.Table, name: str) -> Ints:
    """Nanoseconds since the epoch."""
    found: Ints = table[name].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    return found


def floats(table: pa.Table, name: str) -> Floats:
    """Numbers, NaN for null."""
    found: Floats = table[name].cast(pa.float64()).to_numpy()
    return found


def labels(table: pa.Table, name: str) -> Labels:
    encoded = pa.concat_arrays(
        [pa.array([], pa.string()), *table[name].cast(pa.string()).chunks]
    ).dictionary_encode()
    words: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(words)), key=words.__getitem__)
    place = np.empty(len(words), np.int64)
    place[order] = np.arange(len(words))
    return Labels([words[i] for i in order], place[encoded.indices.to_numpy()])


def signs(side: Labels) -> Ints:
    """1 for a buy, or what began with one; -1 for a sale."""
    found = np.array([1 if name in ("buy", "long") else -1 for name in side.names], np.int64)
    return found[side.codes]


def counts(flags: pa.ChunkedArray) -> dict[str, int]:
    """How many lists hold each word."""
    counted = pc.value_counts(pc.list_flatten(flags)).to_pylist()
    return dict(sorted((row["values"], row["counts"]) for row in counted))
