"""Hashing beside the merge thread, once many items are not hashed yet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from app.runs.digest import Digest

log = logging.getLogger(__name__)

_MOST_BYTES = 2**20  # of what nobody asked for: then it is hashed
_LARGE_BYTES = 2**18  # of a window, on average: others are hashed sooner than the lock is had again


class Hashing:
    """Used by the merge thread. Its own thread is one of those who may settle a digest, so nobody
    waits for it; it begins with the first large windows and ends with the session.
    """

    def __init__(self, digest: Digest, fail: Callable[[BaseException], None]) -> None:
        self._done, self._windows = digest, 0  # that came after it
        self._fail = fail
        self._pieces: SimpleQueue[Digest | None] = SimpleQueue()
        self._thread: Thread | None = None

    def reached(self, digest: Digest) -> None:
        """A window was delivered, up to ``digest``. Two pieces wait at most: should the thread be
        late, the first is hashed here."""
        self._windows += 1
        size = abs(digest.size - self._done.size)  # it is less after going back
        if size < _MOST_BYTES:
            return
        self._done.settle()
        if size < self._windows * _LARGE_BYTES:
            digest.settle()
        else:
            self._hand_over(digest)
        self._done, self._windows = digest, 0

    def _hand_over(self, digest: Digest) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="DigestThread", daemon=True)
            self._thread.start()
        self._pieces.put(digest)

    def finish(self) -> None:
        """End the thread; should the session be taken up again, another one begins."""
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        try:
            while (digest := self._pieces.get()) is not None:
                digest.settle()
        except BaseException as error:
            log.exception("the digest's thread failed")
            self._fail(error)
