"""Whole path, Parquet to SessionData with derived bars and digest, against its limits.

    python -m benchmarks.replay [--pairs 5] [--workloads W1,W2,W3] [--cache]

Each pair runs, one after the other in the same process: reading the Parquet
files into Arrow (the limit), and the replay at speed 0 with nobody listening.
With --cache it plays from a prepared cache, which is built before if need be and
kept (80 bytes an item), and one more replay from Parquet has to give the same digest.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from app.managers.system_manager import SessionConfig, SessionDefaults, SystemManager
from benchmarks.measured import DATA
from benchmarks.workloads import WORKLOADS, Workload, prepare

PREPARED = DATA / "prepared"


def read_only(root: Path, workload: Workload) -> tuple[int, float]:
    """Rows and seconds of reading every file into Arrow and nothing else."""
    began = time.perf_counter()
    rows = 0
    for dataset in workload.streams:
        for path in sorted((root / dataset).rglob("*.parquet")):
            rows += pq.read_table(path).num_rows
    return rows, time.perf_counter() - began


def prepare_cache(root: Path, workload: Workload) -> None:
    """Build the cache of a workload anew: what is there may be of another version."""
    manager = SystemManager(str(root), SessionDefaults(history_days=0), PREPARED)
    manager.prepare(["*"], str(workload.start), str(workload.end), lambda *_: None)


def replay(root: Path, workload: Workload, cached: bool = False) -> tuple[int, float, float, str]:
    """Items, seconds until the start and to the end, and the digest."""
    defaults = SessionDefaults(speed=0, from_cache=cached)
    manager = SystemManager(str(root), defaults, PREPARED if cached else DATA / "cache")
    manager.catalog()  # the index is built once, and is no part of a replay
    wish = SessionConfig(["*"], str(workload.start), str(workload.end), history_days=0)
    began = time.perf_counter()
    session = manager.start_session(wish)
    started = time.perf_counter() - began
    try:
        if not session.wait(300):
            raise RuntimeError(f"{workload.name} did not end: {session.status()}")
        seconds = time.perf_counter() - began
        status = session.status()
        if status.error is not None:
            raise RuntimeError(f"{workload.name} failed: {status.error}")
        return status.progress.items_delivered, started, seconds, status.digest
    finally:
        manager.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workloads", default="W1,W2,W3")
    parser.add_argument("--cache", action="store_true", help="play from a prepared cache")
    options = parser.parse_args()
    for workload in WORKLOADS:
        if workload.name not in options.workloads.split(","):
            continue
        root = prepare(DATA, workload)
        ratios, speeds, digests, starts = [], [], set(), []
        if options.cache:
            prepare_cache(root, workload)
            digests.add(replay(root, workload)[-1])
        for _ in range(options.pairs):
            rows, reading_s = read_only(root, workload)
            items, start_s, replay_s, digest = replay(root, workload, options.cache)
            ratios.append((items / replay_s) / (rows / reading_s))
            speeds.append(items / replay_s)
            starts.append(start_s)
            digests.add(digest)
        if len(digests) != 1:
            raise RuntimeError(f"{workload.name}: {len(digests)} different digests")
        row = {
            "workload": workload.name,
            "from": "cache" if options.cache else "parquet",
            "items": items,
            "items_per_s": round(statistics.median(speeds)),
            "slowest": round(min(speeds)),
            "fastest": round(max(speeds)),
            "of_reading": round(statistics.median(ratios), 4),
            "start_s": round(statistics.median(starts), 3),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
