"""Runs of a server: each in a process of its own, so many at once, the rest wait.

A run holds its lock in the store from the moment it is queued: the queue's own, then its
process's as well. So whoever opens the store finds the runs of a server that is gone.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from threading import Condition, Lock, Thread
from time import monotonic

from app.errors import NotFoundError, RunError, StateError, TapedeckError
from app.managers.system_manager.backtest import open_store
from app.managers.system_manager.beginning import run_spec
from app.managers.system_manager.configs import read_server_config
from app.managers.system_manager.resume import ResumeJob
from app.managers.system_manager.run_job import CANCELLED, RunJob
from app.managers.system_manager.run_process import carry_out, start_process
from app.runs.folder import RunHandle
from app.runs.index import RunRecord, record_of
from app.runs.manifest import RunState
from app.runs.store import RunStore
from settings import Settings

log = logging.getLogger(__name__)

MOST_WAITING = 200  # each keeps a file open
SHUT_DOWN = "the server shut down"
_Job = RunJob | ResumeJob
_KILL_S = 0.3  # for killed processes to be gone
_LAST_S = 10.0  # for a process to end after its run


class RunQueue:
    """Any thread may use it; its calls wait for files. No thread is there before the first run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: RunStore | None = None
        self._opening = Lock()
        self._changed = Condition()
        self._waiting: deque[tuple[_Job, RunHandle]] = deque()
        self._busy: dict[str, Popen[bytes] | None] = {}  # None: not started yet
        self._slots = 0
        self._closed = self._killing = False

    # -- the store ---------------------------------------------------------------------------

    def open(self) -> None:
        """Find the runs that a server before this one left; does not wait for that."""
        if Path(self._settings.tapedeck_runs_dir).is_dir():
            Thread(target=self._open, name="RunStoreOpener", daemon=True).start()

    def _open(self) -> None:
        try:
            _ = self.store
        except TapedeckError as error:
            log.warning("the store of runs cannot be used: %s", error)

    @property
    def store(self) -> RunStore:
        """The store, opened when it is first needed; runs whose process is gone are marked."""
        with self._opening:
            if self._store is None:
                store = open_store(self._settings)
                _mark_lost(store)
                self._store = store
            return self._store

    def record(self, run_id: str) -> RunRecord:
        """A run as it stands; NotFoundError where there is none."""
        found = record_of(self.store.open(run_id))
        if found.state is RunState.BROKEN:
            self.store.open(run_id)  # or was it deleted meanwhile?
        return found

    # -- told --------------------------------------------------------------------------------

    def submit(self, config: str, overrides: Sequence[str] = ()) -> str:
        """Check a configuration of the folder and queue a run of it; its id.

        ConfigError where it is wrong, NotFoundError where there is no folder of configurations,
        StateError where too many wait, RunError where the store cannot be written.
        """
        self._check_room()
        file = read_server_config(self._settings, config, overrides)
        handle = self.store.create(run_spec(file.config, file.folder), RunState.QUEUED)
        settings = self._settings_for(file.config.data.catalog)
        return self._queue(RunJob(handle.id, file.folder, file.config, settings), handle)

    def resume(self, run_id: str) -> str:
        """Queue an interrupted run to be executed again; its id.

        NotFoundError where there is none, StateError where it was not interrupted or too many
        wait, RunError where the store cannot be written.
        """
        self._check_room()
        _mark_lost(self.store)
        handle = self.store.reopen(run_id)
        return self._queue(ResumeJob(handle.id, self._settings_for(None)), handle)

    def _check_room(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise StateError(f"{MOST_WAITING} runs wait already, the most allowed", RunState.QUEUED)

    def _queue(self, job: _Job, handle: RunHandle) -> str:
        with self._changed:
            if not self._closed:
                self._waiting.append((job, handle))
                self._open_slot()
                self._changed.notify()
                return handle.id
        handle.finish(RunState.STOPPED, cause=SHUT_DOWN)
        raise StateError(SHUT_DOWN, RunState.STOPPED)

    def _settings_for(self, catalog: str | None) -> Settings:
        """Those of this server, as another process needs them."""
        settings = self._settings
        return settings.model_copy(
            update={
                "data_catalog_uri": catalog or settings.data_catalog_uri,
                "tapedeck_runs_dir": Path(settings.tapedeck_runs_dir).absolute(),
                "tapedeck_cache_dir": Path(settings.tapedeck_cache_dir).absolute(),
                "tapedeck_api_key": None,
            }
        )

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop; at once where it waits here. StateError where it has ended."""
        with self._changed:
            found = [entry for entry in self._waiting if entry[0].run_id == run_id]
            for entry in found:
                self._waiting.remove(entry)
            ours = run_id in self._busy
        for _, handle in found:
            handle.finish(RunState.STOPPED, cause=CANCELLED)
        if not found:
            if not ours:
                _mark_lost(self.store)  # a process that is gone would never see it
            self._ask_to_stop(run_id)

    def _ask_to_stop(self, run_id: str) -> None:
        folder = self.store.open(run_id)
        try:
            folder.cancel()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no run {run_id!r} any more") from error
        except OSError as error:
            raise RunError(f"{folder.path}: cannot be written: {error.strerror}") from error

    def remove(self, run_id: str) -> None:
        """Delete a run that has ended; StateError where somebody else works on it.

        Its state is said before its process is gone, and its lock with it: that is waited for.
        """
        with self._changed:
            self._changed.wait_for(lambda: run_id not in self._busy, _LAST_S)
        self.store.delete(run_id)

    def close(self, limit_s: float) -> None:
        """Stop all runs; any thread, any number of times.

        What has not stopped within ``limit_s`` is killed. Runs that wait are recorded as stopped
        while there is time; the others are found as interrupted at the next start.
        """
        until_s = monotonic() + limit_s
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
            busy = list(self._busy)
            self._changed.notify_all()
        for run_id in busy:
            with _logged(run_id):
                self._ask_to_stop(run_id)
        for job, handle in waiting:
            if monotonic() < until_s:
                with _logged(job.run_id):
                    handle.finish(RunState.STOPPED, cause=SHUT_DOWN)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy, until_s - monotonic()):
                self._kill()
                self._changed.wait_for(lambda: not self._busy, _KILL_S)
        if self._store is not None:
            self._store.close()

    def _kill(self) -> None:
        """Under the lock: end all processes, those that are about to start too."""
        self._killing = True
        for process in self._busy.values():
            if process is not None:
                process.kill()

    # -- processes ---------------------------------------------------------------------------

    def _open_slot(self) -> None:
        """Under the lock: one more worker where all are busy and there may be more."""
        wanted = len(self._busy) + len(self._waiting)
        if self._slots < min(wanted, self._settings.tapedeck_runs_at_once):
            self._slots += 1
            Thread(target=self._work, name=f"RunSlot-{self._slots}", daemon=True).start()

    def _work(self) -> None:
        """Take runs one after the other, until the queue is closed."""
        while (entry := self._next()) is not None:
            job, handle = entry
            try:
                with _logged(job.run_id):
                    self._run(job, handle)
            finally:
                handle.release()
                with self._changed:
                    del self._busy[job.run_id]
                    self._changed.notify_all()

    def _next(self) -> tuple[_Job, RunHandle] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            job, handle = self._waiting.popleft()
            self._busy[job.run_id] = None
            return job, handle

    def _run(self, job: _Job, handle: RunHandle) -> None:
        """One process, from its start to its end."""
        if handle.cancelled:
            handle.finish(RunState.STOPPED, cause=CANCELLED)
            return
        try:
            process = start_process()
        except OSError as error:
            handle.finish(RunState.FAILED, cause=f"no process can be started: {error}")
            return
        with self._changed:
            self._busy[job.run_id] = process
            if self._killing:
                process.kill()
        self._look_after(handle, carry_out(process, job))

    def _look_after(self, handle: RunHandle, exit_code: int) -> None:
        """A run whose process ended before the run did is marked in the store."""
        if not handle.path.is_dir() or handle.manifest.state.final:
            return
        log.error("run %s: its process ended with code %s", handle.id, exit_code)
        handle.release()
        self.store.mark_interrupted()


def _mark_lost(store: RunStore) -> None:
    try:
        lost = store.mark_interrupted()
    except (RunError, OSError) as error:
        log.warning("runs that were interrupted cannot be marked: %s", error)
    else:
        if lost:
            log.warning("runs that were interrupted: %s", ", ".join(lost))


@contextmanager
def _logged(run_id: str) -> Iterator[None]:
    """A run that cannot be ended well is no reason to leave the others alone."""
    try:
        yield
    except StateError:  # it ended just now
        pass
    except Exception:
        log.exception("run %s", run_id)
