"""Bars that come twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from app.catalog.importers.report import KEPT_EXAMPLES, Counts, Example
from app.times import format_time

_VALUES = ("open", "high", "low", "close", "volume", "vwap")


class DuplicateBars:
    """Drops later bars of an equal start from a sorted stream, and counts them.

    Equal and conflicting ones are counted apart; of both the first in source order
    is kept.
    """

    def __init__(self, files: Sequence[str], rejected: Counts) -> None:
        self._files = files
        self._rejected = rejected
        self._last: pa.Table | None = None  # the last bar that was kept

    def drop(self, table: pa.Table) -> pa.Table:
        """The next piece of the stream without the bars that were there already."""
        offset = 0
        if self._last is not None:
            table = pa.concat_tables([self._last, table])
            offset = 1
        ts = table.column("ts").cast(pa.int64()).to_numpy()
        again = np.concatenate(([False], ts[1:] == ts[:-1]))
        if again.any():
            firsts = np.maximum.accumulate(np.where(again, 0, np.arange(len(ts))))
            self._count(table, np.flatnonzero(again), firsts)
        kept = table.filter(pa.array(~again))
        self._last = kept.slice(kept.num_rows - 1)
        return kept.slice(offset)

    def _count(self, table: pa.Table, rows: Any, firsts: Any) -> None:
        ours = table.select(_VALUES).take(rows).to_pylist()
        theirs = table.select(_VALUES).take(firsts[rows]).to_pylist()
        same = np.array([a == b for a, b in zip(ours, theirs, strict=True)])
        for mask, reason in (
            (same, "duplicate bar, equal"),
            (~same, "duplicate bar, conflicting (the first is kept)"),
        ):
            found = rows[mask]
            examples = [self._example(table, row) for row in found[:KEPT_EXAMPLES].tolist()]
            self._rejected.add(reason, len(found), examples)

    def _example(self, table: pa.Table, row: int) -> Example:
        file, number = (table.column(n)[row].as_py() for n in ("_file", "_row"))
        return Example(
            self._files[file], number, f"ts = {format_time(table.column('ts')[row].value)}"
        )
