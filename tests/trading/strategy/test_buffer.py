"""A market without a catalog: what was fed, seen as a session's data is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Flag, Items, Stream, StreamType, Window
from app.trading.buffer import BufferedEngine, MarketBuffer
from app.trading.bus import EventBus
from app.trading.context import Close, MarketReader, RunContext
from app.trading.engine import Engine
from app.trading.events import EventBase
from app.trading.live import FreeRunner
from app.trading.services.strategy import StrategyRunner
from tests.trading.harness import (
    DAYS,
    HandMarket,
    Recorder,
    bar,
    days_of,
    in_order,
    minute,
    quote,
    trade,
    window,
)
from tests.trading.strategy.support import Broker, section, strategy
from tests.trading.strategy.test_market_access import READER
from tests.trading.strategy.test_runner import TRACER, random_rows

SYMBOLS = ("AAA", "BBB", "CCC")


def windows(items: Items, cuts: list[int], day: int = 0) -> Iterator[Window]:
    times = np.unique(items["release_ns"])
    for low, high in pairwise(sorted({0, len(times), *(c for c in cuts if c < len(times))})):
        inside = (items["release_ns"] >= times[low]) & (items["release_ns"] <= times[high - 1])
        yield window([items[inside]], day)


def feed(buffer: MarketBuffer, items: Items, cuts: list[int], day: int = 0) -> None:
    for part in windows(items, cuts, day):
        buffer.feed(part)


def closes(items: Items) -> list[float]:
    found: list[float] = items["v"][:, 3].tolist()
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(1, 60), max_size=6), st.integers(0, 12))
def test_it_shows_what_a_session_shows(seed: int, cuts: list[int], minutes: int) -> None:
    items = random_rows(seed)
    hand, buffer = HandMarket(SYMBOLS), MarketBuffer(SYMBOLS, DAYS)
    hand.add([items])
    feed(buffer, items, cuts)
    now = minute(minutes)
    readers: list[MarketReader] = [hand, buffer]
    for symbol in range(3):
        for interval in (1, 5, 15):
            for count in (None, 1, 3):
                one, two = (r.bars(symbol, interval, now, count) for r in readers)
                assert one.tobytes() == two.tobytes()
        for kind in (StreamType.TRADE, StreamType.QUOTE):
            one, two = (r.ticks(symbol, kind, now) for r in readers)
            assert one.tobytes() == two.tobytes()
        for kind in StreamType:
            assert hand.has(symbol, kind, 0) == buffer.has(symbol, kind, 0)


class Played:
    """A run of one strategy on a market: its events but their wall times, and what it saw."""

    def __init__(self, folder: Path, market: HandMarket | MarketBuffer) -> None:
        self.bus = EventBus(RunContext("run", SYMBOLS, DAYS, 0, market))
        self.engine = (
            Engine(self.bus) if isinstance(market, HandMarket) else BufferedEngine(self.bus, market)
        )
        self._seen = Recorder(self.bus)
        self._runner = StrategyRunner.from_config([section()], self.bus, folder)
        self._runner.attach()
        Broker.from_config(None, self.bus).attach()

    def start(self, to: Engine | FreeRunner) -> None:
        to.start(DAYS[0].first_ns - 1, ("one",))
        to.open_day(0, DAYS[0].first_ns - 1)

    def results(self) -> tuple[list[EventBase], list[object]]:
        events = [msgspec.structs.replace(e, ts_created_ns=0) for e in self._seen.events]
        return events, strategy(self._runner).seen


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**16), st.sampled_from([TRACER, READER]),
    st.lists(st.integers(1, 60), max_size=6),
)  # fmt: skip
def test_the_same_file_does_the_same_behind_a_feed(seed: int, source: str, cuts: list[int]) -> None:
    """On recorded data all at once; and free-running on what a feed gives, however it is cut."""
    items = random_rows(seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.py").write_text(source, "utf-8")
        hand = HandMarket(SYMBOLS)
        hand.add([items])
        replay, live = Played(folder, hand), Played(folder, MarketBuffer(SYMBOLS, DAYS))
        replay.start(replay.engine)
        replay.engine.on_window(window([items]))
        replay.engine.end_day(0, DAYS[0].end_ns)
        replay.engine.finish("completed")
        feed = FreeRunner(live.engine)
        live.start(feed)
        for part in windows(items, cuts):
            feed.feed(part)
        feed.end_day(0, DAYS[0].end_ns)
        assert feed.close(timeout_s=30)
    assert live.results() == replay.results()
    assert len(replay.results()[1]) > 5


def test_days_beyond_those_kept_go() -> None:
    days = days_of("2013-10-07", "2013-10-18")
    buffer = MarketBuffer(["AAA"], days, keep_days=2)
    for number, day in enumerate(days):
        rows = [bar(0, minute(i, day), 1, 1, 1, number) for i in range(300)]
        rows += [trade(0, minute(i, day), 5.0 + number) for i in range(300)]
        feed(buffer, in_order(rows), [100], number)
        kept = min(number, 2) + 1
        assert len(buffer.bars(0, 1, day.end_ns)) == 300 * kept
        assert len(buffer.ticks(0, StreamType.TRADE, day.end_ns)) == 300
        assert len(buffer.ticks(0, StreamType.TRADE, day.first_ns - 1)) == 0
    held = sum(len(rows.items) for rows in buffer._rows.values())
    assert held < 2 * 300 * (4 + 2) + 512
    assert closes(buffer.bars(0, 1, days[-1].end_ns, 1)) == [len(days) - 1]


def test_an_older_answer_never_changes() -> None:
    buffer = MarketBuffer(["AAA"], DAYS, keep_days=0)
    feed(buffer, in_order([bar(0, minute(i), 1, 1, 1, i) for i in range(5)]), [])
    shown = buffer.bars(0, 1, minute(3))
    before = shown.tobytes()
    for day in (1, 2):
        rows = [bar(0, minute(i, DAYS[day]), 1, 1, 1, i) for i in range(390)]
        feed(buffer, in_order(rows), [5], day)
    assert shown.tobytes() == before
    with pytest.raises(ValueError, match="read-only"):
        shown["release_ns"][0] = 0


def test_history_is_of_regular_bars_before_a_time() -> None:
    days = days_of("2013-10-04", "2013-10-08", "extended")
    buffer = MarketBuffer(["AAA", "BBB"], days)
    rows = [bar(0, days[0].first_ns, 1, 1, 1, 99)]  # pre-market
    rows += [bar(0, minute(i, days[0]), 1, 1, 1, i) for i in (0, 1, 389, 390)]  # and the auction
    rows += [bar(0, minute(i, days[1]), 1, 1, 1, 10 + i) for i in (0, 1)]
    buffer.load(in_order(rows))
    assert closes(buffer.history(0, 1, days[1].first_ns - 1, 2)) == [1, 389]
    assert closes(buffer.history(0, 1, minute(1, days[1]), 9)) == [0, 1, 389, 10]
    assert closes(buffer.history_days(0, 1, 1, 5)) == [0, 1, 389]
    assert closes(buffer.history_days(0, 1, 2, 1)) == [10, 11]
    assert len(buffer.history(1, 1, days[2].end_ns, 5)) == 0


def test_what_the_feed_delivers_may_be_said_beforehand() -> None:
    streams = {Stream("BBB", StreamType.BAR, 1): {0, 1}, Stream("BBB", StreamType.QUOTE): {0}}
    buffer = MarketBuffer(["AAA", "BBB"], DAYS, streams=streams)
    has = {(s, k.value) for s in (0, 1) for k in StreamType if buffer.has(s, k, 0)}
    assert has == {(1, "bars"), (1, "quotes")}
    assert not buffer.has(1, StreamType.QUOTE, 1)
    assert (buffer.ends(0), buffer.ends(1)) == (None, DAYS[1].end_ns)
    assert MarketBuffer(["AAA"], DAYS).ends(0) == DAYS[-1].end_ns
    assert len(buffer.words) == 0


def test_the_official_close_is_known_at_the_days_end() -> None:
    end = DAYS[0].end_ns
    buffer = MarketBuffer(
        ["AAA", "BBB", "CCC", "DDD"], DAYS, keep_days=1,
        closes={(2, 0): Close(33.0, "daily", end), (3, 0): Close(44.0, "daily", end + 5)},
    )  # fmt: skip
    auction = int(Flag.AUCTION_CLOSE | Flag.LAST)
    rows = [bar(s, minute(389), 1, 99, 1, 10 + s) for s in range(4)]
    rows += [bar(0, minute(390), 1, 99, 1, 98, flags=int(Flag.POST_CLOSE))]
    rows += [trade(1, DAYS[0].close_ns + 9, 21.0, flags=auction),
             trade(1, DAYS[0].close_ns + 7, 20.0, flags=auction),
             trade(0, minute(5), 22.0, flags=auction), quote(0, minute(5), 1, 2)]  # fmt: skip
    feed(buffer, in_order(rows), [])
    assert [buffer.official_close(s, 0, end - 1) for s in range(4)] == [None] * 4
    assert [buffer.official_close(s, 0, end) for s in range(4)] == [
        Close(10.0, "last_minute", end), Close(21.0, "auction", end),
        Close(33.0, "daily", end), Close(13.0, "last_minute", end),
    ]  # fmt: skip
    assert buffer.official_close(3, 0, end + 5) == Close(44.0, "daily", end + 5)
    buffer.note_close(0, 0, Close(11.0, "daily", end))
    assert buffer.official_close(0, 0, end) == Close(11.0, "daily", end)
    assert buffer.official_close(0, 1, DAYS[1].end_ns) is None
    feed(buffer, in_order([bar(0, minute(0, DAYS[2]), 1, 1, 1, 1)]), [], 2)
    assert buffer._auctions == {}
