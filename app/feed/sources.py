"""Sources: async iterables of batches of one stream, in source order.

Every batch says how far its stream is complete after it: just before the lowest
release that is still unread, of those that will not be late. A row is late when
an earlier one of its stream was released after it: that depends on the data
alone, not on how it was cut into files or batches, and it holds nothing back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol

import numpy as np

from app.catalog.schema import NO_TIME_NS
from app.catalog.store import Catalog
from app.feed.queues import BEFORE_ALL_NS
from app.feed.soundness import invalid_rows
from app.model import Batch, Dictionary, Ints, Items, Stream, empty_items, join_items, pick_items
from app.times import MINUTE_NS

END_NS = int(np.iinfo(np.int64).max)  # complete for good


class CandleSource(Protocol):
    """An async iterable of the batches of one stream."""

    stream: Stream

    def __aiter__(self) -> AsyncIterator[Batch]: ...

    async def __anext__(self) -> Batch: ...


class _Read(NamedTuple):
    """What one read took from the files."""

    items: Items
    sequence: Ints | None
    through_ns: Ints  # how far the stream is complete before each row, and after the last
    latest_ns: int  # highest valid release so far, where files overlap
    following: int  # the piece of the next row
    offset: int = 0  # the next row within it


class ParquetCandleSource:
    """One stream of a catalog: the rows whose ``ts`` lies in [from_ns, until_ns).

    Reading runs in ``pool`` (or the loop's own), never on the loop. A read takes
    row groups until it has ``read_rows`` rows (``rows`` where not told); a batch has at most
    ``rows``: what is read is in memory, so it goes out in as few batches as that allows. Of a
    row group of more than ``part_rows`` no more than that is held: it is read again for the rest.
    The first batch has at most ``first_rows``: nobody waits until more is worked off.
    """

    def __init__(
        self,
        catalog: Catalog,
        stream: Stream,
        from_ns: int,
        until_ns: int,
        *,
        rows: int = 16_384,
        read_rows: int | None = None,
        part_rows: int = 1 << 20,
        first_rows: int = 1 << 20,
        words: Dictionary | None = None,
        pool: Executor | None = None,
    ) -> None:
        self.stream = stream
        self.words = Dictionary() if words is None else words
        self._catalog = catalog
        self._from_ns, self._until_ns = from_ns, until_ns
        self._rows = rows
        self._read_rows = rows if read_rows is None else read_rows
        self._part_rows = part_rows
        self._batch_rows = min(rows, first_rows)  # of the next batch, at most
        self._pool = pool
        self._pieces = [
            piece
            for piece in catalog.pieces(stream.channel, stream.symbol)
            if piece.last_ns >= from_ns and piece.first_ns < until_ns
        ]
        self.integral = all(p.integral for p in self._pieces)
        self.sequenced = bool(self._pieces) and all(p.sequenced for p in self._pieces)
        interval_ns = stream.interval_min * MINUTE_NS
        lows = [max(p.first_ns, from_ns) + interval_ns for p in self._pieces]
        # Lowest release in this piece and all after it.
        self._lowest = np.minimum.accumulate([END_NS, *reversed(lows)])[::-1].tolist()
        highs = np.maximum.accumulate([p.last_ns + interval_ns for p in self._pieces])
        self._overlapping = bool((highs >= self._lowest[1:]).any())
        before = np.array([self._lowest[0] - 1], np.int64)
        self._last = _Read(empty_items(), None, before, BEFORE_ALL_NS, 0)
        self._at = 0
        self._ended = False

    @property
    def has_rows(self) -> bool:
        """Whether any piece lies in the range."""
        return bool(self._pieces)

    @property
    def complete_through_ns(self) -> int:
        """How far the stream is complete before anything more is read."""
        done = self._ended or not self._pieces
        return END_NS if done else int(self._last.through_ns[self._at])

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        if self._ended:
            raise StopAsyncIteration
        if self._is_used_up:
            loop = asyncio.get_running_loop()
            # Kept only here, so that a read that was cancelled or failed has taken nothing.
            self._last, self._at = await loop.run_in_executor(self._pool, self._read), 0
        return self._cut()

    def read_next(self) -> Batch:
        """The next batch, read on this thread; of a source that has not ended."""
        if self._is_used_up:
            self._last, self._at = self._read(), 0
        return self._cut()

    @property
    def next_rows(self) -> int:
        """About how many rows the next batch has."""
        if not self._is_used_up:
            return min(self._rows, len(self._last.items) - self._at)
        left = self._pieces[self._last.following].rows - self._last.offset
        return max(self._read_rows, min(left, self._part_rows))

    @property
    def _is_used_up(self) -> bool:
        """Whether all that was read has been given, and there is more in the files."""
        return self._at >= len(self._last.items) and self._last.following < len(self._pieces)

    def _read(self) -> _Read:
        found: list[Items] = []
        sequences: list[Ints] = []
        rows, following, offset = 0, self._last.following, self._last.offset
        lowest_ns = self._lowest[following]
        while rows < self._read_rows and following < len(self._pieces):
            piece, part_rows = self._pieces[following], self._part_rows
            if piece.rows > part_rows:
                items, sequence, rest_ns = self._catalog.read_part(
                    piece, offset, part_rows, self.words
                )
                offset += part_rows
            else:
                items, sequence = self._catalog.read(piece, self.words)
                rest_ns, offset = None, piece.rows
            if offset >= piece.rows:
                following, offset = following + 1, 0
            lowest_ns = self._lowest_after(rest_ns, following + (offset > 0))
            keep = self._in_range(items)
            found.append(items if keep is None else pick_items(items, keep))
            if self.sequenced and sequence is not None:
                sequences.append(sequence if keep is None else sequence[keep])
            rows += len(found[-1])
        joined = join_items(found)
        through_ns, latest_ns = self._through(joined, lowest_ns)
        order = np.concatenate(sequences) if self.sequenced else None
        return _Read(joined, order, through_ns, latest_ns, following, offset)

    def _lowest_after(self, rest_ns: int | None, following: int) -> int:
        """The lowest release that is unread: of a piece's rest, and of those from ``following``."""
        lowest_ns = int(self._lowest[following])
        if rest_ns is None:
            return lowest_ns
        return min(lowest_ns, max(rest_ns, self._from_ns) + self.stream.interval_min * MINUTE_NS)

    def _through(self, items: Items, lowest_after_ns: int) -> tuple[Ints, int]:
        """How far the stream is complete before each row and after the last; the highest valid."""
        release = np.ascontiguousarray(items["release_ns"])
        if not self._overlapping and _rises(release, lowest_after_ns):
            rising = np.append(release, lowest_after_ns)
            rising -= 1
            return rising, self._last.latest_ns
        timed = np.where(release == NO_TIME_NS, END_NS, release)
        unread = np.append(timed, lowest_after_ns)
        through: Ints = np.minimum.accumulate(unread[::-1])[::-1] - 1
        latest_ns = self._last.latest_ns
        if self._overlapping or (through[:-1] < timed - 1).any():
            # What is released below a valid row before it is late: it will not be delivered.
            valid = ~invalid_rows(self.stream.type, items)
            known = np.append(latest_ns, np.where(valid, release, BEFORE_ALL_NS))
            reached = np.maximum.accumulate(known)
            latest_ns = int(reached[-1])
            through = np.maximum(through, np.maximum(reached, BEFORE_ALL_NS + 1) - 1)
        return through, latest_ns

    def _in_range(self, items: Items) -> Any:
        """Which rows lie in the range; None for all. Rows without a time stay, to be counted."""
        interval_ns = self.stream.interval_min * MINUTE_NS
        release = np.ascontiguousarray(items["release_ns"])
        low, high = self._from_ns + interval_ns, self._until_ns + interval_ns
        if len(release) and release.min() >= low and release.max() < high:
            return None
        inside = (release >= low) & (release < high) | (release == NO_TIME_NS)
        return None if inside.all() else inside

    def _cut(self) -> Batch:
        items, sequence, through_ns, latest_ns, following, offset = self._last
        low, high = self._at, min(self._at + self._batch_rows, len(items))
        self._at, self._batch_rows = high, self._rows
        self._ended = high >= len(items) and following >= len(self._pieces)
        through = END_NS if self._ended else int(through_ns[high])
        cut = None if sequence is None else sequence[low:high]
        if high >= len(items):  # what was given is not held here
            self._last = _Read(empty_items(), None, through_ns[-1:], latest_ns, following, offset)
            self._at = 0
        return Batch(self.stream, items[low:high], through, cut)


def _rises(release_ns: Ints, after_ns: int) -> bool:
    """Whether all rows have a time, and none comes after a later one or after ``after_ns``."""
    if not len(release_ns):
        return True
    timed = release_ns[0] != NO_TIME_NS and release_ns[-1] <= after_ns
    return bool(timed and (release_ns[1:] >= release_ns[:-1]).all())
