"""The queue of one stream, and the merge of many: one stable sort by release time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.model import (
    Ints,
    Items,
    Stream,
    StreamType,
    copy_of,
    empty_items,
    join_items,
    pick_items,
    place_items,
)

BEFORE_ALL_NS = int(np.iinfo(np.int64).min)
_FEW = 4  # a fourth of what was read


class Rows(NamedTuple):
    """Items with their release times, which rise, in one piece; and their sequence."""

    release_ns: Ints
    items: Items
    sequence: Ints | None = None


class StreamQueue:
    """Rows of one stream that wait for the merge, rising in time.

    Carries ``complete_through_ns`` besides its rows: an empty queue is not "no data".
    """

    def __init__(self, stream: Stream, symbol: int, sequenced: bool = False) -> None:
        self.stream = stream
        self.symbol = symbol
        self.sequenced = sequenced
        self.complete_through_ns = BEFORE_ALL_NS
        self.rows = 0
        self._batches: deque[Rows] = deque()

    @property
    def order(self) -> tuple[int, int, int]:
        """Its place among streams at one release time: rank, then symbol by code point."""
        # A sequence common to trades and quotes overrides their rank: they stand together.
        tick = self.sequenced and self.stream.type is not StreamType.BAR
        return (0 if tick else self.stream.rank, self.symbol, self.stream.rank)

    @property
    def oldest_ns(self) -> int | None:
        return int(self._batches[0][0][0]) if self._batches else None

    @property
    def newest_ns(self) -> int | None:
        return int(self._batches[-1][0][-1]) if self._batches else None

    def push(self, items: Items, complete_through_ns: int, sequence: Ints | None = None) -> None:
        """Append rows (rising in release time) and say how far the stream is complete now."""
        if len(items):
            release = np.ascontiguousarray(items["release_ns"])
            self._batches.append(Rows(release, items, sequence))
            self.rows += len(items)
        self.complete_through_ns = max(self.complete_through_ns, complete_through_ns)

    def release_at(self, row: int) -> int:
        """Release time of the row-th waiting row, or of the last one where there are fewer."""
        for release, _, _ in self._batches:
            if row < len(release):
                return int(release[row])
            row -= len(release)
        return int(self._batches[-1][0][-1])

    def take(self, through_ns: int) -> list[Rows]:
        """Remove and give the rows released at or before ``through_ns``."""
        taken: list[Rows] = []
        while self._batches:
            release, items, sequence = self._batches[0]
            if release[-1] <= through_ns:
                taken.append(self._batches.popleft())
                self.rows -= len(items)
                continue
            cut = int(release.searchsorted(through_ns, "right"))
            if cut:
                rest = None if sequence is None else sequence[cut:]
                self._batches[0] = _few(release[cut:], items[cut:], rest)
                first = None if sequence is None else sequence[:cut]
                taken.append(Rows(release[:cut], items[:cut], first))
                self.rows -= cut
            break
        return taken


def _few(release: Ints, items: Items, sequence: Ints | None) -> Rows:
    """Rows that are left of a batch; the last few are copied, so that the rest is not kept."""
    held = items.base
    if held is None or items.nbytes * _FEW > held.nbytes:
        return Rows(release, items, sequence)
    few = None if sequence is None else sequence.copy()
    return Rows(release.copy(), copy_of(items), few)


def merge_queues(queues: Sequence[StreamQueue], through_ns: int) -> Items:
    """The rows of all queues up to a time as one array in the total order."""
    return Merge(queues, through_ns).in_order().items


class Merge:
    """The rows of many queues up to one time: taken at once, put into order when asked."""

    words_known = None  # they are to be numbered

    def __init__(self, queues: Sequence[StreamQueue], through_ns: int) -> None:
        self.parts: list[tuple[Stream, Items]] = []
        self._ordered: list[Rows | list[Rows]] = []
        pair: list[Rows] = []
        order: tuple[int, ...] = ()  # of the pair being gathered
        for queue in queues:
            taken = queue.take(through_ns) if queue.rows else []
            self.parts += [(queue.stream, rows.items) for rows in taken]
            if not queue.sequenced:
                self._ordered += taken
            elif queue.order[:2] == order:
                pair += taken
            else:
                pair, order = taken, queue.order[:2]
                self._ordered.append(pair)

    def in_order(self) -> Rows:
        """All in the total order."""
        return merge_rows(
            [_by_sequence(part) if isinstance(part, list) else part for part in self._ordered]
        )


def merge_rows(parts: Sequence[Rows]) -> Rows:
    """Arrays of their own, stable by release time: equal times stay in the order of the parts."""
    if not parts:
        return Rows(np.empty(0, np.int64), empty_items())
    items = [part.items for part in parts]
    release = np.concatenate([part.release_ns for part in parts])
    if (release[1:] >= release[:-1]).all():
        # A single part is others' too, and the rows are written to.
        return Rows(release, join_items(items) if len(items) > 1 else copy_of(items[0]))
    order = np.argsort(release, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return Rows(release[order], place_items(items, places))


def _by_sequence(taken: list[Rows]) -> Rows:
    if not taken:
        return Rows(np.empty(0, np.int64), empty_items())
    release = np.concatenate([rows.release_ns for rows in taken])
    sequence = np.concatenate(
        [
            np.full(len(rows.items), -1, np.int64) if rows.sequence is None else rows.sequence
            for rows in taken
        ]
    )
    order = np.lexsort((sequence, release))
    return Rows(release[order], pick_items(join_items([rows.items for rows in taken]), order))
