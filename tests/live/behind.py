"""One configuration twice: as a backtest, and behind the stream of a server's session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from app.live.run import LiveRun, Tell
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from settings import load_settings

ROOT = Path(__file__).parents[2]
BUSY = ROOT / "tests" / "trading" / "whole" / "strategies" / "busy.py"


def written(folder: Path, wish: Mapping[str, Any]) -> Path:
    path = folder / "run.yaml"
    path.write_text(json.dumps(wish), "utf-8")
    return path


def replayed(config: Path, catalog: Path, folder: Path, *sets: str) -> BacktestResult:
    """As a backtest."""
    engine = BacktestEngine.from_config(config, sets, catalog=str(catalog), runs=folder / "runs")
    result = engine.run()
    assert result.outcome == "completed", result.cause
    return result


def live_run(config: Path, url: str, folder: Path, *sets: str, **options: Any) -> LiveRun:
    settings = load_settings(None, tapedeck_cache_dir=folder / "cache")
    return LiveRun.from_config(
        config, url, sets, runs=folder / "runs", settings=settings, **options
    )


def followed(
    config: Path, url: str, folder: Path, *sets: str, speed: float = 0.0,
    tell: Tell | None = None, **options: Any,
) -> BacktestResult:  # fmt: skip
    """Behind the server, which starts the session."""
    result = live_run(config, url, folder, *sets, **options).run(tell, start=True, speed=speed)
    assert result.outcome == "completed", result.cause
    return result


def events(result: BacktestResult) -> list[dict[str, Any]]:
    """All that a run published, without wall times."""
    assert result.folder is not None
    table = pq.read_table(result.folder / "events.parquet").drop_columns(["ts_created_ns"])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def first_difference(one: BacktestResult, two: BacktestResult) -> Any:
    """The first pair of events that differ; None where none do."""
    left, right = events(one), events(two)
    for pair in zip(left, right, strict=False):
        if pair[0] != pair[1]:
            return pair
    return None if len(left) == len(right) else (len(left), len(right))


def check_same(one: BacktestResult, two: BacktestResult) -> None:
    """Field by field, and by the digest of them all."""
    assert str(first_difference(one, two)) == "None"
    assert one.events_digest == two.events_digest
    assert one.summary["statistics"] == two.summary["statistics"]
