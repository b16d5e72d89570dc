"""A strategy in any language: what a turn holds, what may be wished, and where time may go."""

from __future__ import annotations

import json
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import msgspec
import pytest

from app.errors import ConfigError
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from app.managers.system_manager.verify import Verifier
from app.runs.folder import RunFolder
from app.trading.config import read_config_file
from app.trading.services.strategy import StrategyError
from settings import load_settings
from tests.api.small_catalog import build
from tests.api.talk import Talk, talk
from tests.lockstep.played import Host, Player, check_same, hosted, inline
from tests.lockstep.test_late_clients import CONFIG, answer, play, turn

ORDERS = """
from app.trading.strategy import BarEvent, Context, FillEvent, Strategy


class Buys(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.seen, self.made = 0, 0

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        self.seen += 1
        if self.seen % 20 == 0:
            ctx.target_position(bar.symbol, 0 if ctx.position(bar.symbol) else 10)
        assert len(ctx.bars(bar.symbol, "1m")) == (self.seen + 1) // 2
        assert ctx.last(bar.symbol) == bar.close or bar.symbol == "AIG"

    def on_fill(self, ctx: Context, fill: FillEvent) -> None:
        self.made += 1
        if self.made % 3 == 0:
            ctx.signal("AIG", 1, 0.1, tag=f"after {self.made}")
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[BacktestResult, Path]:
    folder = tmp_path_factory.mktemp("base")
    (folder / "buys.py").write_text(ORDERS)
    catalog = build(folder / "catalog")
    (folder / "run.yaml").write_text(json.dumps(with_file()))
    return inline(folder / "run.yaml", catalog, folder), folder


def with_file() -> dict[str, Any]:
    data = {"symbols": ["AIG", "BAC"], "history_days": 0}
    strategy = {"id": "alpha", "file": "buys.py", "symbols": ["AIG", "BAC"]}
    return {**CONFIG, "data": data, "strategies": [strategy]}


@pytest.fixture
def host(base: tuple[BacktestResult, Path]) -> Any:
    with hosted(base[1] / "catalog", base[1]) as one:
        yield one


LOCKSTEP = "strategies.alpha.lockstep=true"


def sit(one: Talk, host: Host, **more: Any) -> None:
    one.send({
        "action": "subscribe", "delivery": "lockstep", "name": "alpha", "calls": [],
        "channels": ["bars_1m", "status"], **more,
    })  # fmt: skip
    host.start(config="run.yaml", set=[LOCKSTEP])


# -- where time may go -------------------------------------------------------------------------


def test_pauses_steps_and_speeds_change_nothing(
    host: Host, base: tuple[BacktestResult, Path]
) -> None:
    client = Player(base[1] / "buys.py", host.url, "alpha")
    host.start(config="run.yaml", set=[LOCKSTEP], record=True, start_paused=True)
    host.wait_for("PAUSED")
    for unit, count in (("slice", 3), ("bar", 5), ("bar", 1)):
        step = host.http.post("/session/step", json={"unit": unit, "count": count})
        assert (step.status_code, step.json()["state"]) == (200, "PAUSED"), step.text
    host.http.patch("/session", json={"speed": 500_000})
    host.post("resume")
    host.post("pause")
    host.http.patch("/session", json={"speed": 0})
    host.post("resume")
    check_same(host, host.wait_for("COMPLETED", "FAILED"), base[0])
    assert client.ended() == "COMPLETED"


def test_a_broken_connection_changes_nothing(host: Host, base: tuple[BacktestResult, Path]) -> None:
    """The client comes back by itself; an answer that was lost is sent again."""
    client = Player(base[1] / "buys.py", host.url, "alpha")
    host.start(config="run.yaml", set=[LOCKSTEP], record=True, start_paused=True)
    host.wait_for("PAUSED")
    for _ in range(3):
        assert host.http.post("/session/step", json={"unit": "bar", "count": 9}).is_success
        line: Any = client.run._socket
        line._socket.shutdown(SHUT_RDWR)
    host.post("resume")
    check_same(host, host.wait_for("COMPLETED", "FAILED"), base[0])
    assert client.ended() == "COMPLETED"


def test_a_seek_back_begins_anew_with_the_same_client(
    host: Host, base: tuple[BacktestResult, Path]
) -> None:
    """The session is executed again from its start, and the strategy with it."""
    client = Player(base[1] / "buys.py", host.url, "alpha")
    host.start(config="run.yaml", set=[LOCKSTEP], record=True, start_paused=True)
    host.wait_for("PAUSED")
    for at, epoch in (("2013-10-07T15:00:00Z", 1), ("2013-10-07T14:00:00Z", 2)):
        there = host.http.post("/session/seek", json={"time": at})
        assert (there.status_code, there.json()["time"]) == (200, at), there.text
        assert there.json()["epoch"] == epoch
    host.post("resume")
    check_same(host, host.wait_for("COMPLETED", "FAILED"), base[0])
    assert client.ended() == "COMPLETED"
    begun = [frame for frame in client.frames if frame["type"] == "begin"]
    assert [frame["epoch"] for frame in begun] == [1, 2]


def test_a_run_is_verified_with_the_file_that_it_names(
    host: Host, base: tuple[BacktestResult, Path]
) -> None:
    """The record has the client's file, which is then executed inside."""
    client = Player(base[1] / "buys.py", host.url, "alpha")
    host.start(config="run.yaml", set=[LOCKSTEP], record=True)
    session = host.wait_for("COMPLETED", "FAILED")
    assert client.ended() == "COMPLETED"
    run = RunFolder(base[1] / "runs" / session["run"])
    found = Verifier(run, load_settings(None, data_catalog_uri=str(base[1] / "catalog"))).run()
    assert found.equal, msgspec.json.format(msgspec.json.encode(found)).decode()


# -- what a turn holds, and what may be wished -------------------------------------------------


def test_orders_in_json(host: Host) -> None:
    """Columns as of the stream; ids, updates and fills as news."""
    with talk(host.url) as one:
        sit(one, host, calls=["on_fill"])
        frame = turn(one)
        assert frame["call"] == "on_slice"
        bars = frame["bars_1m"]
        assert (bars["symbol"], bars["close"]) == (["AIG", "BAC"], [10.0, 20.0])
        assert frame["times"] == [frame["time"]]
        answer(one, frame, wishes=[["order", {"symbol": "BAC", "side": "buy", "quantity": 5}]])
        filled = turn(one)
        assert (filled["call"], filled["time"]) == ("on_fill", "2013-10-07T13:32:00Z")
        assert filled["event"]["order_id"] == "alpha-1"
        news = [(one["what"], one.get("state")) for one in filled["news"]]
        assert news[:2] == [("order", "new"), ("order", "accepted")]
        assert news[-1] == ("fill", None)
        answer(one, filled, wishes=[["target_position", {"symbol": "BAC", "quantity": 0}]])
        assert play(one)["state"] == "COMPLETED"
    fills = host.http.get("/session/fills").json()["fills"]
    assert [(f["strategy"], f["side"], f["quantity"]) for f in fills] == [
        ("alpha", "buy", 5), ("alpha", "sell", 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["order", {"symbol": "NOPE", "side": "buy", "quantity": 1}], "no symbol of this strategy"),
        (["order", {"symbol": "BAC", "side": "up", "quantity": 1}], "side is 'up'"),
        (["order", {"symbol": "BAC", "side": "buy", "quantity": -1}], "a number above 0"),
        (["order", {"symbol": "BAC", "side": "buy"}], "quantity"),
        (["order", {"size": 1}], "size"),
        (["cancel", {"order_id": "alpha-77"}], "no order 'alpha-77'"),
        (["oco", {"orders": 7}], "wish 0, oco"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_the_turn_stays(
    host: Host, wish: list[Any], said: str
) -> None:
    with talk(host.url) as one:
        sit(one, host)
        frame = turn(one)
        answer(one, frame, wishes=[wish])
        refusal = one.until("error")[-1]
        assert (refusal["code"], refusal["turn"]) == ("refused", frame["turn"])
        assert said in refusal["detail"]
        answer(one, frame)
        assert play(one)["state"] == "COMPLETED"
    assert host.http.get("/session/orders").json()["orders"] == []


@pytest.mark.parametrize(
    "message",
    [
        {"action": "ack"},
        {"action": "ack", "turn": "1"},
        {"action": "ack", "turn": 1, "wishes": [["__init__", {}]]},
        {"action": "ack", "turn": 1, "wishes": [["order"]]},
        {"action": "ack", "turn": 1, "until": "yesterday"},
        {"action": "read", "id": 1, "what": "everything", "symbol": 0},
        {"action": "subscribe", "delivery": "lockstep", "channels": ["bars_1m"]},
        {"action": "subscribe", "name": "alpha", "channels": ["bars_1m"]},
        {"action": "subscribe", "delivery": "lockstep", "name": "../x", "channels": ["bars_1m"]},
    ],
)
def test_what_is_no_message_closes_the_connection(host: Host, message: dict[str, Any]) -> None:
    with talk(host.url) as one:
        one.send(message)
        assert one.until("error")[-1]["code"] == "malformed"


def test_it_needs_only_bars_of_five_minutes(host: Host) -> None:
    """One round trip for all the slices between two of them."""
    with talk(host.url) as one:
        one.send({"action": "subscribe", "delivery": "lockstep", "name": "alpha",
                  "channels": ["bars_5m"], "calls": []})  # fmt: skip
        host.start(config="run.yaml", set=[LOCKSTEP])
        times = []
        while (frame := one.receive())["type"] != "end":
            if frame["type"] == "turn":
                times.append(frame["time"])
                answer(one, frame)
    assert (len(times), times[:2]) == (78, ["2013-10-07T13:35:00Z", "2013-10-07T13:40:00Z"])


def test_until_a_time_it_is_not_asked(host: Host) -> None:
    """Slices are kept, and come with the first turn that is due."""
    with talk(host.url) as one:
        sit(one, host)
        answer(one, turn(one), until="2013-10-07T14:00:00Z")
        frame = turn(one)
        assert (frame["time"], len(frame["times"])) == ("2013-10-07T14:00:00Z", 29)
        assert len(frame["bars_1m"]["slice"]) == 58
        assert play_on(one, frame)["state"] == "COMPLETED"


def play_on(one: Talk, frame: dict[str, Any]) -> dict[str, Any]:
    answer(one, frame)
    return play(one)


def test_a_configuration_in_lockstep_is_for_servers(host: Host) -> None:
    path = host.write(CONFIG, "alone.yaml")
    settings = load_settings(None, data_catalog_uri=str(host.folder / "catalog"))
    host.server.manager.close()
    engine = BacktestEngine.from_config(path, runs=host.folder / "inline", settings=settings)
    with pytest.raises(StrategyError, match="only a server's session has a place"):
        engine.run()


def test_a_strategy_without_a_file_plays_in_lockstep(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({**CONFIG, "strategies": [{"id": "alpha"}]}))
    with pytest.raises(ConfigError, match=r"needed: a \.py file, or lockstep: true"):
        read_config_file(path)
    services = {"strategy": "threaded"}
    path.write_text(json.dumps({**CONFIG, "services": services}))
    with pytest.raises(ConfigError, match="needed: inline, where a strategy plays in lockstep"):
        read_config_file(path)
