"""The recorder of a long run: a process of its own, which writes what it is handed.

A run's thread only packs its events; columns, digest, streams and compression take ten times as
long. Batches lie in a short queue while the process starts, or falls behind; a thread sends them
through its standard input. Where that ends without a word, the run's process is gone: the recorder
writes what it has and ends. It holds a lock as long as it lives.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO

import msgspec

from app.errors import RunError
from app.runs.locks import FileLock
from app.runs.recorder_batches import Batch, pack

SIZE_BYTES = 8  # before each batch, little-endian; zero at the end
_MODULE = "app.runs.recorder_process"
_MOST_BATCHES = 32  # that wait


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of what the process says: what it could not write, and at last the digest."""

    error: str | None = None
    digest: str | None = None


class Recorder:
    """``send`` batches in order, from the first of the run, and ``close``. RunError tells once of
    what could not be written; again and again, where nothing more can be."""

    def __init__(self, folder: Path, lock: Path) -> None:
        self.digest: str | None = None  # of all events, once it is closed
        self._folder, self._lock = folder, FileLock(lock)
        self._batches: Queue[bytes | None] = Queue(_MOST_BATCHES)
        self._errors: list[RunError] = []  # to be told
        self._end: RunError | None = None  # why nothing more is written
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = Thread(target=self._work, name="Recorder", daemon=True)
        self._thread.start()

    def send(self, batch: Batch) -> None:
        """Waits while the process is far behind."""
        self._tell()
        if batch.events or batch.equity:
            self._batches.put(pack(batch))

    def close(self) -> None:
        """Wait until all is written and the process has ended; any number of times."""
        if not self._closed:
            self._closed = True
            self._batches.put(None)
        self._thread.join()
        self._tell()

    def _tell(self) -> None:
        if self._errors:
            raise self._errors.pop()
        if self._end is not None:
            raise self._end

    # -- on its threads --------------------------------------------------------------------------

    def _work(self) -> None:
        batches = iter(self._batches.get, None)
        try:
            with suppress(BrokenPipeError), self._start() as self._process:  # why is heard
                listener = Thread(
                    target=self._listen, args=(self._process,), name="RecorderAnswers", daemon=True
                )  # fmt: skip
                listener.start()
                try:
                    _send(self._process.stdin, batches)
                finally:
                    listener.join()
        except OSError as error:
            self._end = RunError(f"{self._folder}: its recorder cannot be started: {error}")
        for _ in batches:  # nobody is to wait for room
            pass

    def _start(self) -> subprocess.Popen[bytes]:
        """Modules are found where this process finds them. From here on it holds the lock, not
        this process."""
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        self._lock.wait_alone()
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, str(self._folder)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, start_new_session=True, pass_fds=(self._lock.fileno,),
                env=os.environ | {"PYTHONPATH": path},
            )  # fmt: skip
        finally:
            self._lock.release()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            answer = msgspec.json.decode(line, type=Answer)
            self.digest = answer.digest
            if answer.error is not None:
                self._errors.append(RunError(answer.error))
        code = process.wait()
        if self.digest is None:
            self._end = self._errors.pop() if self._errors else self._gone(code)

    def _gone(self, code: int) -> RunError:
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return RunError(f"{self._folder}: its recorder ended {how}")


def _send(sink: IO[bytes] | None, batches: Iterator[bytes]) -> None:
    """All batches up to the end, and that they have ended."""
    assert sink is not None
    for packed in batches:
        sink.write(len(packed).to_bytes(SIZE_BYTES, "little"))
        sink.write(packed)
        sink.flush()
    sink.write(bytes(SIZE_BYTES))
    sink.flush()
