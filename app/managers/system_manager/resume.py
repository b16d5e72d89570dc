"""An interrupted run executed again, from its start to its end, in this process.

What it is told is what its journal has; what comes is compared with what had been recorded, and
takes its place when it is complete (``Recording``, ``SessionRecord``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from app.errors import NotFoundError, RunError, SessionFailedError, StateError
from app.managers.data_manager.worker import WindowWorker
from app.managers.system_manager.answers import Progress
from app.managers.system_manager.backtest import BacktestEngine, open_store
from app.managers.system_manager.desk import TradingDesk
from app.managers.system_manager.plan import TradingPlan
from app.managers.system_manager.recorded import lay_out, settings_for
from app.managers.system_manager.reenact import Reenactment
from app.managers.system_manager.replay_again import ReplayAgain, ended_as
from app.managers.system_manager.session_record import RecordPlan, wish_of
from app.model import Dictionary
from app.runs.folder import RunFolder
from app.runs.journal import without_end
from app.runs.manifest import Manifest, RunKind, RunState, hash_file
from app.runs.script import script_of
from app.runs.store import RunStore
from settings import Settings

OnProgress = Callable[[Progress], None]
CANCELLED = "its resumption was cancelled before it began"


@dataclass(frozen=True)
class ResumeJob:
    """A run that waits in the store that ``settings`` name, reopened; ``catalog`` is another than
    the run's. It may hold keys to catalog and database: they show in no text of it."""

    run_id: str
    settings: Settings = field(repr=False)
    catalog: str | None = field(default=None, repr=False)


class Resumption:
    """One run; a process runs one at a time."""

    def __init__(self, job: ResumeJob) -> None:
        self._job = job
        self._lock, self._stopped = Lock(), False
        self._engine: BacktestEngine | ReplayAgain | None = None

    def run(self, progress: OnProgress | None = None) -> Manifest:
        """The run as it then stands: ended, or interrupted with the cause. Blocks.

        What keeps it from running is its cause too, and is raised.
        """
        store = open_store(self._job.settings)
        try:
            self._run(store, store.open(self._job.run_id), progress)
            return store.open(self._job.run_id).manifest
        except Exception as error:
            _call_off(store, self._job.run_id, f"{type(error).__name__}: {error}")
            raise
        finally:
            store.close()

    def stop(self) -> None:
        """Give up: the run stays interrupted. Any thread, any number of times."""
        with self._lock:
            self._stopped, engine = True, self._engine
        if engine is not None:
            engine.stop()

    def _run(self, store: RunStore, run: RunFolder, progress: OnProgress | None) -> None:
        manifest = run.manifest
        if run.cancelled:
            _call_off(store, run.id, CANCELLED)
        elif manifest.kind is RunKind.REPLAY:
            self._replay(store, run, progress)
        else:
            with tempfile.TemporaryDirectory(prefix="tapedeck-resume-") as name:
                self._backtest(store, run, Path(name), progress)

    def _backtest(
        self, store: RunStore, run: RunFolder, folder: Path, progress: OnProgress | None
    ) -> None:
        config, _ = lay_out(run, folder)
        _check_strategies(run)
        told = _Told(run)
        plan = TradingPlan(
            config, folder, store, run.manifest.report, queued=run.id, between=told.between,
            all_inside=True,
        )  # fmt: skip
        engine = BacktestEngine(plan, self._settings(run))
        self._begin(engine)

        def tell(now: Progress) -> None:
            if progress is not None:
                progress(now)
            if told.over:
                engine.stop()

        engine.run(tell)

    def _replay(self, store: RunStore, run: RunFolder, progress: OnProgress | None) -> None:
        wish, told = wish_of(run.manifest.config, run.path), run.journal() or ()
        if ended_as(told) is RunState.FAILED:  # how far it had read is chance
            told = without_end(told)
        again = ReplayAgain(wish, told, self._settings(run))
        self._begin(again)
        plan = RecordPlan(store, wish, queued=run.id, told=told)
        again.run(plan, ended_as(told) or RunState.COMPLETED, progress)

    def _settings(self, run: RunFolder) -> Settings:
        return settings_for(run.manifest, self._job.settings, self._job.catalog)

    def _begin(self, engine: BacktestEngine | ReplayAgain) -> None:
        with self._lock:
            if self._stopped:
                raise SessionFailedError("it was stopped before it began")
            self._engine = engine


def _check_strategies(run: RunFolder) -> None:
    for copy in run.manifest.strategies:
        if hash_file(run.strategy_copy(copy)).hash != copy.hash:
            raise RunError(f"{copy.copy} is not the file that the run began with")


class _Told:
    """What tells the desk again what it was told."""

    def __init__(self, run: RunFolder) -> None:
        self._script = script_of(run, to_the_end=True)
        self._made: Reenactment | None = None

    def between(self, desk: TradingDesk, words: Dictionary) -> WindowWorker:
        self._made = Reenactment(desk, words, self._script)
        return self._made

    @property
    def over(self) -> bool:
        """Whether it was told to stop."""
        return self._made is not None and self._made.over


def _call_off(store: RunStore, run_id: str, cause: str) -> None:
    """It is interrupted as before, for this reason; nothing where its own record said so."""
    with suppress(NotFoundError, StateError):  # deleted, or begun
        store.finish(store.take(run_id), RunState.STOPPED, cause=cause)
