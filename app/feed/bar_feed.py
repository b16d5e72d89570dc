"""Several sources, aligned by release time: what a notebook iterates over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from app.feed.queues import StreamQueue, merge_queues
from app.feed.sources import END_NS, CandleSource
from app.model import Items, Stream


class Frame(NamedTuple):
    """All items of one release time, in the total order; ``symbols`` names their ``symbol``."""

    symbols: tuple[str, ...]
    items: Items

    def of(self, symbol: str) -> Items:
        """The rows of one symbol."""
        rows: Items = self.items[self.items["symbol"] == self.symbols.index(symbol)]
        return rows


class BarFeed:
    """Merges sources by release time; reads only the source that is furthest behind."""

    def __init__(self, sources: Sequence[CandleSource]) -> None:
        self._sources = list(sources)
        self.symbols = tuple(sorted({s.stream.symbol for s in sources}))
        self._queues: dict[Stream, StreamQueue] = {}
        for source in sources:
            if source.stream in self._queues:
                raise ValueError(f"two sources for {source.stream}; a stream has one")
            number = self.symbols.index(source.stream.symbol)
            self._queues[source.stream] = StreamQueue(source.stream, number)

    async def iter_frames(self) -> AsyncIterator[tuple[int, Frame]]:
        """``(time_ns, Frame)`` for every release time, rising."""
        queues = sorted(self._queues.values(), key=lambda q: q.order)
        while True:
            horizon = min((q.complete_through_ns for q in queues), default=END_NS)
            items = merge_queues(queues, horizon)
            if len(items):
                for time_ns, rows in _slices(items):
                    yield time_ns, Frame(self.symbols, rows)
            elif horizon == END_NS:
                return
            else:
                await self._read_furthest_behind()

    async def _read_furthest_behind(self) -> None:
        source = min(self._sources, key=lambda s: self._queues[s.stream].complete_through_ns)
        queue = self._queues[source.stream]
        try:
            batch = await anext(source)
        except StopAsyncIteration:
            queue.complete_through_ns = END_NS
            return
        items = batch.items.copy()
        items["symbol"] = queue.symbol
        queue.push(items, batch.complete_through_ns, batch.sequence)


def _slices(items: Items) -> list[tuple[int, Items]]:
    release = items["release_ns"]
    edges = [0, *(np.flatnonzero(np.diff(release)) + 1).tolist(), len(items)]
    return [(int(release[low]), items[low:high]) for low, high in pairwise(edges)]
