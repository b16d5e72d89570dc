"""A recorded run executed again in a Python of its own: a fresh interpreter, handed one job."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import msgspec

from app.errors import TapedeckError
from app.logs import configure_logging
from app.managers.system_manager.backtest import BacktestEngine
from app.managers.system_manager.desk import TradingDesk
from app.managers.system_manager.plan import TradingPlan
from app.managers.system_manager.reenact import Reenactment
from app.managers.system_manager.replay_again import ReplayAgain, journal_of
from app.managers.system_manager.session_record import RecordPlan, wish_of
from app.model import Dictionary
from app.runs.diff import Difference
from app.runs.folder import RunFolder
from app.runs.manifest import as_json, write_whole
from app.runs.script import script_of
from app.runs.store import RunStore
from app.trading.sections import BacktestConfig
from settings import Settings

log = logging.getLogger(__name__)

ANSWER = "answer.json"
_NAME = "app.managers.system_manager.verify_process"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``differences`` are places of a replay's journal."""

    error: str | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class VerifyJob:
    """A recorded run, and where the second one goes: its store and its answer. The strategy
    files are below ``folder``; a replay has no configuration. It may hold keys to a catalog: they
    show in no text of it."""

    recorded: Path
    runs: Path
    answer: Path
    folder: Path
    config: BacktestConfig | None = field(repr=False)
    settings: Settings = field(repr=False)
    report: bool


def start_process(errors: Path) -> subprocess.Popen[bytes]:
    """A process that waits for its job, and writes logs and errors into a file. Modules are found
    where this one finds them; Ctrl-C in a terminal does not reach it. OSError where none can be
    started."""
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    with errors.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _NAME], bufsize=0, stdin=subprocess.PIPE, stdout=sink,
            stderr=sink, start_new_session=True, env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip


def hand_over(process: subprocess.Popen[bytes], job: VerifyJob) -> None:
    """Hand the job over, through standard input, where nobody else sees what keys it holds. The
    process ends when that is closed."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has died: its exit says so
        process.stdin.write(pickle.dumps(job))


def execute(job: VerifyJob) -> Answer:
    """Carry out a job in this process."""
    store = RunStore(job.runs)
    try:
        return _backtest(job, store) if job.config is not None else _replay(job, store)
    except TapedeckError as error:
        return Answer(error=str(error))
    except Exception as error:
        return Answer(error=f"{type(error).__name__}: {error}")
    finally:
        store.close()


def _backtest(job: VerifyJob, store: RunStore) -> Answer:
    script = script_of(RunFolder(job.recorded))
    made: list[Reenactment] = []

    def between(desk: TradingDesk, words: Dictionary) -> Reenactment:
        made.append(Reenactment(desk, words, script))
        return made[0]

    assert job.config is not None
    plan = TradingPlan(job.config, job.folder, store, job.report, between=between, all_inside=True)
    engine = BacktestEngine(plan, job.settings)
    engine.run(lambda _: engine.stop() if made and made[0].over else None)
    return Answer()


def _replay(job: VerifyJob, store: RunStore) -> Answer:
    recorded = RunFolder(job.recorded)
    manifest = recorded.manifest
    wish, told = wish_of(manifest.config, recorded.path), journal_of(recorded)
    again = ReplayAgain(wish, told, job.settings)
    again.run(RecordPlan(store, wish, manifest.config["catalog"], told=told), manifest.state)
    return Answer(differences=tuple(again.differences))


def enter() -> None:
    """The process, from its job to its answer."""
    job: VerifyJob = pickle.load(sys.stdin.buffer)
    Thread(target=_end_with_parent, name="Parent", daemon=True).start()
    logs = configure_logging(job.settings.log_level, job.settings.log_format)
    try:
        write_whole(job.answer, as_json(msgspec.to_builtins(execute(job))))
    finally:
        logs.close()


def _end_with_parent() -> None:
    """Nobody waits for an answer any more where the other end is closed."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    enter()
