"""At what moment a process is killed: after a part of its work, which its CPU time tells.

On a busy machine wall time says nothing of how far a process is.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

WAIT_S = 180.0  # on a machine that is busy with other things
_BEFORE = 0.1  # of the kills come before the work begins to show
_LAG_S = 0.005  # waits for a disk take no CPU, and are met this way

Process = subprocess.Popen[str]
Shows = Callable[[], bool]


@dataclass(frozen=True)
class Work:
    """CPU seconds of a process until its work shows, and from there to its end."""

    before_s: float
    during_s: float


@dataclass(frozen=True)
class Moment:
    """``part`` of the work, 0 to 1; below 0, part of what comes before it; then ``lag_s``."""

    part: float
    lag_s: float = 0.0

    @classmethod
    def of(cls, dice: random.Random, *, before: bool = True) -> Moment:
        part, lag_s = dice.random(), dice.random() * _LAG_S
        return cls(-part if before and dice.random() < _BEFORE else part, lag_s)


def cpu_s(process: Process) -> float | None:
    """What it has used; None once it has ended."""
    if process.poll() is not None:
        return None
    try:
        return time.clock_gettime((~process.pid << 3) | 2)  # as clock_getcpuclockid(3) has it
    except OSError:  # it ends just now
        return None


def measure(process: Process, shows: Shows, done: Shows = lambda: False) -> Work:
    """Of one that is not disturbed and succeeds; its work ends when it is done, or with it."""
    before_s = _until(process, shows) or 0.0
    used_s = before_s
    while not done() and (now_s := cpu_s(process)) is not None:
        used_s = now_s
        time.sleep(0.001)
    assert process.wait(WAIT_S) == 0, process.args
    return Work(before_s, used_s - before_s)


def kill_at(process: Process, shows: Shows, work: Work, moment: Moment) -> bool:
    """SIGKILL at a moment; whether the process was still there."""
    if moment.part < 0:
        due_s = -moment.part * work.before_s
    else:
        due_s = (_until(process, shows) or 0.0) + moment.part * work.during_s
    _until(process, lambda: (cpu_s(process) or due_s) >= due_s)
    time.sleep(moment.lag_s)  # at random: CPU time stands still while a process waits
    return kill(process)


def kill(process: Process) -> bool:
    """Whether it was still there."""
    was_there = process.poll() is None
    process.kill()
    process.wait(WAIT_S)
    return was_there


def _until(process: Process, reached: Shows) -> float | None:
    """CPU seconds used when this is reached; None where the process ended before."""
    end_s = time.monotonic() + WAIT_S
    while not reached() and process.poll() is None:
        assert time.monotonic() < end_s, f"{process.args!r}: no sign of it"
        time.sleep(0.001)
    return cpu_s(process)
