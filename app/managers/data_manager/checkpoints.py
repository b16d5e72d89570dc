"""What has been delivered of the running day, held so that the clock can be set back within it.

Columns are read through the view's gate and filled ahead of it, so nothing of them needs to be
undone. What remains is the order of what comes next, the digest and two counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.managers.data_manager.merge import Chunk
from app.runs.digest import Digest


class Checkpoint(NamedTuple):
    """All up to ``now_ns`` was delivered; what comes next begins in ``chunk`` at slice ``at``."""

    now_ns: int
    seq: int
    items_delivered: int
    digest: Digest
    chunk: Chunk
    at: int


class Rewound(NamedTuple):
    """The state at an earlier time: the chunk stands on the first slice after it."""

    chunk: Chunk
    digest: Digest
    seq: int
    items_delivered: int


class Checkpoints:
    """Of one day, rising; at most so many rows are held. Not thread-safe: on the merge thread."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._held: list[Checkpoint] = []

    def begin_day(self, checkpoint: Checkpoint) -> None:
        """A day begins here: what was before is not held any more."""
        self._held = [checkpoint]

    def add(self, checkpoint: Checkpoint) -> None:
        """The next chunk begins here. The oldest are dropped where there are too many rows."""
        self._held.append(checkpoint)
        rows = sum(len(one.chunk.items) for one in self._held)
        while rows > self._most_rows and len(self._held) > 1:
            rows -= len(self._held.pop(0).chunk.items)

    def reaches(self, time_ns: int) -> bool:
        return bool(self._held) and self._held[0].now_ns <= time_ns

    def rewind(self, time_ns: int) -> Rewound:
        """The state at a time that is reached; what lies after it is held no longer."""
        first = max(n for n, one in enumerate(self._held) if one.now_ns <= time_ns)
        start, later = self._held[first], self._held[first + 1 :]
        chunk = Chunk(np.concatenate([start.chunk.rest(start.at), *(c.chunk.items for c in later)]))
        chunk.items.flags.writeable = False
        chunk.at = int(chunk.times_ns.searchsorted(time_ns, "right"))
        digest = start.digest
        shown = chunk.items[: int(chunk.bounds[chunk.at])] if chunk.at else chunk.items[:0]
        if len(shown):
            digest = digest.after(shown)
        seq, delivered = start.seq + chunk.at, start.items_delivered + len(shown)
        self._held[first:] = [start._replace(chunk=chunk, at=0)]
        return Rewound(chunk, digest, seq, delivered)
