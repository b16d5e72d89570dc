"""Clients that do not read: how long they hold the replay, and what becomes of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.api.tap import LOSSLESS_WINDOW_ROWS
from app.managers.system_manager import State
from tests.api.conftest import Fake, start, wait_for
from tests.api.fake_manager import FakeSession, bar_window
from tests.api.small_catalog import build
from tests.api.talk import close_of, rows_of, slices_of, talk, talk_little
from tests.conftest import StartServer

SLICES = 500  # a window: 1000 rows, 0.1 MB of JSON
WINDOWS = 200


@contextmanager
def playing(session: FakeSession, windows: int = WINDOWS) -> Iterator[threading.Thread]:
    """The session delivers on its own thread, as fast as it is let."""

    def play() -> None:
        for number in range(windows):
            session.deliver(bar_window(1 + number * SLICES, SLICES))

    thread = threading.Thread(target=play)
    thread.start()
    yield thread
    thread.join(30)
    assert not thread.is_alive()


def test_slow_lossless_client_holds_and_is_cut_off_with_1013(impatient: Fake) -> None:
    session = impatient.start()
    with talk_little(impatient.url) as slow:
        slow.subscribe("bars_1m")
        began = time.monotonic()
        with playing(session):
            pass  # it reads nothing until the session has played to its end
        held_s = time.monotonic() - began
        assert session.held_asks > 0
        assert 0.3 <= held_s < 10
        session.become(State.COMPLETED, "end")
        frames, code, reason = close_of(slow)
    assert (code, "too slow" in reason) == (1013, True)
    seqs = [seq for frame in slices_of(frames) for seq in frame["seqs"]]
    assert seqs == list(range(1, len(seqs) + 1))  # what it got has no hole
    assert len(seqs) < WINDOWS * SLICES


def test_the_others_miss_nothing_while_one_is_cut_off(impatient: Fake) -> None:
    session = impatient.start()
    with (
        talk_little(impatient.url) as slow,
        talk(impatient.url) as good,
    ):
        slow.subscribe("bars_1m")
        good.subscribe("bars_1m")
        with playing(session):
            seqs: list[int] = []
            while len(seqs) < WINDOWS * SLICES:
                seqs += good.receive()["seqs"]
        assert seqs == list(range(1, WINDOWS * SLICES + 1))


def test_lossless_client_that_reads_gets_everything_through_a_small_queue(impatient: Fake) -> None:
    session = impatient.start()
    with talk(impatient.url) as one:
        one.subscribe("bars_1m")
        with playing(session):
            seqs: list[int] = []
            while len(seqs) < WINDOWS * SLICES:
                seqs += one.receive()["seqs"]
    assert seqs == list(range(1, WINDOWS * SLICES + 1))


def test_conflating_client_that_reads_nothing_holds_nobody(impatient: Fake) -> None:
    session = impatient.start()
    with talk_little(impatient.url) as slow:
        slow.subscribe("bars_1m", delivery="conflate", interval_ms=10)
        with playing(session):
            pass
        assert session.held_asks == 0
        session.become(State.COMPLETED, "end")
        frames = [f for f in slow.until("end") if f["type"] == "slices"]
        assert frames[-1]["seqs"][-1] == WINDOWS * SLICES


def test_a_client_that_leaves_lets_the_replay_go_on() -> None:
    patient = Fake(stream_client_queue_bytes=2**16, stream_lossless_patience_seconds=60)
    try:
        session = patient.start()
        with talk_little(patient.url) as slow:
            slow.subscribe("bars_1m")
            with playing(session) as player:
                while session.held_asks == 0 and player.is_alive():
                    player.join(0.01)
                assert session.held_asks > 0
                slow.socket.socket.close()
    finally:
        patient.close()


def test_windows_are_small_only_while_somebody_wants_every_slice(fake: Fake) -> None:
    session = fake.start()
    assert session.window_rows() is None
    with talk(fake.url) as one:
        one.subscribe("bars_1m", delivery="conflate")
        assert session.window_rows() is None
        one.subscribe("bars_1m")
        assert session.window_rows() == LOSSLESS_WINDOW_ROWS
        one.subscribe("bars_1m", delivery="conflate")
        assert session.window_rows() is None


def test_a_fault_of_the_stream_is_told_to_its_clients(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = fake.start()

    def broken(*_: object) -> bool:
        raise ZeroDivisionError

    with talk(fake.url) as one:
        one.subscribe("bars_1m")
        monkeypatch.setattr(session, "integral", broken)
        session.deliver(bar_window(1, 1))
        assert close_of(one)[1:] == (1011, "internal error")
    monkeypatch.undo()
    with talk(fake.url) as one:  # the next one is served
        one.subscribe("bars_1m")
        session.deliver(bar_window(2, 1))
        assert one.receive()["seqs"] == [2]


def test_a_real_replay_holds_cuts_off_and_delivers_the_same(
    server: StartServer, tmp_path: Path
) -> None:
    names = tuple(f"S{number:02}" for number in range(100))
    url = server(
        build(tmp_path / "catalog", names), stream_client_queue_bytes=2**16,
        stream_lossless_patience_seconds=0.5,
    )  # fmt: skip
    digests, held_s = [], []
    with httpx.Client(base_url=url + "/api/v1", timeout=20) as client:
        start(client)
        digests.append(wait_for(client, "COMPLETED")["digest"])
        with (
            talk_little(url) as slow,
            talk(url, "?encoding=msgpack") as good,
        ):
            slow.subscribe("bars_1m", "bars_5m", "trades", "quotes")
            good.subscribe("bars_1m")
            assert good.receive()["type"] == "end"  # of the session before
            began = time.monotonic()
            start(client)
            frames = good.until("end")
            held_s.append(time.monotonic() - began)
            digests.append(frames[-1]["digest"])
            _, code, _ = close_of(slow)
    assert code == 1013
    assert held_s[0] > 0.5
    assert digests[0] == digests[1]
    assert len(rows_of(frames, "bars_1m")) == 100 * 390 * 2
