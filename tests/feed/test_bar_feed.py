"""The feed of a notebook: sources of all kinds, aligned by release time, and nothing held."""

from __future__ import annotations

import asyncio
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calendar import Hours, TradingCalendar
from app.catalog.store import Catalog
from app.errors import BehindHorizonError, FeedError, NotFoundError
from app.feed.bar_feed import BarFeed, Frame
from app.feed.resample import ResampleIter
from app.feed.sources import ParquetCandleSource
from app.model import Dictionary, Items, Stream, StreamType
from app.times import MINUTE_NS
from tests.catalog.made import DAYS, OPEN_NS, bars, quotes, trades, write_day
from tests.feed.fakes import ListSource, bar_items, quote_items, trade_items

_MAKE = {
    StreamType.BAR: bar_items,
    StreamType.TRADE: trade_items,
    StreamType.QUOTE: quote_items,
}
_INTERVALS = {StreamType.BAR: 1, StreamType.TRADE: 0, StreamType.QUOTE: 0}


async def _frames(feed: BarFeed) -> list[tuple[int, Frame]]:
    return [pair async for pair in feed.iter_frames()]


def _seen(feed: BarFeed) -> list[tuple[int, str, int, float]]:
    """``(time, symbol, stream code, first value)`` of every row, as they come."""
    return [
        (time_ns, frame.symbols[int(row["symbol"])], int(row["stream"]), float(row["v"][0]))
        for time_ns, frame in asyncio.run(_frames(feed))
        for row in frame.items
    ]


_STREAMS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(list(StreamType)), st.booleans()),
    min_size=1, max_size=5, unique_by=lambda s: s[:2],
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(_STREAMS, st.data())
def test_frames_are_the_merge_of_all_sources(
    named: list[tuple[str, StreamType, bool]], data: st.DataObject
) -> None:
    """By time; trades, quotes, bars; symbol; a sequence that both have; source row."""
    sources, rows = [], []
    for symbol, kind, sequenced in named:
        stream = Stream(symbol, kind, _INTERVALS[kind])
        times = sorted(data.draw(st.lists(st.integers(1, 12), max_size=8)))
        if kind is StreamType.BAR:
            times = sorted(set(times))
        numbers = st.lists(st.integers(0, 9), min_size=len(times), max_size=len(times))
        sequence = data.draw(numbers) if sequenced and kind is not StreamType.BAR else None
        items = _MAKE[kind](times)
        cut, says_end = data.draw(st.integers(1, 4)), data.draw(st.booleans())
        sources.append(ListSource(stream, items, cut, sequence=sequence, says_end=says_end))
        has_two = all((symbol, k, True) in named for k in (StreamType.TRADE, StreamType.QUOTE))
        for i, time in enumerate(times):
            number = 0 if sequence is None else sequence[i]
            rank = stream.rank if sequence is None else 0
            inner = (number, stream.rank) if has_two else (stream.rank, number)
            rows.append(((time, rank, symbol, *inner, i), (time, symbol, stream.code, i + 1.0)))
    assert _seen(BarFeed(sources)) == [row for _, row in sorted(rows)]


def test_each_time_comes_once_and_rises() -> None:
    feed = BarFeed([
        ListSource(Stream(s, StreamType.BAR, 1), bar_items([1, 2, 3, 5, 8]), n + 1)
        for n, s in enumerate("BAC")
    ])  # fmt: skip
    frames = asyncio.run(_frames(feed))
    assert [time for time, _ in frames] == [1, 2, 3, 5, 8]
    assert feed.symbols == ("A", "B", "C")
    for _, frame in frames:
        assert [frame.symbols[n] for n in frame.items["symbol"]] == ["A", "B", "C"]
        assert len(frame.of("B")) == 1
    with pytest.raises(NotFoundError, match="no symbol 'X'; it has"):
        frames[0][1].of("X")


def test_a_sequence_puts_trades_and_quotes_of_a_symbol_into_one_order() -> None:
    feed = BarFeed([
        ListSource(Stream("A", StreamType.TRADE), trade_items([5, 5]), sequence=[2, 4]),
        ListSource(Stream("A", StreamType.QUOTE), quote_items([5, 5]), sequence=[1, 3]),
    ])  # fmt: skip
    kinds = [(code, value) for _, _, code, value in _seen(feed)]
    trade, quote = Stream("A", StreamType.TRADE).code, Stream("A", StreamType.QUOTE).code
    assert kinds == [(quote, 1.0), (trade, 1.0), (quote, 2.0), (trade, 2.0)]


def test_rows_that_cannot_be_taken_are_counted() -> None:
    stream = Stream("A", StreamType.BAR, 1)
    items = bar_items([10, 10, 5, 20, 30], [1.0, 2.0, 3.0, float("nan"), 5.0])
    feed = BarFeed([ListSource(stream, items, 1)])
    assert [(t, v) for t, _, _, v in _seen(feed)] == [(10, 1.0), (30, 5.0)]
    assert feed.discarded == {stream: {"late": 1, "duplicate": 1, "invalid": 1}}


def test_a_source_that_breaks_its_word_is_named() -> None:
    class Liar(ListSource):
        async def __anext__(self) -> Any:
            batch = await super().__anext__()
            return batch._replace(complete_through_ns=100)

    feed = BarFeed([Liar(Stream("A", StreamType.BAR, 1), bar_items([1, 2, 3, 4]), 2)])
    with pytest.raises(BehindHorizonError, match=r"A bars_1m.*released at 3 ns"):
        asyncio.run(_frames(feed))


def test_two_sources_of_one_stream_are_refused() -> None:
    stream = Stream("A", StreamType.BAR, 1)
    with pytest.raises(FeedError, match="two sources"):
        BarFeed([ListSource(stream, bar_items([1])), ListSource(stream, bar_items([1]))])


def test_a_feed_without_sources_is_empty() -> None:
    assert asyncio.run(_frames(BarFeed([]))) == []


def test_it_reads_only_the_source_that_is_furthest_behind() -> None:
    quick = ListSource(Stream("A", StreamType.BAR, 1), bar_items(range(1, 100)), 5)
    slow = ListSource(Stream("B", StreamType.BAR, 1), bar_items(range(10, 1000, 10)), 5)
    feed = BarFeed([quick, slow])

    async def first() -> int:
        async for time_ns, _ in feed.iter_frames():
            return time_ns
        raise AssertionError("no frame")

    assert asyncio.run(first()) == 1
    assert (quick.given, slow.given) == (5, 5)


def test_what_was_yielded_is_not_held() -> None:
    streams = [Stream(s, k, _INTERVALS[k]) for s in "AB" for k in StreamType]
    times = range(1, 2001)
    feed = BarFeed([ListSource(s, _MAKE[s.type](times), 50) for s in streams])
    alive: list[weakref.ref[Any]] = []

    async def run() -> tuple[int, int]:
        rows, most = 0, 0
        async for _, frame in feed.iter_frames():
            rows += len(frame.items)
            base = frame.items if frame.items.base is None else frame.items.base
            if not alive or alive[-1]() is not base:
                alive.append(weakref.ref(base))
                most = max(most, sum(ref() is not None for ref in alive))
        return rows, most

    rows, most = asyncio.run(run())
    assert rows == 6 * 2000
    assert len(alive) > 30
    assert most <= 3


def _catalog(folder: Path) -> Catalog:
    for symbol in ("AIG", "BAC"):
        write_day(folder, "bars_1m", symbol, 0, bars(0, 390, seed=len(symbol)))
        write_day(folder, "bars_1m", symbol, 1, bars(1, 390, seed=7))
    write_day(folder, "trades", "AIG", 0, trades(0, 300, sequence=range(0, 600, 2)))
    write_day(folder, "quotes", "AIG", 0, quotes(0, 300, sequence=range(1, 601, 2)))
    return Catalog.open(str(folder))


def _read(catalog: Catalog, stream: Stream) -> Items:
    pieces = catalog.pieces(stream.channel, stream.symbol)
    read: Items = np.concatenate([catalog.read(p, Dictionary())[0] for p in pieces])
    return read


def test_a_notebook_needs_no_more_than_this(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 0, DAYS[0], DAYS[1])
    days, _ = calendar.range(DAYS[0], DAYS[1])
    span = (days[0].first_ns, days[-1].end_ns)

    def source(symbol: str, kind: StreamType) -> ParquetCandleSource:
        return ParquetCandleSource(catalog, Stream(symbol, kind, _INTERVALS[kind]), *span, rows=64)

    async def notebook() -> list[tuple[int, Frame]]:
        feed = BarFeed([
            source("AIG", StreamType.BAR),
            source("BAC", StreamType.BAR),
            ResampleIter(source("AIG", StreamType.BAR), Stream("AIG", StreamType.BAR, 15), days),
            source("AIG", StreamType.TRADE),
            source("AIG", StreamType.QUOTE),
        ])  # fmt: skip
        return [pair async for pair in feed.iter_frames()]

    frames = asyncio.run(notebook())
    times = [time_ns for time_ns, _ in frames]
    assert times == sorted(set(times))
    rows: Items = np.concatenate([frame.items for _, frame in frames])
    counts = {int(c): int(n) for c, n in zip(*np.unique(rows["stream"], return_counts=True),
                                             strict=True)}  # fmt: skip
    trade, quote = Stream("", StreamType.TRADE).code, Stream("", StreamType.QUOTE).code
    assert counts == {1: 4 * 390, 15: 2 * 26, trade: 300, quote: 300}
    closes = rows[(rows["stream"] == 1) & (rows["symbol"] == 1)]["v"][:, 3]
    assert closes.tolist() == _read(catalog, Stream("BAC", StreamType.BAR, 1))["v"][:, 3].tolist()
    at_quarter = dict(frames)[OPEN_NS + 15 * MINUTE_NS]
    assert at_quarter.items["stream"].tolist() == [1, 1, 15]
    assert at_quarter.of("AIG")["v"][1, 6] == 15.0
