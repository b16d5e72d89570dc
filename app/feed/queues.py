"""The queue of one stream, and the merge of many: one stable sort by release time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

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
        self._batches: deque[tuple[Ints, Items, Ints | None]] = deque()

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
            self._batches.append((np.ascontiguousarray(items["release_ns"]), items, sequence))
            self.rows += len(items)
        self.complete_through_ns = max(self.complete_through_ns, complete_through_ns)

    def release_at(self, row: int) -> int:
        """Release time of the row-th waiting row, or of the last one where there are fewer."""
        for release, _, _ in self._batches:
            if row < len(release):
                return int(release[row])
            row -= len(release)
        return int(self._batches[-1][0][-1])

    def take(self, through_ns: int) -> list[tuple[Items, Ints | None]]:
        """Remove and give the rows released at or before ``through_ns``."""
        taken: list[tuple[Items, Ints | None]] = []
        while self._batches:
            release, items, sequence = self._batches[0]
            if release[-1] <= through_ns:
                self._batches.popleft()
                taken.append((items, sequence))
                self.rows -= len(items)
                continue
            cut = int(release.searchsorted(through_ns, "right"))
            if cut:
                rest = None if sequence is None else sequence[cut:]
                self._batches[0] = _few(release[cut:], items[cut:], rest)
                taken.append((items[:cut], None if sequence is None else sequence[:cut]))
                self.rows -= cut
            break
        return taken


def _few(release: Ints, items: Items, sequence: Ints | None) -> tuple[Ints, Items, Ints | None]:
    """Rows that are left of a batch; the last few are copied, so that the rest is not kept."""
    held = items.base
    if held is None or items.nbytes * _FEW > held.nbytes:
        return release, items, sequence
    return release.copy(), copy_of(items), None if sequence is None else sequence.copy()


def merge_queues(queues: Sequence[StreamQueue], through_ns: int) -> Items:
    """As ``take_queues``, merged into one array in the total order."""
    return Merge(queues, through_ns).items()


class Merge:
    """The rows of many queues up to one time: taken at once, put into order when asked."""

    words_known = None  # they are to be numbered

    def __init__(self, queues: Sequence[StreamQueue], through_ns: int) -> None:
        self.parts: list[tuple[Stream, Items]] = []
        self._ordered: list[Items | list[tuple[Items, Ints | None]]] = []
        pair: list[tuple[Items, Ints | None]] = []
        order: tuple[int, ...] = ()  # of the pair being gathered
        for queue in queues:
            taken = queue.take(through_ns) if queue.rows else []
            self.parts += [(queue.stream, items) for items, _ in taken]
            if not queue.sequenced:
                self._ordered += [items for items, _ in taken]
            elif queue.order[:2] == order:
                pair += taken
            else:
                pair, order = taken, queue.order[:2]
                self._ordered.append(pair)

    def items(self) -> Items:
        """One array in the total order."""
        return merge_items(
            [_by_sequence(part) if isinstance(part, list) else part for part in self._ordered]
        )


def merge_items(parts: Sequence[Items]) -> Items:
    """One array, stable by release time: equal times stay in the order of the parts."""
    if len(parts) < 2:
        return join_items(parts).copy()  # the part is others' too, and the rows are written to
    release = np.concatenate([part["release_ns"] for part in parts])
    if (release[1:] >= release[:-1]).all():
        return join_items(parts)
    places = np.empty(len(release), np.intp)
    places[np.argsort(release, kind="stable")] = np.arange(len(release))
    return place_items(parts, places)


def _by_sequence(taken: list[tuple[Items, Ints | None]]) -> Items:
    if not taken:
        return empty_items()
    items = join_items([rows for rows, _ in taken])
    sequence = np.concatenate(
        [s if s is not None else np.full(len(rows), -1, np.int64) for rows, s in taken]
    )
    return pick_items(items, np.lexsort((sequence, items["release_ns"])))
