"""A run's manifest: what it was made of, how it stands and what it came to.

``manifest.json`` alone holds a run's id and wall times: all other files of two runs of the same
input are equal, but for the column ``ts_created_ns`` of the events.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from blake3 import blake3

from app.errors import RunError
from app.runs.digest import DIGEST_VERSION
from app.runs.events_digest import EVENTS_DIGEST_VERSION
from app.runs.journal import JOURNAL_VERSION
from app.runs.tables import versions as table_versions
from app.runs.versions import Versions

FORMAT = 1
UNFINISHED = ".new"  # ends the name of a file that is being written; it begins with a dot
NAME = "manifest.json"


class RunState(StrEnum):
    """Where a run stands. ``broken`` is said of a folder that cannot be read, never in one."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its process was gone before it ended
    BROKEN = "broken"

    @property
    def final(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)


class RunKind(StrEnum):
    """What was executed."""

    BACKTEST = "backtest"  # a run's configuration, which trades
    REPLAY = "replay"  # a session that only replays: no events, a journal


class DataFile(msgspec.Struct, frozen=True):
    """A file that was replayed: its path in the catalog, its size in bytes and its BLAKE3."""

    path: str
    size: int
    hash: str


class StrategyCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's file as the configuration names it, its BLAKE3 and its copy in the folder."""

    id: str
    file: str
    hash: str
    copy: str


class Artifact(msgspec.Struct, frozen=True):
    """A file that the run left: its size in bytes and its BLAKE3."""

    size: int
    hash: str


class Formats(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of what lies in the folder."""

    digest: str = DIGEST_VERSION
    events_digest: str = EVENTS_DIGEST_VERSION
    tables: dict[str, int] = msgspec.field(default_factory=table_versions)
    journal: int = JOURNAL_VERSION


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Times are RFC 3339; ``digest`` is that of the items, null before the end. ``settings`` are
    those that a run hangs on and its configuration does not have. ``report`` is whether it is to
    leave one, ``resumed`` when it was, after an interruption."""

    format: int = FORMAT
    id: str
    name: str
    kind: RunKind = RunKind.BACKTEST
    state: RunState
    cause: str | None = None
    created: str
    started: str | None = None
    finished: str | None = None
    seed: int
    events: int | None = None
    digest: str | None = None
    events_digest: str | None = None
    formats: Formats = msgspec.field(default_factory=Formats)
    versions: Versions
    report: bool = True
    resumed: tuple[str, ...] = ()
    config: dict[str, Any]
    settings: dict[str, int] = {}
    strategies: tuple[StrategyCopy, ...] = ()
    data: tuple[DataFile, ...] = ()
    files: dict[str, Artifact] = {}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run's folder; RunError where it is missing, broken or newer than this."""
    path = folder / NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        number = msgspec.json.decode(text, type=_Format).format
        if number != FORMAT:
            raise RunError(f"{path}: its format is {number}; this program reads {FORMAT}")
        found = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: is no manifest: {error}") from error
    if found.id != folder.name:
        raise RunError(f"{path}: is of run {found.id!r}, not of {folder.name!r}")
    if found.state is RunState.BROKEN:
        raise RunError(f"{path}: its state is 'broken', which no run writes")
    return found


class _Format(msgspec.Struct):
    format: int


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace it as a whole: a reader sees the old one or the new one."""
    write_whole(folder / NAME, as_json(manifest))


def as_json(value: Any) -> bytes:
    """JSON for people and programs: keys as given, two blanks a level."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write_whole(path: Path, content: bytes, *, lasting: bool = True) -> None:
    """Write a file so that a reader finds it as a whole or not at all; ``lasting``, after a
    failure of the machine as well."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}{UNFINISHED}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def hash_file(path: Path) -> Artifact:
    """Size and BLAKE3 of a file."""
    try:
        return Artifact(path.stat().st_size, str(blake3().update_mmap(path).hexdigest()))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
