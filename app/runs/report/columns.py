"""Columns of a run's Parquet files as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.errors import RunError
from app.model import Floats, Ints


class Labels(NamedTuple):
    """A column of texts: the distinct ones by code point, and each row's place among them."""

    names: list[str]
    codes: Ints

    def texts(self) -> list[str]:
        return [self.names[code] for code in self.codes.tolist()]


def read_table(folder: Path, name: str, columns: Sequence[str]) -> pa.Table:
    """These columns of a file; RunError where it is missing, broken or lacks one."""
    return _open(folder, name, columns).read(columns=list(columns))


def read_rows(
    folder: Path, name: str, columns: Sequence[str], where: str, among: Sequence[str]
) -> pa.Table:
    """The rows whose text in the column ``where`` is one of ``among``, without holding the rest."""
    file = _open(folder, name, columns)
    wanted = pa.array(among, pa.string())
    picked = [
        batch.filter(pc.is_in(batch[where].cast(pa.string()), wanted))
        for batch in file.iter_batches(columns=list(columns))
    ]
    schema = pa.schema([field for field in file.schema_arrow if field.name in columns])
    return pa.Table.from_batches(picked, schema)


def _open(folder: Path, name: str, columns: Sequence[str]) -> pq.ParquetFile:
    path = folder / name
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(f"{path}: cannot be read: {error}; is the run over?") from error
    missing = sorted(set(columns) - set(file.schema_arrow.names))
    if missing:
        raise RunError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(file.schema_arrow.names)}"
        )
    return file


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
