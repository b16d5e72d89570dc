"""Several sources, aligned by release time: what a notebook iterates over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from app.errors import BehindHorizonError, FeedError, NotFoundError
from app.feed.judge import JudgedSource
from app.feed.queues import StreamQueue, merge_queues
from app.feed.sources import END_NS, CandleSource
from app.model import Items, Stream


class Frame(NamedTuple):
    """All items of one release time, in the total order; ``symbols`` names their ``symbol``."""

    symbols: tuple[str, ...]
    items: Items

    def of(self, symbol: str) -> Items:
        """The rows of one symbol; none where it has none at this time."""
        if symbol not in self.symbols:
            raise NotFoundError(f"the feed has no symbol {symbol!r}; it has {list(self.symbols)}")
        rows: Items = self.items[self.items["symbol"] == self.symbols.index(symbol)]
        return rows


class BarFeed:
    """Merges sources by release time; reads only the source that is furthest behind.

    Rows that are late, duplicate or invalid are left out and counted. No more is held
    than the batches that wait for the source furthest behind.
    """

    def __init__(self, sources: Sequence[CandleSource]) -> None:
        self.symbols = tuple(sorted({s.stream.symbol for s in sources}))
        self._sources: dict[Stream, JudgedSource] = {}
        self._queues: list[StreamQueue] = []
        for source in map(JudgedSource, sources):
            if source.stream in self._sources:
                raise FeedError(f"two sources for {source.stream}; a stream has one")
            number = self.symbols.index(source.stream.symbol)
            self._sources[source.stream] = source
            self._queues.append(StreamQueue(source.stream, number, source.sequenced))
        self._queues.sort(key=lambda q: q.order)

    @property
    def discarded(self) -> dict[Stream, dict[str, int]]:
        """Rows left out so far, by stream and reason."""
        return {stream: dict(source.discarded) for stream, source in self._sources.items()}

    async def iter_frames(self) -> AsyncIterator[tuple[int, Frame]]:
        """``(time_ns, Frame)`` for every release time, rising."""
        while True:
            horizon_ns = min((q.complete_through_ns for q in self._queues), default=END_NS)
            for time_ns, rows in _slices(merge_queues(self._queues, horizon_ns)):
                yield time_ns, Frame(self.symbols, rows)
            if horizon_ns == END_NS:
                return
            await self._read(min(self._queues, key=lambda q: q.complete_through_ns))

    async def _read(self, queue: StreamQueue) -> None:
        try:
            batch = await anext(self._sources[queue.stream])
        except StopAsyncIteration:
            queue.complete_through_ns = END_NS
            return
        items = batch.items.copy()
        items["symbol"] = queue.symbol
        if len(items) and int(items["release_ns"][0]) <= queue.complete_through_ns:
            raise BehindHorizonError(
                f"{queue.stream.symbol} {queue.stream.channel}: its source gave a row released at "
                f"{int(items['release_ns'][0])} ns after saying that it was complete through "
                f"{queue.complete_through_ns} ns"
            )
        queue.push(items, batch.complete_through_ns, batch.sequence)


def _slices(items: Items) -> Iterator[tuple[int, Items]]:
    release = items["release_ns"]
    edges = [0, *(np.flatnonzero(np.diff(release)) + 1).tolist(), len(items)]
    for low, high in pairwise(edges):
        if high > low:
            yield int(release[low]), items[low:high]
