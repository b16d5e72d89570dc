"""Data pushed in by a program: rows, streams, errors that name the row, the merged stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from app.calendar import Hours, TradingCalendar
from app.errors import (
    BehindHorizonError,
    FeedError,
    RequestError,
    StateError,
    StreamClosedError,
    TimeError,
)
from app.feed.rows import rows_to_items
from app.feed.sources import END_NS
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.session_data import SessionData
from app.managers.lifecycle import State
from app.managers.time_manager import TimeManager, Wall
from app.model import TRADE_CODE, Batch, Stream, StreamType
from tests.core.harness import DAY2, MINUTE, bar, open_ns, session_bars, trade

OPEN = open_ns(DAY2)
SYMBOLS = ("AAA", "BBB")
BAR, TRADE, QUOTE = StreamType.BAR, StreamType.TRADE, StreamType.QUOTE


@pytest.fixture
def parts() -> Iterator[tuple[BacktestStreamCoordinator, SessionData, TimeManager]]:
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 60, DAY2, DAY2)
    days, first = calendar.range(DAY2, DAY2)
    time_manager = TimeManager(days, first)
    data = SessionData(time_manager, SYMBOLS, 1, 1000)
    coordinator = BacktestStreamCoordinator(time_manager, data)
    yield coordinator, data, time_manager
    coordinator.close()


Parts = tuple[BacktestStreamCoordinator, SessionData, TimeManager]


def test_a_program_pushes_bars_and_reads_slices(parts: Parts) -> None:
    coordinator, data, time_manager = parts
    stream = coordinator.register_stream("AAA", BAR)
    book = DayBook(time_manager.days, SYMBOLS, {}, [True, False])
    upkeep = DataUpkeepThread(coordinator, time_manager.days, [stream], [5], book, SYMBOLS)
    coordinator.attach_upkeep(upkeep)
    merged = coordinator.get_merged_stream()
    coordinator.start_worker()
    lists = [session_bars(DAY2, range(m, m + 30)) for m in range(0, 390, 30)]
    coordinator.feed_stream("AAA", BAR, lists)
    slices = list(merged)
    assert [s.time_ns for s in slices] == [OPEN + m * MINUTE for m in range(1, 391)]
    assert [s.seq for s in slices] == list(range(1, 391))
    assert [len(s.items) for s in slices][:5] == [1, 1, 1, 1, 2], "the 5m bar in its own slice"
    assert coordinator.wait_ended(10)
    assert data.get_bar_count("AAA") == 390
    assert data.get_bar_count("AAA", 5) == 78
    latest = data.get_latest_bar("AAA")
    assert latest is not None
    assert latest["release_ns"][0] == OPEN + 390 * MINUTE
    assert data.get_latest_bar("BBB") is None
    assert len(data.get_last_n_bars("AAA", 7)) == 7
    since = data.get_bars_since("AAA", OPEN + 380 * MINUTE)
    assert len(since) == 9, "since is exclusive, on the start"
    assert data.get_active_symbols() == ["AAA"]
    metrics = data.get_session_metrics("AAA")
    assert (metrics.bars, metrics.quality) == (390, 100.0)
    assert book.symbol_day(0, 0).coverage is not None
    assert time_manager.get_current_time() == time_manager.days[0].end_ns
    assert time_manager.get_trading_session(DAY2).date == DAY2


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ({"ts": datetime(2013, 10, 7, 13, 30)}, TimeError, "without zone"),  # noqa: DTZ001
        ({"ts": "now"}, FeedError, "row 1: 'ts' is 'now'"),
        ({"ts": True}, FeedError, "row 1: 'ts' is True"),
        ({"price": "dear"}, FeedError, "row 1: 'price' is 'dear'"),
        ({"exchange": 5}, FeedError, "row 1: 'exchange' is 5"),
        ({"size": [1]}, FeedError, "row 1: 'size' is"),
    ],
)
def test_rows_that_are_wrong_are_named(
    parts: Parts, row: dict[str, Any], error: type[Exception], words: str
) -> None:
    coordinator = parts[0]
    coordinator.register_stream("AAA", TRADE)
    with pytest.raises(error, match=words.replace("[", r"\[")):
        coordinator.feed_data_list("AAA", TRADE, [trade(OPEN) | row])
    missing = trade(OPEN)
    del missing["price"]
    with pytest.raises(FeedError, match="row 2: no field 'price'"):
        coordinator.feed_data_list("AAA", TRADE, [trade(OPEN), missing])
    with pytest.raises(FeedError, match="float64 was fed"):
        coordinator.feed_data_list("AAA", TRADE, np.zeros(3))  # type: ignore[arg-type]


def test_before_the_first_slice_the_catalog_is_read_as_far_as_it_needs(parts: Parts) -> None:
    coordinator = parts[0]
    for symbol in SYMBOLS:
        coordinator.register_stream(symbol, BAR)
    coordinator.feed_data_list("AAA", BAR, session_bars(DAY2, range(10)))
    assert coordinator.has_room(), "the other one is needed"
    coordinator.feed_data_list("BBB", BAR, session_bars(DAY2, range(10)))
    assert not coordinator.has_room()
    coordinator.feed_data_list("AAA", BAR, session_bars(DAY2, range(10, 20)))  # a program may
    merged = iter(coordinator.get_merged_stream())
    coordinator.start_worker()
    assert next(merged).time_ns == OPEN + MINUTE
    assert coordinator.has_room()


def test_only_1m_bars_trades_and_quotes_are_inputs(parts: Parts) -> None:
    coordinator = parts[0]
    with pytest.raises(RequestError, match="bars of 5 minutes cannot be fed"):
        coordinator.register_stream("AAA", BAR, 5)
    with pytest.raises(RequestError, match="'CCC' is none of this session's symbols"):
        coordinator.register_stream("CCC", BAR)
    coordinator.register_stream("AAA", BAR)
    with pytest.raises(StreamClosedError, match="registered already"):
        coordinator.register_stream("AAA", BAR)
    with pytest.raises(StreamClosedError, match="not registered"):
        coordinator.feed_data_list("AAA", QUOTE, [])
    with pytest.raises(StreamClosedError, match="not registered"):
        coordinator.deregister_stream("AAA", QUOTE)


def test_pushing_behind_the_horizon_raises(parts: Parts) -> None:
    coordinator = parts[0]
    coordinator.register_stream("AAA", TRADE)
    coordinator.feed_data_list("AAA", TRADE, [], complete_through_ns=OPEN + 100)
    with pytest.raises(BehindHorizonError, match="declared complete through"):
        coordinator.feed_data_list("AAA", TRADE, [trade(OPEN + 100)])
    coordinator.feed_data_list("AAA", TRADE, [trade(OPEN + 101), trade(OPEN + 103)])
    coordinator.feed_data_list("AAA", TRADE, [trade(OPEN + 102), trade(OPEN + 103)])
    assert coordinator.discards.counts(END_NS)["late"] == 1, "behind its own stream: late"


def test_what_cannot_be_right_is_counted(parts: Parts) -> None:
    coordinator = parts[0]
    for kind in (BAR, TRADE, QUOTE):
        coordinator.register_stream("AAA", kind)
    nan, inf = float("nan"), float("inf")
    bad_bars = [bar(OPEN) | change for change in (
        {"open": nan}, {"high": inf}, {"low": -1.0}, {"close": None}, {"volume": None},
        {"volume": -5}, {"vwap": -1.0}, {"vwap": inf},
    )]  # fmt: skip
    coordinator.feed_data_list("AAA", BAR, [*bad_bars, bar(OPEN)])
    coordinator.feed_data_list("AAA", TRADE, [trade(OPEN, nan), trade(OPEN) | {"size": None}])
    sides: list[dict[str, Any]] = [
        {"bid": None, "bid_size": None}, {"ask": None, "ask_size": None},  # one side: right
        {"bid": None, "bid_size": 5}, {"ask": 5.0, "ask_size": None}, {"bid": -1.0, "bid_size": 1},
        {"bid": None, "bid_size": None, "ask": None, "ask_size": None},
    ]  # fmt: skip
    rows = [{"ts": OPEN, "bid": 1.0, "bid_size": 1, "ask": 2.0, "ask_size": 1} | s for s in sides]
    coordinator.feed_data_list("AAA", QUOTE, rows)
    assert coordinator.discards.counts(END_NS)["invalid"] == len(bad_bars) + 2 + 4
    queued = {s.channel: s.queued for s in coordinator.get_queue_stats()}
    assert queued == {"trades": 0, "quotes": 2, "bars_1m": 1}


def test_sequence_common_to_trades_and_quotes_overrides_their_rank(parts: Parts) -> None:
    coordinator = parts[0]
    for kind in (TRADE, QUOTE):
        coordinator.register_stream("AAA", kind, sequenced=True)
    coordinator.register_stream("BBB", TRADE)
    merged = coordinator.get_merged_stream()
    quotes = [{"ts": OPEN, "bid": 1.0, "bid_size": 1, "ask": 2.0, "ask_size": 1}] * 2
    for kind, rows, sequence in ((TRADE, [trade(OPEN)] * 2, [2, 3]), (QUOTE, quotes, [1, 4])):
        items = rows_to_items(kind, rows, coordinator.source_words)
        stream = Stream("AAA", kind)
        coordinator.take_batch(Batch(stream, items, END_NS, np.array(sequence)))
    coordinator.feed_data_list("BBB", TRADE, [trade(OPEN)])
    coordinator.end_stream("BBB", TRADE)
    coordinator.start_worker()
    (only,) = list(merged)
    kinds = ["T" if code == TRADE_CODE else "Q" for code in only.items["stream"]]
    assert kinds == ["Q", "T", "T", "Q", "T"]


def test_queue_statistics(parts: Parts) -> None:
    coordinator = parts[0]
    coordinator.register_stream("AAA", TRADE)
    coordinator.register_stream("BBB", TRADE)
    aware = datetime(2013, 10, 7, 13, 30, 0, 5, tzinfo=UTC)
    coordinator.feed_data_list("AAA", TRADE, [trade(OPEN) | {"ts": aware}, trade(OPEN + 6000)])
    a, b = coordinator.get_queue_stats()
    assert (a.symbol, a.queued, a.oldest_ns, a.newest_ns) == ("AAA", 2, OPEN + 5000, OPEN + 6000)
    assert (a.complete_through_ns, a.ended, a.delivered) == (OPEN + 5999, False, 0)
    assert (b.queued, b.oldest_ns, b.complete_through_ns) == (0, None, None)
    for symbol in SYMBOLS:
        coordinator.end_stream(symbol, TRADE)
    coordinator.start_worker()
    with pytest.raises(StateError, match="started"):
        coordinator.start_worker()
    assert coordinator.wait_ended(10)
    a, b = coordinator.get_queue_stats()
    assert (a.queued, a.delivered, a.ended, b.ended) == (0, 2, True, True)
    assert coordinator.state is State.COMPLETED


def test_a_feed_that_breaks_fails_the_session(parts: Parts) -> None:
    coordinator = parts[0]
    coordinator.register_stream("AAA", TRADE)
    coordinator.start_worker()

    def broken() -> Iterator[list[dict[str, Any]]]:
        yield [trade(OPEN)]
        raise OSError("the disk is gone")

    coordinator.feed_stream("AAA", TRADE, broken()).join(10)
    assert coordinator.wait_ended(10)
    assert coordinator.state is State.FAILED
    assert str(coordinator.error) == "the disk is gone"


def test_a_reader_that_leaves_lets_the_clock_go_on(parts: Parts) -> None:
    coordinator = parts[0]
    coordinator.register_stream("AAA", TRADE)
    merged = coordinator.get_merged_stream()
    coordinator.start_worker()
    for t in range(100):
        coordinator.feed_data_list("AAA", TRADE, [trade(OPEN + 2 * t)])
    reading = iter(merged)
    assert next(reading).time_ns == OPEN
    merged.close()
    coordinator.end_stream("AAA", TRADE)
    assert coordinator.wait_ended(10)
    assert coordinator.state is State.COMPLETED


def test_one_clock_one_writer(parts: Parts) -> None:
    _, _, time_manager = parts
    view = time_manager.view
    with pytest.raises(StateError, match="already has its writer"):
        time_manager.take_writer(Wall(), 0)
    stranger = TimeManager(time_manager.days, 0).take_writer(Wall(), 0)
    with pytest.raises(StateError, match="only the coordinator"):
        time_manager.set_backtest_time(view._replace(now_ns=view.now_ns + 1), stranger)
    own = TimeManager(time_manager.days, 0)
    writer = own.take_writer(Wall(), 0)
    writer.commit(own.view._replace(now_ns=own.view.now_ns + 5))
    with pytest.raises(StateError, match="backward"):
        writer.commit(own.view._replace(now_ns=own.view.now_ns - 1))
    writer.commit(own.view._replace(epoch=2, now_ns=own.view.now_ns - 1))
    assert own.view.epoch == 2
    with pytest.raises(StateError, match="live in this process"):
        BacktestStreamCoordinator(own, SessionData(own, SYMBOLS, 1, 1))
