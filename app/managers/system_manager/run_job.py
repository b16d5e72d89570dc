"""One queued run, as a call that any process can make: ``run_job``.

All that it has to be told is in the job; how far it is, that it is to stop, and how it ended go
through the run's folder in the store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ConfigError, NotFoundError, StateError
from app.managers.system_manager.backtest import BacktestEngine, open_store
from app.managers.system_manager.plan import TradingPlan
from app.runs.manifest import RunState, hash_file
from app.runs.store import RunStore
from app.trading.sections import BacktestConfig
from settings import Settings

CANCELLED = "cancelled before it began"


@dataclass(frozen=True)
class RunJob:
    """A run that waits in the store that ``settings`` name; its strategy files are below
    ``folder``. It may hold keys to catalog and database: they show in no text of it."""

    run_id: str
    folder: Path
    config: BacktestConfig = field(repr=False)
    settings: Settings = field(repr=False)


def run_job(job: RunJob) -> None:
    """Carry out a queued run in this process, from its beginning to its end.

    A run that fails while it runs says so in the store; what keeps it from running does too, and
    is raised.
    """
    store = open_store(job.settings)
    try:
        if store.open(job.run_id).cancelled:
            store.finish(store.take(job.run_id), RunState.STOPPED, cause=CANCELLED)
            return
        _check_strategies(job, store)
        plan = TradingPlan(job.config, job.folder, store, queued=job.run_id)
        BacktestEngine(plan, job.settings).run()
    except Exception as error:
        _record_failure(store, job.run_id, error)
        raise
    finally:
        store.close()


def _check_strategies(job: RunJob, store: RunStore) -> None:
    """The record has copies of the strategies as they were when the run was queued."""
    for copy in store.open(job.run_id).manifest.strategies:
        path = job.folder / copy.file
        if not path.is_file() or hash_file(path).hash != copy.hash:
            raise ConfigError([f"{copy.file}: changed while the run waited; queue it again"])


def _record_failure(store: RunStore, run_id: str, error: Exception) -> None:
    """It failed before it began: later on its own record says so."""
    with suppress(NotFoundError, StateError):  # deleted, or begun
        handle = store.take(run_id)
        store.finish(handle, RunState.FAILED, cause=f"{type(error).__name__}: {error}")
