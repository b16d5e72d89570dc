"""The merge: all queues up to the horizon, in one total order, walked by slices."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from app.errors import StreamClosedError
from app.feed.queues import BEFORE_ALL_NS, Merge, Rows, StreamQueue
from app.feed.sources import END_NS
from app.managers.data_manager.session_data import LateRows, read_rows
from app.model import Block, Ints, Items, Stream, empty_items, join_items

CHUNK_ROWS = 262_144


class Chunk:
    """Merged items that wait for their time; ``at`` is the next undelivered slice."""

    def __init__(self, items: Items, release_ns: Ints | None = None) -> None:
        """``release_ns`` are those of the items, where they are at hand in one piece."""
        release = np.ascontiguousarray(items["release_ns"]) if release_ns is None else release_ns
        self.items = items
        edges = np.flatnonzero(release[1:] != release[:-1]) + 1
        self.bounds: Ints = np.concatenate(([0], edges, [len(items)])) if len(items) else edges
        self.times_ns: Ints = release[self.bounds[:-1]]
        self.block = Block(self.times_ns, self.bounds, items)
        self.at = 0
        # Single values are read and searched here: numpy's own cost ten times as much, and a
        # search of its gives the interpreter lock away.
        self._times, self._bounds = self.times_ns.data, self.bounds.data

    @property
    def next_ns(self) -> int | None:
        """Release time of the next undelivered slice, None after the last."""
        return self._times[self.at] if self.at < len(self._times) else None

    def span(self, end: int) -> tuple[int, int, int, int]:
        """Of the slices from the next one to ``end``: first and last time, rows [low, high)."""
        times, bounds = self._times, self._bounds
        return times[self.at], times[end - 1], bounds[self.at], bounds[end]

    def upto(self, limit_ns: int, most_rows: int | None, most_slices: int | None) -> int:
        """The slice before which a window must end; at least one slice is in it."""
        end = bisect_right(self._times, limit_ns, self.at)
        if most_slices is not None:
            end = min(end, self.at + most_slices)
        if most_rows is not None:
            first = self._bounds[self.at]
            fits = bisect_right(self._bounds, first + most_rows, self.at) - 1
            end = min(end, max(fits, self.at + 1))
        return end

    @property
    def waiting(self) -> Items:
        """The items not yet delivered."""
        return self.rest(self.at)

    def rest(self, at: int) -> Items:
        """The items of a slice and all after it."""
        return self.items[self._bounds[at] :] if at < len(self.times_ns) else _NONE


_NONE = empty_items()


class StreamStats(NamedTuple):
    """One stream's queue. ``queued`` counts the rows not yet delivered."""

    symbol: str
    channel: str
    queued: int
    oldest_ns: int | None
    newest_ns: int | None
    complete_through_ns: int | None
    delivered: int
    ended: bool


class Merged(Protocol):
    """What was taken: the rows of each stream, and all in the total order."""

    @property
    def words_known(self) -> int | None:
        """So many words have appeared; None where they are to be numbered."""

    @property
    def parts(self) -> Sequence[tuple[Stream, Items | LateRows]]: ...

    def in_order(self) -> Rows:
        """All in the total order."""


class Merger:
    """Owns the queues. Not thread-safe: under the coordinator's lock."""

    def __init__(self) -> None:
        self.queues: dict[Stream, StreamQueue] = {}
        self.delivered: dict[Stream, int] = {}
        self.merged_through_ns = BEFORE_ALL_NS
        self.queued_rows = 0
        self.merged_rows = 0
        self._ordered: list[StreamQueue] = []
        self._through = np.empty(0, np.int64)
        self._horizon_ns: int | None = None  # until a stream that it hangs on goes on
        self._place: dict[Stream, int] = {}
        self._arranged = True
        self._derived: set[Stream] = set()
        self._is_source = np.empty(0, bool)
        self._fresh: list[tuple[Stream, Items]] = []

    def register(self, queue: StreamQueue, derived: bool = False) -> None:
        if queue.stream in self.queues:
            raise StreamClosedError(f"stream {queue.stream} is registered already")
        queue.complete_through_ns = max(queue.complete_through_ns, self.merged_through_ns)
        self.queues[queue.stream] = queue
        if derived:
            self._derived.add(queue.stream)
        self.delivered[queue.stream] = 0
        self._arranged = False

    def deregister(self, stream: Stream) -> None:
        queue = self.queues.pop(stream)
        self._fresh = [(one, items) for one, items in self._fresh if one != stream]
        self.queued_rows -= queue.rows
        self._arranged = False

    def _arrange(self) -> None:
        """Put the queues in their order; once for any number of registrations."""
        if self._arranged:
            return
        self._arranged, self._horizon_ns = True, None
        self._ordered = sorted(self.queues.values(), key=lambda q: q.order)
        self._place = {q.stream: i for i, q in enumerate(self._ordered)}
        self._through = np.array([q.complete_through_ns for q in self._ordered], np.int64)
        self._is_source = np.array([q.stream not in self._derived for q in self._ordered], bool)

    def push(
        self, stream: Stream, items: Items, through_ns: int, sequence: Ints | None = None
    ) -> None:
        self._arrange()
        queue = self.queues[stream]
        held_back = queue.complete_through_ns == self._horizon_ns
        queue.push(items, through_ns, sequence)
        if len(items):
            self._fresh.append((stream, items))
            self.queued_rows += len(items)
        self._through[self._place[stream]] = queue.complete_through_ns
        if held_back:  # else some other stream still does
            self._horizon_ns = None

    def take_fresh(self) -> Iterable[tuple[Stream, Items | LateRows]]:
        """What was pushed since it was last asked: by batches, where the merge goes by chunks."""
        fresh, self._fresh = self._fresh, []
        return fresh

    @property
    def horizon_ns(self) -> int:
        """How far all streams are complete."""
        if not self._arranged:
            self._arrange()
        horizon_ns = self._horizon_ns
        if horizon_ns is None:
            horizon_ns = int(self._through.min()) if len(self._through) else END_NS
            self._horizon_ns = horizon_ns
        return horizon_ns

    @property
    def source_horizon_ns(self) -> int:
        """How far the streams are complete that are not derived."""
        self._arrange()
        sources = self._through[self._is_source]
        return int(sources.min()) if len(sources) else END_NS

    @property
    def can_merge(self) -> bool:
        return self.horizon_ns > self.merged_through_ns

    @property
    def holds_chunk(self) -> bool:
        """Whether a chunk's rows wait, some of them perhaps for other streams; from any thread."""
        return self.queued_rows > CHUNK_ROWS

    @property
    def has_chunk(self) -> bool:
        """Whether a whole chunk can be merged: more would not make it larger."""
        return self.horizon_ns > self.merged_through_ns and self._chunk_ns() <= self.horizon_ns

    def take(self, limit_ns: int) -> Merged:
        """What may be merged now, at most about CHUNK_ROWS rows."""
        through = min(self.horizon_ns, limit_ns, self._chunk_ns())
        merge = Merge(self._ordered, through)
        self.merged_through_ns = max(self.merged_through_ns, through)
        merged = sum(len(items) for _, items in merge.parts)
        self.queued_rows -= merged
        self.merged_rows += merged
        return merge

    def _chunk_ns(self) -> int:
        """Where about CHUNK_ROWS rows end; never, where fewer are there."""
        if not self.holds_chunk:
            return END_NS
        part = CHUNK_ROWS / self.queued_rows
        return min(q.release_at(int(q.rows * part)) for q in self._ordered if q.rows)

    def count_delivered(self, parts: Sequence[tuple[Stream, Items | LateRows]]) -> None:
        """Count rows that are merged for delivery (those that still wait are told apart later)."""
        for stream, items in parts:
            if stream in self.delivered:
                self.delivered[stream] += len(items)

    def figures(self) -> list[QueueFigures]:
        """The queues as they are now, by symbol and rank: quick, under the lock."""
        return [
            QueueFigures(
                q.stream, q.symbol, q.rows, q.oldest_ns, q.newest_ns, q.complete_through_ns,
                self.delivered[q.stream],
            )
            for q in sorted(self.queues.values(), key=lambda q: (q.stream.symbol, q.stream.rank))
        ]  # fmt: skip


class QueueFigures(NamedTuple):
    """One queue at one moment; ``merged`` counts the rows that were merged for delivery."""

    stream: Stream
    symbol: int
    rows: int
    oldest_ns: int | None
    newest_ns: int | None
    through_ns: int
    merged: int

    def stats(self, waiting: tuple[int, int, int] | None) -> StreamStats:
        """With what of it is merged and waits: rows, first and last release."""
        count, first, last = waiting or (0, 0, 0)
        known = self.through_ns not in (END_NS, BEFORE_ALL_NS)
        return StreamStats(
            self.stream.symbol, self.stream.channel, self.rows + count,
            first if count else self.oldest_ns,
            self.newest_ns if self.rows or not count else last,
            self.through_ns if known else None,
            self.merged - count, self.through_ns == END_NS,
        )  # fmt: skip


def stream_stats(
    figures: Sequence[QueueFigures], waiting: Items, ahead: Sequence[Items | LateRows]
) -> list[StreamStats]:
    """All streams; ``waiting`` is merged and not yet delivered, and so is ``ahead``, which comes
    after it, each stream's rows in order. One pass, outside any lock."""
    rows = join_items([waiting, *map(read_rows, ahead)])
    key = rows["symbol"].astype(np.int64) << 16 | rows["stream"]
    names, first, count = np.unique(key, return_index=True, return_counts=True)
    last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
    release = rows["release_ns"]
    found = {
        name: (n, int(release[a]), int(release[b]))
        for name, n, a, b in zip(
            names.tolist(), count.tolist(), first.tolist(), last.tolist(), strict=True
        )
    }
    return [f.stats(found.get(f.symbol << 16 | f.stream.code)) for f in figures]
