"""What is delivered next: taken from the queues and merged, beside the merge thread where a whole
chunk waits.

Chunks follow each other whichever thread merges them, and where they are cut shows nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import NamedTuple

from app.feed.queues import BEFORE_ALL_NS, Rows
from app.feed.sources import END_NS
from app.managers.data_manager.merge import Merged, Merger
from app.managers.data_manager.session_data import LateRows
from app.model import Items, Stream


class Taken(NamedTuple):
    """Rows that have left the queues; all released by ``through_ns`` is in them or before them.

    ``fresh`` is what was pushed since rows were last taken.
    """

    merge: Merged
    through_ns: int
    fresh: Iterable[tuple[Stream, Items | LateRows]]


class Fetching:
    """Used by the merge thread; what is marked is read by others, under the lock."""

    def __init__(self, changed: Condition, merger: Merger, make_room: Callable[[], None]) -> None:
        self.ahead: Sequence[Items | LateRows] = ()  # read by others: merged for the next chunk
        self._changed, self._merger, self._make_room = changed, merger, make_room
        self._next: Future[tuple[Taken, Rows]] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._short_ns = BEFORE_ALL_NS  # how far the streams were when it was too short for one

    @property
    def can_fetch(self) -> bool:
        """Whether there is something; under the lock."""
        return self._next is not None or self._merger.can_merge

    def look_back(self, until_ns: int) -> Taken | None:
        """Rows released by then, which are not delivered; None where there can be none as yet."""
        with self._changed:
            return self._take(until_ns) if self._merger.can_merge else None

    def fetch(self) -> tuple[Taken, Rows] | None:
        """The next chunk, and its rows in the total order."""
        found, self._next = self._next, None
        if found is not None:
            return found.result()
        with self._changed:
            if not self._merger.can_merge:
                return None
            taken = self._take_chunk()
        return taken, taken.merge.in_order()

    def fetched(self) -> None:
        """That chunk is what is delivered now; under the lock."""
        self.ahead = ()

    def look_ahead(self) -> None:
        """Merge the chunk after the one that is delivered meanwhile, as soon as a whole one is
        there: what is due at the end of this one need not wait then."""
        if self._next is not None or not self._merger.holds_chunk:
            return
        with self._changed:
            horizon_ns = self._merger.horizon_ns
            if horizon_ns == self._short_ns:
                return
            if not self._merger.has_chunk:
                self._short_ns = horizon_ns
                return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "MergeAhead")
        self._next = self._pool.submit(self._merge_next)

    def finish(self) -> None:
        """End the thread; should the session be taken up again, another one begins."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _merge_next(self) -> tuple[Taken, Rows]:
        with self._changed:
            taken = self._take_chunk()
        return taken, taken.merge.in_order()

    def _take_chunk(self) -> Taken:
        taken = self._take(END_NS)
        self._merger.count_delivered(taken.merge.parts)
        self.ahead = [rows for _, rows in taken.merge.parts]
        return taken

    def _take(self, limit_ns: int) -> Taken:
        merge = self._merger.take(limit_ns)
        self._make_room()
        return Taken(merge, self._merger.merged_through_ns, self._merger.take_fresh())
