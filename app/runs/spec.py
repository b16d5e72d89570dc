"""What a run is made of, and how it is laid into its folder at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from blake3 import blake3

from app.errors import RunError
from app.runs.manifest import DataFile, Manifest, RunKind, RunState, StrategyCopy
from app.runs.versions import versions
from app.times import format_time
from app.trading.config import dump_yaml

CONFIG, STRATEGIES = "config.yaml", "strategies"


@dataclass(frozen=True)
class StrategyFile:
    """A strategy's file: as the configuration names it, and where it lies."""

    strategy_id: str
    file: str
    path: Path


@dataclass(frozen=True)
class RunSpec:
    """``config`` is resolved and fits into JSON. ``data`` are the files that are replayed, their
    paths relative to the catalog, or what finds them."""

    name: str
    config: Mapping[str, Any]
    seed: int = 0
    strategies: Sequence[StrategyFile] = ()
    data: Sequence[DataFile] | Callable[[], Sequence[DataFile]] = ()
    settings: Mapping[str, int] = field(default_factory=dict)
    kind: RunKind = RunKind.BACKTEST
    report: bool = True


def lay_out(spec: RunSpec, folder: Path, state: RunState) -> Manifest:
    """Write configuration and strategies into a folder; its manifest, without an id as yet.

    RunError where a strategy's file cannot be read, OSError where the folder cannot be written.
    """
    now = format_time(time_ns())
    data = spec.data() if callable(spec.data) else spec.data
    (folder / CONFIG).write_text(dump_yaml(spec.config), encoding="utf-8")
    return Manifest(
        id="", name=spec.name, kind=spec.kind, report=spec.report, state=state, created=now,
        started=now if state is RunState.RUNNING else None, seed=spec.seed, versions=versions(),
        config=dict(spec.config), settings=dict(spec.settings),
        strategies=tuple(_copy(strategy, folder) for strategy in spec.strategies),
        data=tuple(sorted(data, key=lambda file: file.path)),
    )  # fmt: skip


def _copy(strategy: StrategyFile, folder: Path) -> StrategyCopy:
    try:
        source = strategy.path.read_bytes()
    except OSError as error:
        raise RunError(f"{strategy.path}: cannot be read: {error.strerror}") from error
    copy = folder / STRATEGIES / f"{strategy.strategy_id}.py"
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(source)
    return StrategyCopy(
        id=strategy.strategy_id, file=strategy.file, hash=blake3(source).hexdigest(),
        copy=copy.relative_to(folder).as_posix(),
    )  # fmt: skip
