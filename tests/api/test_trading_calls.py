"""A session that trades, over HTTP: its account, its orders, and orders from outside."""

from __future__ import annotations

from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from app.runs.store import RunStore
from tests.api.conftest import wait_for
from tests.api.talk import START
from tests.api.trading_place import CASH, CONFIG, SHARES, TO_OPEN, Place

# -- how it is started ---------------------------------------------------------------------------


def test_a_configuration_starts_a_session_that_is_recorded(place: Place) -> None:
    session = place.begin(record=True)
    assert session["state"] == "PAUSED"
    assert session["run"].startswith("live-")
    assert place.get("")["run"] == place.get("/account")["run"] == session["run"]
    place.http.post("/session/resume").raise_for_status()
    ended = wait_for(place.http, "COMPLETED")
    record = RunStore(place.runs).open(session["run"]).manifest
    assert (record.state, record.digest) == ("completed", ended["digest"])
    assert record.digest == place.headless.digest
    assert record.events_digest == place.headless.events_digest  # nobody can tell that it is read


def test_it_may_leave_no_record(place: Place) -> None:
    session = place.begin(record=False, speed=0, set=["portfolio.initial_cash=5000"])
    assert session["run"] is None
    account = place.get("/account")
    assert (account["run"], account["cash"], account["initial_cash"]) == (None, 5000, 5000)


def test_what_goes_with_a_configuration_is_said(place: Place) -> None:
    body = {"config": "live.yaml", "symbols": ["BAC"], "hours": "all", "speed": 1}
    answer = place.http.post("/session", json=body)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == ["body.hours", "body.symbols"]
    answer = place.http.post("/session", json={"symbols": ["BAC"], "set": ["a=1"]})
    fields = [e["field"] for e in answer.json()["errors"]]
    assert (answer.status_code, fields) == (422, ["body.start", "body.end", "body.set"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("absent.yaml", None, "absent.yaml: no such file"),
        ("liv.yaml", None, "nearest: live.yaml"),
        ("../outside.yaml", None, "outside of the folder of configurations"),
        ("bad.yaml", CONFIG + "risk:\n  shortable: sometimes\n", "bad.yaml:10: risk.shortable"),
        ("bad.yaml", CONFIG.replace("once.py", "../once.py"), "outside of the folder"),
        ("bad.yaml", CONFIG.replace("id: once", "id: manual"), "id of orders from outside"),
        ("bad.yaml", CONFIG.replace("[BAC,", "[BACC,"), "nearest: BAC"),
    ],
)
def test_a_configuration_that_cannot_be(
    place: Place, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (place.configs / "bad.yaml").write_text(text, "utf-8")
    place.http.post("/session/stop").raise_for_status()
    answer = place.http.post("/session", json={"config": name})
    assert answer.status_code == (404 if "BACC" in (text or "") else 422)
    assert said in answer.json()["detail"]
    assert str(place.configs) not in answer.text


def test_a_start_that_is_refused_leaves_no_run(place: Place) -> None:
    place.http.post("/session/stop").raise_for_status()
    before = sorted(place.runs.glob("*/manifest.json"))
    body = {"config": "live.yaml", "set": ["strategies.once.params.nothing=1"]}
    answer = place.http.post("/session", json=body)
    assert answer.status_code == 422
    assert "nothing" in answer.json()["detail"]
    assert sorted(place.runs.glob("*/manifest.json")) == before
    assert len(place.http.get("/runs").json()["runs"]) == len(before)


# -- what is read --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traded(place: Place) -> Place:
    """Ten minutes of the first day are over: the signal of 13:33 filled at the next open."""
    place.begin()
    place.step(TO_OPEN + 10)
    return place


def test_a_signal_and_its_fill(traded: Place) -> None:
    signals = traded.get("/signals")["signals"]
    assert [(s["id"], s["direction"], s["time"], s["outcome"]) for s in signals] == [
        ("once-s1", 1, "2013-10-07T13:33:00Z", "once-s1"),
        ("once-s2", -1, "2013-10-07T13:35:00Z", "not_shortable"),
    ]
    (fill,) = traded.get("/fills")["fills"]
    assert fill["order"] == "once-s1"
    assert (fill["quantity"], fill["price"], fill["commission"]) == (SHARES, 20.03, 4.99)
    assert (fill["time"], fill["price_time"]) == ("2013-10-07T13:34:00Z", "2013-10-07T13:33:00Z")
    (order,) = traded.get("/orders")["orders"]
    assert (order["state"], order["average_price"], order["tag"]) == ("filled", 20.03, "first")
    assert [step["state"] for step in order["history"]] == ["new", "accepted", "working", "filled"]


def test_account_and_positions_are_at_the_prices_of_now(traded: Place) -> None:
    """Nothing happened since 13:34; the close of 13:39 is 20.09."""
    account = traded.get("/account")
    assert account["time"] == "2013-10-07T13:40:00Z"
    assert (account["cash"], account["fees"], account["open_orders"]) == (CASH, 4.99, 0)
    assert account["equity"] == pytest.approx(CASH + SHARES * 20.09, abs=1e-6)
    assert account["unrealised"] == pytest.approx(SHARES * 0.06, abs=1e-6)
    assert account["net_exposure"] == account["gross_exposure"] == pytest.approx(SHARES * 20.09)
    (position,) = traded.get("/positions")["positions"]
    assert (position["quantity"], position["average_price"], position["mark"]) == (
        SHARES, 20.03, pytest.approx(20.09),
    )  # fmt: skip
    assert traded.get("/positions", which="closed")["positions"] == []


def test_filters_and_limits(traded: Place) -> None:
    assert traded.get("/orders", state="open")["orders"] == []
    assert len(traded.get("/orders", state="filled", strategy="once", symbol="BAC")["orders"]) == 1
    assert traded.get("/orders", symbol="BRK/B")["orders"] == []
    assert [s["id"] for s in traded.get("/signals", limit=1)["signals"]] == ["once-s2"]
    assert traded.get("/fills", order="once-9")["fills"] == []
    assert traded.get("/positions", strategy="other")["positions"] == []
    answer = traded.http.get("/session/orders", params={"state": "finished", "limit": 0})
    fields = [e["field"] for e in answer.json()["errors"]]
    assert (answer.status_code, fields) == (422, ["query.state", "query.limit"])


def test_a_long_poll_answers_with_a_later_view(traded: Place) -> None:
    seq = traded.get("/account")["seq"]
    assert traded.get("/account", after=seq, wait_s=0.01)["seq"] == seq  # nothing comes
    assert traded.get("/account", after=seq - 1, wait_s=20)["seq"] == seq


# -- orders from outside -------------------------------------------------------------------------


def test_a_limit_order_rests_is_explained_and_cancelled(place: Place) -> None:
    place.begin()
    place.step(TO_OPEN + 10)
    sent = place.send(
        symbol="BAC", side="buy", quantity=10, type="limit", limit_price=19.6, tag="x"
    )
    order = sent["order"]
    assert (order["id"], order["strategy"], order["state"]) == ("manual-1", "manual", "working")
    assert (order["created"], sent["time"], order["tag"]) == (
        "2013-10-07T13:40:00Z", "2013-10-07T13:40:00Z", "x",
    )  # fmt: skip
    assert sent["command"]["time"] == sent["time"]
    place.step(2)
    why = place.get("/orders/manual-1/why")  # lows: 19.60, 19.61
    assert [(s["code"], s["time"], s["prices"]["low"]) for s in why["slices"]] == [
        ("limit_only_touched", "2013-10-07T13:41:00Z", pytest.approx(19.6)),
        ("limit_not_reached", "2013-10-07T13:42:00Z", pytest.approx(19.61)),
    ]
    assert place.get("/orders", state="open")["orders"] == [place.get("/orders/manual-1")["order"]]
    answer = place.http.delete("/session/orders/manual-1")
    assert answer.status_code == 200
    assert (answer.json()["order"]["state"], answer.json()["time"]) == (
        "cancelled", "2013-10-07T13:42:00Z",
    )  # fmt: skip
    answer = place.http.delete("/session/orders/manual-1")
    assert (answer.status_code, answer.json()["state"]) == (409, "PAUSED")
    assert "manual-1 is cancelled" in answer.json()["detail"]


def test_a_bracket(place: Place) -> None:
    """Entry at 30.10, the next open; the profit at 30.65 within the bar of 13:46: high 30.66."""
    place.begin()
    place.step(TO_OPEN + 10)
    sent = place.send(symbol="BRK/B", side="buy", quantity=100, take_profit=30.65, stop_loss=29.2)
    assert [o["role"] for o in (sent["order"], *sent["exits"])] == [
        "entry", "take_profit", "stop_loss",
    ]  # fmt: skip
    assert [o["parent"] for o in sent["exits"]] == ["manual-1", "manual-1"]
    place.step(10)
    entry, profit, loss = place.get("/orders", strategy="manual")["orders"]
    assert (entry["average_price"], profit["average_price"]) == (30.1, 30.65)
    assert (profit["state"], loss["state"]) == ("filled", "cancelled")
    fill = place.get("/fills", order=profit["id"])["fills"][0]
    assert fill["price_time"] == "2013-10-07T13:47:00Z"  # somewhere within the minute
    (closed,) = place.get("/positions", which="closed")["positions"]
    assert (closed["symbol"], closed["quantity"]) == ("BRK/B", 0)
    assert closed["realised"] == pytest.approx(55.0)  # 100 x (30.65 - 30.10), before costs


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"type": "limit", "limit_price": 19.605}, "tick"),
        ({"quantity": 1.5}, "lot"),
        ({"quantity": 100_000}, "buying_power"),
        ({"side": "sell"}, "not_shortable"),
    ],
)
def test_a_refusal_is_an_answer(traded: Place, order: Any, code: str) -> None:
    sent = traded.send(**{"symbol": "BRK/B", "side": "buy", "quantity": 10, **order})
    found = sent["order"]
    assert (found["state"], found["code"]) == ("rejected", code)
    assert found["reason"]
    assert traded.get(f"/orders/{found['id']}/why")["slices"] == []


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        ({"type": "limit"}, ["limit_price"]),
        ({"limit_price": 19}, ["limit_price"]),
        ({"type": "stop_limit", "trail": 1}, ["trail", "limit_price", "stop_price"]),
        ({"type": "trailing_stop"}, ["trail"]),
        ({"type": "trailing_stop", "trail": 1, "trail_bps": 5}, ["trail"]),
        ({"type": "trailing_stop", "trail_bps": 10_000}, ["trail_bps"]),
        ({"post_only": True, "exit_tif": "gtc"}, ["post_only", "exit_tif"]),
        ({"quantity": 0, "side": "hold"}, ["side", "quantity"]),
        ({"client_id": 1}, ["client_id"]),
    ],
)
def test_what_is_malformed_names_its_fields(traded: Place, order: Any, fields: list[str]) -> None:
    problem = traded.send(422, **{"symbol": "BAC", "side": "buy", "quantity": 1, **order})
    assert [e["field"] for e in problem["errors"]] == [f"body.{name}" for name in fields]


def test_levels_that_cannot_be_and_symbols_that_are_not(traded: Place) -> None:
    market: dict[str, Any] = {"symbol": "BAC", "side": "buy", "quantity": 1}
    said = traded.send(422, **market, take_profit=19, stop_loss=20)["detail"]
    assert "stop_loss at 20" in said
    (error,) = traded.send(422, **market, limit_price=19)["errors"]
    assert error["allowed"] == "not given, or with type limit or stop_limit"
    said = traded.send(404, **market | {"symbol": "BAK"})["detail"]
    assert "nearest: BAC" in said
    for path in ("/orders/once-s9", "/orders/once-s9/why"):
        answer = traded.http.get("/session" + path)
        assert (answer.status_code, "nearest: once-s1" in answer.text) == (404, True)


def test_one_key_is_one_order(place: Place) -> None:
    place.begin()
    place.step(TO_OPEN + 1)
    order: dict[str, Any] = {"symbol": "BAC", "side": "buy", "quantity": 10}
    first = place.send(key="a", **order)
    assert place.send(key="a", **order) == first
    assert place.send(key="b", **order)["order"]["id"] == "manual-2"
    assert (
        "came before with another request"
        in place.send(422, "a", **order | {"quantity": 9})["detail"]
    )
    assert len(place.get("/orders")["orders"]) == 2


def test_a_manual_order_is_in_the_record_and_none_is_taken_after_the_end(place: Place) -> None:
    run = place.begin()["run"]
    place.step(TO_OPEN + 10)
    place.send(symbol="BAC", side="sell", quantity=10, tif="gtc", type="stop", stop_price=5)
    place.send(symbol="BRK/B", side="buy", quantity=10)
    place.http.post("/session/resume").raise_for_status()
    wait_for(place.http, "COMPLETED")
    assert [f["strategy"] for f in place.get("/fills")["fills"]] == ["once", "manual"]
    fills = pq.read_table(place.runs / run / "fills.parquet").to_pylist()
    assert [(f["order_id"], f["quantity"]) for f in fills] == [
        ("once-s1", SHARES), ("manual-2", 10.0),
    ]  # fmt: skip
    problem = place.send(409, symbol="BAC", side="buy", quantity=1)
    assert "COMPLETED: it takes no orders" in problem["detail"]
    assert place.http.delete("/session/orders/manual-2").status_code == 409
    curve = pq.read_table(place.runs / run / "equity.parquet")
    assert place.get("/account")["equity"] == pytest.approx(curve["equity"][-1].as_py(), abs=1e-6)


# -- sessions without an engine ------------------------------------------------------------------


@pytest.mark.parametrize("path", ["account", "positions", "orders", "fills", "signals", "orders/x"])
def test_without_an_engine_nothing_is_there(place: Place, path: str) -> None:
    place.http.post("/session/stop").raise_for_status()
    place.http.post("/session", json=START | {"start_paused": True}).raise_for_status()
    answer = place.http.get(f"/session/{path}")
    assert (answer.status_code, answer.json()["state"]) == (409, "PAUSED")
    assert "no engine" in answer.json()["detail"]
    if path == "orders":
        place.send(409, symbol="BAC", side="buy", quantity=1)
        assert place.http.delete("/session/orders/x").status_code == 409
        assert place.http.get("/session/orders/x/why").status_code == 409


def test_the_catalog_is_not_the_callers_to_name(place: Place) -> None:
    body = {"config": "live.yaml", "set": ["data.catalog=/somewhere"]}
    place.http.post("/session/stop").raise_for_status()
    assert place.http.post("/session", json=body).status_code == 422


def test_without_a_folder_no_configuration_is_run(real: httpx.Client) -> None:
    answer = real.post("/session", json={"config": "live.yaml"})
    assert answer.status_code == 404
    assert "TAPEDECK_CONFIGS_DIR" in answer.json()["detail"]
    assert real.get("/session/account").status_code == 409
