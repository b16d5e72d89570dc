"""The whole engine at work: a 30/90 cross of every symbol, with orders, fills, accounts, audit.

    python -m benchmarks.sma [--pairs 3] [--workloads W1,W2,W3] [--kind inline]

Each pair runs, one after the other in the same process: the replay with nobody listening; the
replay with strategy, risk, execution, portfolio and equity curve; and that with its record too.
W1 and W2 cross the closes of bars, W3 the prices of trades (orders fill on quotes).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from app.managers.system_manager.backtest import BacktestEngine, open_store
from app.managers.system_manager.plan import TradingPlan
from app.trading.config import read_config_file
from benchmarks.measured import DATA
from benchmarks.replay import replay
from benchmarks.workloads import WORKLOADS, Workload, prepare
from settings import load_settings

STRATEGIES = Path(__file__).parent / "strategies"


def configuration(workload: Workload, kind: str) -> dict[str, Any]:
    name = "trade_cross" if "trades" in workload.streams else "bar_cross"
    services = dict.fromkeys(("execution", "portfolio", "strategy", "risk", "audit"), kind)
    return {
        "backtest": {
            "name": workload.name, "start": str(workload.start), "end": str(workload.end)
        },
        "data": {"symbols": ["*"], "history_days": 0},
        "portfolio": {"initial_cash": 100_000_000.0},
        "risk": {"sizing": {"method": "fixed_quantity", "value": 100}},
        "execution": {"commission": {"per_share": 0.005, "minimum": 1.0}},
        "strategies": [{"id": "cross", "file": str(STRATEGIES / f"{name}.py")}],
        "services": services,
    }  # fmt: skip


def trade(root: Path, workload: Workload, kind: str, recorded: bool) -> dict[str, Any]:
    """One run with everything on; items, seconds, and what it came to."""
    folder = Path(tempfile.mkdtemp(prefix="tapedeck-bench-"))
    try:
        path = folder / "run.yaml"
        path.write_text(json.dumps(configuration(workload, kind)), "utf-8")
        settings = load_settings(None, tapedeck_cache_dir=DATA / "cache")
        settings = settings.model_copy(update={"data_catalog_uri": str(root)})
        file = read_config_file(path)
        store = open_store(settings, folder / "runs") if recorded else None
        if store is not None:
            store.list()  # the index of runs is made once for all of them
        engine = BacktestEngine(TradingPlan(file.config, file.folder, store, False), settings)
        progress: list[int] = []
        began = time.perf_counter()
        result = engine.run(lambda p: progress.append(p.items_delivered))
        seconds = time.perf_counter() - began
        if result.outcome != "completed":
            raise RuntimeError(f"{workload.name}: {result.outcome}: {result.cause}")
        found = {"items": progress[-1], "seconds": seconds, "digest": result.digest}
        if result.folder is not None:
            found |= {"events": result.summary["events"], "events_digest": result.events_digest}
            found["fills"] = pq.read_metadata(result.folder / "fills.parquet").num_rows
        return found
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workloads", default="W1,W2,W3")
    parser.add_argument("--kind", default="inline", choices=("inline", "threaded", "async"))
    options = parser.parse_args()
    for workload in WORKLOADS:
        if workload.name not in options.workloads.split(","):
            continue
        root = prepare(DATA, workload)
        ratios, costs, speeds, digests = [], [], [], set()
        for _ in range(options.pairs):
            items, _, alone_s, _ = replay(root, workload)
            bare = trade(root, workload, options.kind, False)
            run = trade(root, workload, options.kind, True)
            ratios.append((run["items"] / run["seconds"]) / (items / alone_s))
            costs.append(run["seconds"] / bare["seconds"] - 1)
            speeds.append(run["items"] / run["seconds"])
            digests.add((run["digest"], run["events_digest"]))
        if len(digests) != 1:
            raise RuntimeError(f"{workload.name}: {len(digests)} different digests")
        row = {
            "workload": workload.name,
            "items": run["items"],
            "events": run["events"],
            "fills": run["fills"],
            "items_per_s": round(statistics.median(speeds)),
            "slowest": round(min(speeds)),
            "fastest": round(max(speeds)),
            "of_replay": round(statistics.median(ratios), 3),
            "record_costs": round(statistics.median(costs), 3),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
