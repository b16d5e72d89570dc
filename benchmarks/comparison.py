"""Duels run one after the other, and what came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import __version__
from benchmarks.engines import LIMITS, OURS, TAPEDECK, Duel, Engine
from benchmarks.environments import PeerMissing, environment
from benchmarks.figures import Row, medians, ratios
from benchmarks.machine import machine
from benchmarks.measured import say
from benchmarks.parts import PARTS, prepare_part
from benchmarks.runs import Result, RunFailed, own_python, run
from benchmarks.workloads import Workload, prepare


class Comparison:
    """Runs duels, and keeps what came of them."""

    def __init__(
        self, folder: Path, environments: Path, budget_s: float | None = None,
        has_parts: bool = False,
    ) -> None:  # fmt: skip
        self.folder = folder  # of the catalogs
        self._budget_s, self._has_parts = budget_s, has_parts
        self._environments = environments
        self.rows: list[Row] = []
        self.fills: dict[tuple[str, str, str], int | None] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.missing: dict[str, str] = {}  # engines that could not be set up
        self.failed: dict[tuple[str, str, str], str] = {}  # work that an engine did not get done
        self._pythons: dict[str | None, Path] = {None: own_python()}
        self._pairs: dict[str, int] = {}
        self._parts: dict[str, Path] = {}
        self._on_part: set[tuple[str, str]] = set()  # engine and workload
        self._ours: set[tuple[str, str]] = set()  # done by this project since the last warming
        self._until_s = math.inf
        self.left_out = 0  # duels, for want of time

    def set_up(self, engines: Sequence[Engine]) -> None:
        """Environments of all peers; one that cannot be had is named in the results.

        The budget begins when they are made.
        """
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
                say(f"{engine.name} is left out: {lost[peer]}")
                self.missing[engine.name] = lost[peer]
        if self._budget_s is not None:
            self._until_s = time.monotonic() + self._budget_s

    def warm(self, workload: Workload) -> None:
        """The files written, the catalog's index built, the system's file cache filled."""
        self._ours.clear()
        root = prepare(self.folder, workload)
        run(TAPEDECK, own_python(), root, workload.name, "none", 0)
        if self._has_parts:
            part = self._parts[workload.name] = prepare_part(self.folder, workload)
            run(LIMITS[0], own_python(), part, workload.name, "none", 0)

    def duel(self, duel: Duel) -> None:
        """One pair; what the other one failed at is left out from then on."""
        work = duel.workload, duel.other_strategy, duel.other.name
        if duel.other.name in self.missing or work in self.failed:
            return
        if time.monotonic() > self._until_s:
            say(f"no time left for {duel.workload} {duel.strategy} against {duel.other.name}")
            self.left_out += 1
            return
        pair = self._next_pair(duel.workload)
        self._run(TAPEDECK, duel.workload, duel.strategy, pair)
        try:
            self._run(duel.other, duel.workload, duel.other_strategy, pair)
        except RunFailed as error:
            if duel.other is TAPEDECK:
                raise
            say(f"{duel.other.name} is left out: {error}")
            self.failed[work] = str(error)

    def alone(self, workload: str, strategies: Iterable[str]) -> None:
        """What this project did not run since the last warming, as all its peers are missing."""
        for strategy in strategies:
            if (workload, strategy) not in self._ours and time.monotonic() <= self._until_s:
                self._run(TAPEDECK, workload, strategy, self._next_pair(workload))

    def _next_pair(self, workload: str) -> int:
        pair = self._pairs[workload] = self._pairs.get(workload, 0) + 1
        return pair

    def _run(self, engine: Engine, workload: str, strategy: str, pair: int) -> None:
        root = self.folder / workload
        if engine.runs_part and workload in self._parts:
            root = self._parts[workload]
            self._on_part.add((engine.name, workload))
        self._keep(engine, run(engine, self._pythons[engine.peer], root, workload, strategy, pair))

    def _keep(self, engine: Engine, result: Result) -> None:
        row = result.row
        say(
            f"{row['workload']} {row['strategy']:5} {row['pair']:3} {engine.name}: load "
            f"{row['load_s']:.2f} s, run {row['run_s']:.2f} s, {row['peak_mb']:.0f} MB"
        )
        if engine is TAPEDECK:
            self._ours.add((row["workload"], row["strategy"]))
        self.rows.append(row)
        self.versions.setdefault(engine.name, result.versions)
        self.fills[row["workload"], row["strategy"], engine.name] = result.fills

    def results(self, is_quick: bool, pairs: int, to_come: int = 0) -> dict[str, Any]:
        """All that was measured yet; ``to_come`` duels were not begun."""
        counted = medians(self.rows)
        for row in counted:
            row["fills"] = self.fills[row["workload"], row["strategy"], row["engine"]]
        self.versions.get(OURS, {})[OURS] = __version__
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "scale": "quick" if is_quick else "full",
            "pairs": pairs,
            "left_out": self.left_out + to_come,
            "machine": machine(),
            "versions": self.versions,
            "missing": [{"engine": e, "reason": r} for e, r in self._absent()],
            "parts": self._cut(counted),
            "medians": counted,
            "ratios": ratios(self.rows),
            "rows": self.rows,
        }

    def _absent(self) -> list[tuple[str, str]]:
        failed = [(engine, reason) for (_, _, engine), reason in self.failed.items()]
        return sorted([*self.missing.items(), *failed])

    def _cut(self, counted: Sequence[Row]) -> list[Row]:
        """Engines that ran a part of a workload, and how much of it that was."""
        whole = {row["workload"]: row["items"] for row in counted if row["engine"] == OURS}
        found = {
            (row["engine"], row["workload"]): row["items"]
            for row in counted
            if (row["engine"], row["workload"]) in self._on_part
        }
        return [
            {
                "engine": engine, "workload": name, "items": items, "of": whole[name],
                "part": PARTS[name].name,
            }
            for (engine, name), items in found.items()
        ]  # fmt: skip
