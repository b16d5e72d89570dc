"""Generated streams, fed in hostile cuts and turns, against a ten-line reference merge."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.calendar import Hours, TradingCalendar
from app.feed.sources import END_NS
from app.managers.data_manager import merge
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.discards import REASONS
from app.managers.data_manager.session_data import SessionData
from app.managers.lifecycle import State
from app.managers.time_manager import TimeManager
from app.model import QUOTE_CODE, TRADE_CODE, Batch, Items, Stream, StreamType, make_items
from tests.core.harness import MINUTE

DAY = date(2013, 10, 7)
CALENDAR = TradingCalendar("XNYS", Hours.REGULAR, 60, DAY, DAY)
DAYS, FIRST = CALENDAR.range(DAY, DAY)
OPEN, END = DAYS[0].first_ns, DAYS[0].end_ns
SYMBOLS = ("AA", "B", "a")
KINDS = {StreamType.BAR: 1, StreamType.TRADE: TRADE_CODE, StreamType.QUOTE: QUOTE_CODE}


class Fed(NamedTuple):
    """One stream: source times (a bar's release) and where its rows are cut into batches."""

    stream: Stream
    times: list[int]
    cuts: list[int]


def _stream(symbol: str, kind: StreamType) -> st.SearchStrategy[Fed]:
    unit = MINUTE if kind is StreamType.BAR else 1
    # Few distinct times, so that many are equal; some before the open, some late.
    offsets = st.lists(st.integers(-2, 12), max_size=14)
    mostly_rising = offsets.map(lambda x: sorted(x[: len(x) // 2]) + x[len(x) // 2 :])
    interval = 1 if kind is StreamType.BAR else 0
    return st.builds(
        Fed,
        st.just(Stream(symbol, kind, interval)),
        mostly_rising.map(lambda o: [OPEN + (t + interval) * unit for t in o]),
        st.lists(st.integers(0, 14), max_size=4).map(sorted),
    )


def _some_streams() -> st.SearchStrategy[list[Fed]]:
    every = [_stream(s, k) for s in SYMBOLS for k in KINDS]
    return st.tuples(*every).map(lambda found: [f for f in found if f.times])


def reference(streams: list[Fed]) -> tuple[list[tuple[int, int, str, int]], dict[str, int]]:
    """(release, rank, symbol, row) of all that is delivered, and counts of what is not."""
    kept, lost = [], dict.fromkeys(REASONS, 0)
    for fed in streams:
        latest = -1
        for row, time in enumerate(fed.times):
            bar = fed.stream.type is StreamType.BAR
            start = time - MINUTE if bar else time
            reason = ("late" if time < latest else "duplicate" if bar and time == latest
                      else "before_hours" if start < OPEN else None)  # fmt: skip
            latest = max(latest, time)
            if reason is None:
                kept.append(
                    (time, list(KINDS.values()).index(fed.stream.code), fed.stream.symbol, row)
                )
            else:
                lost[reason] += 1
    rank = {0: 2, 1: 0, 2: 1}  # bars last, then trades, then quotes: trades stand before quotes
    return sorted((t, rank[k], s, r) for t, k, s, r in kept), lost


def _items(fed: Fed) -> Items:
    """Rows that carry their source row in their first value."""
    rows = np.arange(len(fed.times), dtype=float)
    ones: Any = np.ones(len(rows))
    if fed.stream.type is StreamType.BAR:
        return make_items(1, fed.times, 0, rows, ones, ones, ones, ones, np.nan, 1)
    if fed.stream.type is StreamType.TRADE:
        return make_items(TRADE_CODE, fed.times, 0, rows, ones, -1, -1)
    return make_items(QUOTE_CODE, fed.times, 0, rows, ones, ones, ones, -1, -1)


def _batches(fed: Fed) -> list[Batch]:
    items, edges = _items(fed), [0, *[c for c in fed.cuts if c < len(fed.times)], len(fed.times)]
    found = []
    for low, high in pairwise(edges):
        rest = fed.times[high:]
        through = min(rest) - 1 if rest else END_NS
        found.append(Batch(fed.stream, items[low:high].copy(), through))
    return found


Played = tuple[list[tuple[int, int, int, int]], dict[str, int], str]


def _play(streams: list[Fed], turns: list[int]) -> Played:
    time_manager = TimeManager(DAYS, FIRST)
    data = SessionData(time_manager, SYMBOLS, 1, 1000)
    coordinator = BacktestStreamCoordinator(time_manager, data)
    # Discards before the session's own first instant count here too.
    for fed in streams:
        coordinator.register_stream(fed.stream.symbol, fed.stream.type)
        coordinator._intakes[fed.stream]._counted_from_ns = 0
    merged = coordinator.get_merged_stream()
    try:
        coordinator.start_worker()
        waiting = [_batches(fed) for fed in streams]
        while any(waiting):
            turn = turns.pop() if turns else 0
            feeds = [w for w in waiting if w]
            coordinator.take_batch(feeds[turn % len(feeds)].pop(0))
        found = [
            (int(i["release_ns"]), int(i["stream"]), int(i["symbol"]), int(i["v"][0]))
            for piece in merged
            for i in piece.items
        ]
        assert coordinator.wait_ended(10)
        assert coordinator.state is State.COMPLETED, coordinator.error
        lost = coordinator.discards.counts(END_NS)
        return found, lost, coordinator.view.digest
    finally:
        coordinator.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    _some_streams(),
    st.lists(st.integers(0, 8), max_size=30),
    st.lists(st.integers(0, 8), max_size=30),
    st.sampled_from([1, 3, 10]),
)
def test_merge_is_the_reference_merge(
    streams: list[Fed], turns: list[int], other_turns: list[int], chunk_rows: int
) -> None:
    if not streams:
        return
    expected, lost = reference(streams)
    code = {0: TRADE_CODE, 1: QUOTE_CODE, 2: 1}
    truth = [(t, code[k], SYMBOLS.index(s), r) for t, k, s, r in expected]
    found, discarded, digest = _play(streams, list(turns))
    assert found == truth
    assert discarded == lost
    with pytest.MonkeyPatch.context() as patch:  # the next chunk is merged beside the merge thread
        patch.setattr(merge, "CHUNK_ROWS", chunk_rows)
        again, _, same_digest = _play(streams, list(other_turns))
    assert again == truth
    assert same_digest == digest
