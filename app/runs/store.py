"""The store of runs: one folder a run, and an index of them. The folders are the truth."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Any

import msgspec

from app.errors import NotFoundError, RequestError, RunError, StateError, nearest
from app.runs.folder import GONE, LOCK, RunFolder, RunHandle, check_resumable, check_waits
from app.runs.index import RunIndex, RunRecord
from app.runs.locks import RECORDER_LOCK, FileLock
from app.runs.manifest import Manifest, RunState, write_manifest
from app.runs.spec import RunSpec, lay_out

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}")
_NEW, _GONE = ".new-", ".deleted-"
_ORPHAN_S = 60


class RunStore:
    """The runs in one folder. Any number of processes may use it at the same time.

    ``index_url`` is SQLAlchemy's: ``sqlite:///...`` or ``postgresql+psycopg://...``; by default
    ``index.sqlite`` in the folder.
    """

    def __init__(self, root: Path, index_url: str | None = None) -> None:
        self.root = root.absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{root}: is no folder for runs: {error.strerror}") from error
        self._index = RunIndex(self.root, index_url)

    # -- a run's life --------------------------------------------------------------------------

    def create(self, spec: RunSpec, state: RunState = RunState.RUNNING) -> RunHandle:
        """A folder of its own for a run that begins now, or waits in a queue.

        It appears as a whole, its lock held. RequestError for a name that cannot be a folder's,
        RunError where it cannot be written.
        """
        if not _NAME.fullmatch(spec.name):
            raise RequestError(
                f"{spec.name!r} cannot name a run: 1 to 64 letters, digits, '_', '.' or '-', "
                "the first a letter or digit"
            )
        try:
            path, lock = self._make(spec, state)
        except OSError as error:
            raise RunError(f"{self.root}: cannot be written: {error.strerror}") from error
        self._note(path)
        return RunHandle(path, lock, self._note)

    def _make(self, spec: RunSpec, state: RunState) -> tuple[Path, FileLock]:
        made = self.root / f"{_NEW}{token_hex(8)}"
        made.mkdir()
        lock = FileLock(made / LOCK)
        try:
            lock.share()
            return self._place(made, lay_out(spec, made, state)), lock
        except BaseException:
            lock.release()
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _place(self, made: Path, manifest: Manifest) -> Path:
        """Give a new folder its id, which no other run has."""
        while True:
            path = self.root / _new_id(manifest.name)
            write_manifest(made, msgspec.structs.replace(manifest, id=path.name))
            try:
                return made.rename(path)
            except OSError:
                if not path.exists():
                    raise

    def take(self, run_id: str) -> RunHandle:
        """A queued run, begun by this process. StateError where it is not queued."""
        run = self.open(run_id)
        check_waits(run.manifest)
        path = run.path
        lock = FileLock(path / LOCK)
        lock.share()
        handle = RunHandle(path, lock, self._note)
        try:
            handle.begin()
        except BaseException:
            handle.release()
            raise
        return handle

    def reopen(self, run_id: str) -> RunHandle:
        """An interrupted run, queued to be executed again; its files stay until that is done.

        StateError where it was not interrupted, or a process works on it.
        """
        run = self.open(run_id)
        check_resumable(run.manifest)
        path = run.path
        lock = FileLock(path / LOCK)
        try:
            if not _nobody_else(path, lock):
                raise StateError(f"run {run_id} is at work", RunState.RUNNING)
            handle = RunHandle(path, lock, self._note)
            handle.reopen()
        except BaseException:
            lock.release()
            raise
        return handle

    def finish(self, handle: RunHandle, state: RunState, **came_to: Any) -> Manifest:
        """End a run of this process, as ``RunHandle.finish``."""
        return handle.finish(state, **came_to)

    def mark_interrupted(self) -> tuple[str, ...]:
        """Find runs whose process is gone, and say so in their manifests; their ids.

        To be called when a process begins to use the store.
        """
        found = [path.name for path in self._folders() if self._interrupt(path)]
        self._sweep()
        return tuple(found)

    def _interrupt(self, path: Path) -> bool:
        if not (path / LOCK).exists() or not _unfinished(path):
            return False
        lock = FileLock(path / LOCK)
        try:
            if not _nobody_else(path, lock) or not _unfinished(path):
                return False
            RunHandle(path, lock, self._note).interrupt(GONE)
        finally:
            lock.release()
        return True

    def _sweep(self) -> None:
        """Remove what a killed process left half made or half deleted."""
        for path in self.root.glob(f"{_GONE}*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.root.glob(f"{_NEW}*/{LOCK}"):
            lock = FileLock(path)
            # A younger one may be about to be locked.
            if time() - path.stat().st_mtime > _ORPHAN_S and lock.alone():
                shutil.rmtree(path.parent, ignore_errors=True)
            lock.release()

    def delete(self, run_id: str) -> None:
        """Remove a run that nobody works on, broken ones too; StateError where somebody does."""
        path = self.open(run_id).path
        lock = FileLock(path / LOCK)
        try:
            if not _nobody_else(path, lock):
                raise StateError(f"run {run_id} is at work; cancel it first", RunState.RUNNING)
            gone = path.rename(self.root / f"{_GONE}{token_hex(8)}")
        except FileNotFoundError as error:  # somebody else was faster
            raise NotFoundError(f"there is no run {run_id!r} any more") from error
        except OSError as error:
            raise RunError(f"{path}: cannot be deleted: {error.strerror}") from error
        finally:
            lock.release()
        shutil.rmtree(gone, ignore_errors=True)
        self._note(path)

    # -- reading -------------------------------------------------------------------------------

    def open(self, run_id: str) -> RunFolder:
        """A run by its id; NotFoundError, with the nearest ids, where there is none."""
        path = self.root / run_id
        if not (_ID.fullmatch(run_id) and _is_run(path)):
            near = nearest(run_id, (p.name for p in self._folders()))
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise NotFoundError(f"there is no run {run_id!r} in {self.root}{hint}")
        return RunFolder(path)

    def list(
        self, *, state: RunState | None = None, name: str | None = None, limit: int | None = None
    ) -> tuple[RunRecord, ...]:
        """Runs, newest first; broken ones among them, with what is wrong. RunError where the
        index cannot be used."""
        self._index.sync(self._folders())
        return self._index.select(state, name, limit)

    def rebuild(self) -> int:
        """Make the index anew from the folders; how many there are."""
        self._index.clear()
        folders = self._folders()
        self._index.sync(folders)
        return len(folders)

    def close(self) -> None:
        """Close the index; any number of times."""
        self._index.close()

    def _folders(self) -> Sequence[Path]:
        return sorted(p for p in self.root.iterdir() if _ID.fullmatch(p.name) and _is_run(p))

    def _note(self, path: Path) -> None:
        """Keep the index up to date. It is made again from the folders, so a run goes on
        without it; ``list`` mends what is missed here."""
        try:
            self._index.put(path)
        except RunError as error:
            log.warning("run %s is not in the index for now: %s", path.name, error)


def _nobody_else(path: Path, lock: FileLock) -> bool:
    """Hold a run's lock alone, if nobody has it. Its recorder ends by itself soon after its
    process: that is waited for."""
    if not lock.alone():
        return False
    recorder = FileLock(path / RECORDER_LOCK)
    if (path / RECORDER_LOCK).exists():
        recorder.wait_alone()
        recorder.release()
    return True


def _new_id(name: str) -> str:
    return f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(3)}"


def _is_run(path: Path) -> bool:
    """A folder of the store; a link may lead anywhere."""
    return path.is_dir() and not path.is_symlink()


def _unfinished(path: Path) -> bool:
    try:
        return not RunFolder(path).manifest.state.final
    except RunError:  # broken: ``list`` says why
        return False
