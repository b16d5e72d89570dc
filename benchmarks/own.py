"""One run of this project in a process of its own, for the comparison; prints one line of JSON.

    python -m benchmarks.own --root benchmarks/data/W2 --workload W2 --strategy sma

``none``: a session that nobody listens to. ``count``: a strategy that counts, no record. ``sma``
and ``slice``: every service, and the run's record. Loading ends when the session is started.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession, SessionConfig, SystemManager
from app.managers.system_manager.backtest import open_store
from app.managers.system_manager.plan import TradingPlan, session_config
from app.trading.config import read_config_file
from benchmarks import tally
from benchmarks.measured import DATA
from benchmarks.peers.common import Job, Timer, read_job, report, rows_of
from benchmarks.sma import STRATEGIES, configuration
from benchmarks.workloads import QUICK, WORKLOADS, Workload
from settings import Settings, load_settings

WAIT_S = 900


def workload_of(job: Job) -> Workload:
    """Small where the folder above is ``quick``."""
    known = QUICK if job.root.parent.name == "quick" else WORKLOADS
    return next(w for w in known if w.name == job.workload)


def make_plan(job: Job, workload: Workload, settings: Settings, folder: Path) -> TradingPlan:
    wish: dict[str, Any] = configuration(workload, "inline")
    files = {
        "count": "tick_count.py" if job.has_ticks else "bar_count.py",
        "slice": "slice_cross.py",
    }
    if job.strategy in files:
        wish["strategies"] = [{"id": "bench", "file": str(STRATEGIES / files[job.strategy])}]
    path = folder / "run.yaml"
    path.write_text(json.dumps(wish), "utf-8")
    read = read_config_file(path)
    store = None if job.strategy == "count" else open_store(settings, folder / "runs")
    return TradingPlan(read.config, read.folder, store, report=False)


def start(manager: SystemManager, job: Job, settings: Settings, folder: Path) -> ReplaySession:
    workload = workload_of(job)
    if job.strategy == "none":
        wish = SessionConfig(["*"], str(workload.start), str(workload.end), speed=0, history_days=0)
        return manager.start_session(wish)
    plan = make_plan(job, workload, settings, folder)
    return manager.start_session(session_config(plan.config, speed=0), plan)


def check(session: ReplaySession, job: Job, rows: int) -> None:
    """Everything was delivered, and the strategy saw it."""
    status = session.status()
    if status.state is not State.COMPLETED or status.error is not None:
        raise RuntimeError(f"{job.workload} {job.strategy} ended {status.state}: {status.error}")
    dropped = sum(status.discarded.values())
    seen = tally.items if job.strategy == "count" else rows
    if dropped or seen != rows or status.progress.items_delivered < rows:
        raise RuntimeError(f"{job.workload}: {rows} rows, {dropped} discarded, {seen} seen")


def fills_of(session: ReplaySession) -> int | None:
    record = None if session.desk is None else session.desk.record
    if record is None:
        return None
    return int(pq.read_metadata(record.folder / "fills.parquet").num_rows)


def main() -> None:
    job = read_job()
    rows = rows_of(job)
    folder = Path(tempfile.mkdtemp(prefix="tapedeck-bench-"))
    try:
        timer = Timer()
        settings = load_settings(None, tapedeck_cache_dir=DATA / "cache")
        settings = settings.model_copy(update={"data_catalog_uri": str(job.root)})
        manager = SystemManager.from_settings(settings)
        try:
            session = start(manager, job, settings, folder)
            timer.loaded()
            session.wait(WAIT_S)
            timer.ended()
            check(session, job, rows)
            report(timer, rows, ("numpy", "pyarrow", "msgspec"), fills_of(session))
        finally:
            manager.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
