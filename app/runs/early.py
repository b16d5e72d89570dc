"""Parquet files that are begun while their streams still grow.

Compression takes longer than all else that is done when a run ends, and leaves the interpreter
free: another thread does it meanwhile. It is woken for whole row groups only: each time it takes
the interpreter from the run. A file that is not finished counts for nothing.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from app.runs import streams
from app.runs.tables import TABLES


class EarlyParquet:
    """One table's Parquet file, begun with its first whole row group, small ones in the end.

    ``add`` what was written to the stream, in order. ``end`` after the last one; then ``begin``
    those that are not, all at once, and ``finish``.
    """

    def __init__(self, folder: Path, table: str) -> None:
        self._folder, self._table = folder, table
        self._groups: SimpleQueue[list[Any] | None] = SimpleQueue()
        self._waiting: list[Any] = []
        self._rows = 0  # that wait
        self._thread: Thread | None = None
        self._over = False
        self._error: BaseException | None = None

    @property
    def begun(self) -> bool:
        """Whether it is being written, and not finished."""
        return self._thread is not None

    def add(self, batch: Any) -> None:
        if self._error is not None or not batch.num_rows:
            return
        self._waiting.append(batch)
        self._rows += batch.num_rows
        if self._rows >= streams.GROUP_ROWS:
            self._hand_over()
            self.begin()

    def _hand_over(self) -> None:
        self._groups.put(self._waiting)
        self._waiting, self._rows = [], 0

    def begin(self) -> None:
        """Write it from now on; nothing where it is written, or has been."""
        if self._thread is None and not self._over:
            self._thread = Thread(target=self._work, name=f"Parquet-{self._table}", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        path = streams.unfinished_path(self._folder, self._table)
        try:
            batches = chain.from_iterable(iter(self._groups.get, None))
            streams.write_parquet(path, TABLES[self._table], batches)
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        """No more batches come."""
        self._hand_over()
        self._groups.put(None)

    def wait(self) -> None:
        """Until nothing more is written."""
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Put it in the place of the stream, once it is written; RunError where it cannot be."""
        if self._thread is None:
            return
        self.wait()
        self._thread, self._over = None, True
        with streams.sealing(self._folder, self._table):
            if self._error is not None:
                raise self._error
