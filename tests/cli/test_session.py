"""``tapedeck session`` on a real server: moved in time, traded, looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.conftest import Run
from tests.client.small_catalog import DAYS
from tests.conftest import StartServer

CONFIG = f"""
backtest: {{name: once, start: {DAYS[0]}, end: {DAYS[1]}}}
data: {{symbols: [AIG, BRK/B], streams: [bars_1m]}}
portfolio: {{initial_cash: 100000}}
strategies:
  - {{id: once, file: once.py}}
"""
STRATEGY = """
from app.trading.strategy import BarEvent, Context, Strategy


class Once(Strategy):
    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        if not ctx.position(bar.symbol) and not ctx.open_orders(bar.symbol):
            ctx.signal(bar.symbol, 1)
"""


@dataclass
class Call:
    """``tapedeck session ...`` on a server."""

    run: Run
    url: str

    def __call__(self, *words: object) -> Result:
        return self.run("session", *words, "--url", self.url)


@pytest.fixture
def call(run: Run, server: StartServer, small_catalog: Path, tmp_path: Path) -> Call:
    """On a server that may run a configuration."""
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "once.yaml").write_text(CONFIG)
    (configs / "once.py").write_text(STRATEGY)
    url = server(small_catalog, tapedeck_configs_dir=configs)
    return Call(run, url)


def answer(call: Call, *words: object, code: int = 0) -> Any:
    done = call(*words, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_a_session_is_driven_from_the_shell(call: Call) -> None:
    began = answer(call, "start", "AIG", "BRK/B", "--start", DAYS[0], "--end", DAYS[1],
                   "--streams", "bars_1m", "--speed", 60, "--paused")  # fmt: skip
    assert began["state"] == "PAUSED"
    assert answer(call, "step", "bar", "--count", 3)["time"] == "2013-10-07T13:32:00Z"
    assert answer(call, "seek", "2013-10-07T14:00:00Z")["time"] == "2013-10-07T14:00:00Z"
    assert answer(call, "seek", "2013-10-07T13:40:00Z")["epoch"] == 2
    assert answer(call, "run-to", "2013-10-07T13:50:00Z")["time"] == "2013-10-07T13:50:00Z"
    # AIG closes 0.01 higher each minute, from 50.00.
    above = answer(call, "run-to", "--symbol", "AIG", "--above", 50.295)
    assert above["time"] == "2013-10-07T14:01:00Z"
    assert answer(call, "run-to", "--until", "close")["time"] == "2013-10-07T20:00:00Z"
    assert answer(call, "speed", 0)["speed"] == 0
    days = call("days").stdout
    assert all(word in days for word in (DAYS[0], "AIG", "BRK/B", "100"))
    assert "bars_5m" in call("streams").stdout
    assert {s["symbol"] for s in answer(call, "streams")["streams"]} == {"AIG", "BRK/B"}
    assert answer(call, "resume")["state"] in ("RUNNING", "COMPLETED")
    assert answer(call, "stop")["state"] in ("STOPPED", "COMPLETED")
    shown = call("show").stdout
    assert all(word in shown for word in ("days total", "digest", "td1:"))


def test_a_session_that_trades(call: Call, run: Run) -> None:
    began = answer(call, "start", "--config", "once.yaml", "--set", "backtest.name=mine",
                   "--speed", 0, "--paused")  # fmt: skip
    assert began["run"].startswith("mine-")
    answer(call, "step", "bar", "--count", 5)
    assert answer(call, "account")["equity"] == pytest.approx(100_000, rel=0.01)
    assert {p["symbol"] for p in answer(call, "positions")["positions"]} == {"AIG", "BRK/B"}
    assert len(answer(call, "signals", "--limit", 1)["signals"]) == 1
    assert [f["symbol"] for f in answer(call, "fills", "--symbol", "AIG")["fills"]] == ["AIG"]
    sent = answer(call, "order", "AIG", "buy", 10, "--limit", 40, "--take-profit", 60)
    assert (sent["order"]["type"], sent["order"]["state"]) == ("limit", "working")
    order = sent["order"]["id"]
    assert answer(call, "orders", "--state", "open")["orders"][0]["id"] == order
    answer(call, "step", "bar", "--count", 2)
    assert answer(call, "why", order)["slices"][-1]["code"] == "limit_not_reached"
    shown = call("orders", order).stdout
    assert all(word in shown for word in ("History", "working", "Its exits", "60"))
    assert answer(call, "cancel", order)["order"]["state"] == "cancelled"
    shown = run("watch", call.url, "--once").stdout
    assert all(word in shown for word in ("equity 100,", "P&L +", "open orders", "change %"))
    assert json.loads(run("watch", call.url, "--json").stdout)["account"]["currency"] == "USD"
    refused = answer(call, "order", "AIG", "buy", 0.5, code=1)  # risk says no
    assert (refused["order"]["state"], refused["order"]["code"]) == ("rejected", "lot")
    for words in (
        ("account",), ("positions", "--which", "all"), ("orders",), ("fills",), ("signals",),
        ("why", order),
    ):  # fmt: skip
        done = call(*words)
        assert done.exit_code == 0, done.output
        assert done.stdout.count("\n") > 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("show", 0, ""),
        ("pause", 1, "409"),
        ("account", 1, "409"),
        ("step week", 2, "slice, bar, day"),
        ("step bar --count 0", 2, ""),
        ("run-to", 2, "say one of"),
        ("run-to --until noon", 2, "fill, gap, close"),
        ("run-to --until close --symbol AIG", 2, "say one of"),
        ("run-to --symbol AIG", 2, "--above or --below"),
        ("start AIG", 2, "--start and --end"),
        ("start AIG --config once.yaml", 2, "change them with --set"),
        (f"start AIGG --start {DAYS[0]} --end {DAYS[1]}", 1, "nearest: AIG"),
        ("start AIG --start noon --end later", 2, "422"),
        ("positions --which some", 2, "open, closed, all"),
        ("order AIG hold 10", 2, "buy, sell"),
        ("order AIG buy -- -1", 2, "422"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    run: Run, small_url: str, words: str, code: int, said: str
) -> None:
    done = run("session", *_before_dashes(words.split(), "--url", small_url))
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert "Traceback" not in done.output


def _before_dashes(words: list[str], *more: str) -> list[str]:
    at = words.index("--") if "--" in words else len(words)
    return [*words[:at], *more, *words[at:]]


@pytest.fixture(scope="module")
def small_url(small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One server for all that is refused, without a session."""
    from tests.cli.served import served

    with served(small_catalog, tmp_path_factory.mktemp("served")) as url:
        yield url


def test_nobody_there_is_one_line(run: Run) -> None:
    done = run("session", "show", "--url", "http://127.0.0.1:1")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "no Tapedeck server can be reached" in done.stderr
