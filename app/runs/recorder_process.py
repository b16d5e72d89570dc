"""The process that a long run hands its batches to, through standard input.

It is told the run's folder. Before each batch comes its size; zero ends the run. Where the input
ends without, the run's process is gone: what came is written, and nobody is told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":
    import signal

    from app.runs.without_pandas import hide_pandas

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # to all at once: the run ends it
        signal.signal(number, signal.SIG_IGN)
    hide_pandas()  # before pyarrow is given anything
import msgspec

from app.errors import RunError
from app.runs.recorder import SIZE_BYTES, Answer
from app.runs.recorder_batches import unpack
from app.runs.run_files import RunFiles


def record(folder: Path, source: BinaryIO, answer: Callable[[Answer], None]) -> None:
    """Write what comes. The first batch is all that stands in the folder, and takes its place.

    RunError where the run cannot be recorded any more. A write that failed is answered; what comes
    later is counted and hashed, as where a run writes by itself.
    """
    files = RunFiles(folder, anew=True)
    begun = False
    for packed in _batches(source):
        if packed is None:
            files.close()
            answer(Answer(digest=files.digest))
            return
        batch = unpack(packed)
        first, begun = not begun, True
        try:
            files.write(*batch)
            if first:
                files.take_the_place()
        except RunError as error:
            answer(Answer(error=str(error)))


def _batches(source: BinaryIO) -> Iterator[bytes | None]:
    """Whole ones; None at the end of the run."""
    while len(head := source.read(SIZE_BYTES)) == SIZE_BYTES:
        size = int.from_bytes(head, "little")
        packed = source.read(size)
        if len(packed) < size:
            return
        yield packed or None


def enter() -> None:
    """The process: its answers go to standard output, a line each."""

    def answer(said: Answer) -> None:
        try:
            sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the run's process is gone
            os._exit(1)

    try:
        record(Path(sys.argv[1]), sys.stdin.buffer, answer)
    except RunError as error:
        answer(Answer(error=str(error)))


if __name__ == "__main__":
    enter()
    os._exit(0)  # to take apart what was imported takes longer than to end the run's files
