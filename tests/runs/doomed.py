"""A run that is killed: it plays a day, says so, and goes on until the end that it never sees."""

from __future__ import annotations

import sys
from pathlib import Path

from app.runs import writer as writers
from app.runs.spec import RunSpec
from app.runs.store import RunStore
from app.runs.writer import AuditWriter
from tests.runs.made import SmallRun


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    writers.LONG_ROWS = int(sys.argv[2])
    handle = RunStore(Path(sys.argv[1])).create(RunSpec("doomed", {"a": 1}))
    run = SmallRun(AuditWriter(handle.path, flush_s=0), cut=4)
    run.play_day(0)
    say(f"{handle.id} {run.writer.events}")
    run.stage.open(1)
    number = 0
    while True:  # events that wait, and batches of them that are written, until the kill
        run.stage.play(run.bar(1, number % 300))
        number += 1
        if number % 500 == 0:
            say(str(number))
