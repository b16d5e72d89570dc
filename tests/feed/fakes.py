"""Sources and rows for the tests of the feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from app.feed.sources import END_NS
from app.model import Batch, Flag, Items, Stream, StreamType, make_items

ELIGIBLE = Flag.LAST | Flag.HIGH_LOW | Flag.VOLUME


def bar_items(release_ns: Sequence[int], closes: Sequence[float] | None = None) -> Items:
    """1m bars; the close of each tells it from the others."""
    close = np.arange(1.0, len(release_ns) + 1) if closes is None else np.asarray(closes, float)
    nan = np.full(len(release_ns), np.nan)
    columns = (close, close + 1, close - 0.5, close, np.full(len(close), 10.0), nan, 1.0)
    return make_items(1, release_ns, Flag.COMPLETE, *columns)


def trade_items(release_ns: Sequence[int], prices: Sequence[float] | None = None) -> Items:
    price = np.arange(1.0, len(release_ns) + 1) if prices is None else np.asarray(prices, float)
    stream = Stream("", StreamType.TRADE)
    return make_items(stream.code, release_ns, ELIGIBLE, price, np.full(len(price), 5.0), -1, -1)


def quote_items(release_ns: Sequence[int], bids: Sequence[float] | None = None) -> Items:
    bid = np.arange(1.0, len(release_ns) + 1) if bids is None else np.asarray(bids, float)
    size = np.full(len(bid), 1.0)
    stream = Stream("", StreamType.QUOTE)
    return make_items(stream.code, release_ns, 0, bid, size, bid + 1, size, -1, -1)


class ListSource:
    """A source of given rows, cut at given places; as honest as it is told to be.

    Each batch says that the stream is complete to just before the next row. The last one
    says nothing of an end unless ``says_end``.
    """

    def __init__(
        self,
        stream: Stream,
        items: Items,
        rows: int = 3,
        *,
        sequence: Any = None,
        says_end: bool = True,
    ) -> None:
        self.stream = stream
        self.sequenced = sequence is not None
        self.given = 0
        self._items, self._rows, self._says_end = items, rows, says_end
        self._sequence = None if sequence is None else np.asarray(sequence, np.int64)
        self._ended = False

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        if self._ended:
            raise StopAsyncIteration
        low, high = self.given, min(self.given + self._rows, len(self._items))
        self.given = high
        self._ended = high == len(self._items)
        through = END_NS if self._says_end else int(self._items["release_ns"].max(initial=0)) - 1
        if not self._ended:
            through = int(self._items["release_ns"][high:].min()) - 1
        cut = None if self._sequence is None else self._sequence[low:high]
        return Batch(self.stream, self._items[low:high], through, cut)


async def collect(source: Any) -> list[Batch]:
    return [batch async for batch in source]
