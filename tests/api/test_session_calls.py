"""The life of a session over HTTP, on a real replay."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from app.api import schemas_session
from app.managers.system_manager import State
from tests.api.conftest import Fake, start, wait_for
from tests.api.test_requests import check

NO_SESSION = {
    "id": None, "state": "STOPPED", "time": None, "epoch": None, "seq": None, "speed": None,
    "lag_ms": None, "trading_day": None, "progress": None, "digest": None, "discarded": None,
    "error": None, "run": None,
}  # fmt: skip


def test_without_a_session(real: httpx.Client) -> None:
    assert real.get("/session").json() == NO_SESSION
    assert real.post("/session/stop").json() == NO_SESSION | {"command": None}
    time = real.get("/time").json()
    assert time.pop("state") == "STOPPED"
    assert set(time.values()) == {None}
    for path in ("/session/days", "/session/plan", "/streams", "/session/data",
                 "/session/data/AIG/bars", "/session/data/AIG/trades",
                 "/session/data/AIG/quality"):  # fmt: skip
        body = check(real.get(path), 409)
        assert (body["title"], body["state"]) == ("No session", "STOPPED")
    for path in ("/session/pause", "/session/resume"):
        assert check(real.post(path), 409)["title"] == "No session"
    assert check(real.patch("/session", json={"speed": 1}), 409)["title"] == "No session"
    step = real.post("/session/step", json={"unit": "bar"})
    assert check(step, 409)["title"] == "No session"


def test_a_session_from_start_to_end(real: httpx.Client) -> None:
    answer = real.post(
        "/session",
        json={"symbols": ["BAC", "AIG"], "start": "2013-10-07", "end": "2013-10-08",
              "streams": ["bars_1m"], "speed": 0, "calendar": "XNYS", "hours": "regular",
              "derived_intervals": [5, 15], "history_days": 5, "start_paused": False},
    )  # fmt: skip
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/session"
    schemas_session.Session.model_validate(answer.json())
    done = wait_for(real, "COMPLETED")
    schemas_session.Session.model_validate(done)
    assert list(done) == list(NO_SESSION)
    assert done["progress"]["days_done"] == 2
    assert done["progress"]["items_delivered"] == 2 * 2 * (390 + 78 + 26)
    assert done["digest"].startswith("td1:")
    assert list(done["discarded"]) == [
        "before_hours", "in_break", "after_hours", "late", "duplicate", "invalid",
    ]  # fmt: skip
    stopped = real.post("/session/stop").json()
    assert stopped["state"] == "COMPLETED"
    schemas_session.CommandAnswer.model_validate(stopped)


def test_illegal_moves_are_409_with_the_state(real: httpx.Client) -> None:
    start(real, start_paused=True)
    body = check(real.post("/session", json={"symbols": ["*"], "start": "2013-10-07",
                                             "end": "2013-10-07"}), 409, "stop it")  # fmt: skip
    assert body["state"] == "PAUSED"
    assert check(real.post("/session/pause"), 409)["state"] == "PAUSED"
    stopped = real.post("/session/stop").json()
    assert stopped["state"] == "STOPPED"
    assert real.post("/session/stop").json()["state"] == "STOPPED"
    for path in ("/session/pause", "/session/resume"):
        assert check(real.post(path), 409)["state"] == "STOPPED"
    assert check(real.post("/session/step", json={"unit": "day"}), 409)["state"] == "STOPPED"
    assert check(real.patch("/session", json={"speed": 5}), 409)["state"] == "STOPPED"
    assert start(real)["id"] != stopped["id"]


@pytest.mark.parametrize(
    ("wish", "status", "words"),
    [
        ({"symbols": ["AGI"]}, 404, ["AGI", "AIG"]),
        ({"start": "2013-10-08", "end": "2013-10-07"}, 422, ["2013-10-07", "2013-10-08"]),
        ({"start": "2013-10-12", "end": "2013-10-13"}, 422, ["trading day"]),
        ({"start": "2013-10-07T09:30:00"}, 422, ["start", "zone"]),
        ({"start": "soon"}, 422, ["start", "soon"]),
        ({"streams": ["bars_5m"]}, 422, ["bars_5m", "bars_1m"]),
        ({"streams": ["news"]}, 422, ["news"]),
        ({"streams": ["trades"], "symbols": ["AIG", "BAC"]}, 422, ["BAC trades", "allow_missing"]),
        ({"calendar": "XNYZ"}, 422, ["XNYZ", "XNYS"]),
        ({"calendar": ""}, 422, ["calendar ''"]),
        ({"hours": ""}, 422, ["body.hours", "regular"]),
        ({"symbols": ["*", "AIG"]}, 422, ["'*' stands alone"]),
        (
            {"start": "2013-10-07T20:00:00Z", "end": "2013-10-07T15:00:00Z"},
            422,
            ["end 2013-10-07T15:00:00Z is not after start 2013-10-07T20:00:00Z"],
        ),
        ({"hours": "extended", "calendar": "XLON"}, 422, ["extended"]),
        ({"start": "2013-13-07"}, 422, ["2013-13-07"]),
        ({"start": "9999-12-31", "end": "9999-12-31"}, 422, ["9999"]),
    ],
)
def test_wishes_that_cannot_be(
    real: httpx.Client, wish: dict[str, Any], status: int, words: list[str]
) -> None:
    body = {"symbols": ["AIG"], "start": "2013-10-07", "end": "2013-10-08", **wish}
    check(real.post("/session", json=body), status, *words)
    assert real.get("/session").json()["state"] == "STOPPED"


def test_commands_say_when_they_took_effect(real: httpx.Client) -> None:
    start(real, speed=60, start_paused=True)
    slice_ = real.post("/session/step", json={"unit": "slice", "count": 3}).json()
    schemas_session.StepAnswer.model_validate(slice_)
    assert (slice_["state"], slice_["seq"], slice_["interrupted"]) == ("PAUSED", 3, False)
    assert slice_["command"] == {"number": 1, "time": slice_["time"], "seq": 3}
    speed = real.patch("/session", json={"speed": 360}).json()
    schemas_session.CommandAnswer.model_validate(speed)
    assert (speed["speed"], speed["command"]["number"], speed["command"]["seq"]) == (360, 2, 3)
    assert real.post("/session/resume").json()["command"]["number"] == 3
    paused = real.post("/session/pause").json()
    assert (paused["state"], paused["command"]["number"]) == ("PAUSED", 4)
    assert paused["command"]["time"] == paused["time"]


def test_step_by_day_and_beyond_the_end(real: httpx.Client) -> None:
    start(real, start_paused=True, streams=["bars_1m"])
    day = real.post("/session/step", json={"unit": "day"}).json()
    assert (day["state"], day["trading_day"]) == ("PAUSED", "2013-10-07")
    end = real.post("/session/step", json={"unit": "day", "count": 5}).json()
    assert (end["state"], end["progress"]["fraction"]) == ("COMPLETED", 1.0)


def test_days_time_and_streams(played: httpx.Client) -> None:
    days = played.get("/session/days").json()
    schemas_session.Days.model_validate(days)
    assert [d["day"] for d in days["days"]] == ["2013-10-07", "2013-10-08"]
    aig = days["days"][0]["symbols"]["AIG"]
    assert (aig["open"], aig["volume"], aig["bars"], aig["quality"]) == (10.0, 114_855, 390, 100.0)
    assert isinstance(aig["volume"], int)
    time = played.get("/time").json()
    schemas_session.Clock.model_validate(time)
    assert (time["open"], time["close"]) == ("2013-10-08T13:30:00Z", "2013-10-08T20:00:00Z")
    streams = played.get("/streams").json()
    schemas_session.Streams.model_validate(streams)
    found = {(s["symbol"], s["stream"]): s["delivered"] for s in streams["streams"]}
    assert found["AIG", "trades"] == 1000
    assert found["BRK/B", "bars_5m"] == 2 * 78


# -- steps that take their time: the fake ends them when told -----------------------------------


def test_the_plan_is_what_was_asked_for_filled_in(real: httpx.Client) -> None:
    check(real.get("/session/plan"), 409, "there is no session")
    wish = {"symbols": ["BAC", "AIG"], "start": "2013-10-05", "derived_intervals": [10]}
    session = start(real, **wish, start_paused=True)
    plan = real.get("/session/plan").json()
    schemas_session.Plan.model_validate(plan)
    assert (plan["id"], plan["symbols"]) == (session["id"], ["AIG", "BAC"])
    assert plan["streams"] == ["bars_1m", "quotes", "trades"]
    assert (plan["intervals"], plan["trades"]) == (["1m", "10m", "1d"], False)
    assert (plan["start"], plan["calendar"]) == ("2013-10-05", "XNYS")
    assert (plan["time_zone"], plan["hours"]) == ("America/New_York", "regular")
    assert plan["days"] == [
        {"day": f"2013-10-0{n}", "open": f"2013-10-0{n}T13:30:00Z",
         "close": f"2013-10-0{n}T20:00:00Z", "half_day": False}
        for n in (7, 8)
    ]  # fmt: skip
    for symbol in plan["symbols"]:  # each of these intervals can be asked for
        for interval in plan["intervals"]:
            path = f"/session/data/{symbol}/bars"
            assert real.get(path, params={"interval": interval}).status_code == 200


def test_a_recorded_replay_has_no_equity(real: httpx.Client) -> None:
    run_id = start(real, record=True, start_paused=True)["run"]
    check(real.get(f"/runs/{run_id}/equity"), 404, "it is a replay")


def test_step_answers_202_and_goes_on(fake: Fake) -> None:
    session = fake.start(start_paused=True)
    answer = fake.http.post("/session/step?wait_s=0", json={"unit": "day"})
    assert (answer.status_code, answer.json()["state"]) == (202, "RUNNING")
    schemas_session.Session.model_validate(answer.json())
    check(
        fake.http.post("/session/step", json={"unit": "day"}), 409,
        "RUNNING", "a step is going on; pause it or wait",
    )  # fmt: skip
    check(fake.http.post("/session/step?wait_s=61", json={"unit": "day"}), 422, "wait_s")
    session.finish_step()
    assert fake.http.get("/session").json()["state"] == "PAUSED"


def test_a_step_that_is_accepted_is_answered_as_running(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = fake.start(start_paused=True)
    step = session.step

    def not_applied_yet(unit: str, count: int) -> Any:
        future = step(unit, count)
        session.state = State.PAUSED
        return future

    monkeypatch.setattr(session, "step", not_applied_yet)
    answer = fake.http.post("/session/step?wait_s=0", json={"unit": "day"})
    assert (answer.status_code, answer.json()["state"]) == (202, "RUNNING")


def test_a_step_of_a_running_session_is_told_to_pause_it(real: httpx.Client) -> None:
    start(real, speed=60)
    check(
        real.post("/session/step", json={"unit": "bar"}), 409,
        "the session is RUNNING; pause it before a step",
    )  # fmt: skip


def test_a_caller_that_goes_away_cancels_nothing(fake: Fake) -> None:
    session = fake.start(start_paused=True)
    with pytest.raises(httpx.ReadTimeout):
        fake.http.post("/session/step", json={"unit": "day"}, timeout=0.2)
    assert len(session.pending) == 1
    assert not session.pending[0].cancelled()
    session.finish_step()
    assert fake.http.get("/session").json()["state"] == "PAUSED"


def test_equal_steps_with_one_key_are_one(fake: Fake) -> None:
    session = fake.start(start_paused=True)
    key = {"Idempotency-Key": "k1"}
    body = {"unit": "bar", "count": 2}
    first = fake.http.post("/session/step?wait_s=0", json=body, headers=key)
    assert first.status_code == 202
    found: list[httpx.Response] = []
    callers = [
        threading.Thread(
            target=lambda: found.append(
                httpx.post(fake.url + "/api/v1/session/step", json=body, headers=key, timeout=60)
            )
        )
        for _ in range(3)
    ]
    for caller in callers:
        caller.start()
    assert fake.http.post("/session/step?wait_s=0", json=body, headers=key).status_code == 202
    assert len(session.pending) == 1
    session.finish_step()
    for caller in callers:
        caller.join()
    again = fake.http.post("/session/step", json=body, headers=key)
    assert {answer.text for answer in found} == {again.text}
    assert again.json()["command"]["number"] == 1
    check(
        fake.http.post("/session/step", json={"unit": "bar"}, headers=key), 422, "another request"
    )


def test_a_refused_step_does_not_use_up_its_key(fake: Fake) -> None:
    session = fake.start()
    key = {"Idempotency-Key": "k1"}
    check(fake.http.post("/session/step", json={"unit": "bar"}, headers=key), 409)
    fake.http.post("/session/pause")
    answer = fake.http.post("/session/step?wait_s=0", json={"unit": "bar"}, headers=key)
    assert answer.status_code == 202
    session.finish_step()
    check(fake.http.post("/session/step", json={"unit": "bar"},
                         headers={"Idempotency-Key": "x" * 256}), 422)  # fmt: skip


def test_keys_belong_to_a_session(fake: Fake) -> None:
    key = {"Idempotency-Key": "k1"}
    for _ in range(2):
        session = fake.start(start_paused=True)
        fake.http.post("/session/step?wait_s=0", json={"unit": "bar"}, headers=key)
        assert len(session.pending) == 1
        stopped = fake.http.post("/session/stop")
        assert stopped.json()["state"] == "STOPPED"
        answer = fake.http.post("/session/step", json={"unit": "bar"}, headers=key)
        assert answer.json()["interrupted"] is True
