"""A recorded run executed again, in a process of its own, and compared with its record.

It runs with what the record has: its configuration, its copies of the strategies, its seed and
the settings it hangs on. Data come from the catalog that the configuration or the settings name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from threading import Event
from time import sleep

import msgspec

from app.errors import RequestError, SessionFailedError
from app.managers.system_manager.recorded import lay_out, settings_for
from app.managers.system_manager.replay_again import journal_of
from app.managers.system_manager.verify_process import (
    ANSWER,
    Answer,
    VerifyJob,
    hand_over,
    start_process,
)
from app.runs.diff import Difference
from app.runs.folder import RunFolder
from app.runs.manifest import NAME as MANIFEST
from app.runs.manifest import Manifest, RunKind, hash_file
from app.runs.script import script_of
from app.runs.verify import Verification, check_record, compare
from app.trading.sections import BacktestConfig
from settings import Settings

_LOOK_S = 0.1
_RUNS, _STRATEGIES, _ERRORS = "runs", "strategies", "errors.txt"
OnProgress = Callable[[float], None]


class Verifier:
    """One verification. Its second run leaves nothing behind."""

    def __init__(
        self, run: RunFolder, settings: Settings, *, catalog: str | None = None,
        strategies: Path | None = None,
    ) -> None:  # fmt: skip
        """``catalog`` is another than the run's; ``strategies`` is a folder with files to be
        executed in place of the record's copies."""
        self._record, self._settings = run, settings
        self._catalog, self._strategies = catalog, strategies
        self._stopped = Event()

    def run(self, progress: OnProgress | None = None) -> Verification:
        """Execute and compare; ``progress`` is told the fraction that is done. Blocks.

        StateError where the run has not ended; RequestError where it did nothing, or cannot be
        executed; RunError where its record cannot be read, or is of unknown versions.
        """
        check_record(self._record)
        manifest = self._record.manifest
        with tempfile.TemporaryDirectory(prefix="tapedeck-verify-") as name:
            folder = Path(name)
            (folder / _RUNS).mkdir()
            config, names = self._lay_out(manifest, folder / _STRATEGIES)
            settings = settings_for(manifest, self._settings, self._catalog)
            # It is a proof of the files themselves, not of what was once made of them.
            apart = {"tapedeck_runs_database_url": None, "session_from_cache": False}
            settings = settings.model_copy(update=apart)
            job = VerifyJob(
                self._record.path, folder / _RUNS, folder / ANSWER, folder / _STRATEGIES, config,
                settings, "report.html" in manifest.files,
            )  # fmt: skip
            answer = self._execute(job, progress)
            again = _run_in(folder / _RUNS)
            if again is None:
                raise RequestError(f"run {self._record.id} cannot be executed: {answer.error}")
            return compare(
                self._record, again, names=names, edited=tuple(self._edited(manifest)),
                journal=answer.differences,
            )  # fmt: skip

    def stop(self) -> None:
        """Give up; any thread, any number of times."""
        self._stopped.set()

    # -- what it is made of --------------------------------------------------------------------

    def _lay_out(
        self, manifest: Manifest, folder: Path
    ) -> tuple[BacktestConfig | None, dict[str, str]]:
        """What is wrong with the record is told at once. A replay has no configuration."""
        if manifest.kind is RunKind.REPLAY:
            journal_of(self._record)
            return None, {}
        found = lay_out(self._record, folder, self._strategies)
        script_of(self._record)
        return found

    def _edited(self, manifest: Manifest) -> Iterator[Difference]:
        """Strategy files of the user that are not the recorded ones any more."""
        if self._strategies is not None:
            return
        folders = [Path.cwd(), self._settings.tapedeck_configs_dir]
        for copy in manifest.strategies:
            places = (Path(folder) / copy.file for folder in folders if folder is not None)
            found = next((place for place in places if place.is_file()), None)
            now = None if found is None else hash_file(found).hash
            if now is not None and now != copy.hash:
                yield Difference(str(found), copy.hash, now)

    # -- the second run ------------------------------------------------------------------------

    def _execute(self, job: VerifyJob, progress: OnProgress | None) -> Answer:
        """The answer of a process that carries the job out."""
        try:
            process = start_process(job.answer.with_name(_ERRORS))
        except OSError as error:
            raise SessionFailedError(f"no process can be started: {error}") from error
        with process:
            try:
                hand_over(process, job)
                self._follow(process, job.runs, progress)
            finally:
                process.kill()
        return _answer_in(job.answer, process.returncode)

    def _follow(self, process: Popen[bytes], runs: Path, progress: OnProgress | None) -> None:
        while process.poll() is None:
            if self._stopped.is_set():
                raise SessionFailedError("the verification was stopped")
            run = _run_in(runs)
            told = None if run is None else run.progress()
            if told is not None and progress is not None:
                progress(float(told["fraction"]))
            sleep(_LOOK_S)


def _run_in(runs: Path) -> RunFolder | None:
    """The one run in a store."""
    placed = (path for path in runs.iterdir() if not path.name.startswith("."))
    found = next((path for path in placed if (path / MANIFEST).is_file()), None)
    return None if found is None else RunFolder(found)


def _answer_in(path: Path, exit_code: int) -> Answer:
    if not path.is_file():
        said = path.with_name(_ERRORS).read_text("utf-8", "replace").strip()
        last = said.rpartition("\n")[2]
        raise SessionFailedError(f"the second run's process ended with code {exit_code}: {last}")
    return msgspec.json.decode(path.read_bytes(), type=Answer)
