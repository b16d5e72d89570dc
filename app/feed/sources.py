"""Sources: async iterables of batches of one stream, in source order.

Every batch says how far its stream is complete after it, from what is still
unread: a row that stands out of order in a later file holds that back, so
whether it is late depends on the data alone, not on how it was cut into files
or batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np

from app.catalog.schema import NO_TIME_NS
from app.catalog.store import Catalog
from app.model import Batch, Dictionary, Ints, Items, Stream, empty_items
from app.times import MINUTE_NS

END_NS = int(np.iinfo(np.int64).max)  # complete for good


class CandleSource(Protocol):
    """An async iterable of the batches of one stream."""

    stream: Stream

    def __aiter__(self) -> AsyncIterator[Batch]: ...

    async def __anext__(self) -> Batch: ...


class ParquetCandleSource:
    """One stream of a catalog: the rows whose ``ts`` lies in [from_ns, until_ns).

    Reading runs in ``pool`` (or the loop's own), never on the loop. A read takes
    row groups until it has ``rows`` rows; a batch has at most ``rows``.
    """

    def __init__(
        self,
        catalog: Catalog,
        stream: Stream,
        from_ns: int,
        until_ns: int,
        *,
        rows: int = 16_384,
        words: Dictionary | None = None,
        pool: Executor | None = None,
    ) -> None:
        self.stream = stream
        self.words = Dictionary() if words is None else words
        self._catalog = catalog
        self._from_ns, self._until_ns = from_ns, until_ns
        self._rows = rows
        self._pool = pool
        self._pieces = [
            piece
            for piece in catalog.pieces(stream.channel, stream.symbol)
            if piece.last_ns >= from_ns and piece.first_ns < until_ns
        ]
        self.integral = all(p.integral for p in self._pieces)
        self.sequenced = bool(self._pieces) and all(p.sequenced for p in self._pieces)
        lows = [max(p.first_ns, from_ns) + stream.interval_min * MINUTE_NS for p in self._pieces]
        # Lowest release in this piece and all after it.
        self._lowest = np.minimum.accumulate([END_NS, *reversed(lows)])[::-1].tolist()
        self._next = 0
        self._items = empty_items()
        self._sequence: Ints | None = None
        self._unread_ns = np.empty(0, np.int64)  # lowest release from each row on
        self._at = 0
        self._ended = False

    @property
    def has_rows(self) -> bool:
        """Whether any piece lies in the range."""
        return bool(self._pieces)

    @property
    def complete_through_ns(self) -> int:
        """How far the stream is complete before anything more is read."""
        return END_NS if self._ended else self._through(self._at)

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        if self._ended:
            raise StopAsyncIteration
        if self._at >= len(self._items) and self._next < len(self._pieces):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._pool, self._read)
        return self._cut()

    def _read(self) -> None:
        found: list[Items] = []
        sequences: list[Ints] = []
        rows = 0
        while rows < self._rows and self._next < len(self._pieces):
            items, sequence = self._catalog.read(self._pieces[self._next], self.words)
            self._next += 1
            keep = self._in_range(items)
            found.append(items if keep is None else items[keep])
            if self.sequenced and sequence is not None:
                sequences.append(sequence if keep is None else sequence[keep])
            rows += len(found[-1])
        self._items = found[0] if len(found) == 1 else np.concatenate(found)
        self._sequence = np.concatenate(sequences) if self.sequenced else None
        release = self._items["release_ns"]
        known = np.where(release == NO_TIME_NS, END_NS, release)
        self._unread_ns = np.minimum.accumulate(known[::-1])[::-1]
        self._at = 0

    def _in_range(self, items: Items) -> Any:
        """Which rows lie in the range; None for all. Rows without a time stay, to be counted."""
        interval_ns = self.stream.interval_min * MINUTE_NS
        release = items["release_ns"]
        low, high = self._from_ns + interval_ns, self._until_ns + interval_ns
        inside = (release >= low) & (release < high) | (release == NO_TIME_NS)
        return None if inside.all() else inside

    def _cut(self) -> Batch:
        low, high = self._at, min(self._at + self._rows, len(self._items))
        self._at = high
        through = self._through(high)
        self._ended = high >= len(self._items) and self._next >= len(self._pieces)
        sequence = None if self._sequence is None else self._sequence[low:high]
        return Batch(self.stream, self._items[low:high], through, sequence)

    def _through(self, row: int) -> int:
        unread = int(self._lowest[self._next])
        if row < len(self._items):
            unread = min(unread, int(self._unread_ns[row]))
        return unread if unread == END_NS else unread - 1
