"""A client that is late, or dies: ``pause``, ``drop`` or ``fail``, whoever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.small_catalog import build
from tests.api.talk import Talk, close_of, talk
from tests.lockstep.played import Host, hosted
from tests.lockstep.test_time_waits import DAY, ack, join, last_of, slices

CONFIG = {
    "backtest": {"start": "2013-10-07", "end": "2013-10-07"},
    "data": {"symbols": ["AIG", "BAC"]},
    "services": {"watchdog_s": 0.4},
    "strategies": [{"id": "alpha", "lockstep": True}],
}
CHANNELS = ["bars_1m", "status"]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Little patience."""
    folder = tmp_path_factory.mktemp("hasty")
    with hosted(
        build(folder / "catalog"), folder, lockstep_patience_seconds=0.3,
        lockstep_join_seconds=0.3,
    ) as one:  # fmt: skip
        one.write(CONFIG)
        yield one


@pytest.fixture
def host(hasty: Host) -> Iterator[Host]:
    yield hasty
    hasty.post("stop")


def sit(one: Talk, host: Host, **more: Any) -> None:
    """Join as the strategy of a session that is then started."""
    one.send({
        "action": "subscribe", "delivery": "lockstep", "name": "alpha", "channels": CHANNELS,
        "calls": [], **more,
    })  # fmt: skip
    host.start(config="run.yaml")


def turn(one: Talk) -> dict[str, Any]:
    return one.until("turn")[-1]


def answer(one: Talk, frame: dict[str, Any], **more: Any) -> None:
    one.send({"action": "ack", "turn": frame["turn"], **more})


def play(one: Talk) -> dict[str, Any]:
    """Answer all turns up to the end, which comes back."""
    while (frame := one.receive())["type"] != "end":
        if frame["type"] == "turn":
            answer(one, frame)
    return frame


# -- who only acknowledges ---------------------------------------------------------------------


@pytest.mark.parametrize("gone", [False, True], ids=["late", "dead"])
@pytest.mark.parametrize("policy", ["pause", "drop", "fail"])
def test_who_acknowledges(host: Host, policy: str, gone: bool) -> None:
    with talk(host.url) as one, talk(host.url) as other:
        join(one, "alpha", policy=policy)
        join(other, "beta", policy="pause")
        host.start(**DAY)
        frame = slices(one)
        if gone:
            one.socket.socket.close()
        ack(other, slices(other))
        if policy == "pause":
            paused = host.wait_for("PAUSED")
            assert paused["seq"] == frame["seqs"][0]
            return
        if policy == "fail":
            failed = host.wait_for("FAILED")
            assert "lockstep client 'alpha'" in failed["error"]
            assert "within 0.3 s" in failed["error"]
            return
        assert last_of(other)[1]["state"] == "COMPLETED"
        if not gone:
            frames, code, reason = close_of(one)
            assert (code, "late" in reason) == (1013, True), frames


def test_a_pause_for_the_late_one_ends_with_its_acknowledgement_and_resume(host: Host) -> None:
    with talk(host.url) as one:
        join(one, "alpha", policy="pause")
        host.start(**DAY)
        frame = slices(one)
        host.wait_for("PAUSED")
        ack(one, frame)
        assert host.session()["state"] == "PAUSED", "it is for somebody to resume"
        host.post("resume")
        assert last_of(one)[1]["state"] == "COMPLETED"


# -- a strategy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [False, True], ids=["late", "dead"])
@pytest.mark.parametrize("policy", ["pause", "drop", "fail"])
def test_a_strategy(host: Host, policy: str, gone: bool) -> None:
    """The watchdog of handlers, 0.4 s here, does not count what a client takes."""
    with talk(host.url) as one:
        sit(one, host, policy=policy)
        answer(one, turn(one))
        frame = turn(one)
        if gone:
            one.socket.socket.close()
        if policy == "fail":
            failed = host.wait_for("FAILED")
            assert "LineError: the client of strategy 'alpha'" in failed["error"]
            assert ("lost its connection" in failed["error"]) == gone
        elif policy == "drop":
            ended = host.wait_for("COMPLETED")
            assert ended["error"] is None
        else:
            host.wait_for("PAUSED")
            assert host.post("pause").status_code == 409  # refused at once, too
            assert host.post("resume").json()["state"] == "RUNNING"
            host.wait_for("PAUSED")  # still nobody answers
            assert host.post("stop").json()["state"] == "STOPPED"
            return
        assert frame["time"] < host.session()["time"] or policy == "fail"


def test_one_that_comes_in_time_goes_on_where_it_was(host: Host) -> None:
    """The turn that it did not answer is asked again."""
    with talk(host.url) as one:
        sit(one, host, policy="pause")
        answer(one, turn(one))
        lost = turn(one)
        one.socket.socket.close()
    with talk(host.url) as one:
        one.send({"action": "subscribe", "delivery": "lockstep", "name": "alpha",
                  "channels": CHANNELS, "calls": [], "after": lost["turn"] - 1})  # fmt: skip
        again = turn(one)
        assert again == lost
        answer(one, again)
        if host.session()["state"] == "PAUSED":
            host.post("resume")
        assert play(one)["state"] == "COMPLETED"


def test_one_that_knows_nothing_cannot_take_its_place(host: Host) -> None:
    with talk(host.url) as one:
        sit(one, host)
        answer(one, turn(one))
        turn(one)
        one.socket.socket.close()
    with talk(host.url) as one:
        one.send({"action": "subscribe", "delivery": "lockstep", "name": "alpha",
                  "channels": CHANNELS, "calls": []})  # fmt: skip
        refusal = one.until("error")[-1]
    assert (refusal["code"], "not held" in refusal["detail"]) == ("not_held", True)


def test_nobody_comes(host: Host) -> None:
    assert host.start(config="run.yaml")["state"] == "STARTING"
    failed = host.wait_for("FAILED")
    assert "LOCKSTEP_JOIN_SECONDS" in failed["error"]


def test_one_that_leaves_is_out_of_the_run(host: Host) -> None:
    with talk(host.url) as one:
        sit(one, host)
        answer(one, turn(one))
        turn(one)
        one.send({"action": "leave"})
        assert host.wait_for("COMPLETED")["error"] is None


def test_a_strategy_that_fails_fails_the_run_with_its_words(host: Host) -> None:
    with talk(host.url) as one:
        sit(one, host)
        turn(one)
        one.send({"action": "fail", "detail": "alpha.py, line 7: division by zero"})
        assert "alpha.py, line 7: division by zero" in host.wait_for("FAILED")["error"]


@pytest.mark.parametrize("what", ["pause", "stop"])
def test_commands_are_answered_while_a_turn_is_awaited(host: Host, what: str) -> None:
    with talk(host.url) as one:
        sit(one, host, policy="pause")
        answer(one, turn(one))
        turn(one)
        told = host.post(what)
        assert (told.status_code, told.json()["state"]) == (
            200, {"pause": "PAUSED", "stop": "STOPPED"}[what],
        )  # fmt: skip
