"""A stream client that missed something knows it: by its numbers, an error, or a close code."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from tests.api.conftest import Fake, wait_for
from tests.api.fake_manager import bar_window
from tests.api.small_catalog import build
from tests.api.talk import START, rows_of, slices_of, talk
from tests.conftest import StartServer


def test_each_frame_names_the_slice_before_it(server: StartServer, tmp_path: Path) -> None:
    url = server(build(tmp_path / "catalog", minutes=60))
    with (
        httpx.Client(base_url=url + "/api/v1", timeout=60) as client,
        talk(url) as one,
        talk(url) as other,
    ):
        one.subscribe("bars_1m", symbols=["BAC"])
        other.subscribe("bars_1m", delivery="conflate", interval_ms=10)
        client.post("/session", json=START | {"speed": 3600}).raise_for_status()
        client.patch("/session", json={"speed": 0}).raise_for_status()
        for frames in (slices_of(one.until("end")), slices_of(other.until("end"))):
            last = 0
            for frame in frames:
                assert frame["prev_seq"] == last, "what it was sent before, and so nothing between"
                last = frame["seqs"][-1]
                assert all(a < b for a, b in pairwise([frame["prev_seq"], *frame["seqs"]]))


def test_sockets_that_drop_and_resume_miss_nothing(server: StartServer, tmp_path: Path) -> None:
    """At random places, with a new socket each time."""
    url = server(build(tmp_path / "catalog", minutes=120))
    dice = random.Random(4)
    wish: dict[str, Any] = {"channels": ["bars_1m", "bars_5m", "trades", "status"]}
    with httpx.Client(base_url=url + "/api/v1", timeout=60) as client:
        client.post("/session", json=START | {"start_paused": True}).raise_for_status()
        frames: list[dict[str, Any]] = []
        seq = 0
        client.post("/session/resume").raise_for_status()
        while not frames or frames[-1]["type"] != "end":
            with talk(url) as one:
                one.send({"action": "resume", "epoch": 1, "after": seq, **wish})
                for _ in range(dice.randint(1, 12)):
                    frames.append(one.receive())
                    if frames[-1]["type"] == "slices":
                        assert frames[-1]["prev_seq"] == seq
                        seq = frames[-1]["seqs"][-1]
                    if frames[-1]["type"] == "end":
                        break
        wait_for(client, "COMPLETED")
        with talk(url) as whole:
            whole.send({"action": "resume", "epoch": 1, "after": 0, **wish})
            expected = whole.until("end")
    for channel in ("bars_1m", "bars_5m", "trades"):
        found = rows_of(frames, channel)
        assert found == rows_of(expected, channel)
        assert len(found) == len(set(found)) > 0


def test_what_is_no_longer_held_is_an_error_that_says_from_where() -> None:
    small = Fake(stream_resume_rows=20)
    try:
        session = small.start()
        session.deliver(bar_window(1, 100))
        with talk(small.url) as one:
            one.send({"action": "resume", "epoch": 1, "after": 5, "channels": ["bars_1m"]})
            refused = one.receive()
            assert (refused["type"], refused["code"]) == ("error", "not_held")
            assert (refused["from_seq"], refused["last_seq"]) == (90, 100)
            after = {"action": "resume", "epoch": 1, "after": 90, "channels": ["bars_1m"]}
            one.send(after)
            assert one.receive()["seqs"] == list(range(91, 101))
            one.send(after | {"epoch": 2})
            assert one.receive()["code"] == "not_held"
    finally:
        small.close()
