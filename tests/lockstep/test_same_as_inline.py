"""A strategy in another process gives the same digests, items and events, as the same inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.trading.config import read_config_file
from tests.core.harness import DAY1, DAY3
from tests.lockstep.played import Host, Player, check_same, hosted, inline
from tests.trading.whole.market import write_market

ROOT = Path(__file__).parents[2]
BUSY = ROOT / "tests" / "trading" / "whole" / "strategies" / "busy.py"
CLASSES = {"brackets": "Brackets", "reverting": "Reverting"}


def busy(*ids: str) -> dict[str, Any]:
    strategies = {
        "brackets": {"id": "brackets", "file": str(BUSY), "name": "Brackets"},
        "reverting": {
            "id": "reverting", "file": str(BUSY), "name": "Reverting", "symbols": ["AAA", "BBB"],
            "budget_pct": 0.5,
        },
    }  # fmt: skip
    return {
        "backtest": {"name": "busy", "start": str(DAY1), "end": str(DAY3), "seed": 7},
        "data": {"symbols": ["*"], "history_days": 1},
        "risk": {
            "sizing": {"method": "fraction_of_equity", "value": 0.05}, "shortable": "all",
            "intraday_buying_power": 2.0,
        },
        "execution": {"commission": {"per_share": 0.005}},
        "strategies": [strategies[name] for name in ids],
    }  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("market"), seed=1)


def played(host: Host, *remote: str, **body: Any) -> dict[str, Any]:
    """The session of run.yaml, these of its strategies in clients."""
    clients = [Player(BUSY, host.url, name, class_name=CLASSES[name]) for name in remote]
    sets = [f"strategies.{name}.lockstep=true" for name in remote]
    host.start(config="run.yaml", set=sets, record=True, **body)
    session = host.wait_for("COMPLETED", "FAILED", "STOPPED")
    assert [client.ended() for client in clients] == [session["state"]] * len(clients)
    return session


@pytest.mark.parametrize(
    "ids", [("brackets", "reverting"), ("reverting", "brackets")], ids=["in order", "reversed"]
)
@pytest.mark.parametrize(
    "remote", [("brackets",), ("reverting",), ("brackets", "reverting")], ids="+".join
)
def test_one_of_two_or_both(
    tmp_path: Path, market: Path, ids: tuple[str, ...], remote: tuple[str, ...]
) -> None:
    """Brackets, trailing stops, OCO, ticks, timers and auctions, beside one that runs inside."""
    (tmp_path / "busy.py").write_bytes(BUSY.read_bytes())
    wish = busy(*ids)
    for strategy in wish["strategies"]:
        strategy["file"] = "busy.py"
    (tmp_path / "run.yaml").write_text(json.dumps(wish))
    base = inline(tmp_path / "run.yaml", market, tmp_path)
    with hosted(market, tmp_path) as host:
        check_same(host, played(host, *remote), base)


@pytest.mark.parametrize(
    ("example", "speed"),
    [("sma_cross", 0), ("mean_reversion", 0), ("opening_range", 500_000), ("pair_trade", 0)],
)
def test_the_shipped_examples(tmp_path: Path, real_data: Path, example: str, speed: float) -> None:
    """Warm-up out of the catalog, history, means of closes, exits at the close."""
    catalog = real_data / "parquet"
    for suffix in (".py", ".yaml"):
        (tmp_path / f"{example}{suffix}").write_bytes(
            (ROOT / "examples" / f"{example}{suffix}").read_bytes()
        )
    config = tmp_path / f"{example}.yaml"
    base = inline(config, catalog, tmp_path)
    name = read_config_file(config).config.strategies[0].id
    with hosted(catalog, tmp_path) as host:
        client = Player(tmp_path / f"{example}.py", host.url, name)
        sets = [f"strategies.{name}.lockstep=true"]
        host.start(config=config.name, set=sets, record=True, speed=speed)
        check_same(host, host.wait_for("COMPLETED", "FAILED"), base)
        assert client.ended() == "COMPLETED"


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_as_commands_with_any_hash_seed(tmp_path: Path, market: Path, seed: str) -> None:
    """``tapedeck lockstep``, two processes; which joins first is chance."""
    (tmp_path / "busy.py").write_bytes(BUSY.read_bytes())
    wish = busy("brackets", "reverting")
    for strategy in wish["strategies"]:
        strategy["file"] = "busy.py"
    (tmp_path / "run.yaml").write_text(json.dumps(wish))
    base = inline(tmp_path / "run.yaml", market, tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    with hosted(market, tmp_path) as host:
        clients = [
            subprocess.Popen(
                [sys.executable, "-m", "app.cli", "lockstep", str(BUSY), "--session", host.url,
                 "--name", name, "--class", class_name],
                env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            )
            for name, class_name in CLASSES.items()
        ]  # fmt: skip
        sets = [f"strategies.{name}.lockstep=true" for name in CLASSES]
        host.start(config="run.yaml", set=sets, record=True)
        check_same(host, host.wait_for("COMPLETED", "FAILED"), base)
        said = [client.communicate(timeout=60)[0] for client in clients]
    assert [client.returncode for client in clients] == [0, 0]
    assert all("the session is COMPLETED" in text for text in said)
