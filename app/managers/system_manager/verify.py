"""A recorded run executed again, in a process of its own, and compared with its record.

It runs with what the record has: its configuration, its copies of the strategies, its seed and
the settings it hangs on. Data come from the catalog that the configuration or the settings name.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from threading import Event
from time import sleep

import msgspec

from app.catalog.location import redact_uri
from app.errors import ConfigError, RequestError, RunError, SessionFailedError
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
from app.runs.manifest import Manifest, StrategyCopy, hash_file
from app.runs.script import script_of
from app.runs.verify import Verification, check_record, compare
from app.trading.config import dump_yaml, parse_backtest_config
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
            job = VerifyJob(
                self._record.path, folder / _RUNS, folder / ANSWER, folder / _STRATEGIES, config,
                self._settings_for(manifest, config), "report.html" in manifest.files,
            )  # fmt: skip
            script_of(self._record)  # what is wrong with it is told at once
            answer = self._execute(job, progress)
            again = _run_in(folder / _RUNS)
            if again is None:
                raise RequestError(f"run {self._record.id} cannot be executed: {answer.error}")
            return compare(
                self._record, again, digest=answer.digest, names=names,
                edited=tuple(self._edited(manifest)),
            )  # fmt: skip

    def stop(self) -> None:
        """Give up; any thread, any number of times."""
        self._stopped.set()

    # -- what it is made of --------------------------------------------------------------------

    def _lay_out(self, manifest: Manifest, folder: Path) -> tuple[BacktestConfig, dict[str, str]]:
        """The strategies to be executed, in a folder, under the names that the configuration has
        for them; and those that were given another name, by it."""
        config = _config_of(manifest)
        names: dict[str, str] = {}
        sections = []
        for section, copy in zip(config.strategies, manifest.strategies, strict=True):
            if _lies_elsewhere(copy):
                renamed = f".{copy.id}/{Path(copy.file).name}"
                names[renamed] = copy.file
                section = section.model_copy(update={"file": renamed})
            sections.append(section)
            place = folder / section.file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._source(copy), place)
        return config.model_copy(update={"strategies": sections}), names

    def _source(self, copy: StrategyCopy) -> Path:
        """The file to be executed for a strategy of the record."""
        if self._strategies is None:
            found = self._record.path / copy.copy
            if not found.is_file():
                raise RunError(f"{found}: is missing; the run cannot be executed without it")
            return found
        named = self._strategies / Path(copy.file).name
        for found in (named,) if _lies_elsewhere(copy) else (self._strategies / copy.file, named):
            if found.is_file():
                return found
        raise RequestError(f"there is no {named.name!r} in {self._strategies}")

    def _settings_for(self, manifest: Manifest, config: BacktestConfig) -> Settings:
        """Those of the record above this program's own."""
        unknown = sorted(manifest.settings.keys() - Settings.model_fields.keys())
        if unknown:
            raise RunError(f"run {manifest.id} hangs on settings unknown here: {unknown}")
        return self._settings.model_copy(
            update={
                **manifest.settings,
                "data_catalog_uri": self._catalog or self._catalog_of(config),
                "tapedeck_cache_dir": Path(self._settings.tapedeck_cache_dir).absolute(),
                "tapedeck_runs_database_url": None,
                "tapedeck_api_key": None,
            }
        )

    def _catalog_of(self, config: BacktestConfig) -> str | None:
        """The configuration's, or the settings'; a record has no keys to it, settings may."""
        named, own = config.data.catalog, self._settings.data_catalog_uri
        if named is None or (own is not None and redact_uri(own) == named):
            return own
        return named

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


def _lies_elsewhere(copy: StrategyCopy) -> bool:
    """Its name leads out of the configuration's folder."""
    file = Path(copy.file)
    return file.is_absolute() or ".." in file.parts


def _config_of(manifest: Manifest) -> BacktestConfig:
    name = f"the configuration of run {manifest.id}"
    config = parse_backtest_config(dump_yaml(manifest.config), name)
    named = [(s.id, s.file) for s in config.strategies]
    if named != [(s.id, s.file) for s in manifest.strategies]:
        raise ConfigError([f"{name}: its strategies are not those of the manifest"])
    return config


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
