"""Same input, same bytes: whatever thread a service runs on, whatever timing or hash seed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from app.managers.system_manager.market import CatalogMarket
from app.times import MINUTE_NS
from app.trading.bus import EventBus, Kind, Port
from tests.core.harness import DAY1, DAY2, DAY3, open_ns
from tests.trading.whole.market import write_market

STRATEGIES = Path(__file__).parent / "strategies" / "busy.py"
LONGEST_S = 0.0005  # ten times what an event takes from one thread to the next
SERVICES = ("execution", "portfolio", "strategy", "risk", "audit")
KINDS: dict[str, dict[str, str]] = {
    "inline": dict.fromkeys(SERVICES, "inline"),
    "threaded": dict.fromkeys(SERVICES, "threaded"),
    "async": dict.fromkeys(SERVICES, "async"),
    "mixed": dict(zip(SERVICES, ("threaded", "inline", "async", "threaded", "async"), strict=True)),
}


def config(kind: str, **sections: Any) -> dict[str, Any]:
    return {
        "backtest": {"name": "busy", "start": str(DAY1), "end": str(DAY3), "seed": 7},
        "data": {"symbols": ["*"], "history_days": 0},
        "risk": {
            "sizing": {"method": "fraction_of_equity", "value": 0.05}, "shortable": "all",
            "intraday_buying_power": 2.0, "drawdown": {"limit_pct": 0.2, "action": "cancel"},
            "daily_loss": {"limit_pct": 0.002, "action": "flatten"},
        },
        "execution": {
            "commission": {"per_share": 0.005, "minimum": 1.0},
            "slippage": {"model": "fixed_bps", "bps": 1.0},
        },
        "strategies": [
            {"id": "brackets", "file": str(STRATEGIES), "name": "Brackets"},
            {"id": "reverting", "file": str(STRATEGIES), "name": "Reverting",
             "symbols": ["AAA", "BBB"], "budget_pct": 0.5},
        ],
        "services": KINDS[kind],
        **sections,
    }  # fmt: skip


def run(
    folder: Path, catalog: Path, wish: Mapping[str, Any], runs: Path | None = None
) -> BacktestResult:
    """``runs``: one for many runs, as its index takes a while to make."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.yaml"
    path.write_text(json.dumps(wish), "utf-8")
    engine = BacktestEngine.from_config(
        path, catalog=str(catalog), runs=runs or folder / "runs", report=True
    )
    result = engine.run()
    assert result.outcome == "completed", result.cause
    return result


def artifacts(result: BacktestResult) -> dict[str, str]:
    """A hash of each file, without wall times; the manifest is all wall time and ids."""
    assert result.folder is not None
    found = {}
    for path in sorted(result.folder.rglob("*")):
        if not path.is_file() or path.name in ("manifest.json", "config.yaml"):
            continue  # the configuration names the kinds that this test varies
        content = path.read_bytes()
        if path.name == "events.parquet":
            table = pq.read_table(path).drop_columns(["ts_created_ns"])
            content = repr(table.to_pylist()).encode()
        found[path.name] = sha256(content).hexdigest()
    return found


class Sleepy:
    """Makes handlers of all kinds take their time, at random."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def wrap(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        def slow(event: Any) -> None:
            if self._dice.random() < 0.02:
                time.sleep(self._dice.random() * LONGEST_S)
            handler(event)

        return slow


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("market"), seed=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> BacktestResult:
    return run(tmp_path_factory.mktemp("inline"), catalog, config("inline"))


@pytest.fixture(scope="module")
def inline_artifacts(inline: BacktestResult) -> dict[str, str]:
    return artifacts(inline)


def test_the_market_makes_them_busy(inline: BacktestResult) -> None:
    """A test of sameness says nothing where nothing happens."""
    assert inline.folder is not None
    fills = pq.read_table(inline.folder / "fills.parquet").to_pylist()
    assert len({f["order_type"] for f in fills}) >= 4, {f["order_type"] for f in fills}
    assert {f["strategy_id"] for f in fills} == {"brackets", "reverting"}
    assert {f["symbol"] for f in fills} == {"AAA", "BBB", "CCC"}
    assert len(fills) > 50
    assert any('"risk_halt"' in payload for _, payload in events(inline))


@pytest.mark.parametrize("kind", ["threaded", "async", "mixed"])
@pytest.mark.parametrize("seed", range(20))
def test_kinds_of_subscriber_and_hostile_timing_change_no_byte(
    tmp_path: Path, catalog: Path, inline: BacktestResult, inline_artifacts: dict[str, str],
    kind: str, seed: int, runs: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sleepy, subscribe = Sleepy(seed), EventBus.subscribe

    def slowed(self: EventBus, name: str, rank: int, handlers: Any, **terms: Any) -> Port:
        if terms.get("kind") is not Kind.INLINE:
            handlers = {topic: sleepy.wrap(handler) for topic, handler in handlers.items()}
        return subscribe(self, name, rank, handlers, **terms)

    monkeypatch.setattr(EventBus, "subscribe", slowed)
    result = run(tmp_path, catalog, config(kind), runs)
    assert result.events_digest == inline.events_digest
    assert result.digest == inline.digest
    assert artifacts(result) == inline_artifacts


def test_hash_seeds_change_no_byte(tmp_path: Path, catalog: Path, inline: BacktestResult) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(config("inline")), "utf-8")

    def told(seed: int) -> Any:
        command = [
            sys.executable, "-m", "app.cli", "backtest", str(path), "--catalog", str(catalog),
            "--runs", str(tmp_path / str(seed)), "--json",
        ]  # fmt: skip
        done = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:
        for one in pool.map(told, range(5)):
            assert one["events_digest"] == inline.events_digest
            assert one["digest"] == inline.digest


@pytest.mark.parametrize("minute", [20, 45])
def test_no_event_up_to_t_changes_with_the_future(
    tmp_path: Path, catalog: Path, inline: BacktestResult, minute: int
) -> None:
    """Every item after T is another; brackets, trailing stops and two strategies are at work."""
    time_ns = open_ns(DAY2) + minute * MINUTE_NS
    other = run(
        tmp_path, write_market(tmp_path / "changed", 1, changed_after_ns=time_ns), config("inline")
    )
    before, after = events(inline), events(other)
    known = [row for row in before if row[0] <= time_ns]
    assert known == [row for row in after if row[0] <= time_ns]
    assert len(known) > 100
    assert before[len(known) :] != after[len(known) :], "the future was not changed"
    assert any("trailing_stop" in payload for _, payload in known)
    assert any('"role":"take_profit"' in payload for _, payload in known)


@pytest.mark.parametrize("ahead_ns", [0, 10 * MINUTE_NS])
def test_look_ahead(tmp_path: Path, ahead_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naive: columns are filled ahead of the clock, and whoever asks gets what is there. With a
    reader that is let see ten minutes more, events before T change with the future."""
    view = CatalogMarket._view
    monkeypatch.setattr(CatalogMarket, "_view", lambda self, now_ns: view(self, now_ns + ahead_ns))
    reading = [{"id": "reading", "file": str(STRATEGIES), "name": "Reading"}]
    time_ns = open_ns(DAY2) + 30 * MINUTE_NS
    known = []
    for name, changed_after_ns in (("as it was", None), ("changed", time_ns)):
        root = write_market(tmp_path / name, 2, changed_after_ns)
        result = run(tmp_path / f"{name} run", root, config("inline", strategies=reading))
        known.append([row for row in events(result) if row[0] <= time_ns])
    assert len(known[0]) > 100
    assert (known[0] == known[1]) is (ahead_ns == 0)


def events(result: BacktestResult) -> list[tuple[int, str]]:
    assert result.folder is not None
    table = pq.read_table(result.folder / "events.parquet", columns=["ts_event_ns", "payload"])
    return [(row["ts_event_ns"].value, row["payload"]) for row in table.to_pylist()]
