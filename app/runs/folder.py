"""A run's folder: what anyone may read of it, and what the process that runs it writes.

manifest.json        what it was made of, how it stands, what it came to
config.yaml          the resolved configuration
strategies/          copies of the strategy files
events, orders, fills, positions, equity, round_trips
                     .arrows while it runs, .parquet when it has ended
journal.jsonl        what it was told from outside, of a session
summary.json         the statistics, at the end
run.lock, progress.json, cancel, taken    while it waits or runs
recorder.lock        while another process writes its tables
.again/              what a resumed run writes, until it takes the place of the files here
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import time_ns
from typing import Any

import msgspec

from app.errors import RunError, StateError
from app.runs.journal import Entry, read_journal
from app.runs.locks import RECORDER_LOCK, FileLock
from app.runs.manifest import (
    NAME,
    UNFINISHED,
    Artifact,
    DataFile,
    Manifest,
    RunState,
    StrategyCopy,
    as_json,
    hash_file,
    read_manifest,
    write_manifest,
    write_whole,
)
from app.runs.streams import read_batches, read_table, stream_path
from app.runs.tables import TABLES
from app.runs.versions import versions
from app.times import format_time

SUMMARY = "summary.json"
LOCK = "run.lock"
AGAIN = ".again"
GONE = "its process was gone"
STOPPED_AGAIN = "its resumption was stopped"
_PROGRESS, _CANCEL, _TAKEN = "progress.json", "cancel", "taken"
_WHILE_RUNNING = (_PROGRESS, _CANCEL, _TAKEN, LOCK, RECORDER_LOCK)
_NO_ARTIFACTS = frozenset({NAME, *_WHILE_RUNNING})


class RunFolder:
    """A run to read, whatever its state. RunError where a file is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    @property
    def manifest(self) -> Manifest:
        """As it stands now."""
        return read_manifest(self.path)

    def table(self, name: str) -> Any:
        """An Arrow table, up to the last flush of a run that has not ended."""
        return read_table(self.path, name)

    def batches(self, name: str) -> Iterator[Any]:
        """A table's record batches, one after the other."""
        return read_batches(self.path, name)

    def summary(self) -> dict[str, Any] | None:
        """The statistics; None before the end."""
        return self._json(SUMMARY)

    def progress(self) -> dict[str, Any] | None:
        """What the run last said of its progress; None where it said nothing or has ended."""
        return self._json(_PROGRESS)

    def journal(self) -> Sequence[Entry] | None:
        """What it was told from outside, as far as it was written; None where nobody could."""
        return read_journal(self.path)

    def strategy_copy(self, copy: StrategyCopy) -> Path:
        """The file that the manifest names; RunError where it is missing or not in this folder."""
        place = f"{self.path / 'manifest.json'}: the copy of strategy {copy.id!r}"
        try:
            found = (self.path / copy.copy).resolve()
            if not found.is_relative_to(self.path.resolve()):
                raise RunError(f"{place}, {copy.copy!r}, lies outside of the run's folder")
            if found.is_file():
                return found
        except (OSError, ValueError, RuntimeError) as error:
            raise RunError(f"{place}, {copy.copy!r}, cannot be the name of a file") from error
        raise RunError(f"{place}, {copy.copy!r}, is missing; the run cannot be executed without it")

    def check(self) -> list[str]:
        """What is wrong with the files that an ended run left, a sentence each."""
        wrong = []
        for name, said in self.manifest.files.items():
            if not (self.path / name).is_file():
                wrong.append(f"{name} is missing")
            elif hash_file(self.path / name) != said:
                wrong.append(f"{name} is not what the run left")
        return wrong

    def _json(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise RunError(f"{path}: is no JSON object")
        return found

    def cancel(self) -> None:
        """Ask the run to stop; StateError where it has ended."""
        state = self.manifest.state
        if state.final:
            raise StateError(f"run {self.id} cannot be cancelled: it is {state}", state)
        (self.path / _CANCEL).touch()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to stop."""
        return (self.path / _CANCEL).exists()

    def drop_working_files(self) -> None:
        """Nobody works on it any more."""
        for name in _WHILE_RUNNING:
            (self.path / name).unlink(missing_ok=True)
        for path in self.path.glob(f".*{UNFINISHED}"):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.path / AGAIN, ignore_errors=True)


class RunHandle(RunFolder):
    """A run whose process this is: it writes, and its lock says that it lives."""

    def __init__(self, path: Path, lock: FileLock, changed: Callable[[Path], None]) -> None:
        super().__init__(path)
        self._lock, self._changed = lock, changed
        self._adopted = False

    def begin(self) -> None:
        """A queued run begins, in this process alone; StateError where it is not queued."""
        check_waits(self.manifest)
        try:
            (self.path / _TAKEN).touch(exist_ok=False)
        except FileExistsError as error:
            state = RunState.RUNNING
            raise StateError(f"run {self.id} cannot begin: it has begun", state) from error
        self.change(state=RunState.RUNNING, started=format_time(time_ns()))

    # -- an interrupted run, executed again ----------------------------------------------------

    def reopen(self) -> None:
        """It waits to be executed again; StateError where it was not interrupted."""
        found = self.manifest
        check_resumable(found)
        self._lock.let_others_share()
        again = (*found.resumed, format_time(time_ns()))
        self.change(state=RunState.QUEUED, cause=None, finished=None, resumed=again)

    @property
    def resumes(self) -> bool:
        """Whether it was interrupted, and the files here are still those of then."""
        return bool(self.manifest.resumed) and not self._adopted

    def begin_again(self) -> Path:
        """An empty folder to write the files of a resumed run into."""
        path = self.path / AGAIN
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def adopt(self) -> None:
        """What was written again is complete and takes the place of the files here.

        Each file goes as a whole, and the manifest goes last: until then the run is none that has
        ended, and can be resumed once more. RunError where a file cannot be moved.
        """
        made = self.path / AGAIN
        try:
            for path in sorted(made.iterdir()):
                path.replace(self.path / path.name)
            for table in TABLES:
                stream_path(self.path, table).unlink(missing_ok=True)
            made.rmdir()
        except OSError as error:
            raise RunError(f"{made}: cannot be moved: {error.strerror}") from error
        self.change(versions=versions())
        self._adopted = True

    def interrupt(self, cause: str) -> Manifest:
        """Its end is not known: the files are as they were left."""
        done = self.change(state=RunState.INTERRUPTED, cause=cause, finished=format_time(time_ns()))
        self.drop_working_files()
        return done

    # -- what it becomes -------------------------------------------------------------------------

    def note_data(
        self, data: Iterable[DataFile], settings: Mapping[str, int] | None = None
    ) -> None:
        """The files that are replayed, by path, and the settings that the run hangs on."""
        files = tuple(sorted(data, key=lambda file: file.path))
        self.change(data=files, settings=dict(settings or {}))

    def note_progress(self, progress: Mapping[str, Any]) -> None:
        """What ``progress`` shows to others."""
        write_whole(self.path / _PROGRESS, as_json(progress), lasting=False)

    def finish(
        self, state: RunState, *, cause: str | None = None, events: int | None = None,
        digest: str | None = None, events_digest: str | None = None,
        summary: Mapping[str, Any] | None = None,
    ) -> Manifest:  # fmt: skip
        """The run has ended, its tables are closed and its report is written; lets go of it.

        One that was to be resumed, and whose files are still the old ones, is interrupted again.
        """
        if not state.final or state is RunState.BROKEN:
            raise StateError(f"run {self.id} cannot end as {state}", state)
        try:
            if self.resumes:
                return self.interrupt(_text(cause) or STOPPED_AGAIN)
            return self._end(state, cause, events, digest, events_digest, summary)
        finally:
            self.release()  # a manifest that cannot be written says that it runs; nobody does

    def _end(
        self, state: RunState, cause: str | None, events: int | None, digest: str | None,
        events_digest: str | None, summary: Mapping[str, Any] | None,
    ) -> Manifest:  # fmt: skip
        if summary is not None:
            write_whole(self.path / SUMMARY, as_json(summary))
        done = self.change(
            state=state, cause=_text(cause), events=events, digest=digest,
            events_digest=events_digest, finished=format_time(time_ns()),
            files=artifacts(self.path),
        )  # fmt: skip
        self.drop_working_files()
        return done

    def change(self, **fields: Any) -> Manifest:
        """Write the manifest anew with these fields."""
        changed = msgspec.structs.replace(self.manifest, **fields)
        write_manifest(self.path, changed)
        self._changed(self.path)
        return changed

    def release(self) -> None:
        """Leave the run to whoever else holds it; any number of times."""
        self._lock.release()


def check_waits(manifest: Manifest) -> None:
    """StateError where a run is not queued."""
    if manifest.state is not RunState.QUEUED:
        text = f"run {manifest.id} cannot begin: it is {manifest.state}"
        raise StateError(text, manifest.state)


def check_resumable(manifest: Manifest) -> None:
    """StateError where a run was not interrupted."""
    state = manifest.state
    if state is not RunState.INTERRUPTED:
        raise StateError(
            f"run {manifest.id} cannot be resumed: it is {state}; only interrupted runs can", state
        )


def _text(cause: str | None) -> str | None:
    """Names of files may be no text."""
    return None if cause is None else cause.encode("utf-8", "replace").decode()


def artifacts(folder: Path) -> dict[str, Artifact]:
    """All files of a folder that a run leaves, by path."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    return {name: hash_file(folder / name) for name in _left(names)}


def _left(names: Sequence[str]) -> list[str]:
    return [n for n in names if n not in _NO_ARTIFACTS and not n.startswith(".")]
