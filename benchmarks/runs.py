"""One run in a process of its own, and the row that it gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engines import Engine
from benchmarks.environments import plain
from benchmarks.figures import Row

RUN_S = 900


class RunFailed(Exception):  # noqa: N818 - as its sibling PeerMissing
    """A run did not come to its end; the text says why."""


class Result(NamedTuple):
    row: Row
    versions: dict[str, str]
    fills: int | None


def run(
    engine: Engine, python: Path, root: Path, workload: str, strategy: str, pair: int
) -> Result:
    """Run to the end. Raises RunFailed."""
    script = [f"benchmarks.{engine.script.stem}"] if engine.peer is None else [str(engine.script)]
    command = [
        str(python), *(["-m"] if engine.peer is None else []), *script, "--root", str(root),
        "--workload", workload, "--strategy", strategy, "--mode", engine.mode,
    ]  # fmt: skip
    project = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_S, cwd=project, check=False
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{workload} {strategy}: not done in {RUN_S} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = plain(lines[-1]) if lines else f"exit code {done.returncode}"
        raise RunFailed(f"{workload} {strategy}: {why}")
    return _result(engine, workload, strategy, pair, json.loads(done.stdout.splitlines()[-1]))


def _result(
    engine: Engine, workload: str, strategy: str, pair: int, said: dict[str, Any]
) -> Result:
    row = {
        "engine": engine.name,
        "workload": workload,
        "strategy": strategy,
        "pair": pair,
        **{name: said[name] for name in ("items", "load_s", "run_s", "peak_mb")},
    }
    return Result(row, said["versions"], said["fills"])


def own_python() -> Path:
    return Path(sys.executable)
