"""The record of a session that does not trade: its journal, and at the end its digest and counts.

It has no events whose order a seek could undo, so one record tells of all epochs. A session that
is taken up again after its end begins another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.catalog.store import Catalog
from app.errors import RunError
from app.managers.data_manager.goals import Place
from app.managers.system_manager.answers import Progress
from app.managers.system_manager.beginning import data_files, failing, take_run
from app.managers.system_manager.branch import Branch
from app.managers.system_manager.config import ResolvedConfig, SessionConfig, SessionDefaults
from app.managers.time_manager import View
from app.runs.diff import BEGINS
from app.runs.folder import RunHandle
from app.runs.journal import END, EPOCH, Entry, JournalFile, entry_of, without_end
from app.runs.manifest import RunKind, RunState
from app.runs.spec import RunSpec
from app.runs.store import RunStore

NAME = "replay"


class SessionRecord:
    """A ``CommandLog``. Written under the coordinator's lock, and ended where the session does.

    ``told`` is the journal of a run that is executed again: then it says the same.
    """

    def __init__(
        self, store: RunStore, spec: RunSpec, first_day: int, handle: RunHandle | None = None,
        told: Sequence[Entry] | None = None,
    ) -> None:  # fmt: skip
        self.summary: dict[str, Any] = {}
        self.refused: str | None = None  # why one that is resumed is not to take its old place
        self._store, self._spec, self._first_day, self._told = store, spec, first_day, told
        self._branch: Branch | None = None
        self._begin(store.create(spec) if handle is None else handle)

    def _begin(self, handle: RunHandle) -> None:
        self.run_id, self.folder = handle.id, handle.path
        self._handle, self._over = handle, False
        with failing(handle):
            into = handle.begin_again() if handle.resumes else handle.path
            self._journal = JournalFile(into, without_end(self._told or ()))

    def follow(self, branch: Branch) -> None:
        """This execution is the one that is shown, and recorded."""
        self._branch = branch

    def applied(self, name: str, args: Mapping[str, Any], place: Place, view: View) -> None:
        """A command, the next epoch, or the end, at its place."""
        if self._over and name == EPOCH:
            self._begin(self._store.create(self._spec))
        if self._over or (self._told is not None and name != END):
            return
        seen = view.epoch, view.seq, view.digest
        self._journal.write(entry_of(name, args, place, self._first_day, seen))

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the run to stop, through the store."""
        return self._handle.cancelled

    def note_progress(self, progress: Progress) -> None:
        """Let others see how far the run is, through the store; before it ends."""
        self._handle.note_progress(progress._asdict())

    def finish(self, outcome: str, cause: BaseException | None) -> None:
        """The session has ended, or never began; once, further calls do nothing."""
        if self._over:
            return
        self._over = True
        self._journal.close()
        digest = None if self._branch is None else self._branch.view.digest
        self.summary = {"outcome": outcome, **self._counts()}
        said = None if cause is None else f"{type(cause).__name__}: {cause}"
        try:
            if self._handle.resumes and self.refused is None:
                self._handle.adopt()
        finally:
            self._store.finish(
                self._handle, RunState(outcome), cause=self.refused or said, digest=digest,
                summary=self.summary,
            )  # fmt: skip

    def _counts(self) -> dict[str, Any]:
        """Of all that was delivered by the end."""
        if self._branch is None:
            return {}
        coordinator = self._branch.coordinator
        view, discarded = coordinator.discarded()
        return {
            "digest": view.digest, "slices": view.seq, "items": coordinator.items_delivered,
            "discarded": discarded,
        }  # fmt: skip


@dataclass(frozen=True)
class RecordPlan:
    """That a session without an engine leaves a record, and where; ``wish`` is what was asked for.

    ``queued`` is the id of a run that waits in the store, ``told`` the journal of one that is
    executed again.
    """

    store: RunStore
    wish: SessionConfig
    catalog_uri: str | None = None  # as it may be written down
    queued: str | None = None
    told: Sequence[Entry] | None = None

    def begin(
        self, resolved: ResolvedConfig, catalog: Catalog, defaults: SessionDefaults
    ) -> SessionRecord:
        """The record, begun. RunError where it cannot be written."""
        settings = {
            "market_close_grace_seconds": resolved.calendar.grace_s,
            "tick_keep_rows": defaults.tick_rows,
        }
        data = data_files(catalog, resolved)
        spec = RunSpec(
            NAME, _config(self.wish, resolved, self.catalog_uri), data=data, settings=settings,
            kind=RunKind.REPLAY, report=False,
        )  # fmt: skip
        handle = None
        if self.queued is not None:
            handle = take_run(self.store, self.queued, data, settings)
        return SessionRecord(self.store, spec, resolved.first_day, handle, self.told)


def _config(wish: SessionConfig, resolved: ResolvedConfig, catalog: str | None) -> dict[str, Any]:
    """The wish with every default filled in: the same again on the same catalog."""
    return {
        "symbols": list(resolved.symbols), "start": resolved.start, "end": resolved.end,
        "streams": None if wish.streams is None else list(wish.streams), "speed": resolved.speed,
        "calendar": resolved.calendar.name, "hours": resolved.hours,
        "derived_intervals": list(resolved.derived_intervals),
        "history_days": resolved.history_days, "start_paused": resolved.start_paused,
        "allow_missing": wish.allow_missing or list(wish.symbols) == ["*"], "catalog": catalog,
    }  # fmt: skip


def wish_of(config: Mapping[str, Any], folder: Path) -> SessionConfig:
    """The wish in a record's manifest, to begin PAUSED at speed 0. RunError where it is none."""
    given = {name: value for name, value in config.items() if name not in (*BEGINS, "catalog")}
    try:
        return SessionConfig(**given, speed=0.0, start_paused=True)
    except TypeError as error:
        raise RunError(f"{folder}: its configuration is no session's: {error}") from error
