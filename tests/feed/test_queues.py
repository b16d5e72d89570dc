"""The queue of a stream, and the merge of several."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.feed.queues import BEFORE_ALL_NS, Merge, Rows, StreamQueue, merge_queues, merge_rows
from app.model import Stream, StreamType
from tests.feed.fakes import bar_items, quote_items, trade_items


def _queue(
    kind: StreamType = StreamType.TRADE, symbol: int = 0, sequenced: bool = False
) -> StreamQueue:
    return StreamQueue(Stream("S", kind, 1 if kind is StreamType.BAR else 0), symbol, sequenced)


@given(st.lists(st.lists(st.integers(0, 20), max_size=6), max_size=5),
       st.lists(st.integers(-1, 21), max_size=6))  # fmt: skip
def test_rows_are_taken_once_up_to_the_time(batches: list[list[int]], times: list[int]) -> None:
    every = sorted(t for batch in batches for t in batch)
    queue, at = _queue(), 0
    for batch in batches:
        queue.push(trade_items(every[at : at + len(batch)]), -5)
        at += len(batch)
    assert queue.rows == len(every)
    taken: list[int] = []
    for time in sorted(times):
        got = [int(t) for rows in queue.take(time) for t in rows.items["release_ns"]]
        taken += got
        assert taken == [t for t in every if t <= time]
        assert queue.rows == len(every) - len(taken)
        assert queue.oldest_ns == (every[len(taken)] if queue.rows else None)
        assert queue.newest_ns == (every[-1] if queue.rows else None)


def test_completeness_only_rises() -> None:
    queue = _queue()
    assert queue.complete_through_ns == BEFORE_ALL_NS
    queue.push(trade_items([5]), 7)
    queue.push(trade_items([]), 3)
    assert queue.complete_through_ns == 7


def test_the_release_of_a_waiting_row() -> None:
    queue = _queue()
    queue.push(trade_items([1, 2]), 2)
    queue.push(trade_items([4]), 4)
    assert [queue.release_at(n) for n in range(5)] == [1, 2, 4, 4, 4]


def test_a_cut_keeps_rows_and_sequence_together() -> None:
    queue = _queue(sequenced=True)
    queue.push(trade_items([1, 2, 3]), 3, np.array([7, 8, 9]))
    ((release, first, numbers),) = queue.take(2)
    assert first["release_ns"].tolist() == release.tolist() == [1, 2]
    assert numbers is not None
    assert numbers.tolist() == [7, 8]
    ((release, rest, numbers),) = queue.take(9)
    assert rest["release_ns"].tolist() == release.tolist() == [3]
    assert numbers is not None
    assert numbers.tolist() == [9]


def test_the_last_rows_of_a_batch_do_not_keep_the_rest_of_it() -> None:
    queue, read = _queue(), trade_items(list(range(1000)))
    queue.push(read[:500], 499)
    queue.take(400)
    ((release, rest, _),) = queue.take(499)
    assert rest["release_ns"].tolist() == release.tolist() == list(range(401, 500))
    assert rest.base is None or rest.base.nbytes < read.nbytes / 4


def test_order_at_one_time_is_by_rank_then_symbol_whatever_was_registered_first() -> None:
    queues = [
        _queue(kind, symbol) for symbol in (1, 0) for kind in reversed(list(StreamType))
    ]  # fmt: skip
    make = {StreamType.BAR: bar_items, StreamType.TRADE: trade_items, StreamType.QUOTE: quote_items}
    for queue in queues:
        items = make[queue.stream.type]([9])
        items["symbol"] = queue.symbol
        queue.push(items, 9)
    merged = merge_queues(sorted(queues, key=lambda q: q.order), 9)
    trade, quote = _queue().stream.code, _queue(StreamType.QUOTE).stream.code
    assert merged["stream"].tolist() == [trade, trade, quote, quote, 1, 1]
    assert merged["symbol"].tolist() == [0, 1] * 3


def test_a_sequence_of_one_stream_alone_overrides_no_rank() -> None:
    """Trades first, also where only the quotes have numbers, whoever was registered first."""
    for queues in ([True, False], [False, True]):
        made = [
            _queue(StreamType.QUOTE if quotes else StreamType.TRADE, 0, quotes) for quotes in queues
        ]
        for queue in made:
            is_quote = queue.stream.type is StreamType.QUOTE
            items = (quote_items if is_quote else trade_items)([4])
            queue.push(items, 4, np.array([1]) if is_quote else None)
        merged = merge_queues(sorted(made, key=lambda q: q.order), 4)
        assert merged["stream"].tolist() == [
            _queue().stream.code,
            _queue(StreamType.QUOTE).stream.code,
        ]


def test_parts_are_told_by_stream() -> None:
    queue = _queue()
    queue.push(trade_items([1, 2, 3]), 3)
    merge = Merge([queue, _queue(StreamType.BAR)], 2)
    assert [(stream.type, len(items)) for stream, items in merge.parts] == [(StreamType.TRADE, 2)]
    assert merge.in_order().release_ns.tolist() == [1, 2]


def test_merging_nothing_gives_nothing() -> None:
    assert len(merge_rows([]).items) == 0


def test_what_is_merged_shares_no_memory_with_its_parts() -> None:
    ticks, quotes = trade_items([1, 5]), quote_items([3])
    for parts in ([ticks], [ticks, quotes], [ticks[:1], quotes, ticks[1:]]):
        release, merged, _ = merge_rows([Rows(part["release_ns"], part) for part in parts])
        assert merged["release_ns"].tolist() == sorted(merged["release_ns"].tolist())
        assert release.tolist() == merged["release_ns"].tolist()
        assert len(merged) == sum(len(part) for part in parts)
        assert not any(np.shares_memory(merged, part) for part in parts)
    assert len(merge_queues([_queue(sequenced=True)], 5)) == 0
