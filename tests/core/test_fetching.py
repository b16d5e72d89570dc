"""Chunks merged beside the merge thread: the same rows, told of as waiting, and their errors."""

from __future__ import annotations

from pathlib import Path
from threading import Condition, Event
from typing import Any

import numpy as np
import pytest

from app.feed.queues import Merge, Rows, StreamQueue
from app.feed.sources import END_NS
from app.managers.data_manager import merge
from app.managers.data_manager.fetching import Fetching
from app.managers.data_manager.merge import Merger, stream_stats
from app.managers.lifecycle import State
from app.model import TRADE_CODE, Items, Stream, StreamType, empty_items, make_items
from tests.core.harness import DAY1, DAY2, open_ns, open_session, run, trade, write

ROWS = 40
RANGE: dict[str, Any] = {"start": str(DAY1), "end": str(DAY2), "history_days": 0}


@pytest.fixture
def merger(monkeypatch: pytest.MonkeyPatch) -> Merger:
    """Two streams of rows at every other nanosecond, in chunks of ten rows."""
    monkeypatch.setattr(merge, "CHUNK_ROWS", 10)
    merger = Merger()
    for number, symbol in enumerate(("AAA", "BBB")):
        stream = Stream(symbol, StreamType.TRADE)
        merger.register(StreamQueue(stream, number))
        times = np.arange(number, 2 * ROWS, 2)
        items = make_items(TRADE_CODE, times, 0, 1.0, 1, -1, -1)
        items["symbol"] = number
        merger.push(stream, items, END_NS)
    return merger


def fetching_of(merger: Merger) -> Fetching:
    return Fetching(Condition(), merger, lambda: None)


def all_of(fetching: Fetching, ahead: bool) -> tuple[list[int], int]:
    """Release times as they are fetched, and how many chunks had been merged before."""
    found: list[int] = []
    early = 0
    while (next_one := fetching.fetch()) is not None:
        taken, rows = next_one
        assert rows.release_ns[-1] <= taken.through_ns
        assert (rows.release_ns == rows.items["release_ns"]).all()
        found += rows.release_ns.tolist()
        fetching.fetched()
        if ahead:
            fetching.look_ahead()
            early += fetching._next is not None
    fetching.finish()
    return found, early


@pytest.mark.parametrize("ahead", [False, True])
def test_chunks_follow_each_other(merger: Merger, ahead: bool) -> None:
    found, early = all_of(fetching_of(merger), ahead)
    assert found == list(range(2 * ROWS))
    assert (early > 3) is ahead


def test_what_was_merged_ahead_is_told_of_as_waiting(merger: Merger) -> None:
    """Every row is queued or delivered at any moment, and the oldest is the one that comes next."""
    fetching = fetching_of(merger)
    delivered = 0

    def check(chunk: Items) -> None:
        stats = stream_stats(merger.figures(), chunk, fetching.ahead)
        assert [s.queued + s.delivered for s in stats] == [ROWS, ROWS]
        assert sum(s.delivered for s in stats) == delivered
        assert min(s.oldest_ns for s in stats if s.oldest_ns is not None) == delivered
        assert {s.newest_ns for s in stats} == {2 * ROWS - 2, 2 * ROWS - 1}

    while merger.has_chunk:
        found = fetching.fetch()
        assert found is not None
        fetching.fetched()
        check(found[1].items)
        fetching.look_ahead()
        if fetching._next is not None:
            fetching._next.result()
            check(found[1].items)
        delivered += len(found[1].items)
        if fetching._next is not None:
            check(empty_items())
    fetching.finish()
    assert delivered >= ROWS


def test_nothing_is_merged_ahead_of_a_stream_that_is_behind(merger: Merger) -> None:
    """The chunk would be small: later more will be there."""
    merger.register(StreamQueue(Stream("CCC", StreamType.TRADE), 2))
    fetching = fetching_of(merger)
    fetching.look_ahead()
    assert not fetching.can_fetch
    assert fetching.fetch() is None
    merger.push(Stream("CCC", StreamType.TRADE), empty_items(), 3)
    fetching.look_ahead()
    found = fetching.fetch()
    assert found is not None
    assert found[1].release_ns.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("chunk", [1, 17, 300])
def test_small_chunks_give_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    for day in (DAY1, DAY2):
        for symbol, step in (("AAA", 3), ("BBB", 5)):
            rows = [trade(open_ns(day) + at, at) for at in range(1, 900, step)]
            write(tmp_path, "trades", symbol, str(day), rows)
    truth = run(tmp_path, **RANGE).status
    merged: list[int] = []
    merge_next = Fetching._merge_next

    def counted(self: Fetching) -> Any:
        merged.append(1)
        return merge_next(self)

    monkeypatch.setattr(Fetching, "_merge_next", counted)
    monkeypatch.setattr(merge, "CHUNK_ROWS", chunk)
    assert run(tmp_path, **RANGE).status.digest == truth.digest
    assert merged, "no chunk was merged ahead"


def test_what_goes_wrong_ahead_fails_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "trades", "AAA", str(DAY1), [trade(open_ns(DAY1) + at) for at in range(1, 99)])
    second = Event()

    def in_order(self: Merge) -> Rows:
        if second.is_set():
            raise MemoryError("no room for a chunk")
        second.set()
        return merged(self)

    merged = Merge.in_order
    monkeypatch.setattr(merge, "CHUNK_ROWS", 10)
    monkeypatch.setattr(Merge, "in_order", in_order)
    with open_session(tmp_path, **(RANGE | {"end": str(DAY1)})) as (_, _, session):
        assert session.wait(30)
        assert session.state is State.FAILED
        assert "no room for a chunk" in str(session.status().error)
