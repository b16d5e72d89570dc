"""The WebSocket: what is sent, in which order, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.api import schemas_session
from app.managers.system_manager import State
from app.times import parse_time_ns
from tests.api.conftest import Fake, start
from tests.api.fake_manager import bar_window
from tests.api.talk import close_of, rows_of, slices_of, talk

BAR_COLUMNS = [
    "slice", "symbol", "ts", "open", "high", "low", "close", "volume", "vwap", "minutes",
    "complete", "partial", "post_close",
]  # fmt: skip
CHANNELS = ("bars_1m", "bars_5m", "trades", "quotes")


def url_of(client: httpx.Client) -> str:
    return str(client.base_url).removesuffix("/api/v1/")


# -- a real replay -----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_every_slice_in_order(real: httpx.Client, encoding: str) -> None:
    with talk(url_of(real), f"?encoding={encoding}") as one:
        assert one.hello["session"]["state"] == "STOPPED"
        one.send({"action": "subscribe", "channels": [*CHANNELS, "status"], "symbols": ["*"],
                  "delivery": "lossless"})  # fmt: skip
        start(real)
        frames = one.until("end")
    assert [f["type"] for f in frames[:2]] == ["status", "status"]
    assert frames[0]["why"] == "session"
    seqs = [seq for frame in slices_of(frames) for seq in frame["seqs"]]
    assert seqs == list(range(1, frames[-1]["seq"] + 1))
    last = 0
    for frame in slices_of(frames):
        assert frame["prev_seq"] == last
        last = frame["seqs"][-1]
        assert len(frame["times"]) == len(frame["seqs"])
        assert frame["epoch"] == 1
        if "bars_1m" in frame:
            assert list(frame["bars_1m"]) == BAR_COLUMNS
    counts = {c: len(rows_of(frames, c)) for c in CHANNELS}
    assert counts == {"bars_1m": 2340, "bars_5m": 468, "trades": 1000, "quotes": 1000}
    times = [t for frame in slices_of(frames) for t in frame["times"]]
    moments = [t if isinstance(t, int) else parse_time_ns(t) for t in times]
    assert moments == sorted(moments)
    assert isinstance(times[0], str if encoding == "json" else int)
    assert [f["trading_day"] for f in frames if f.get("why") == "day"] == ["2013-10-08"]
    assert frames[-1]["state"] == "COMPLETED"
    if encoding == "json":
        body = {k: v for k, v in frames[-1].items() if k != "type"}
        schemas_session.Session.model_validate(body)


def test_only_slices_that_have_a_row(real: httpx.Client) -> None:
    with talk(url_of(real)) as one:
        one.subscribe("bars_15m", symbols=["BRK/B"])
        start(real, end="2013-10-07")
        frames = one.until("end")
    rows = rows_of(frames, "bars_15m")
    assert len(rows) == 26
    assert {symbol for _, symbol, _ in rows} == {"BRK/B"}
    seqs = [seq for frame in slices_of(frames) for seq in frame["seqs"]]
    assert seqs == [seq for seq, _, _ in rows]
    assert all(set(f) == {"type", "epoch", "prev_seq", "seqs", "times", "bars_15m"}
               for f in slices_of(frames))  # fmt: skip


def test_words_and_whole_sizes(real: httpx.Client) -> None:
    with talk(url_of(real)) as one:
        one.subscribe("trades", "quotes")
        start(real, end="2013-10-07")
        frames = slices_of(one.until("end"))
    trades, quotes = frames[0]["trades"], frames[0]["quotes"]
    assert list(trades) == [
        "slice", "symbol", "ts", "price", "size", "exchange", "conditions", "post_close",
        "eligible", "auction",
    ]  # fmt: skip
    assert list(quotes) == [
        "slice", "symbol", "ts", "bid", "bid_size", "ask", "ask_size", "exchange", "side",
        "post_close",
    ]  # fmt: skip
    assert trades["exchange"][:4] == ["N", "P", None, "Q"][: len(trades["exchange"][:4])]
    assert all(isinstance(size, int) for size in trades["size"])
    assert (quotes["bid"][0], quotes["bid_size"][0], quotes["side"][0]) == (None, None, "B")


def test_polls_and_stream_agree(real: httpx.Client) -> None:
    with talk(url_of(real)) as one:
        one.subscribe("bars_1m", symbols=["AIG"])
        start(real)
        rows = rows_of(one.until("end"), "bars_1m")
    bars = real.get("/session/data/AIG/bars", params={"limit": 10_000}).json()["bars"]
    assert [ts for _, _, ts in rows] == [bar["ts"] for bar in bars]


# -- a session that the test plays ---------------------------------------------------------------


def test_status_on_every_change(fake: Fake) -> None:
    with talk(fake.url) as one:
        one.subscribe()
        session = fake.start()
        fake.http.post("/session/pause")
        session.tell("state")
        fake.http.patch("/session", json={"speed": 5})
        session.tell("speed")
        session.tell("day")
        session.become(State.COMPLETED, "end")
        frames = one.until("end")
    whys = ["session", "state", "state", "speed", "day", "state", None]
    assert [f.get("why") for f in frames] == whys
    assert [f["state"] for f in frames] == [
        "STARTING", "RUNNING", "PAUSED", "PAUSED", "PAUSED", "COMPLETED", "COMPLETED",
    ]  # fmt: skip
    assert frames[3]["speed"] == 5


def test_a_socket_serves_the_next_session(fake: Fake) -> None:
    with talk(fake.url) as one:
        one.send({"action": "subscribe", "channels": ["bars_1m"]})
        ids = []
        for _ in range(2):
            session = fake.start()
            session.deliver(bar_window(1, 2))
            session.deliver(bar_window(3, 2))
            session.become(State.STOPPED, "end")
            frames = one.until("end")
            assert frames[0]["type"] == "status"
            ids.append(frames[0]["id"])
            assert slices_of(frames)[0]["prev_seq"] == 0
            assert [s for f in slices_of(frames) for s in f["seqs"]] == [1, 2, 3, 4]
        assert ids == ["fake1", "fake2"]


def test_a_wish_for_all_symbols_is_resolved_anew(fake: Fake) -> None:
    with talk(fake.url) as every, talk(fake.url) as only:
        every.send({"action": "subscribe", "channels": ["bars_1m"]})
        only.send({"action": "subscribe", "channels": ["bars_1m"], "symbols": ["B"]})
        for symbols in (["A", "B"], ["X"], ["B"]):
            session = fake.start(symbols=symbols)
            session.deliver(bar_window(1, 1, symbols=len(symbols)))
            session.become(State.STOPPED, "end")
            found = [s for _, s, _ in rows_of(every.until("end"), "bars_1m")]
            assert found == symbols
            frames = only.until("end")
            assert [s for _, s, _ in rows_of(frames, "bars_1m")] == [s for s in symbols if s == "B"]
            told = [f["code"] for f in frames if f["type"] == "error"]
            assert told == ([] if "B" in symbols else ["unknown_symbol"])


def test_subscribing_again_replaces(fake: Fake) -> None:
    session = fake.start()
    with talk(fake.url) as one:
        assert one.subscribe("bars_1m", symbols=["A"])["why"] == "subscribed"
        session.deliver(bar_window(1, 1))
        assert one.receive()["bars_1m"]["symbol"] == ["A"]
        one.subscribe("bars_1m", symbols=["B"])
        session.deliver(bar_window(2, 1))
        frame = one.receive()
        assert (frame["bars_1m"]["symbol"], frame["prev_seq"]) == (["B"], 1)


def test_late_subscriber_gets_what_comes_from_then_on(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 5))
    with talk(fake.url) as one:
        assert one.hello["session"]["seq"] == 5
        one.subscribe("bars_1m")
        session.deliver(bar_window(6, 1))
        frame = one.receive()
        assert (frame["prev_seq"], frame["seqs"]) == (0, [6])


def test_a_new_epoch_begins_with_a_snapshot(fake: Fake) -> None:
    session = fake.start()
    with talk(fake.url) as one, talk(fake.url, "?encoding=msgpack") as two:
        for each in (one, two):
            each.subscribe("bars_1m", symbols=["B"])
        session.deliver(bar_window(1, 3))
        session.begin_epoch(2, 0)
        session.deliver(bar_window(1, 2, epoch=2))
        for each in (one, two):
            slices, status, snapshot, after = (each.receive() for _ in range(4))
            assert (slices["epoch"], status["why"], status["epoch"]) == (1, "epoch", 2)
            assert (snapshot["type"], snapshot["epoch"]) == ("snapshot", 2)
            assert list(snapshot["symbols"]) == ["B"]
            assert snapshot["symbols"]["B"]["last"] == 3
            assert (after["epoch"], after["prev_seq"], after["seqs"]) == (2, 0, [1, 2])
            assert isinstance(snapshot["time"], str if each is one else int)


def test_conflated_clients_get_the_newest_and_the_end(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 4))
    with talk(fake.url) as one:
        one.subscribe("bars_1m", delivery="conflate", interval_ms=60_000)
        state = one.receive()  # what there is, at once
        assert (state["seqs"], state["bars_1m"]["symbol"]) == ([4], ["A", "B"])
        session.deliver(bar_window(5, 3))
        session.deliver(bar_window(8, 2, symbols=1))
        session.become(State.COMPLETED, "end")
        last, status, end = one.receive(), one.receive(), one.receive()
    assert (status["type"], status["state"]) == ("status", "COMPLETED")
    assert (last["prev_seq"], last["seqs"]) == (4, [7, 9])
    assert (last["bars_1m"]["slice"], last["bars_1m"]["symbol"]) == ([0, 1], ["B", "A"])
    assert end["type"] == "end"


def test_conflated_frames_keep_their_interval(fake: Fake) -> None:
    session = fake.start()
    with talk(fake.url) as one:
        one.subscribe("bars_1m", delivery="conflate", interval_ms=50)
        for seq in range(1, 200):
            session.deliver(bar_window(seq, 1))
        frames = [one.receive()]
        while frames[-1]["seqs"][-1] < 199:
            frames.append(one.receive())
    assert len(frames) < 20
    chain = [0, *(f["seqs"][-1] for f in frames)]
    assert [f["prev_seq"] for f in frames] == chain[:-1]


# -- resume --------------------------------------------------------------------------------------


def test_resume_goes_on_where_the_client_was(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 5000))
    with talk(fake.url) as one:
        one.send({"action": "resume", "epoch": 1, "after": 45, "channels": ["bars_1m"]})
        frames = [one.receive()]
        while frames[-1]["seqs"][-1] < 5000:
            frames.append(one.receive())
        assert frames[0]["prev_seq"] == 45
        assert [s for f in frames for s in f["seqs"]] == list(range(46, 5001))
        session.deliver(bar_window(5001, 1))
        assert one.receive()["prev_seq"] == 5000
        one.send({"action": "resume", "epoch": 1, "after": 5000})  # the subscription that stands
        assert one.receive()["seqs"] == [5001]


def test_resume_after_the_end_brings_the_end(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 3))
    session.become(State.COMPLETED, "end")
    with talk(fake.url) as one:
        one.send({"action": "resume", "epoch": 1, "after": 2, "channels": ["bars_1m"]})
        assert [f["type"] for f in one.until("end")] == ["slices", "end"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"epoch": 1, "after": 2}, "no_subscription"),
        ({"epoch": 1, "after": 2, "channels": ["bars_1m"]}, "after 90 to 100"),
        ({"epoch": 1, "after": 101, "channels": ["bars_1m"]}, "after 90 to 100"),
        ({"epoch": 2, "after": 95, "channels": ["bars_1m"]}, "epoch 1"),
    ],
)
def test_resume_says_from_where_it_can(
    impatient: Fake, message: dict[str, Any], words: str
) -> None:
    session = impatient.start()
    for first in range(1, 100, 2):
        session.deliver(bar_window(first, 2))
    with talk(impatient.url) as one:
        one.send({"action": "resume", **message})
        frame = one.receive()
        assert frame["type"] == "error"
        assert words in str(frame)
        if "channels" in message:
            assert (frame["epoch"], frame["from_seq"], frame["last_seq"]) == (1, 90, 100)
        one.send({"action": "resume", "epoch": 1, "after": 98, "channels": ["bars_1m"]})
        assert one.receive()["seqs"] == [99, 100]  # the socket stayed open


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code", "word"),
    [
        ("garbage", 1003, "JSON"),
        (b"\x00\x01\x02", 1003, "msgpack"),
        ("[]", 1008, "object"),
        ('{"action": "subscribe", "channels": ["bars_1m"], "colour": "red"}', 1008, "colour"),
        ('{"action": "subscribe", "channels": ["bars"]}', 1008, "bars_<minutes>m"),
        ('{"action": "subscribe", "channels": ["trades"], "delivery": "maybe"}', 1008, "delivery"),
        ('{"action": "fly"}', 1008, "fly"),
        ('{"action": "resume", "epoch": 1, "after": 0, "symbols": ["A"]}', 1008, "channels"),
    ],
)
def test_garbage_closes_with_a_reason(
    fake: Fake, message: str | bytes, code: int, word: str
) -> None:
    with talk(fake.url) as one:
        one.send(message)
        error = one.receive()
        assert error["type"] == "error"
        assert word in error["detail"]
        _, found, reason = close_of(one)
    assert found == code
    assert reason
    assert fake.http.get("/health").status_code == 200


def test_a_message_too_large_closes_the_socket(impatient: Fake) -> None:
    with talk(impatient.url) as one:
        one.send("x" * 3000)
        assert close_of(one)[1] == 1009


def test_names_the_running_session_has_not(fake: Fake) -> None:
    session = fake.start()
    with talk(fake.url) as one:
        one.send({"action": "subscribe", "channels": ["bars_1m"], "symbols": ["A", "BB"]})
        error = one.receive()
        assert (error["code"], "BB" in error["detail"]) == ("unknown_symbol", True)
        one.send({"action": "subscribe", "channels": ["bars_7m"]})
        assert one.receive()["code"] == "unknown_channel"
        one.subscribe("bars_1m", "trades", "quotes", "bars_15m")
        session.deliver(bar_window(1, 1))
        assert one.receive()["type"] == "slices"


def test_handshakes_that_are_refused(impatient: Fake) -> None:
    for query in ("?encoding=xml", "?colour=red", "?encoding=json&encoding=json"):
        with pytest.raises(InvalidStatus) as caught, talk(impatient.url, query):
            pass
        assert caught.value.response.status_code == 422
    with talk(impatient.url), talk(impatient.url):
        with pytest.raises(InvalidStatus) as caught, talk(impatient.url):
            pass
        assert caught.value.response.status_code == 503
        assert b"STREAM_MAX_CLIENTS" in (caught.value.response.body or b"")
    with talk(impatient.url) as one:  # there is room again
        assert one.hello["type"] == "hello"
