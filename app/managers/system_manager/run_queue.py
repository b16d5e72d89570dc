"""Runs of a server: each in a process of its own, so many at once, the rest wait.

Progress and cancelling go through the run store, so that a run may as well be somewhere else:
``run_job`` is all that a process, here or on another machine, has to be told.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Condition, Thread

from app.errors import NotFoundError, StateError
from app.managers.system_manager.backtest import BacktestEngine, open_store
from app.managers.system_manager.recording import run_spec
from app.runs.folder import RunHandle
from app.runs.manifest import RunState
from app.runs.store import RunStore
from app.trading.config import read_config_file
from settings import Settings, load_settings

log = logging.getLogger(__name__)

_END_S = 5.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class RunJob:
    """One run, as plain data."""

    run_id: str
    config: str  # relative to the folder of configurations
    overrides: tuple[str, ...]
    configs: Path
    runs: Path
    runs_url: str | None
    catalog: str | None
    cache: Path


def run_job(job: RunJob) -> None:
    """Carry out a queued run in this process; how it ended stands in the store."""
    settings = load_settings(
        None, data_catalog_uri=job.catalog, tapedeck_runs_dir=job.runs,
        tapedeck_runs_database_url=job.runs_url, tapedeck_cache_dir=job.cache,
    )  # fmt: skip
    try:
        engine = BacktestEngine.from_config(
            job.config, job.overrides, settings=settings, within=job.configs, queued=job.run_id
        )
        engine.run()
    except Exception as error:
        _record_failure(open_store(settings), job.run_id, error)
        raise


def _record_failure(store: RunStore, run_id: str, error: Exception) -> None:
    """It failed before its record began, or while it was closed."""
    if store.open(run_id).manifest.state is RunState.QUEUED:
        handle = store.take(run_id)
        store.finish(handle, RunState.FAILED, cause=f"{type(error).__name__}: {error}")


class RunQueue:
    """Any thread may use it. Nothing is started before the first run is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: RunStore | None = None
        self._waiting: deque[tuple[RunJob, RunHandle]] = deque()
        self._changed = Condition()
        self._slots: list[Thread] = []
        self._running: dict[str, SpawnProcess] = {}
        self._busy = 0
        self._closed = False

    @property
    def store(self) -> RunStore:
        """The store, opened when it is first needed; runs whose process is gone are marked."""
        with self._changed:
            if self._store is None:
                self._store = open_store(self._settings)
                lost = self._store.mark_interrupted()
                if lost:
                    log.warning("runs that were interrupted: %s", ", ".join(lost))
            return self._store

    def submit(self, config: str, overrides: Sequence[str] = ()) -> str:
        """Check a configuration of the folder and queue a run of it; its id. Blocks on files."""
        configs = self._settings.tapedeck_configs_dir
        if configs is None:
            raise NotFoundError("no configurations can be run here; set TAPEDECK_CONFIGS_DIR")
        file = read_config_file(config, overrides, configs)
        handle = self.store.create(run_spec(file.config, file.folder), RunState.QUEUED)
        url = self._settings.tapedeck_runs_database_url
        job = RunJob(
            handle.id, config, tuple(overrides), Path(configs).absolute(),
            Path(self._settings.tapedeck_runs_dir).absolute(),
            None if url is None else url.get_secret_value(),
            file.config.data.catalog or self._settings.data_catalog_uri,
            Path(self._settings.tapedeck_cache_dir).absolute(),
        )  # fmt: skip
        with self._changed:
            if self._closed:
                self.store.finish(handle, RunState.STOPPED, cause="the server shut down")
                raise StateError("the server is shutting down", RunState.STOPPED)
            self._waiting.append((job, handle))
            self._open_slot()
            self._changed.notify()
        return handle.id

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop; at once where it waits. StateError where it has ended."""
        with self._changed:
            for entry in self._waiting:
                if entry[0].run_id == run_id:
                    self._waiting.remove(entry)
                    self.store.finish(entry[1], RunState.STOPPED, cause="cancelled")
                    return
        self.store.open(run_id).cancel()

    def close(self) -> None:
        """Stop all runs; any number of times."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
            running = dict(self._running)
            self._changed.notify_all()
        for _, handle in waiting:
            self.store.finish(handle, RunState.STOPPED, cause="the server shut down")
        for run_id in running:
            with suppress(StateError):  # it ended just now
                self.store.open(run_id).cancel()
        for process in running.values():
            process.join(_END_S)
            process.terminate()
        for slot in self._slots:
            slot.join(_END_S)
        if self._store is not None:
            self._store.close()

    def _open_slot(self) -> None:
        """Under the lock: one more worker where all are busy and there may be more."""
        most = self._settings.tapedeck_runs_at_once
        if self._busy + len(self._waiting) > len(self._slots) < most:
            name = f"RunSlot-{len(self._slots) + 1}"
            slot = Thread(target=self._work, name=name, daemon=True)
            self._slots.append(slot)
            slot.start()

    def _work(self) -> None:
        """Take runs one after the other, until the queue is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job, handle = self._waiting.popleft()
                self._busy += 1
            try:
                self._run(job, handle)
            except Exception:
                log.exception("run %s", job.run_id)
            finally:
                with self._changed:
                    self._busy -= 1

    def _run(self, job: RunJob, handle: RunHandle) -> None:
        """One process, from its start to its end."""
        process = _SPAWN.Process(target=run_job, args=(job,), name=job.run_id, daemon=True)
        try:
            process.start()
            with self._changed:
                self._running[job.run_id] = process
                if self._closed:
                    process.terminate()
            process.join()
        finally:
            with self._changed:
                self._running.pop(job.run_id, None)
            handle.release()
        self._tell_if_lost(job.run_id, process.exitcode)

    def _tell_if_lost(self, run_id: str, exit_code: int | None) -> None:
        """A run whose process ended before the run did is marked in the store."""
        if not self.store.open(run_id).manifest.state.final:
            log.error("run %s: its process ended with code %s", run_id, exit_code)
            self.store.mark_interrupted()
