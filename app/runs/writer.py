"""The audit: every event of a run into its folder, in sequence, and their digest.

Events are gathered and written in batches: of a fixed number, and with the first event that is
made ``flush_s`` or more after the last one that was flushed. What was flushed is with the
operating system; a process that is killed loses what came since. How batches are cut shows in no
finished file. A run of many events hands them to a process that writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import time_ns

from app.errors import StateError
from app.runs.locks import RECORDER_LOCK
from app.runs.recorder import Recorder
from app.runs.recorder_batches import Batch
from app.runs.run_files import RunFiles
from app.times import SECOND_NS
from app.trading.data_events import EquityEvent
from app.trading.events import EventBase

BATCH_EVENTS = 16_384
LONG_ROWS = 16_384  # events, or rows of the curve: a process starts in what as many take to write
FLUSH_S = 0.25


class AuditWriter:
    """Writes into ``folder``; with None it only counts events and hashes them.

    ``add`` takes each event once, in order: its place is its sequence number, from 1. RunError
    where a file cannot be written. ``close`` leaves Parquet files. ``lock`` is held, of a long
    run, as long as anything writes there; by default it lies in the folder.
    """

    def __init__(
        self, folder: Path | None, flush_s: float = FLUSH_S, lock: Path | None = None
    ) -> None:
        self.folder = folder
        self._flush_ns = int(flush_s * SECOND_NS)
        self._since_ns = time_ns()  # of the last flush
        self._due_ns = self._since_ns + self._flush_ns
        self._flushed = 0
        self._waiting: list[EventBase] = []
        self._equity: list[EquityEvent] = []
        self._files = RunFiles(folder)
        self._lock = lock
        self._kept = Batch([], [])  # all that a run that may become long has had
        self._rows = 0  # of it
        self._recorder: Recorder | None = None  # once it is long; then nothing is written here

    @property
    def events(self) -> int:
        """How many came: the last one's sequence number."""
        return self._flushed + len(self._waiting)

    @property
    def events_digest(self) -> str:
        """The digest of all that came; StateError before a long run is closed."""
        self.flush()
        if self._recorder is None:
            return self._files.digest
        if self._recorder.digest is None:
            raise StateError("the digest of a long run's events is known when it is closed", "open")
        return self._recorder.digest

    def add(self, event: EventBase) -> None:
        """The next event."""
        waiting = self._waiting
        waiting.append(event)
        on_time = self._since_ns <= event.ts_created_ns < self._due_ns
        if not on_time or len(waiting) >= BATCH_EVENTS:  # wall time may be set back
            self.flush()

    def add_equity(self, event: EquityEvent) -> None:
        """The next rows of the equity curve; not an event of the sequence."""
        if self.folder is not None:
            self._equity.append(event)

    def flush(self) -> None:
        """Write what waits; it then outlives the process."""
        events, self._waiting = self._waiting, []
        equity, self._equity = self._equity, []
        if events:
            self._since_ns = events[-1].ts_created_ns
            self._due_ns = self._since_ns + self._flush_ns
            self._flushed += len(events)
        if self._recorder is not None:
            self._recorder.send(Batch(events, equity))
        elif self._is_long_with(events, equity):
            self._hand_over()
        else:
            self._files.write(events, equity)

    def _is_long_with(self, events: Sequence[EventBase], equity: Sequence[EquityEvent]) -> bool:
        """Whether a process is to write; not where this one could not."""
        if not self._files.whole:
            return False
        self._kept.events.extend(events)
        self._kept.equity.extend(equity)
        self._rows += len(events) + sum(len(e.times_ns) for e in equity)
        return self._rows >= LONG_ROWS

    def _hand_over(self) -> None:
        """The process begins anew: it is told all so far, and its files take the place of these."""
        assert self.folder is not None
        self._files.leave()
        self._recorder = Recorder(self.folder, self._lock or self.folder / RECORDER_LOCK)
        kept, self._kept = self._kept, Batch([], [])
        self._recorder.send(kept)

    def close(self) -> None:
        """Write what waits and turn the streams into Parquet; any number of times."""
        try:
            self.flush()
        finally:
            (self._recorder or self._files).close()
