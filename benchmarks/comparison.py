"""Duels run one after the other, and what came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import __version__
from benchmarks.engines import OURS, TAPEDECK, Duel, Engine
from benchmarks.environments import PeerMissing, environment
from benchmarks.figures import Row, medians, ratios
from benchmarks.machine import machine
from benchmarks.measured import say
from benchmarks.runs import Result, RunFailed, own_python, run
from benchmarks.workloads import Workload, prepare


class Comparison:
    """Runs duels, and keeps what came of them."""

    def __init__(self, folder: Path, environments: Path, budget_s: float | None = None) -> None:
        self.folder = folder  # of the catalogs
        self._environments = environments
        self.rows: list[Row] = []
        self.fills: dict[tuple[str, str, str], int | None] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.missing: dict[str, str] = {}
        self._pythons: dict[str | None, Path] = {None: own_python()}
        self._pairs: dict[str, int] = {}
        self._until_s = math.inf if budget_s is None else time.monotonic() + budget_s
        self.left_out = 0  # duels, for want of time

    def set_up(self, engines: Sequence[Engine]) -> None:
        """Environments of all peers; one that cannot be had is named in the results."""
        lost: dict[str, str] = {}
        for engine in engines:
            peer = engine.peer
            if peer not in self._pythons and peer is not None and peer not in lost:
                say(f"environment of {peer}")
                try:
                    self._pythons[peer] = environment(peer, self._environments)
                except PeerMissing as error:
                    lost[peer] = str(error)
            if peer in lost and engine.name not in self.missing:
                self._lose(engine, lost[peer])

    def warm(self, workload: Workload) -> None:
        """The files written, the catalog's index built, the system's file cache filled."""
        root = prepare(self.folder, workload)
        run(TAPEDECK, own_python(), root, workload.name, "none", 0)

    def duel(self, duel: Duel) -> None:
        """One pair; where the other one fails it is left out from then on."""
        if duel.other.name in self.missing:
            return
        if time.monotonic() > self._until_s:
            say(f"no time left for {duel.workload} {duel.strategy} against {duel.other.name}")
            self.left_out += 1
            return
        pair = self._pairs[duel.workload] = self._pairs.get(duel.workload, 0) + 1
        self._run(TAPEDECK, duel.workload, duel.strategy, pair)
        try:
            self._run(duel.other, duel.workload, duel.other_strategy, pair)
        except RunFailed as error:
            if duel.other is TAPEDECK:
                raise
            self._lose(duel.other, str(error))

    def _run(self, engine: Engine, workload: str, strategy: str, pair: int) -> None:
        python, root = self._pythons[engine.peer], self.folder / workload
        result = run(engine, python, root, workload, strategy, pair)
        self._keep(engine, result)

    def _keep(self, engine: Engine, result: Result) -> None:
        row = result.row
        say(
            f"{row['workload']} {row['strategy']:5} {row['pair']:3} {engine.name}: load "
            f"{row['load_s']:.2f} s, run {row['run_s']:.2f} s, {row['peak_mb']:.0f} MB"
        )
        self.rows.append(row)
        self.versions.setdefault(engine.name, result.versions)
        self.fills[row["workload"], row["strategy"], engine.name] = result.fills

    def _lose(self, engine: Engine, reason: str) -> None:
        say(f"{engine.name} is left out: {reason}")
        self.missing[engine.name] = reason

    def results(self, is_quick: bool, pairs: int) -> dict[str, Any]:
        counted = medians(self.rows)
        for row in counted:
            row["fills"] = self.fills[row["workload"], row["strategy"], row["engine"]]
        self.versions.get(OURS, {})[OURS] = __version__
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "scale": "quick" if is_quick else "full",
            "pairs": pairs,
            "left_out": self.left_out,
            "machine": machine(),
            "versions": self.versions,
            "missing": [{"engine": e, "reason": r} for e, r in sorted(self.missing.items())],
            "medians": counted,
            "ratios": ratios(self.rows),
            "rows": self.rows,
        }
