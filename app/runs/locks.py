"""A lock on a file: held as long as its process lives, let go by its end, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

RECORDER_LOCK = "recorder.lock"  # in a run's folder; held by the process that writes a long one


class FileLock:
    """One holder's lock. Shared, it lets one process hand a run to another without a gap: only
    when nobody holds it can it be had alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def share(self) -> None:
        """Hold it, with others; waits while somebody has it alone."""
        self._take(fcntl.LOCK_SH)

    def wait_alone(self) -> None:
        """Hold it alone; waits while anybody has it."""
        self._take(fcntl.LOCK_EX)

    def alone(self) -> bool:
        """Hold it alone if nobody has it now."""
        try:
            self._take(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def let_others_share(self) -> None:
        """From now on hold it with others."""
        assert self._file is not None
        fcntl.flock(self._file, fcntl.LOCK_SH)

    @property
    def fileno(self) -> int:
        """Of the file: a process that it is passed on to holds the lock too."""
        assert self._file is not None
        return self._file

    def _take(self, how: int) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, how)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def release(self) -> None:
        """Let go of it; any number of times."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
