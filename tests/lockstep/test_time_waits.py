"""Time moves when all who joined have acknowledged; sessions without an engine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tests.api.talk import Talk, talk
from tests.lockstep.played import ENDS, Host

DAY = {"symbols": ["*"], "start": "2013-10-07", "end": "2013-10-07"}


def join(one: Talk, name: str, *channels: str, **more: Any) -> None:
    """Join, and read on until the server has taken it."""
    one.send({
        "action": "subscribe", "delivery": "lockstep", "name": name,
        "channels": [*(channels or ("bars_1m",)), "status"], **more,
    })  # fmt: skip
    there = one.hello["session"]
    if there["id"]:
        one.until("end" if there["state"] in ENDS else "status")
    else:
        one.send({"action": "ack", "turn": 0})
        one.send({"action": "ack", "turn": 1})
        assert one.until("error")[-1]["code"] == "ahead"


def slices(one: Talk) -> dict[str, Any]:
    return one.until("slices")[-1]


def ack(one: Talk, frame: dict[str, Any], **more: Any) -> None:
    one.send({"action": "ack", "turn": frame["seqs"][-1], **more})


def last_of(one: Talk, **more: Any) -> tuple[int, dict[str, Any]]:
    """Acknowledge all up to the end; how many turns there were, and the end."""
    turns = 0
    while (frame := one.receive())["type"] != "end":
        if frame["type"] == "slices":
            turns += 1
            ack(one, frame, **more)
    return turns, frame


def test_the_clock_stands_on_each_slice_until_it_is_acknowledged(host: Host) -> None:
    with talk(host.url) as one:
        join(one, "alpha")
        host.start(**DAY)
        for _ in range(3):
            frame = slices(one)
            assert len(frame["seqs"]) == 1
            seen = host.session()
            assert (seen["seq"], seen["time"]) == (frame["seqs"][0], frame["times"][0])
            later = host.http.get("/session/data", params={"after": seen["seq"], "wait_s": 0.05})
            assert later.json()["seq"] == seen["seq"], "time moved without an acknowledgement"
            ack(one, frame)
        turns, end = last_of(one)
    assert end["state"] == "COMPLETED"
    assert turns + 3 == 390


def test_the_digest_is_that_of_a_session_without_it(host: Host) -> None:
    host.start(**DAY)
    alone = host.wait_for("COMPLETED")
    with talk(host.url) as one:
        join(one, "alpha", "trades")
        host.start(**DAY)
        _, end = last_of(one)
    assert end["digest"] == alone["digest"]


def test_several_wait_for_each_other(host: Host) -> None:
    with ExitStack() as stack:
        talks = {name: stack.enter_context(talk(host.url)) for name in ("beta", "alpha")}
        for name, one in talks.items():
            join(one, name)
        host.start(**DAY)
        for _ in range(3):
            frames = {name: slices(one) for name, one in talks.items()}
            assert frames["alpha"]["seqs"] == frames["beta"]["seqs"]
            ack(talks["alpha"], frames["alpha"])
            seen = host.http.get(
                "/session/data", params={"after": frames["beta"]["seqs"][0], "wait_s": 0.05}
            ).json()
            assert seen["seq"] == frames["beta"]["seqs"][0], "beta was not waited for"
            ack(talks["beta"], frames["beta"])


def test_slices_that_hold_nothing_for_it_need_no_acknowledgement(host: Host) -> None:
    """One round trip for five minutes of trades, quotes and bars."""
    with talk(host.url) as one:
        join(one, "alpha", "bars_5m", symbols=["BAC"])
        host.start(**DAY)
        turns, end = last_of(one)
    assert (turns, end["state"]) == (78, "COMPLETED")


def test_it_acknowledges_up_to_a_time(host: Host) -> None:
    """What comes before is still sent, many slices a frame, and waits for nobody."""
    with talk(host.url) as one:
        join(one, "alpha")
        host.start(**DAY)
        ack(one, slices(one), until="2013-10-07T19:59:00Z")
        times: list[str] = []
        while not times or times[-1] < "2013-10-07T19:59:00Z":
            times += slices(one)["times"]
        assert (len(times), times[-1]) == (388, "2013-10-07T19:59:00Z")
        assert host.session()["time"] == times[-1]
        one.send({"action": "ack", "turn": host.session()["seq"]})
        assert last_of(one)[1]["state"] == "COMPLETED"


def test_one_may_join_and_leave_while_it_runs(host: Host) -> None:
    host.start(**DAY, start_paused=True)
    with talk(host.url) as one:
        join(one, "alpha")
        assert host.post("resume").status_code == 200
        assert slices(one)["seqs"] == [host.session()["seq"]]
        one.send({"action": "leave"})
        host.wait_for("COMPLETED")


def test_it_comes_back_where_it_was(host: Host) -> None:
    """What it has not acknowledged is sent again."""
    wish = {
        "action": "subscribe", "delivery": "lockstep", "name": "alpha", "channels": ["bars_1m"],
    }  # fmt: skip
    host.start(**DAY, start_paused=True)
    with talk(host.url) as one:
        one.send(wish)
        host.post("resume")
        known = slices(one)
        ack(one, known)
        lost = slices(one)
    with talk(host.url) as one:
        one.send(wish)
        again = slices(one)
        assert (again["seqs"], again["prev_seq"]) == (lost["seqs"], known["seqs"][0])
        ack(one, again)
        assert last_of(one)[1]["state"] == "COMPLETED"


@pytest.mark.parametrize("speed", [0, 1_000_000])
def test_a_step_and_a_pause_are_answered_while_it_is_waited_for(host: Host, speed: int) -> None:
    host.start(**DAY, start_paused=True, speed=speed)
    with talk(host.url) as one:
        join(one, "alpha")
        for _ in range(2):
            step = host.http.post("/session/step", json={"unit": "bar", "count": 1})
            assert (step.status_code, step.json()["state"]) == (200, "PAUSED")
        frame = slices(one)
        assert host.post("resume").json()["state"] == "RUNNING"
        assert host.post("pause").json()["state"] == "PAUSED"
        assert host.session()["seq"] == frame["seqs"][0]
        assert host.post("stop").json()["state"] == "STOPPED"


def test_a_seek_back_begins_an_epoch_that_it_follows(host: Host) -> None:
    with talk(host.url) as one:
        join(one, "alpha")
        host.start(**DAY)
        for _ in range(5):
            last = slices(one)
            ack(one, last)
        host.post("pause")
        back = host.http.post("/session/seek", json={"time": "2013-10-07T13:32:00Z"})
        assert back.status_code == 200, back.text
        snapshot = one.until("snapshot")[-1]
        assert (snapshot["epoch"], snapshot["time"]) == (2, "2013-10-07T13:32:00Z")
        host.post("resume")
        frame = slices(one)
        assert (frame["epoch"], frame["times"]) == (2, ["2013-10-07T13:33:00Z"])
        ack(one, frame)
        assert last_of(one)[1]["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"action": "ack", "turn": 0, "wishes": [["order", {"symbol": "AIG"}]]}, "no_strategy"),
        ({"action": "read", "id": 1, "what": "bars", "symbol": 0}, "no_strategy"),
        ({"action": "ack", "turn": 10_000}, "ahead"),
    ],
)
def test_what_it_may_not_say(host: Host, message: dict[str, Any], code: str) -> None:
    host.start(**DAY, start_paused=True)
    with talk(host.url) as one:
        join(one, "alpha")
        one.send(message)
        refusal = one.until("error")[-1]
    assert refusal["code"] == code
    if "wishes" in message:
        assert "no engine" in refusal["detail"]


def test_a_name_is_taken_once(host: Host) -> None:
    with talk(host.url) as one, talk(host.url) as two:
        join(one, "alpha")
        two.send({"action": "subscribe", "delivery": "lockstep", "name": "alpha",
                  "channels": ["bars_1m"]})  # fmt: skip
        assert two.until("error")[-1]["code"] == "name_taken"


def test_who_has_not_joined_has_nothing_to_acknowledge(host: Host) -> None:
    with talk(host.url) as one:
        one.send({"action": "ack", "turn": 1})
        assert one.until("error")[-1]["code"] == "not_joined"
