"""A recorded session that did not trade, executed again along its journal.

What it was told changed only when items were delivered, never which: at each place of its journal,
whatever its epoch, digest and slice must be those of a straight run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from app.errors import RunError, SessionFailedError, StateError
from app.managers.data_manager.goals import Place
from app.managers.lifecycle import State
from app.managers.system_manager.answers import Progress
from app.managers.system_manager.config import SessionConfig
from app.managers.system_manager.session import ReplaySession
from app.managers.system_manager.session_record import RecordPlan, SessionRecord
from app.managers.system_manager.system_manager import SystemManager
from app.runs.diff import Difference
from app.runs.folder import RunFolder
from app.runs.journal import JOURNAL, Entry, without_end
from app.runs.manifest import RunState
from settings import Settings

_PROGRESS_S = 0.25
OnProgress = Callable[[Progress], None]


class ReplayAgain:
    """One execution in this process, recorded; a process runs one at a time."""

    def __init__(self, wish: SessionConfig, told: Sequence[Entry], settings: Settings) -> None:
        self.differences: list[Difference] = []  # places of the journal at which it differs
        self._wish, self._told = wish, told
        self._manager = SystemManager.from_settings(settings)
        self._lock, self._stopped = Lock(), False

    def run(
        self, plan: RecordPlan, ended_as: RunState, progress: OnProgress | None = None
    ) -> SessionRecord:
        """Go along the journal, then to the end of a run that ``ended_as`` this; one that was
        stopped, or only goes as far as its journal, is stopped there. Blocks.

        Where it differs from its journal it is stopped as well. SessionFailedError where it was
        told to stop before it began.
        """
        try:
            session = self._start(plan)
            record = session.record
            assert record is not None
            self._follow(session, record, progress)
            if not self.differences:
                self._end(session, ended_as, progress)
            session.stop()
            return record
        finally:
            self._manager.close()

    def stop(self) -> None:
        """Give up; any thread, any number of times."""
        with self._lock:
            self._stopped = True
            session = self._manager.session
        if session is not None:
            session.stop()

    def _start(self, plan: RecordPlan) -> ReplaySession:
        with self._lock:
            if self._stopped:
                raise SessionFailedError("it was stopped before it began")
        session = self._manager.start_session(self._wish, record=plan)
        self._stop_if_told(session)
        return session

    def _stop_if_told(self, session: ReplaySession) -> None:
        """It was told to while it started."""
        with self._lock:
            if self._stopped:
                session.stop()

    def _follow(
        self, session: ReplaySession, record: SessionRecord, progress: OnProgress | None
    ) -> None:
        """To each place of the journal, in order of time."""
        for entry in sorted(self._told, key=lambda e: e.place):
            if not _go(session, entry):
                return
            self._compare(entry, session)
            _tell(session, progress)
            if self.differences:
                found = self.differences[0]
                record.differs = (
                    f"executed again, it differs from its journal in {found.path}: "
                    f"{found.a!r} is now {found.b!r}"
                )
                return

    def _compare(self, entry: Entry, session: ReplaySession) -> None:
        view = session.view()
        said, came = (entry.seq, entry.digest), (view.seq, view.digest)
        if said != came:
            number = self._told.index(entry) + 1
            self.differences.append(Difference(f"journal[{number}]", said, came))

    def _end(
        self, session: ReplaySession, ended_as: RunState, progress: OnProgress | None
    ) -> None:
        """Where it ended, which may lie before other places."""
        if ended_as in (RunState.COMPLETED, RunState.FAILED):
            if session.state is State.PAUSED:
                session.resume()
            while not session.wait(_PROGRESS_S):
                _tell(session, progress)
        elif self._told:
            _go(session, self._told[-1])


def _go(session: ReplaySession, entry: Entry) -> bool:
    """To a place; False where the session has ended before."""
    day = entry.day + session.config.first_day
    try:
        session.go(Place(day, entry.time_ns, entry.over)).result()
    except StateError:
        return False
    return True


def _tell(session: ReplaySession, progress: OnProgress | None) -> None:
    if progress is not None:
        progress(session.status().progress)


def journal_of(run: RunFolder) -> Sequence[Entry]:
    """The journal of a replay; RunError where it is missing. Of a failed one without its end, for
    how far it had read by then is chance."""
    found = run.journal()
    if found is None:
        raise RunError(f"{run.path / JOURNAL}: is missing; the run cannot be executed without it")
    return without_end(found) if run.manifest.state is RunState.FAILED else found
