"""How memory and time grow with days, symbols and ticks.

    python -m benchmarks.growth [--quick] [--cases days,symbols,ticks] [--prepare]

Every measurement is a process of its own: what it held at most, how long it took to the first
item and to the end. Writes growth.json and, of the full sizes, the section and the
plots of docs/benchmarks.md. ``--prepare`` only makes the data.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from app.managers.system_manager import SessionConfig, SessionDefaults, SystemManager
from app.model import Window
from benchmarks.measured import DATA, conditions, say
from benchmarks.page import publish
from benchmarks.workloads import Workload, bars, prepare, ticks

AGAIN_S = 30  # a measurement is repeated while all of its runs took no longer than this
MOST_RUNS = 3
BUDGET_S = 540  # after which nothing is repeated
RUN_S = 420  # that one run may take
_YEAR = date(2023, 1, 3)  # of 250 trading days


class Case(NamedTuple):
    """One measurement: the first ``symbols`` of a workload, for its first days."""

    grows: str  # days, symbols or ticks
    size: int  # of what grows
    workload: Workload
    symbols: int
    end: date


def cases(quick: bool) -> Iterator[Case]:
    """By what grows, small ones first."""
    for days in (1, 4, 16) if quick else (1, 10, 60, 250):
        workload = bars(50 if quick else 500, days, _YEAR)
        yield Case("days", days, workload, 50 if quick else 500, workload.end)
    workload = bars(100, 2) if quick else bars(2000, 10)
    for symbols in (1, 10, 100) if quick else (1, 10, 100, 500, 2000):
        yield Case("symbols", symbols, workload, symbols, workload.end)
    per_day = 20 * 4 * (500 if quick else 12_500)
    workload = ticks(20, 4 if quick else 20, per_day // 80)
    for days in (1, 2, 4) if quick else (1, 5, 20):
        end = ticks(20, days, per_day // 80).end  # a file a day: the first of them are read
        yield Case("ticks", days * per_day, workload, 20, end)


class FirstItem(threading.Event):
    """Notes when the first window came."""

    at_s = 0.0

    def window_rows(self) -> int | None:
        return None

    def holding(self) -> float | None:
        return None

    def on_window(self, window: Window) -> None:
        del window
        if not self.is_set():
            self.at_s = time.perf_counter()
            self.set()

    def on_status(self, *_: Any) -> None:
        return None


def measure(root: Path, symbols: int, start: str, end: str) -> dict[str, Any]:
    """One replay at speed 0 with a consumer that does nothing; this process's peak."""
    manager = SystemManager(str(root), SessionDefaults(speed=0), DATA / "cache")
    manager.on_session(lambda session: session.attach(first))
    first = FirstItem()
    try:
        began = time.perf_counter()
        names = sorted(manager.catalog().symbols)[:symbols]
        index_s = time.perf_counter() - began
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        session = manager.start_session(SessionConfig(names, start, end, history_days=0))
        if not session.wait(RUN_S):
            raise RuntimeError(f"not over after {RUN_S} s: {session.status()}")
        ended = time.perf_counter()
        status = session.status()
        if status.error is not None or str(status.state) != "COMPLETED":
            raise RuntimeError(f"ended {status.state}: {status.error}")
        return {
            "items": status.progress.items_delivered, "index_s": round(index_s, 3),
            "first_s": round(first.at_s - began, 4), "run_s": round(ended - began, 4),
            "before_mb": round(before_kb / 1024, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "digest": status.digest,
        }  # fmt: skip
    finally:
        manager.close()


def in_process(*arguments: str) -> str:
    """Run this module once more; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", *arguments],
        capture_output=True, text=True, timeout=RUN_S + 60, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"growth {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def measured(case: Case, repeat: bool) -> dict[str, Any]:
    """The medians of some runs of a case; the largest peak."""
    runs: list[dict[str, Any]] = []
    began = time.monotonic()
    root = DATA / case.workload.name
    while not runs or (repeat and len(runs) < MOST_RUNS and time.monotonic() - began < AGAIN_S):
        wish = (str(root), str(case.symbols), str(case.workload.start), str(case.end))
        runs.append(json.loads(in_process("--one", *wish)))
    if len({run["digest"] for run in runs}) != 1:
        raise RuntimeError(f"{case.grows} {case.size}: different digests: {runs}")
    middle = {name: statistics.median(run[name] for run in runs) for name in ("first_s", "run_s")}
    return {
        "grows": case.grows, "size": case.size, "runs": len(runs), "items": runs[0]["items"],
        "first_s": round(middle["first_s"], 4), "run_s": round(middle["run_s"], 4),
        "ns_per_item": round(middle["run_s"] / runs[0]["items"] * 1e9, 1),
        "before_mb": runs[0]["before_mb"], "peak_mb": max(run["peak_mb"] for run in runs),
        "digest": runs[0]["digest"],
    }  # fmt: skip


def make_data(work: Sequence[Case]) -> None:
    """Every workload that is not there yet, in a process that ends: this one stays small."""
    for workload in {case.workload.name: case.workload for case in work}.values():
        if not (DATA / workload.name / "_complete").is_file():
            say(f"making {workload.name}")
            in_process("--make", workload.name)
    for case in work:  # the index is built once, and is no part of a measurement
        if case.symbols == 1 or case.grows != "symbols":
            in_process("--index", case.workload.name)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--cases", default="days,symbols,ticks")
    parser.add_argument("--prepare", action="store_true", help="only make the data")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--index", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    known = {case.workload.name: case.workload for quick in (0, 1) for case in cases(bool(quick))}
    if options.one:
        root, symbols, start, end = options.one
        sys.stdout.write(json.dumps(measure(Path(root), int(symbols), start, end)) + "\n")
    elif options.make:
        prepare(DATA, known[options.make])
    elif options.index:
        manager = SystemManager(str(DATA / options.index), SessionDefaults(), DATA / "cache")
        manager.catalog()
        manager.close()
    else:
        work = [c for c in cases(options.quick) if c.grows in options.cases.split(",")]
        make_data(work)
        if not options.prepare:
            run(work, options.quick)


def run(work: Sequence[Case], quick: bool) -> None:
    began = time.monotonic()
    rows = []
    for case in work:
        rows.append(measured(case, time.monotonic() - began < BUDGET_S))
        say(json.dumps(rows[-1]))
    publish("growth", conditions(quick) | {"rows": rows}, quick)


if __name__ == "__main__":
    main()
