"""What no replay of the same files can beat; one limit a process, prints one line of JSON.

    python -m benchmarks.limits --root benchmarks/data/W2 --workload W2 --strategy none --mode sort

``read``: every file into Arrow. ``sort``: one stable sort of all rows by time. ``copy``: all
columns, as 64-bit values in one record a row, put into that order. Only the named work is run; what
it needs is loading.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.common import STREAMS, Job, Timer, files, read_job, report

MODES = ("read", "sort", "copy")


def read(job: Job) -> list[Any]:
    paths = [path for dataset in STREAMS[job.workload] for _, path in files(job.root, dataset)]
    return [pq.read_table(path) for path in paths]


def stamps_of(tables: list[Any]) -> Any:
    return np.concatenate([table["ts"].cast(pa.int64()).to_numpy() for table in tables])


def records_of(tables: list[Any]) -> Any:
    """All rows, file by file: the time and the numbers of each."""
    width = max(sum(_is_number(field.type) for field in table.schema) for table in tables)
    found = np.zeros((sum(table.num_rows for table in tables), width + 1))
    found[:, 0] = stamps_of(tables)
    begin = 0
    for table in tables:
        end = begin + table.num_rows
        numbers = [name for name in table.column_names if _is_number(table[name].type)]
        for place, name in enumerate(numbers, 1):
            found[begin:end, place] = table[name].to_numpy()
        begin = end
    return found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def measure(job: Job) -> tuple[Timer, int]:
    timer = Timer()
    if job.mode == "read":
        timer.loaded()
        rows = sum(table.num_rows for table in read(job))
    else:
        tables = read(job)
        stamps = stamps_of(tables)
        rows = len(stamps)
        if job.mode == "sort":
            timer.loaded()
            np.argsort(stamps, kind="stable")
        else:
            records, order = records_of(tables), np.argsort(stamps, kind="stable")
            timer.loaded()
            records.take(order, axis=0)
    timer.ended()
    return timer, rows


def main() -> None:
    job = read_job()
    if job.mode not in MODES:
        raise SystemExit(f"limits: mode is {job.mode!r}; allowed: {', '.join(MODES)}")
    timer, rows = measure(job)
    report(timer, rows, ("numpy", "pyarrow"))


if __name__ == "__main__":
    main()
