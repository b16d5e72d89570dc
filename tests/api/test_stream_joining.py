"""The WebSocket: clients that come late, change their wish, come back, or talk nonsense."""

from __future__ import annotations

import logging

import pytest
from websockets.exceptions import InvalidStatus

from app.managers.system_manager import State
from tests.api.conftest import Fake
from tests.api.fake_manager import bar_window
from tests.api.talk import close_of, rows_of, talk, talk_little


@pytest.mark.parametrize("delivery", ["lossless", "conflate"])
def test_who_subscribes_after_the_end_is_told_so_at_once(fake: Fake, delivery: str) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 3))
    session.become(State.COMPLETED, "end")
    with talk(fake.url) as one:
        assert one.hello["session"]["state"] == "COMPLETED"
        assert one.subscribe("bars_1m", delivery=delivery)["state"] == "COMPLETED"
        frames = one.until("end")
        newest = [seq for seq, _, _ in rows_of(frames, "bars_1m")]
        assert newest == ([] if delivery == "lossless" else [3, 3])
        assert (frames[-1]["id"], frames[-1]["state"]) == ("fake1", "COMPLETED")
        fake.start()
        assert one.receive()["id"] == "fake2"  # the socket serves the next one


def test_who_conflates_gets_the_newest_though_the_ring_forgot_it(impatient: Fake) -> None:
    session = impatient.start()
    session.deliver(bar_window(1, 1))
    for first in range(2, 100, 2):  # the ring holds 20 rows, all of A
        session.deliver(bar_window(first, 2, symbols=1))
    with talk(impatient.url) as one:
        one.subscribe("bars_1m", delivery="conflate")
        assert [(seq, symbol) for seq, symbol, _ in rows_of([one.receive()], "bars_1m")] == [
            (1, "B"), (99, "A"),
        ]  # fmt: skip


def test_what_waits_of_an_old_wish_is_not_sent(fake: Fake) -> None:
    session = fake.start()
    with talk_little(fake.url) as one:
        one.subscribe("bars_1m", symbols=["A"])
        for first in range(1, 100_001, 1000):
            session.deliver(bar_window(first, 1000))
        one.send({"action": "subscribe", "channels": ["bars_1m", "status"], "symbols": ["B"]})
        old = one.until("status")
        assert len(rows_of(old, "bars_1m")) < 100_000
        last = max(seq for seq, _, _ in rows_of(old, "bars_1m"))
        session.deliver(bar_window(100_001, 1))
        frames = [one.receive()]
        while frames[-1]["seqs"][-1] <= 100_000:
            frames.append(one.receive())
        assert frames[0]["prev_seq"] == last
        assert {symbol for _, symbol, _ in rows_of(frames, "bars_1m")} == {"B"}


def test_resume_is_of_the_session_that_was_left(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 3))
    session.become(State.STOPPED, "end")
    session = fake.start()
    session.deliver(bar_window(1, 3))
    wish = {"action": "resume", "epoch": 1, "after": 2, "channels": ["bars_1m"]}
    with talk(fake.url) as one:
        one.send(wish | {"session": "fake1"})
        error = one.receive()
        assert (error["type"], error["code"], error["session"]) == ("error", "not_held", "fake2")
        assert "fake1 was replaced by fake2" in error["detail"]
        one.send(wish | {"session": "fake2"})
        assert one.receive()["seqs"] == [3]


def test_text_that_is_no_utf_8_closes_with_1003_and_a_reason(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    with talk(fake.url) as one, caplog.at_level(logging.INFO):
        one.socket.send(b'{"action": "\xff"}', text=True)
        assert "UTF-8" in one.receive()["detail"]
        _, code, reason = close_of(one)
    assert (code, "UTF-8" in reason) == (1003, True)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_refused_handshake_is_no_error_of_the_server(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(InvalidStatus),
        talk(fake.url, "?colour=red"),
    ):
        pass
    fake.close()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_plain_get_of_the_stream_says_what_it_is(fake: Fake) -> None:
    answer = fake.http.get("/stream?encoding=json")
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert "WebSocket" in answer.json()["detail"]
