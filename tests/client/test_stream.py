"""The stream: messages and their columns, holes, breaks and resumption, over a real socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from starlette.responses import Response

from app.client import (
    AsyncTapedeck,
    ConnectionProblem,
    End,
    Error,
    Row,
    ServerProblem,
    Slices,
    Snapshot,
    Status,
    StreamClosedProblem,
    StreamHoleProblem,
    Tapedeck,
)
from app.client.stream import TRIES
from app.errors import RequestError
from tests.client.conftest import Connection, Script

T0 = 1381152660 * 10**9
SESSION = {"id": "s1", "state": "PAUSED", "epoch": 1, "seq": 40}
HELLO = {"type": "hello", "version": 1, "session": SESSION}
NOBODY = {"type": "hello", "version": 1, "session": {"id": None, "state": "STOPPED"}}
END = {"type": "end"}
BARS = {"slice": [0, 0, 1], "symbol": ["AIG", "BAC", "AIG"], "open": [1.0, 2.0, 3.0],
        "volume": [1, 2, None], "complete": [True, True, False]}  # fmt: skip
TRADES = {"slice": [1], "symbol": ["BAC"], "price": [1.25], "exchange": [None], "size": [None]}
JSON_SLICES = {
    "type": "slices", "epoch": 1, "prev_seq": 0, "seqs": [42, 45],
    "times": ["2013-10-07T13:31:00Z", "2013-10-07T13:32:00.5Z"],
    "bars_1m": BARS | {"ts": ["2013-10-07T13:30:00Z", "2013-10-07T13:30:00Z",
                              "2013-10-07T13:31:00Z"]},
    "trades": TRADES | {"ts": ["2013-10-07T13:32:00.5Z"]},
}  # fmt: skip
MSGPACK_SLICES = msgspec.msgpack.encode(
    JSON_SLICES | {
        "times": [T0, T0 + 60_500_000_000],
        "bars_1m": BARS | {"ts": [T0 - 60 * 10**9, T0 - 60 * 10**9, T0]},
        "trades": TRADES | {"ts": [T0 + 60_500_000_000]},
    }
)  # fmt: skip


def slices(prev_seq: int, *seqs: int, epoch: int = 1) -> dict[str, Any]:
    return {"type": "slices", "epoch": epoch, "prev_seq": prev_seq, "seqs": list(seqs),
            "times": [T0 + seq for seq in seqs]}  # fmt: skip


@pytest.fixture
def deck(script: Script) -> Iterator[Tapedeck]:
    with Tapedeck(script.url, api_key="k", timeout_s=5) as client:
        yield client


@pytest.mark.parametrize(
    ("encoding", "frame"), [("json", JSON_SLICES), ("msgpack", MSGPACK_SLICES)]
)
def test_slices_have_columns_tables_and_rows(
    script: Script, deck: Tapedeck, encoding: Any, frame: Any
) -> None:
    script.connections.append(Connection([HELLO, frame, END]))
    with deck.stream(["bars_1m", "trades"], "AIG", encoding=encoding) as stream:
        first, last = list(stream)
    assert script.queries == [f"encoding={encoding}"]
    assert script.handshakes[0]["authorization"] == "Bearer k"
    assert script.said[0] == {
        "action": "subscribe", "channels": ["bars_1m", "trades"], "symbols": ["AIG"],
        "delivery": "lossless",
    }  # fmt: skip
    assert isinstance(last, End)
    assert isinstance(first, Slices)
    assert (first.epoch, first.prev_seq, len(first)) == (1, 0, 4)
    assert first.seqs.tolist() == [42, 45]
    assert first.times_ns.tolist() == [T0, T0 + 60_500_000_000]
    check_columns(first)
    check_rows(first)


def check_columns(found: Slices) -> None:
    bars = found.columns["bars_1m"]
    assert bars["ts"].dtype == np.int64
    assert bars["ts"].tolist() == [T0 - 60 * 10**9, T0 - 60 * 10**9, T0]
    np.testing.assert_array_equal(bars["volume"], [1.0, 2.0, np.nan])
    assert [bars[name].dtype.kind for name in ("open", "slice", "complete")] == ["f", "i", "b"]
    assert bars["symbol"].tolist() == ["AIG", "BAC", "AIG"]
    assert found.columns["trades"]["exchange"].tolist() == [None]
    np.testing.assert_array_equal(found.columns["trades"]["size"], [np.nan])
    assert found.table("trades").column("size").type == pa.float64()
    table = found.table("bars_1m")
    assert table.column_names == ["time", "seq", "symbol", "open", "volume", "complete", "ts"]
    assert table.column("seq").to_pylist() == [42, 42, 45]
    assert table.column("volume").to_pylist() == [1, 2, None]
    assert found.table("trades").column("exchange").type == pa.string()
    assert table.schema.field("ts").type == pa.timestamp("ns", "UTC")


def check_rows(found: Slices) -> None:
    rows = list(found.rows())
    assert [(r.seq, r.channel, r.symbol) for r in rows] == [
        (42, "bars_1m", "AIG"), (42, "bars_1m", "BAC"), (45, "trades", "BAC"),
        (45, "bars_1m", "AIG"),
    ]  # fmt: skip
    values = {"price": 1.25, "exchange": None, "size": None, "ts": T0 + 60_500_000_000}
    assert rows[2] == Row(T0 + 60_500_000_000, 45, "trades", "BAC", values)


def test_a_channel_without_rows_is_not_there(script: Script, deck: Tapedeck) -> None:
    script.connections.append(Connection([HELLO, slices(0, 7), END]))
    with deck.stream() as stream:
        found = next(stream)
    assert isinstance(found, Slices)
    assert (found.channels, list(found.rows()), len(found)) == ([], [], 0)
    assert repr(found) == "Slices(epoch=1, seqs=[7], rows={})"


def test_status_snapshot_and_error_are_typed(script: Script, deck: Tapedeck) -> None:
    status = {"type": "status", "state": "RUNNING", "time": "2013-10-07T13:31:00Z", "x": 1}
    view = {"type": "snapshot", "time": "2013-10-07T13:31:00Z", "epoch": 2, "seq": 0,
            "trading_day": "2013-10-07", "symbols": {"AIG": {"last": 1.5}}}  # fmt: skip
    error = {"type": "error", "code": "unknown_symbol", "detail": "no XYZ", "from_seq": 9}
    script.connections.append(Connection([HELLO, status, view, error, END]))
    with deck.stream("status", delivery="conflate", interval_ms=250) as stream:
        first, second, third, _ = list(stream)
        assert stream.hello is not None
        assert stream.hello.session is not None
        assert stream.hello.session.seq == 40
    assert script.said[0]["interval_ms"] == 250
    assert isinstance(first, Status)
    assert (first.state, first.time_ns, first.raw["x"]) == ("RUNNING", T0, 1)
    assert first.time.isoformat() == "2013-10-07T13:31:00+00:00"
    assert isinstance(second, Snapshot)
    assert (second.epoch, second.symbols["AIG"].last) == (2, 1.5)
    assert isinstance(third, Error)
    assert (third.code, third.detail, third.raw["from_seq"]) == ("unknown_symbol", "no XYZ", 9)


def test_a_hole_is_found_by_prev_seq(script: Script, deck: Tapedeck) -> None:
    frames = [HELLO, slices(0, 1, 2), slices(2, 5), slices(6, 7)]
    script.connections.append(Connection(frames, close=None))
    with deck.stream() as stream:
        assert [m.seqs.tolist() for m in (next(stream), next(stream)) if isinstance(m, Slices)]
        with pytest.raises(StreamHoleProblem, match=r"after seq 5 of epoch 1 .* follows seq 6"):
            next(stream)


def test_a_new_epoch_is_no_hole(script: Script, deck: Tapedeck) -> None:
    view: Any = {"type": "snapshot", "time": None, "epoch": 2, "seq": 3, "trading_day": None,
            "symbols": {}}  # fmt: skip
    frames = [HELLO, slices(0, 9), view, slices(3, 4, epoch=2), END]
    script.connections.append(Connection(frames))
    with deck.stream() as stream:
        assert len(list(stream)) == 4


def test_a_break_without_resume_is_told_with_code_and_reason(
    script: Script, deck: Tapedeck
) -> None:
    script.connections.append(Connection([HELLO], 1013, "too slow"))
    with deck.stream() as stream, pytest.raises(StreamClosedProblem) as caught:
        next(stream)
    assert caught.value.code == 1013
    assert str(caught.value) == "the stream closed before its end with code 1013: too slow"


def test_a_break_with_resume_continues_where_it_was(script: Script, deck: Tapedeck) -> None:
    script.connections += [
        Connection([HELLO, slices(0, 41), slices(41, 42)], 1013),
        Connection([HELLO, slices(42, 43), END]),
    ]
    with deck.stream(resume=True) as stream:
        found = [m.seqs.tolist() for m in stream if isinstance(m, Slices)]
    assert found == [[41], [42], [43]]
    assert script.said[1] == {
        "action": "resume", "epoch": 1, "after": 42, "channels": ["bars_1m"], "symbols": ["*"],
        "delivery": "lossless", "session": "s1",
    }  # fmt: skip


def test_a_hole_with_resume_is_asked_for_again(script: Script, deck: Tapedeck) -> None:
    script.connections += [
        Connection([HELLO, slices(0, 1), slices(5, 6)], None),
        Connection([HELLO, slices(1, 5), slices(5, 6), END]),
    ]
    with deck.stream(resume=True) as stream:
        found = [m.seqs.tolist() for m in stream if isinstance(m, Slices)]
    assert found == [[1], [5], [6]]
    assert [(m["action"], m.get("after")) for m in script.said if m["action"] != "left"] == [
        ("subscribe", None), ("resume", 1),
    ]  # fmt: skip


def test_a_break_before_the_first_slice_resumes_from_the_greeting(
    script: Script, deck: Tapedeck
) -> None:
    script.connections += [Connection([HELLO], 1012), Connection([HELLO, END])]
    with deck.stream(resume=True) as stream:
        assert [type(m) for m in stream] == [End]
    assert (script.said[1]["epoch"], script.said[1]["after"]) == (1, 40)


def test_rows_that_are_no_longer_held_end_the_resumption(script: Script, deck: Tapedeck) -> None:
    gone = {"type": "error", "code": "not_held", "detail": "from 50", "from_seq": 50}
    script.connections += [Connection([HELLO], 1012), Connection([HELLO, gone], None)]
    with deck.stream(resume=True) as stream, pytest.raises(ServerProblem) as caught:
        next(stream)
    assert str(caught.value) == "not_held: from 50"
    assert (caught.value.status, caught.value.problem["from_seq"]) == (0, 50)


def test_a_refused_subscription_raises(script: Script, deck: Tapedeck) -> None:
    error = {"type": "error", "code": "unknown_symbol", "detail": "nearest: AIG"}
    script.connections.append(Connection([HELLO, error], None))
    with deck.stream(symbols="AIGG") as stream, pytest.raises(ServerProblem, match="nearest: AIG"):
        next(stream)


def test_a_new_session_is_counted_from_zero_and_is_no_hole(script: Script, deck: Tapedeck) -> None:
    fresh = {"type": "status", "why": "session", "id": "s2", "state": "STARTING", "epoch": 1}
    absent = {"type": "error", "code": "unknown_symbol", "detail": "no BAC"}
    frames = [HELLO, slices(40, 41), fresh, absent, slices(0, 1), END]
    script.connections.append(Connection(frames))
    with deck.stream() as stream:
        assert [type(m) for m in stream] == [Slices, Status, Error, Slices, End]


def test_a_session_that_was_replaced_meanwhile_is_told(script: Script, deck: Tapedeck) -> None:
    other = HELLO | {"session": SESSION | {"id": "s2"}}
    script.connections += [Connection([HELLO, slices(0, 41)], 1012), Connection([other], None)]
    with deck.stream(resume=True) as stream:
        next(stream)
        with pytest.raises(ConnectionProblem, match=r"in session s1, .* now has session s2"):
            next(stream)


def test_a_session_that_began_meanwhile_is_taken_from_its_start(
    script: Script, deck: Tapedeck
) -> None:
    script.connections += [
        Connection([NOBODY], 1012), Connection([NOBODY], 1012), Connection([HELLO, END]),
    ]  # fmt: skip
    with deck.stream(resume=True) as stream:
        assert [type(m) for m in stream] == [End]
    assert [m["action"] for m in script.said] == ["subscribe", "subscribe", "resume"]
    assert (script.said[2]["epoch"], script.said[2]["after"]) == (1, 0)


def test_a_client_that_is_refused_does_not_come_again(script: Script, deck: Tapedeck) -> None:
    script.connections += [Connection([HELLO], 1008, "no such channel"), Connection([HELLO])]
    with deck.stream(resume=True) as stream, pytest.raises(StreamClosedProblem, match="no such"):
        next(stream)
    assert len(script.connections) == 1


def test_a_server_that_stays_away_is_given_up(
    script: Script, deck: Tapedeck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.stream.FIRST_PAUSE_S", 0.0)
    away = Connection([HELLO], refuse=Response(b"later", 503))
    script.connections += [Connection([HELLO], 1012), *[away] * TRIES]
    with deck.stream(resume=True) as stream, pytest.raises(ServerProblem, match="503"):
        next(stream)
    assert len(script.connections) == 0


def test_resume_needs_lossless(deck: Tapedeck) -> None:
    with pytest.raises(RequestError, match="lossless"):
        deck.stream(delivery="conflate", resume=True)


def test_a_refused_handshake_is_a_problem(script: Script, deck: Tapedeck) -> None:
    body = b'{"title": "Key needed", "detail": "send the key"}'
    script.connections.append(Connection([HELLO], refuse=Response(body, 401)))
    with pytest.raises(ServerProblem, match="401 Key needed: send the key"):
        deck.stream()


@pytest.mark.parametrize(
    "frame", ["{", "[]", '{"type": "song"}', '{"type": "slices"}', b"\xc1",
              '{"type": "hello", "version": 1}', '{"type": "status"}']
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_named(script: Script, deck: Tapedeck, frame: Any) -> None:
    script.connections.append(Connection([HELLO, frame], None))
    with deck.stream() as stream, pytest.raises(ConnectionProblem, match=r"frame|greeted twice"):
        next(stream)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [(END, "does not greet"), ({"type": "error", "code": 5, "detail": "full"}, "full")],
)
def test_a_wrong_greeting_is_named(
    script: Script, deck: Tapedeck, greeting: Any, words: str
) -> None:
    script.connections.append(Connection([greeting], None))
    with pytest.raises((ConnectionProblem, ServerProblem), match=words):
        deck.stream()


def test_nobody_there_is_a_sentence() -> None:
    with (
        Tapedeck("http://127.0.0.1:1") as deck,
        pytest.raises(ConnectionProblem, match="no Tapedeck server can be reached at ws://"),
    ):
        deck.stream()


def test_leaving_a_busy_stream_is_quick(script: Script) -> None:
    busy = [HELLO, *(slices(seq, seq + 1) for seq in range(500))]
    script.connections += [Connection(busy, None), Connection(busy, None)]
    began_s = time.monotonic()
    with Tapedeck(script.url) as deck, deck.stream() as stream:
        for message in stream:
            assert isinstance(message, Slices)
            break

    async def use() -> None:
        async with AsyncTapedeck(script.url) as deck, deck.stream() as stream:
            async for message in stream:
                assert isinstance(message, Slices)
                break

    asyncio.run(use())
    assert time.monotonic() - began_s < 5


def ended(id: str) -> dict[str, Any]:
    return {"id": id, "state": "COMPLETED", "epoch": 1, "seq": 9}


def test_a_session_that_had_ended_ends_the_stream(script: Script, deck: Tapedeck) -> None:
    script.answer("GET /session", ended("s1"))
    over = HELLO | {"session": ended("s1")}
    status = {"type": "status", "why": "subscribed", **ended("s1")}
    script.connections.append(Connection([over, status, END | ended("s1")], None))
    with deck.stream("status") as stream:
        assert [type(m) for m in stream] == [Status, End]


def test_the_end_of_an_earlier_session_is_not_that_of_the_next(script: Script) -> None:
    script.answer("GET /session", ended("s2"))
    frames = [
        HELLO | {"session": ended("s1")}, END | ended("s1"),
        {"type": "status", "why": "session", "id": "s2", "state": "STARTING", "epoch": 1},
        slices(0, 1), END | ended("s2"),
    ]  # fmt: skip
    script.connections += [Connection(frames, None), Connection(frames, None)]
    with Tapedeck(script.url) as deck, deck.stream() as stream:
        assert [type(m) for m in stream] == [Status, Slices, End]

    async def use() -> list[Any]:
        async with AsyncTapedeck(script.url) as deck, deck.stream() as stream:
            return [type(m) async for m in stream]

    assert asyncio.run(use()) == [Status, Slices, End]


def test_close_from_another_thread_ends_the_iteration(script: Script, deck: Tapedeck) -> None:
    script.connections.append(Connection([HELLO, slices(0, 1)], None))
    stream = deck.stream()
    assert isinstance(next(stream), Slices)
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.extend(stream))
    reader.start()
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert found == []


def test_the_async_stream_resumes_and_ends_alike(script: Script) -> None:
    script.connections += [
        Connection([HELLO, slices(0, 41)], 1013),
        Connection([HELLO, slices(41, 42), END]),
    ]

    async def use() -> list[Any]:
        async with AsyncTapedeck(script.url) as deck:
            return [type(m) async for m in deck.stream("bars_1m", resume=True)]

    assert asyncio.run(use()) == [Slices, Slices, End]
    assert script.said[1]["after"] == 41


def test_the_async_stream_tells_breaks_and_absence(script: Script) -> None:
    script.connections.append(Connection([HELLO], 1011, "failed"))

    async def use() -> None:
        async with AsyncTapedeck(script.url) as deck:
            async with deck.stream() as stream:
                assert stream.hello is not None
                with pytest.raises(StreamClosedProblem, match="1011: failed"):
                    await anext(stream)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        async with AsyncTapedeck("http://127.0.0.1:1") as deck:
            with pytest.raises(ConnectionProblem, match="no Tapedeck server"):
                await anext(deck.stream())

    asyncio.run(use())


def test_the_async_stream_gives_up_and_takes_a_wrong_greeting(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.stream.FIRST_PAUSE_S", 0.0)
    away = Connection([HELLO], refuse=Response(b"later", 503))
    script.connections += [Connection([HELLO], 1012), *[away] * TRIES, Connection([END], None)]

    async def use() -> None:
        async with AsyncTapedeck(script.url) as deck:
            with pytest.raises(ServerProblem, match="503"):
                await anext(deck.stream(resume=True))
            with pytest.raises(ConnectionProblem, match="does not greet"):
                await anext(deck.stream())

    asyncio.run(use())
