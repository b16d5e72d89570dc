"""Every call of the client against the server itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pytest

from app.client import (
    AsyncTapedeck,
    End,
    ServerProblem,
    Session,
    Slices,
    Status,
    Tapedeck,
)
from app.client.stream import Encoding
from app.errors import RequestError
from tests.client.small_catalog import DAYS, MINUTES, SYMBOLS, TRADES, bar_table

# The clock starts 1 ns before the open, which is the first boundary.
TO_MINUTE_10, TO_MINUTE_20 = 11, 21
OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def start(deck: Tapedeck, **options: bool | float | list[str] | list[int]) -> Session:
    given = {"speed": 0.0, "start_paused": True, "streams": ["bars_1m"]} | options
    return deck.start("*", DAYS[0], DAYS[1], **given)  # type: ignore[arg-type]


def test_before_any_session(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        assert deck.health() == {"status": "ok"}
        assert deck.ready() is True
        session = deck.session()
        assert (session.state, session.id, session.time) == ("STOPPED", None, None)
        assert deck.time().state == "STOPPED"
        assert "tapedeck" in deck.metrics()
        extents = deck.catalog().symbols["BRK/B"]["bars_1m"]
        assert (extents.days, extents.rows, extents.first) == (2, 2 * MINUTES, OPEN)
        with pytest.raises(ServerProblem, match="POST /api/v1/session") as caught:
            deck.data()
        assert (caught.value.status, caught.value.problem["state"]) == (409, "STOPPED")
        with pytest.raises(ServerProblem, match="nearest: AIG") as unknown:
            deck.start("AIGG", DAYS[0], DAYS[1])
        assert unknown.value.status == 404
        with pytest.raises(ServerProblem, match="speed"):
            deck.start("AIG", DAYS[0], DAYS[1], speed=-1)


def test_a_session_has_a_plan(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        deck.stop()
        session = start(deck, derived_intervals=[5])
        plan = deck.plan()
    assert (plan.id, plan.symbols, plan.streams) == (session.id, list(SYMBOLS), ["bars_1m"])
    assert (plan.intervals, plan.time_zone, plan.trades) == (
        ["1m", "5m", "1d"], "America/New_York", False,
    )  # fmt: skip
    assert [(one.day, one.half_day) for one in plan.days] == [
        (date.fromisoformat(day), False) for day in DAYS
    ]
    assert (plan.days[0].open, plan.days[0].close.hour) == (OPEN, 20)


def test_a_session_is_driven_and_polled(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        assert start(deck).state == "PAUSED"
        stepped = deck.step("bar", TO_MINUTE_10, idempotency_key="ten")
        assert deck.step("bar", TO_MINUTE_10, idempotency_key="ten") == stepped
        assert (stepped.state, stepped.seq, stepped.trading_day) == (
            "PAUSED",
            10,
            date(2013, 10, 7),
        )
        assert stepped.interrupted is False
        check_view(deck)
        assert deck.set_speed(60).speed == 60
        assert deck.resume().state == "RUNNING"
        assert deck.pause().state == "PAUSED"
        with pytest.raises(ServerProblem) as caught:
            deck.pause()
        assert (caught.value.status, caught.value.problem["state"]) == (409, "PAUSED")
        day = deck.step("day").command
        assert day is not None
        assert day.time.date() == date(2013, 10, 7)
        record = deck.days().days[0].symbols["AIG"]
        assert (record.bars, record.expected, record.gaps) == (MINUTES, MINUTES, [])
        assert deck.stop().state == "STOPPED"
        assert deck.stop().state == "STOPPED"


def check_view(deck: Tapedeck) -> None:
    data = deck.data("AIG", after=5, wait_s=1)
    aig = data.symbols["AIG"]
    assert list(data.symbols) == ["AIG"]
    assert (data.seq, aig.bars, aig.quality) == (10, 10, 100)
    assert aig.bar is not None
    assert (aig.bar.ts.minute, aig.last) == (39, aig.bar.close)
    quality = deck.quality("BRK/B")
    assert (quality.received, quality.expected, quality.gaps) == (10, 10, [])
    clock = deck.time()
    assert (clock.is_open, clock.open, clock.time) == (True, OPEN, data.time)
    streams = {s.symbol: s for s in deck.streams().streams if s.stream == "bars_1m"}
    assert streams["AIG"].delivered == 10
    assert streams["AIG"].days == [(date(2013, 10, 7), date(2013, 10, 8))]


def test_rows_come_as_tables(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        start(deck, streams=["bars_1m", "trades", "quotes"], allow_missing=True)
        deck.step("bar", TO_MINUTE_20)
        bars = deck.bars("AIG", limit=5, day=DAYS[0])
        expected = bar_table(DAYS[0], 50.0).slice(15, 5)
        assert bars.column("ts").equals(expected.column("ts"))
        assert bars.column("close").to_pylist() == expected.column("close").to_pylist()
        assert bars.schema.field("volume").type == pa.int64()
        derived = deck.bars("AIG", "5m", since=OPEN)
        assert [t.minute for t in derived.column("ts").to_pylist()] == [35, 40, 45]
        trades, quotes = deck.trades("AIG"), deck.quotes("AIG", limit=100)
        assert (trades.num_rows, trades.column("size")[0].as_py()) == (41, 1)
        assert quotes.column("bid").null_count == 1
        assert isinstance(pl.from_arrow(quotes), pl.DataFrame)
        assert len(trades.to_pandas()) == 41


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_the_stream_gives_every_slice_to_the_end(real_url: str, encoding: Encoding) -> None:
    with Tapedeck(real_url) as deck:
        start(deck, streams=["bars_1m", "trades"], allow_missing=True)
        channels = ["bars_1m", "bars_15m", "trades", "status"]
        with deck.stream(channels, encoding=encoding, resume=True) as stream:
            deck.resume()
            messages = list(stream)
        rows = [r for m in messages if isinstance(m, Slices) for r in m.rows()]
        counts = {c: sum(r.channel == c for r in rows) for c in ("bars_1m", "bars_15m", "trades")}
        assert counts == {"bars_1m": 4 * MINUTES, "bars_15m": 4 * 26, "trades": TRADES}
        assert [r.time_ns for r in rows] == sorted(r.time_ns for r in rows)
        assert {r.symbol for r in rows} == set(SYMBOLS)
        states = [m.state for m in messages if isinstance(m, Status)]
        assert states[:2] == ["PAUSED", "RUNNING"]
        last = messages[-1]
        assert isinstance(last, End)
        assert last.state == "COMPLETED"
        assert deck.session().digest == last.raw["digest"]


def test_a_stream_opened_after_the_end_or_before_the_next_start(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        first = start(deck)
        with deck.stream("bars_1m") as stream:
            deck.resume()
            assert isinstance(list(stream)[-1], End)
        with deck.stream("bars_1m") as late:
            (only,) = list(late)
        assert isinstance(only, End)
        assert only.raw["id"] == first.id
        with deck.stream("bars_1m") as early:
            second = start(deck, start_paused=False)
            messages = list(early)
        rows = [r for m in messages if isinstance(m, Slices) for r in m.rows()]
        assert len(rows) == 4 * MINUTES
        assert isinstance(messages[-1], End)
        assert messages[-1].raw["id"] == second.id


def test_a_stream_may_begin_after_a_slice_that_was(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        start(deck)
        deck.step("bar", TO_MINUTE_10)
        for after, first in ((0, 1), (7, 8)):
            with deck.stream("bars_1m", after=after) as stream:
                message = next(stream)
                assert isinstance(message, Slices)
                assert message.seqs[0] == first
        deck.step("day", 2)
        with deck.stream("bars_1m", after=0) as stream:
            messages = list(stream)
        assert sum(len(m) for m in messages if isinstance(m, Slices)) == 4 * MINUTES
        assert isinstance(messages[-1], End)
        with (
            deck.stream("bars_1m", after=10_000) as late,
            pytest.raises(ServerProblem, match="not_held"),
        ):
            next(late)
    with Tapedeck(real_url) as deck, pytest.raises(RequestError, match="after need"):
        deck.stream("bars_1m", after=0, delivery="conflate")


def test_a_wrong_subscription_is_refused(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        start(deck)
        with (
            deck.stream("bars_7m") as stream,
            pytest.raises(ServerProblem, match="unknown_channel"),
        ):
            next(stream)
        with deck.stream("songs") as stream, pytest.raises(ServerProblem, match="songs"):
            next(stream)


def test_the_async_client_follows_a_whole_session(real_url: str) -> None:
    async def use() -> tuple[int, str]:
        async with AsyncTapedeck(real_url) as deck:
            await deck.start(
                "AIG", DAYS[0], DAYS[1], streams=["bars_1m"], start_paused=True, speed=0
            )
            async with deck.stream("bars_1m", "AIG") as stream:
                await deck.resume()
                rows = [len(m) async for m in stream if isinstance(m, Slices)]
            return sum(rows), (await deck.session()).state

    assert asyncio.run(use()) == (2 * MINUTES, "COMPLETED")
