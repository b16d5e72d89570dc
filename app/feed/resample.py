"""Bars of a longer interval from bars of one minute, and those from trades.

A bucket is made once, from all its constituents in order, when its stream is
known to be complete through the bucket's end: so the result does not depend on
how the rows were cut into batches. Sums run from left to right, in float64.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from app.calendar import TradingDay
from app.day_table import Grid
from app.errors import FeedError
from app.feed.judge import JudgedSource
from app.feed.queues import BEFORE_ALL_NS
from app.feed.sources import END_NS, CandleSource
from app.model import (
    Batch,
    Flag,
    Floats,
    Ints,
    Items,
    Stream,
    StreamType,
    empty_items,
    join_items,
    make_items,
    pick_items,
)
from app.times import MINUTE_NS


class Resampler:
    """Bars of ``interval_min`` minutes from 1m bars or from trades, of any number of symbols."""

    def __init__(self, grid: Grid, interval_min: int, source: StreamType) -> None:
        self._grid = grid
        self._interval_min = interval_min
        self._source = source
        self._pending: dict[str, Items] = {}

    def push(self, items: Items, complete_through_ns: int) -> Items:
        """Take further rows, rising in time, and give the bars now complete, symbol 0 as given."""
        return self.push_all([("", items, complete_through_ns)])[0]

    def push_all(self, rows: Sequence[tuple[str, Items, int]]) -> list[Items]:
        """As ``push``, of several symbols at once: name, rows, complete through, each once."""
        parts = [self._with_pending(symbol, items) for symbol, items, _ in rows]
        counts = np.array([len(part) for part in parts])
        if not counts.any():
            return parts
        made, of = self._bars(join_items(parts), counts, rows)
        if len(rows) == 1:
            return [made]
        edges = of.searchsorted(np.arange(len(rows) + 1)).tolist()
        return [made[low:high] for low, high in pairwise(edges)]

    def _with_pending(self, symbol: str, items: Items) -> Items:
        pending = self._pending.pop(symbol, None)
        return items if pending is None else join_items([pending, items])

    def _bars(
        self, items: Items, counts: Ints, rows: Sequence[tuple[str, Items, int]]
    ) -> tuple[Items, Ints]:
        """The bars now complete, and of which of ``rows`` each is; the rest is kept."""
        of = np.repeat(np.arange(len(counts)), counts)
        starts = items["release_ns"] - (MINUTE_NS if self._source is StreamType.BAR else 0)
        part, inside = self._grid.part_of(starts)
        inside &= items["flags"] & Flag.POST_CLOSE == 0
        if not inside.all():
            items, of = pick_items(items, inside), of[inside]
            starts, part = starts[inside], part[inside]
        width = self._interval_min * MINUTE_NS
        origin = self._grid.start_ns[part]
        bucket = origin + (starts - origin) // width * width
        ends = np.minimum(bucket + width, self._grid.end_ns[part])
        through_ns = np.array([through for _, _, through in rows])
        done = ends <= through_ns[of]
        if not done.all():
            self._keep(items, of, done, rows)
            items, of, bucket, ends = pick_items(items, done), of[done], bucket[done], ends[done]
        if not len(items):
            return empty_items(), of
        return self._make(items, of, bucket, ends, width)

    def _keep(
        self, items: Items, of: Ints, done: Any, rows: Sequence[tuple[str, Items, int]]
    ) -> None:
        left = pick_items(items, ~done)
        edges = of[~done].searchsorted(np.arange(len(rows) + 1)).tolist()
        for (symbol, _, _), (low, high) in zip(rows, pairwise(edges), strict=True):
            if low < high:
                self._pending[symbol] = left[low:high].copy()

    def _make(
        self, rows: Items, of: Ints, bucket: Ints, ends: Ints, width: int
    ) -> tuple[Items, Ints]:
        begins = np.ones(len(rows), bool)
        begins[1:] = (bucket[1:] != bucket[:-1]) | (of[1:] != of[:-1])
        firsts, group = np.flatnonzero(begins), np.cumsum(begins) - 1
        make = _from_bars if self._source is StreamType.BAR else _from_trades
        columns, there = make(rows, firsts, group)
        length = (ends[firsts] - bucket[firsts]) // MINUTE_NS
        minutes = columns[6] if self._source is StreamType.BAR else np.ones(len(firsts))
        flags = np.where(minutes == length, Flag.COMPLETE, 0).astype(np.uint16)
        flags |= np.where(length * MINUTE_NS < width, Flag.PARTIAL, 0).astype(np.uint16)
        made = make_items(self._interval_min, ends[firsts], flags, *columns[:6], minutes)
        made["symbol"] = rows["symbol"][firsts]
        of = of[firsts]
        return (made, of) if there.all() else (pick_items(made, there), of[there])


def _from_bars(rows: Items, firsts: Ints, group: Ints) -> tuple[list[Any], Any]:
    values: Any = rows["v"]
    lasts = np.append(firsts[1:], len(rows)) - 1
    volume = np.ascontiguousarray(values[:, 4])
    total: Any = np.bincount(group, volume)
    columns: list[Any] = [
        values[firsts, 0],
        np.maximum.reduceat(np.ascontiguousarray(values[:, 1]), firsts),
        np.minimum.reduceat(np.ascontiguousarray(values[:, 2]), firsts),
        values[lasts, 3],
        total,
        _vwap(group, np.ascontiguousarray(values[:, 5]), volume, total),
        np.bincount(group).astype(np.float64),
    ]
    return columns, np.ones(len(firsts), bool)


def _from_trades(rows: Items, firsts: Ints, group: Ints) -> tuple[list[Any], Any]:
    count = len(firsts)
    values: Any = rows["v"]
    price, size, flags = np.ascontiguousarray(values[:, 0]), values[:, 1], rows["flags"]
    sets_last = np.flatnonzero(flags & Flag.LAST)
    there = np.zeros(count, bool)
    there[group[sets_last]] = True
    opened, closed = np.full(count, np.nan), np.full(count, np.nan)
    opened[group[sets_last[::-1]]] = price[sets_last[::-1]]  # the last written, the first, stays
    closed[group[sets_last]] = price[sets_last]
    # Open and close bound the range too, where a trade may set the one but not the other.
    sets_range = np.flatnonzero(flags & Flag.HIGH_LOW)
    high, low = np.fmax(opened, closed), np.fmin(opened, closed)
    np.fmax.at(high, group[sets_range], price[sets_range])
    np.fmin.at(low, group[sets_range], price[sets_range])
    counts = flags & Flag.VOLUME != 0
    volume: Any = np.bincount(group[counts], size[counts], count)
    vwap = _vwap(group[counts], price[counts], size[counts], volume)
    return [opened, high, low, closed, volume, vwap], there


def _vwap(group: Ints, price: Floats, volume: Floats, total: Floats) -> Floats:
    """By volume; null where nothing traded, or where one that traded has no price."""
    traded = volume > 0
    if not traded.all():
        group, price, volume = group[traded], price[traded], volume[traded]
    money = np.bincount(group, price * volume, len(total))
    found = np.full(len(total), np.nan)
    np.divide(money, total, out=found, where=total > 0)
    found[np.isnan(found)] = np.nan
    return found


class ResampleIter:
    """An async source of longer bars over one of 1m bars, or of 1m bars over one of trades.

    Rows of the source that are late, duplicate or invalid are left out; ``discarded``
    counts them. FeedError where the source's stream is not one to make ``stream`` from.
    """

    def __init__(self, source: CandleSource, stream: Stream, days: Sequence[TradingDay]) -> None:
        _check_streams(source.stream, stream)
        self.stream = stream
        self._source = JudgedSource(source)
        self._resampler = Resampler(Grid(days), stream.interval_min, source.stream.type)
        self._through_ns = BEFORE_ALL_NS

    @property
    def discarded(self) -> dict[str, int]:
        """Rows of the source that were left out, by reason."""
        return self._source.discarded

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        try:
            batch = await anext(self._source)
            items, self._through_ns = batch.items, batch.complete_through_ns
        except StopAsyncIteration:
            if self._through_ns == END_NS:
                raise
            items, self._through_ns = empty_items(), END_NS  # the source ended without saying so
        made = self._resampler.push(items, self._through_ns)
        return Batch(self.stream, made, self._through_ns)


def _check_streams(source: Stream, stream: Stream) -> None:
    from_trades = source.type is StreamType.TRADE and stream.interval_min == 1
    from_bars = source[1:] == (StreamType.BAR, 1) and stream.interval_min > 1
    if stream.type is not StreamType.BAR or not (from_trades or from_bars):
        raise FeedError(
            f"{stream.channel} cannot be made from {source.channel}: bars_1m are made from trades, "
            "longer bars from bars_1m"
        )
    if stream.symbol != source.symbol:
        raise FeedError(f"bars of {stream.symbol!r} cannot be made from {source.symbol!r}")
