"""The first part of a workload, for engines that would need most of an hour for the whole of it.

A catalog of its own, of the same files with fewer rows. Only what takes the same time for every
row is measured on one: its items a second are then those of the whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.workloads import GROUP_ROWS, Workload, prepare

_NEW_YORK = ZoneInfo("America/New_York")


class Part(NamedTuple):
    """Rows from before ``end``, and how that is said."""

    name: str
    end: datetime


PARTS = {
    "W1": Part("the first two years", datetime(2012, 1, 1, tzinfo=_NEW_YORK)),
    "W2": Part("the first two days", datetime(2024, 3, 6, tzinfo=_NEW_YORK)),
    "W3": Part(
        "the first 78 minutes",
        datetime(2024, 3, 5, 9, 30, tzinfo=_NEW_YORK) + timedelta(minutes=78),
    ),
}


def prepare_part(folder: Path, workload: Workload) -> Path:
    """The catalog of a workload's part; written where it is not there yet."""

    def write(root: Path) -> None:
        _cut(prepare(folder, workload), root, PARTS[workload.name].end)

    return prepare(folder, workload._replace(name=f"{workload.name}-part", write=write))


def _cut(source: Path, root: Path, end: datetime) -> None:
    limit = pa.scalar(end, pa.timestamp("ns", "UTC"))
    for path in sorted(source.rglob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        target = root / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        found = table.filter(pc.less(table["ts"], limit))
        pq.write_table(found, target, row_group_size=GROUP_ROWS, compression="zstd")
