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
from app.feed.grid_rows import NONE_WAITING, GridRows, Waiting, lay_out
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
    lengths_of,
    make_items,
    pick_items,
)
from app.times import MINUTE_NS

SymbolRows = tuple[str, Items, int]  # name, rows, complete through


class Resampler:
    """Bars of some intervals (minutes) from 1m bars or from trades, of any number of symbols."""

    def __init__(self, grid: Grid, source: StreamType, *intervals_min: int) -> None:
        self.intervals_min = intervals_min
        self._grid = grid
        self._source = source
        self._waiting: dict[str, Waiting] = {}

    def push(self, items: Items, complete_through_ns: int) -> list[Items]:
        """Take further rows, rising in time, and give the bars now complete, by interval.

        Their symbol is that of the rows.
        """
        _, made = self.push_all([("", items, complete_through_ns)])
        return [bars for (bars,) in made]

    def push_all(self, rows: Sequence[SymbolRows]) -> tuple[GridRows, list[list[Items]]]:
        """As ``push``, of several symbols at once, each once: by interval, then by symbol.

        Also the rows themselves, as they lie on the grid, after those that waited.
        """
        waiting = [self._waiting.pop(symbol, NONE_WAITING) for symbol, _, _ in rows]
        laid = lay_out(
            self._grid, self._source, [one.items for one in waiting], [came for _, came, _ in rows]
        )
        if not len(laid.of):
            return laid, [[empty_items() for _ in rows] for _ in self.intervals_min]
        made_through = np.array([one.complete_through_ns for one in waiting])
        through = np.array([through_ns for _, _, through_ns in rows])
        waits_from = laid.edges[1:].copy()
        made = [
            self._make(laid, minutes, made_through, through, waits_from)
            for minutes in self.intervals_min
        ]
        waits = (laid.edges[1:] - waits_from).tolist()
        for number, ((symbol, _, through_ns), count) in enumerate(zip(rows, waits, strict=True)):
            if count:
                self._waiting[symbol] = Waiting(laid.last(number, count), through_ns)
        return laid, made

    def _make(
        self, rows: GridRows, minutes: int, made_through: Ints, through: Ints, waits_from: Ints
    ) -> list[Items]:
        """Of one interval, by symbol. ``waits_from`` is lowered to the first row of each that is
        of a bucket which is not complete."""
        width = minutes * MINUTE_NS
        origin = self._grid.start_ns.take(rows.part)
        number = (rows.starts_ns - origin) // width
        begins = rows.begins.copy()
        begins[1:] |= number[1:] != number[:-1]
        firsts = np.flatnonzero(begins)
        of = rows.of[firsts]
        bucket = origin[firsts] + number[firsts] * width
        ends = np.minimum(bucket + width, self._grid.end_ns[rows.part[firsts]])
        waits = ends > through[of]
        np.minimum.at(waits_from, of[waits], firsts[waits])
        columns, there = (_from_bars if self._source is StreamType.BAR else _from_trades)(
            rows, firsts
        )
        length = (ends - bucket) // MINUTE_NS
        flags = np.where(columns[6] == length, Flag.COMPLETE, 0).astype(np.uint16)
        flags |= np.where(length < minutes, Flag.PARTIAL, 0).astype(np.uint16)
        made = make_items(minutes, ends, flags, *columns)
        made["symbol"] = rows.symbols[of]
        # Rows that wait for a longer interval were made bars of shorter ones before.
        fresh = there & ~waits & (ends > made_through[of])
        if not fresh.all():
            made, of = pick_items(made, fresh), of[fresh]
        if len(through) == 1:
            return [made]
        edges = of.searchsorted(np.arange(len(through) + 1)).tolist()
        return [made[low:high] for low, high in pairwise(edges)]


def _from_bars(rows: GridRows, firsts: Ints) -> tuple[list[Any], Any]:
    """Columns of the bars that begin with these rows, and which of them there are."""
    opened, high, low, closed, volume, vwap = rows.columns
    counts = lengths_of(firsts, len(volume))
    group = np.repeat(np.arange(len(firsts)), counts)
    total: Any = np.bincount(group, volume)
    columns: list[Any] = [
        opened[firsts],
        np.maximum.reduceat(high, firsts),
        np.minimum.reduceat(low, firsts),
        closed[firsts + counts - 1],
        total,
        _vwap(group, vwap, volume, total),
        counts.astype(np.float64),
    ]
    return columns, np.ones(len(firsts), bool)


def _from_trades(rows: GridRows, firsts: Ints) -> tuple[list[Any], Any]:
    count = len(firsts)
    (price, size), flags = rows.columns, rows.flags
    group = np.repeat(np.arange(count), lengths_of(firsts, len(price)))
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
    return [opened, high, low, closed, volume, vwap, np.ones(count)], there


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
        self._resampler = Resampler(Grid(days), source.stream.type, stream.interval_min)
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
        (made,) = self._resampler.push(items, self._through_ns)
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
