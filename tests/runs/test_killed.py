"""kill -9 in the middle of a run: of one that only writes, and of a whole backtest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.managers.system_manager.backtest import BacktestEngine
from app.runs.manifest import RunState
from app.runs.store import RunStore
from app.runs.writer import AuditWriter
from tests.runs.conftest import OpenStore
from tests.runs.jobs import settings_for, write_catalog
from tests.runs.made import SmallRun, types_of
from tests.until import until

ROOT = Path(__file__).parents[2]


def kill_after(store: RunStore, lines: int, long_rows: int = 10**9) -> tuple[str, int]:
    """Start a run and kill it after it said so many lines; its id, and what was flushed.

    With so many rows it is written by a process of its own."""
    command = [sys.executable, "-m", "tests.runs.doomed", str(store.root), str(long_rows)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id, flushed = process.stdout.readline().split()
        assert store.open(run_id).manifest.state is RunState.RUNNING
        assert store.mark_interrupted() == (), "it lives"
        for _ in range(lines - 1):
            process.stdout.readline()
        process.kill()
        assert process.wait(30) == -signal.SIGKILL
    return run_id, int(flushed)


@pytest.mark.parametrize(("lines", "long_rows"), [(1, 10**9), (3, 10**9), (3, 20)])
def test_a_killed_run_is_found_and_read_up_to_its_last_flush(
    open_store: OpenStore, lines: int, long_rows: int
) -> None:
    run_id, flushed = kill_after(open_store(), lines, long_rows)
    store = open_store()
    assert store.mark_interrupted() == (run_id,)
    (record,) = store.list(state=RunState.INTERRUPTED)
    assert (record.id, record.cause) == (run_id, "its process was gone")
    run = store.open(run_id)
    assert (run.path / "events.arrows").exists()
    events = run.table("events")
    assert len(events) >= flushed
    assert events["seq"].to_pylist() == list(range(1, len(events) + 1))
    types = events["type"].to_pylist()
    assert types[flushed - 1] in ("day_end", "valuation_trigger", "risk_trigger")
    kinds = {"fills": "fill", "orders": "order_request", "round_trips": "round_trip"}
    for table, kind in kinds.items():
        rows = run.table(table).num_rows
        # A kill may come between the files of one flush.
        assert types[:flushed].count(kind) <= rows <= types.count(kind)
        assert rows


def test_what_was_flushed_is_what_a_whole_run_has(open_store: OpenStore) -> None:
    run_id, flushed = kill_after(open_store(), 1)
    whole = SmallRun(AuditWriter(None))
    whole.play_day(0)
    events = open_store().open(run_id).table("events").slice(0, flushed)
    assert events["type"].to_pylist() == types_of(whole.events)[:flushed]


def test_a_killed_backtest_is_found_and_what_was_flushed_is_what_a_whole_one_has(
    open_store: OpenStore, tmp_path: Path
) -> None:
    """The same first events, orders and fills, of the same strategy that was not killed."""
    catalog = write_catalog(tmp_path / "catalog")
    settings = settings_for(catalog, tmp_path)
    config = str(settings.tapedeck_configs_dir / "slow.yaml")  # type: ignore[operator]
    command = [sys.executable, "-m", "app.cli", "backtest", config, "--catalog", str(catalog)]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "TAPEDECK_RUNS_DIR": str(settings.tapedeck_runs_dir),
        "TAPEDECK_CACHE_DIR": str(settings.tapedeck_cache_dir),
    }  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as one:
        store = open_store()
        (record,) = until(store.list)
        killed = store.open(record.id)
        until(lambda: killed.table("fills").num_rows > 200)
        one.kill()
        assert one.wait(30) == -signal.SIGKILL
    store = open_store()
    assert store.mark_interrupted() == (killed.id,)
    (record,) = store.list()
    assert (record.state, record.cause) == (RunState.INTERRUPTED, "its process was gone")
    until_day = ["backtest.end=2013-07-10"]
    whole = store.open(
        str(BacktestEngine.from_config(config, until_day, settings=settings).run().run_id)
    )
    for table in ("events", "fills", "positions", "equity"):
        rows, all_rows = killed.table(table), whole.table(table)
        count = min(len(rows), len(all_rows)) - 2  # the end of a run is its own
        assert count > 100
        kept = [name for name in rows.column_names if name != "ts_created_ns"]
        assert rows.select(kept).slice(0, count).equals(all_rows.select(kept).slice(0, count))
