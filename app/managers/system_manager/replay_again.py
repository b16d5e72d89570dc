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
from app.runs.folder import STOPPED_AGAIN, RunFolder
from app.runs.journal import END, JOURNAL, Entry, without_end
from app.runs.manifest import RunState
from settings import Settings

_PROGRESS_S = 0.25
OnProgress = Callable[[Progress], None]
Tell = Callable[[], None]


class ReplayAgain:
    """One execution in this process, recorded; a process runs one at a time."""

    def __init__(self, wish: SessionConfig, told: Sequence[Entry], settings: Settings) -> None:
        self.differences: list[Difference] = []  # places of the journal at which it differs
        self._wish, self._told = wish, told
        self._manager = SystemManager.from_settings(settings)
        self._lock, self._stopped = Lock(), False

    def run(
        self, plan: RecordPlan, outcome: RunState, progress: OnProgress | None = None
    ) -> SessionRecord:
        """Go along the journal, then to the end of a run that came to this ``outcome``; one that
        was stopped, or only goes as far as its journal, is stopped there. Blocks.

        Where it differs from its journal it is stopped as well. SessionFailedError where it was
        told to stop before it began.
        """
        try:
            session = self._start(plan)
            record = session.record
            assert record is not None

            def tell() -> None:
                now = session.status().progress
                if not session.ended:
                    record.note_progress(now)
                if progress is not None:
                    progress(now)
                if record.cancelled:
                    self.stop()

            self._follow(session, record, tell)
            if not self.differences:
                self._end(session, outcome, tell)
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
            _give_up(session)

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
                _give_up(session)

    def _follow(self, session: ReplaySession, record: SessionRecord, tell: Tell) -> None:
        """To each place of the journal, in order of time."""
        for entry in sorted(self._told, key=lambda e: e.place):
            if not _has(session, entry):
                self._differ(entry, entry.place, "outside of the session")
            elif not _go(session, entry):
                return
            else:
                self._compare(entry, session)
            if self.differences:
                found = self.differences[0]
                record.refused = (
                    f"executed again, it differs from its journal in {found.path}: "
                    f"{found.a!r} is now {found.b!r}"
                )
                return
            tell()

    def _compare(self, entry: Entry, session: ReplaySession) -> None:
        view = session.view()
        said, came = (entry.seq, entry.digest), (view.seq, view.digest)
        if said != came:
            self._differ(entry, said, came)

    def _differ(self, entry: Entry, said: object, came: object) -> None:
        self.differences.append(Difference(f"journal[{self._told.index(entry) + 1}]", said, came))

    def _end(self, session: ReplaySession, outcome: RunState, tell: Tell) -> None:
        """Where it ended, which may lie before other places."""
        if outcome in (RunState.COMPLETED, RunState.FAILED):
            if session.state is State.PAUSED:
                session.resume()
            while not session.wait(_PROGRESS_S):
                tell()
        elif self._told:
            _go(session, self._told[-1])


def _has(session: ReplaySession, entry: Entry) -> bool:
    """Whether its place lies within a day of the session."""
    days = session.config.days[session.config.first_day :]
    if not 0 <= entry.day < len(days):
        return False
    return days[entry.day].first_ns - 1 <= entry.time_ns <= days[entry.day].end_ns


def _go(session: ReplaySession, entry: Entry) -> bool:
    """To a place; False where the session has ended before."""
    day = entry.day + session.config.first_day
    try:
        session.go(Place(day, entry.time_ns, entry.over)).result()
    except StateError:
        return False
    return True


def _give_up(session: ReplaySession) -> None:
    record = session.record
    if record is not None and record.refused is None:
        record.refused = STOPPED_AGAIN
    session.stop()


def journal_of(run: RunFolder) -> Sequence[Entry]:
    """The journal of a replay; RunError where it is missing. Of a failed one without its end, for
    how far it had read by then is chance."""
    found = run.journal()
    if found is None:
        raise RunError(f"{run.path / JOURNAL}: is missing; the run cannot be executed without it")
    return without_end(found) if ended_as(found) is RunState.FAILED else found


def ended_as(journal: Sequence[Entry]) -> RunState | None:
    """The outcome in its last line; None where it has none."""
    if not journal or journal[-1].command != END:
        return None
    return RunState(journal[-1].args["outcome"])
