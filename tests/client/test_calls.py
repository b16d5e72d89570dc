"""Requests as they go out and answers as they come back, over a real socket."""

from __future__ import annotations

import asyncio
import io
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest

from app.client import AsyncTapedeck, ConnectionProblem, ServerProblem, Tapedeck
from app.client.address import server_url, stream_url
from app.errors import RequestError, TapedeckError, TimeError
from tests.client.conftest import Script

SESSION = {
    "id": "s1", "state": "RUNNING", "time": "2013-10-07T13:31:00.123456789Z", "epoch": 1,
    "seq": 42, "speed": 60.0, "lag_ms": 0.5, "trading_day": "2013-10-07",
    "progress": {"days_done": 0, "days_total": 2, "items_delivered": 7, "fraction": 0.01,
                 "eta_s": None},
    "digest": "ab", "discarded": {"late": 1}, "error": None, "of_a_later_version": [1],
}  # fmt: skip
NO_SESSION = dict.fromkeys(SESSION) | {"state": "STOPPED"}
BAR = {"ts": "2013-10-07T13:30:00Z", "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5,
       "volume": 10, "vwap": None}  # fmt: skip


def arrow_bytes() -> bytes:
    ts = pa.array([1381152600000000001], pa.timestamp("ns", "UTC"))
    table = pa.table({"ts": ts, "close": [1.5], "volume": pa.array([10], pa.int64())})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def test_a_session_is_typed_with_exact_and_aware_times(script: Script) -> None:
    script.answer("GET /session", SESSION)
    with Tapedeck(script.url) as deck:
        session = deck.session()
    assert session.time_ns == 1381152660_123456789
    assert session.time == datetime(2013, 10, 7, 13, 31, 0, 123456, UTC)
    assert session.trading_day == date(2013, 10, 7)
    assert session.progress is not None
    assert (session.progress.days_total, session.progress.eta_s) == (2, None)
    assert (session.seq, session.discarded, session.ended) == (42, {"late": 1}, False)


def test_no_session_is_stopped_with_none_fields(script: Script) -> None:
    script.answer("GET /session", NO_SESSION)
    with Tapedeck(script.url + "/api/v1/") as deck:
        session = deck.session()
    assert (session.state, session.time_ns, session.time, session.ended) == (
        "STOPPED", None, None, True,
    )  # fmt: skip


def test_start_sends_only_what_is_given(script: Script) -> None:
    script.answer("POST /session", SESSION, 201)
    with Tapedeck(script.url) as deck:
        deck.start("AIG", date(2013, 10, 7), "2013-10-08")
        new_york = datetime(2013, 10, 7, 10, tzinfo=ZoneInfo("America/New_York"))
        deck.start(
            ("AIG", "BAC"), new_york, "2013-10-08", streams="bars_1m", speed=0, calendar="XNYS",
            hours="all", derived_intervals=(5,), history_days=0, start_paused=True,
            allow_missing=False,
        )  # fmt: skip
    assert script.asked[0].body == {"symbols": ["AIG"], "start": "2013-10-07", "end": "2013-10-08"}
    assert script.asked[1].body == {
        "symbols": ["AIG", "BAC"], "start": "2013-10-07T14:00:00Z", "end": "2013-10-08",
        "streams": ["bars_1m"], "speed": 0, "calendar": "XNYS", "hours": "all",
        "derived_intervals": [5], "history_days": 0, "start_paused": True, "allow_missing": False,
    }  # fmt: skip


def test_a_naive_start_is_refused_before_it_is_sent(script: Script) -> None:
    with Tapedeck(script.url) as deck, pytest.raises(TimeError, match="without zone"):
        deck.start("AIG", datetime(2013, 10, 7), "2013-10-08")  # noqa: DTZ001
    assert script.asked == []


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ("POST /session/pause", lambda deck: deck.pause()),
        ("POST /session/resume", lambda deck: deck.resume()),
        ("POST /session/stop", lambda deck: deck.stop()),
    ],
)
def test_commands_answer_the_new_state(
    script: Script, call: str, command: Callable[[Tapedeck], Any]
) -> None:
    script.answer(call, SESSION)
    with Tapedeck(script.url) as deck:
        assert command(deck).seq == 42
    assert script.asked[0].body is None


def test_step_and_speed_carry_their_arguments(script: Script) -> None:
    script.answer("POST /session/step", SESSION, 202)
    script.answer("PATCH /session", SESSION)
    with Tapedeck(script.url) as deck:
        deck.step("bar", 3, wait_s=0.5, idempotency_key="k1")
        deck.step()
        deck.set_speed(360)
    first, second, third = script.asked
    assert (first.body, first.query) == ({"unit": "bar", "count": 3}, {"wait_s": "0.5"})
    assert first.headers["idempotency-key"] == "k1"
    assert (second.body, second.query) == ({"unit": "slice", "count": 1}, {})
    assert "idempotency-key" not in second.headers
    assert third.body == {"speed": 360}


def test_seek_and_run_to_carry_their_arguments(script: Script) -> None:
    script.answer("POST /session/seek", SESSION, 202)
    script.answer("POST /session/run-to", SESSION)
    when = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
    with Tapedeck(script.url) as deck:
        deck.seek(when, wait_s=0.5, idempotency_key="k1")
        deck.run_to("2013-10-07T15:00:00Z")
        deck.run_to(until="gap")
        deck.run_to(until={"symbol": "SPY", "above": 168.9})
        with pytest.raises(RequestError, match="one of time and until"):
            deck.run_to()
        with pytest.raises(RequestError, match="one of time and until"):
            deck.run_to(when, until="gap")
    seek, *runs = script.asked
    assert (seek.body, seek.query) == ({"time": "2013-10-07T14:00:00Z"}, {"wait_s": "0.5"})
    assert seek.headers["idempotency-key"] == "k1"
    assert [one.body for one in runs] == [
        {"time": "2013-10-07T15:00:00Z"}, {"until": "gap"},
        {"until": {"symbol": "SPY", "above": 168.9}},
    ]  # fmt: skip


def test_data_is_one_view(script: Script) -> None:
    row = {"last": 1.5, "bar": BAR, "trade": {"ts": BAR["ts"], "price": 1.5, "size": 0.5},
           "quote": {"ts": BAR["ts"], "bid": None, "bid_size": None, "ask": 2.0, "ask_size": 3},
           "bars": 1}  # fmt: skip
    view = {"time": SESSION["time"], "epoch": 1, "seq": 42, "trading_day": "2013-10-07"}
    script.answer("GET /session/data", view | {"symbols": {"AIG": row, "BAC": {"last": None}}})
    with Tapedeck(script.url) as deck:
        data = deck.data(["AIG", "BAC"], after=41, wait_s=10)
        deck.data()
    assert script.asked[0].query == {"symbols": "AIG,BAC", "after": "41", "wait_s": "10"}
    assert script.asked[1].query == {}
    aig = data.symbols["AIG"]
    assert (data.seq, aig.last, data.symbols["BAC"].last) == (42, 1.5, None)
    assert aig.bar is not None
    assert (aig.bar.ts, aig.bar.volume) == (datetime(2013, 10, 7, 13, 30, tzinfo=UTC), 10)
    assert aig.trade is not None
    assert aig.trade.size == 0.5
    assert aig.quote is not None
    assert (aig.quote.bid, aig.quote.ask) == (None, 2.0)


def test_wait_without_after_is_refused(script: Script) -> None:
    with Tapedeck(script.url) as deck, pytest.raises(RequestError, match="without after"):
        deck.data(wait_s=1)


@pytest.mark.parametrize("kind", ["bars", "trades", "quotes"])
def test_rows_come_as_arrow_that_pandas_and_polars_take(script: Script, kind: str) -> None:
    script.answer(f"GET /session/data/BRK%2FB/{kind}", arrow_bytes(), kind="x/arrow")
    since = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    with Tapedeck(script.url) as deck:
        table = getattr(deck, kind)("BRK/B", limit=5, since=since, after=7)
    assert script.asked[0].headers["accept"] == "application/vnd.apache.arrow.stream"
    assert script.asked[0].query == {"limit": "5", "since": "2013-10-07T13:30:00Z", "after": "7"}
    assert table.column("ts").cast(pa.int64()).to_pylist() == [1381152600000000001]
    assert table.to_pandas()["close"].tolist() == [1.5]
    assert pl.from_arrow(table).to_dict(as_series=False)["volume"] == [10]  # type: ignore[union-attr]


def test_bars_take_interval_and_day(script: Script) -> None:
    script.answer("GET /session/data/AIG/bars", arrow_bytes(), kind="x/arrow")
    with Tapedeck(script.url) as deck:
        deck.bars("AIG", "5m", day=date(2013, 10, 7))
    assert script.asked[0].query == {"interval": "5m", "day": "2013-10-07"}


def test_quality_days_time_streams_and_catalog_are_typed(script: Script) -> None:
    gap = {"start": "2013-10-07T13:40:00Z", "end": "2013-10-07T13:42:00Z", "minutes": 2}
    script.answer("GET /session/data/AIG/quality", {
        "symbol": "AIG", "day": "2013-10-07", "quality": 99.5, "received": 388, "expected": 390,
        "gaps": [gap]})  # fmt: skip
    script.answer("GET /session/days", {"days": [{
        "day": "2013-10-07", "open": "2013-10-07T13:30:00Z", "close": "2013-10-07T20:00:00Z",
        "half_day": False,
        "symbols": {"AIG": {"open": 1.0, "close_source": "daily"}}}]})  # fmt: skip
    script.answer("GET /time", {
        "time": "2013-10-07T13:31:00Z", "trading_day": "2013-10-07", "is_open": True,
        "open": "2013-10-07T13:30:00Z", "close": "2013-10-07T20:00:00Z", "next_open": None,
        "speed": 0, "state": "PAUSED"})  # fmt: skip
    script.answer("GET /streams", {"streams": [{
        "symbol": "AIG", "stream": "bars_1m", "queued": 3, "oldest": None, "newest": None,
        "complete_through": "2013-10-07T13:31:00Z", "delivered": 1, "ended": False}]})  # fmt: skip
    script.answer("GET /catalog", {"symbols": {"AIG": {"bars_1m": {
        "first": "2013-10-07T08:00:00Z", "last": "2013-10-08T19:59:00Z", "days": 2,
        "rows": 900}}}})  # fmt: skip
    with Tapedeck(script.url) as deck:
        quality, days, clock = deck.quality("AIG"), deck.days(), deck.time()
        streams, catalog = deck.streams(), deck.catalog()
    assert (quality.quality, quality.gaps[0].minutes) == (99.5, 2)
    assert quality.gaps[0].end == datetime(2013, 10, 7, 13, 42, tzinfo=UTC)
    assert days.days[0].close == datetime(2013, 10, 7, 20, tzinfo=UTC)
    assert days.days[0].symbols["AIG"].close_source == "daily"
    assert (clock.is_open, clock.next_open, clock.open) == (True, None, days.days[0].open)
    assert streams.streams[0].complete_through_ns == 1381152660 * 10**9
    assert catalog.symbols["AIG"]["bars_1m"].rows == 900


def test_health_ready_and_metrics(script: Script) -> None:
    script.answer("GET /health", {"status": "ok"})
    script.answer("GET /ready", {"title": "Unavailable"}, 503)
    script.answer("GET /metrics", b"tapedeck_items 1\n", kind="text/plain")
    with Tapedeck(script.url) as deck:
        assert deck.health() == {"status": "ok"}
        assert deck.ready() is False
        assert deck.metrics() == "tapedeck_items 1\n"
        script.answer("GET /ready", {"ready": True})
        assert deck.ready() is True


def test_a_key_is_sent_as_bearer(script: Script) -> None:
    script.answer("GET /session", SESSION)
    with Tapedeck(script.url, api_key="s3cret") as deck:
        deck.session()
    assert script.asked[0].headers["authorization"] == "Bearer s3cret"


def test_a_problem_carries_the_servers_words(script: Script) -> None:
    problem = {"type": "about:blank", "title": "Illegal in this state", "status": 409,
               "detail": "a STOPPED session cannot pause", "state": "STOPPED"}  # fmt: skip
    script.answer("POST /session/pause", problem, 409, "application/problem+json")
    with Tapedeck(script.url) as deck, pytest.raises(ServerProblem) as caught:
        deck.pause()
    found = caught.value
    assert isinstance(found, TapedeckError)
    assert (found.status, found.title, found.detail) == (409, problem["title"], problem["detail"])
    assert found.problem["state"] == "STOPPED"
    assert str(found) == "409 Illegal in this state: a STOPPED session cannot pause"


def test_an_error_that_is_no_problem_still_has_words(script: Script) -> None:
    script.answer("GET /session", b"<h1>gateway</h1>", 502, "text/html")
    with Tapedeck(script.url) as deck, pytest.raises(ServerProblem) as caught:
        deck.session()
    assert str(caught.value) == "502 Bad Gateway: <h1>gateway</h1>"


@pytest.mark.parametrize("body", [b"<html>", b'{"state": 5}', b'{"state": "x", "time": "noon"}'])
def test_an_answer_of_another_server_is_named(script: Script, body: bytes) -> None:
    script.answer("GET /session", body)
    with Tapedeck(script.url) as deck, pytest.raises(ConnectionProblem, match="not an answer"):
        deck.session()


def test_an_answer_that_is_no_arrow_is_named(script: Script) -> None:
    script.answer("GET /session/data/AIG/bars", b"[]")
    with Tapedeck(script.url) as deck, pytest.raises(ConnectionProblem, match="not an Arrow"):
        deck.bars("AIG")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_connection_refused_is_a_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Tapedeck(url) as deck, pytest.raises(ConnectionProblem) as caught:
        deck.session()
    assert f"no Tapedeck server can be reached at {url}" in str(caught.value)
    assert "tapedeck serve" in str(caught.value)


def test_a_server_that_never_answers_is_named_with_the_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            Tapedeck(url, timeout_s=0.2) as deck,
            pytest.raises(ConnectionProblem, match=r"within 0\.2 s"),
        ):
            deck.session()


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000", "ftp://host", "http://", "", "http://127.0.0.1:port", "http://[::1",
        "http://127.0.0.1:8000/#chart", "http://127.0.0.1:8000/api/v1?x=1",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="not a server's URL"):
        Tapedeck(url)


@pytest.mark.parametrize("end", ["", "/", "/api/v1", "/api/v1/", "//", " "])
def test_where_a_server_is_may_be_written_as(end: str) -> None:
    for place in ("http://127.0.0.1:8000", "https://[::1]", "https://proxy/deck"):
        assert server_url(place + end) == place
    assert server_url("HTTP://host") == "http://host"
    assert stream_url("https://proxy/deck", "json") == (
        "wss://proxy/deck/api/v1/stream?encoding=json"
    )


def test_the_async_client_asks_and_answers_alike(script: Script) -> None:
    script.answer("GET /session", SESSION)
    script.answer("GET /session/data/AIG/bars", arrow_bytes(), kind="x/arrow")

    async def use() -> tuple[int | None, int]:
        async with AsyncTapedeck(script.url, api_key="k") as deck:
            session = await deck.session()
            table = await deck.bars("AIG", "5m", limit=1)
            with pytest.raises(ServerProblem, match="404"):
                await deck.pause()
            return session.seq, table.num_rows

    assert asyncio.run(use()) == (42, 1)
    assert script.asked[1].query == {"interval": "5m", "limit": "1"}
    assert script.asked[0].headers["authorization"] == "Bearer k"


def test_the_async_client_says_that_nobody_is_there() -> None:
    async def use() -> None:
        async with AsyncTapedeck(f"http://127.0.0.1:{free_port()}") as deck:
            await deck.session()

    with pytest.raises(ConnectionProblem, match="no Tapedeck server can be reached"):
        asyncio.run(use())


def test_sync_and_async_have_the_same_calls() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Tapedeck) == public(AsyncTapedeck)
    assert Tapedeck.bars.__doc__ == AsyncTapedeck.bars.__doc__


def test_the_client_imports_nothing_heavy() -> None:
    code = (
        "import sys, app.client; heavy = {'pandas', 'exchange_calendars', 'fastapi', 'pyarrow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_symbols_that_look_like_folders_stay_symbols(script: Script) -> None:
    quality: dict[str, Any] = {
        "symbol": "..", "day": None, "quality": None, "received": 0, "expected": 0, "gaps": [],
    }  # fmt: skip
    with Tapedeck(script.url) as deck:
        for symbol, path in ((".", "%2E"), ("..", "%2E%2E"), ("A.B", "A.B")):
            script.answer(f"GET /session/data/{path}/quality", quality)
            deck.quality(symbol)
            assert script.asked[-1].path == f"/session/data/{path}/quality"
