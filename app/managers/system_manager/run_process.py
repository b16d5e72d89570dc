"""A queued run in a Python of its own: a fresh interpreter that is handed one job.

Not by ``multiprocessing``: its children import the program that their parent was started as, and
one that does not expect that would start a second server.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress

from app.errors import TapedeckError
from app.logs import Place, configure_logging
from app.managers.system_manager.resume import ResumeJob, Resumption
from app.managers.system_manager.run_job import RunJob, run_job
from app.runs.store import RunStore

log = logging.getLogger(__name__)

_NAME = "app.managers.system_manager.run_process"


def start_process() -> subprocess.Popen[bytes]:
    """A process that waits for its job. Modules are found where this one finds them; Ctrl-C in
    a terminal does not reach it. OSError where none can be started."""
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _NAME], stdin=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def carry_out(process: subprocess.Popen[bytes], job: RunJob | ResumeJob) -> int:
    """Hand the job over, through standard input, where nobody else sees what keys it holds; the
    exit code, once the process has ended."""
    process.communicate(pickle.dumps(job))
    return process.returncode


def enter() -> None:
    """A run's own process: its job, signals and logs, then ``run_job`` or a ``Resumption``."""
    job: RunJob | ResumeJob = pickle.load(sys.stdin.buffer)

    def cancel(number: int, frame: object) -> None:
        del number, frame
        with suppress(TapedeckError, OSError):  # it has ended
            RunStore(job.settings.tapedeck_runs_dir).open(job.run_id).cancel()

    signal.signal(signal.SIGTERM, cancel)
    logs = configure_logging(
        job.settings.log_level, job.settings.log_format, lambda: Place(job.run_id)
    )
    try:
        if isinstance(job, ResumeJob):
            Resumption(job).run()
        else:
            run_job(job)
    except TapedeckError as error:
        log.error("run %s: %s", job.run_id, error)
        raise SystemExit(1) from error
    finally:
        logs.close()


if __name__ == "__main__":
    enter()
