"""Seek and run-to over HTTP and on the stream, with a real replay."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from app.api import schemas_session
from app.runs.store import RunStore
from tests.api.conftest import start, wait_for
from tests.api.talk import talk
from tests.api.test_requests import check
from tests.api.trading_place import Place

OPEN = "2013-10-07T13:30:00Z"


def at(minute: int, day: int = 7) -> str:
    hour, rest = divmod(13 * 60 + 30 + minute, 60)
    return f"2013-10-{day:02}T{hour:02}:{rest:02}:00Z"


def go(client: httpx.Client, call: str, status: int = 200, **body: Any) -> Any:
    answer = client.post(f"/session/{call}", json=body)
    assert answer.status_code == status, answer.text
    if status == 200:
        schemas_session.StepAnswer.model_validate(answer.json())
    return answer.json()


def data(client: httpx.Client) -> Any:
    body = client.get("/session/data").json()
    body.pop("epoch")
    bars = client.get("/session/data/BAC/bars", params={"interval": "5m"}).json()
    quality = client.get("/session/data/BAC/quality").json()
    return body, bars, quality, client.get("/session").json()["digest"]


def test_forward_and_backward(real: httpx.Client) -> None:
    start(real, start_paused=True)
    forth = go(real, "seek", time=at(60))
    assert (forth["time"], forth["state"], forth["epoch"]) == (at(60), "PAUSED", 1)
    assert forth["interrupted"] is False
    seen = data(real)
    go(real, "run-to", time=at(30, day=8))
    back = go(real, "seek", time="2013-10-07T10:30:00-04:00")  # any zone
    assert (back["time"], back["state"], back["epoch"]) == (at(60), "PAUSED", 2)
    assert (back["command"]["time"], back["command"]["seq"]) == (at(60), forth["seq"])
    assert data(real) == seen
    real.post("/session/resume").raise_for_status()
    wait_for(real, "COMPLETED")
    assert go(real, "seek", time=at(60))["epoch"] == 3
    assert data(real) == seen
    assert real.get("/time").json()["time"] == at(60)


def test_run_until(real: httpx.Client) -> None:
    start(real, start_paused=True, streams=["bars_1m"])
    above = go(real, "run-to", until={"symbol": "BAC", "above": 20.995})
    assert above["time"] == at(101)  # 20.00 and a cent a minute
    assert go(real, "run-to", until="close")["time"] == at(390)
    below = go(real, "run-to", until={"symbol": "BAC", "below": 20.5})
    assert below["time"] == at(1, day=8)
    never = go(real, "run-to", until="gap")
    assert never["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("call", "body", "status", "words"),
    [
        ("run-to", {"time": at(5)}, 422, ["in the past"]),
        ("run-to", {"time": at(20), "until": "gap"}, 422, ["both came"]),
        ("run-to", {}, 422, ["neither came"]),
        ("run-to", {"until": "dusk"}, 422, ["until"]),
        ("run-to", {"until": {"symbol": "BAC"}}, 422, ["above or below"]),
        ("run-to", {"until": {"symbol": "BAK", "above": 1}}, 404, ["nearest: BAC"]),
        ("run-to", {"until": "fill"}, 409, ["no engine"]),
        ("seek", {"time": "2013-10-01T13:30:00Z"}, 422, ["outside of the session"]),
        ("seek", {"time": "2013-10-07"}, 422, ["2013-10-07"]),
        ("seek", {"time": "2013-10-07T13:30:00"}, 422, ["zone"]),
        ("seek", {}, 422, ["required"]),
    ],
)
def test_what_cannot_be(
    played: httpx.Client, call: str, body: dict[str, Any], status: int, words: list[str]
) -> None:
    go(played, "seek", time=at(10))
    check(played.post(f"/session/{call}", json=body), status, *words)
    assert played.get("/session").json()["time"] == at(10), "it stays"


def test_from_states_that_cannot(real: httpx.Client) -> None:
    for call in ("seek", "run-to"):
        assert check(real.post(f"/session/{call}", json={"time": OPEN}), 409)["state"] == "STOPPED"
    start(real, start_paused=True)
    real.post("/session/stop").raise_for_status()
    for call in ("seek", "run-to"):
        assert check(real.post(f"/session/{call}", json={"time": OPEN}), 409)["state"] == "STOPPED"


def test_keys_and_waiting(real: httpx.Client) -> None:
    start(real, start_paused=True)
    key = {"Idempotency-Key": "one"}
    go(real, "seek", time=at(60))
    first = real.post("/session/seek", json={"time": at(30)}, headers=key).json()
    again = real.post("/session/seek", json={"time": at(30)}, headers=key).json()
    assert (again, again["epoch"]) == (first, 2)
    other = real.post("/session/run-to", json={"time": at(30)}, headers=key)
    check(other, 422, "another request")
    answer = real.post("/session/seek", json={"time": at(10)}, params={"wait_s": 0})
    assert answer.status_code in (200, 202)
    if answer.status_code == 202:
        assert answer.json()["state"] == "RUNNING"
        schemas_session.Session.model_validate(answer.json())
    assert wait_for(real, "PAUSED")["state"] == "PAUSED"
    check(real.post("/session/seek", json={"time": OPEN}, params={"wait_s": 1e6}), 422, "wait_s")


def test_long_polls_are_answered_by_a_new_epoch(real: httpx.Client) -> None:
    start(real, start_paused=True)
    seq = go(real, "seek", time=at(60))["seq"]
    found: list[Any] = []

    def poll() -> None:
        with httpx.Client(base_url=real.base_url, timeout=20) as own:
            found.append(own.get("/session/data", params={"after": seq, "wait_s": 5}).json())

    polling = threading.Thread(target=poll)
    polling.start()
    for _ in range(3):  # whenever it begins to wait, one of these comes later
        go(real, "seek", time=at(30))
        go(real, "seek", time=at(60))
    go(real, "step", unit="slice")
    polling.join(10)
    assert found
    assert found[0]["time"] >= at(30)


def test_stream_clients_get_the_next_epoch_and_a_snapshot(real: httpx.Client) -> None:
    url = str(real.base_url).removesuffix("/api/v1/")
    start(real, start_paused=True)
    with talk(url) as one, talk(url, "?encoding=msgpack") as two, talk(url) as three:
        one.subscribe("bars_1m", "bars_5m", "trades", symbols=["AIG"])
        two.subscribe("bars_1m")
        three.subscribe("bars_1m", delivery="conflate", interval_ms=10)
        go(real, "seek", time=at(40))
        go(real, "seek", time=at(7))
        view = real.get("/session/data").json()
        for each in (one, two, three):
            frames = each.until("snapshot")
            whys = [f["why"] for f in frames if f["type"] == "status"]
            assert whys[-1] == "epoch"
            assert {f["epoch"] for f in frames[:-2]} == {1}
            snapshot = frames[-1]
            assert (snapshot["epoch"], snapshot["seq"]) == (2, view["seq"])
        assert snapshot["symbols"] == view["symbols"]
        assert list(frames[-1]["symbols"]) == ["AIG", "BAC", "BRK/B"]
        go(real, "step", unit="bar")
        for each in (one, two):
            slices = [f for f in each.until("slices") if f["type"] == "slices"][-1]
            assert (slices["epoch"], slices["prev_seq"]) == (2, view["seq"])
            assert slices["seqs"][0] > view["seq"]
        words = slices["bars_1m"]["symbol"]
        assert words == ["AIG", "BAC", "BRK/B"]
        real.post("/session/resume").raise_for_status()
        for each in (one, two, three):
            assert each.until("end")[-1]["state"] == "COMPLETED"
        go(real, "seek", time=at(3))
        for each in (one, two, three):
            assert each.until("snapshot")[-1]["epoch"] == 3
        one.send({"action": "resume", "epoch": 2, "after": 5})
        refused = one.until("error")[-1]
        assert (refused["code"], refused["epoch"]) == ("not_held", 3)
        real.post("/session/stop").raise_for_status()
        assert two.until("end")[-1]["state"] == "STOPPED"


def test_a_held_lossless_client_does_not_hold_a_seek(real: httpx.Client) -> None:
    url = str(real.base_url).removesuffix("/api/v1/")
    start(real, start_paused=True)
    with talk(url) as one:
        one.subscribe("bars_1m", "trades", "quotes")
        go(real, "seek", time=at(100))
        assert go(real, "seek", time=at(50))["epoch"] == 2


def test_a_session_that_trades(place: Place) -> None:
    run = place.begin(record=True)["run"]
    fill = go(place.http, "run-to", until="fill")
    assert fill["time"] == at(4)  # the signal of 13:33
    go(place.http, "run-to", time=at(10))
    account = place.get("/account")
    kept = place.send(symbol="BAC", side="buy", quantity=10, type="limit", limit_price=1)
    go(place.http, "seek", time=at(20))
    cut = place.send(symbol="BAC", side="buy", quantity=20)
    assert (kept["order"]["id"], cut["order"]["id"]) == ("manual-1", "manual-2")
    back = go(place.http, "seek", time=at(15))
    assert (back["epoch"], back["run"] != run, back["state"]) == (2, True, "PAUSED")
    orders = place.get("/orders")["orders"]
    assert [one["id"] for one in orders] == ["once-s1", "manual-1"]
    assert orders[1] == kept["order"]
    check(place.http.get("/session/orders/manual-2"), 404, "no order")
    again = place.send(symbol="BAC", side="buy", quantity=30)
    assert again["order"]["id"] == "manual-2"
    early = go(place.http, "seek", time=at(10))  # where it took effect: it is kept
    assert early["epoch"] == 3
    found = place.get("/account")
    assert found["open_orders"] == 1
    same = ("time", "seq", "cash", "equity", "fees", "realised", "unrealised", "gross_exposure")
    assert {name: found[name] for name in same} == {name: account[name] for name in same}
    record = RunStore(place.runs).open(run).manifest
    assert record.state == "stopped"
    assert record.cause is not None
    assert "began epoch 2" in record.cause
