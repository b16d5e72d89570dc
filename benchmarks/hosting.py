"""A real server within the process that measures: what it delivers is stamped as it is delivered.

Its clients are a process of their own, see ``benchmarks.clients``.
"""

from __future__ import annotations

import json
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.api.server import Server, create_app, quick_turns
from app.managers.system_manager import ReplaySession, SessionConfig, SystemManager
from app.model import Window
from benchmarks.measured import DATA
from benchmarks.workloads import Workload
from settings import load_settings

START_S = 60
LATE_S = 120  # that clients may take beyond their time: their core may be taken


class Stamps:
    """Notes when each slice came, and when it was due."""

    def __init__(self, session: ReplaySession) -> None:
        # The exact deadline is the clock's own: no answer of the server has it.
        self._clock = session._branch.coordinator._clock
        self._windows: list[tuple[int, int, np.ndarray[Any, Any], list[int]]] = []
        self.rows = 0
        self._rows_after: list[int] = []

    def window_rows(self) -> int | None:
        return None

    def holding(self) -> float | None:
        return None

    def on_window(self, window: Window) -> None:
        now_ns = time.monotonic_ns()
        times_ns = window.times_ns
        due = [self._clock.deadline_ns(t) for t in times_ns.tolist()] if self._clock.speed else []
        self._windows.append((now_ns, window.first_seq, times_ns, due))
        self.rows += len(window.items)
        self._rows_after.append(self.rows)

    def on_status(self, *_: Any) -> None:
        return None

    def error_ms(self) -> Any:
        """How late each slice was against its deadline."""
        parts = [now_ns - np.array(due, np.int64) for now_ns, _, _, due in list(self._windows)]
        return np.concatenate([np.empty(0), *parts]) / 1e6

    def wall_ns(self) -> tuple[Any, Any]:
        """The last sequence of each window, and when it was delivered."""
        found = [(seq + len(t) - 1, now_ns) for now_ns, seq, t, _ in list(self._windows)]
        both = np.array(found, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def rows_until(self) -> Callable[[int], float]:
        """Rows of all slices up to a sequence; within a window by its share of slices."""
        seqs, rows = [0.0, *self.wall_ns()[0].tolist()], [0.0, *self._rows_after]
        return lambda seq: float(np.interp(seq, seqs, rows))


class Cost(NamedTuple):
    """Wall and CPU time of this process."""

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Cost:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.monotonic(), used.ru_utime + used.ru_stime)

    def spent(self) -> Cost:
        """Since then."""
        now = self.now()
        return Cost(now.wall_s - self.wall_s, now.cpu_s - self.cpu_s)

    def share(self) -> float:
        """Cores in use since then."""
        spent = self.spent()
        return round(spent.cpu_s / max(1e-9, spent.wall_s), 3)


class Host:
    """One server and its sessions."""

    def __init__(self, base: str, manager: SystemManager) -> None:
        self.base = base
        self.manager = manager

    def start(self, workload: Workload, speed: float) -> ReplaySession:
        """A paused session of all of a workload whose queues are full; in place of the last one."""
        if self.manager.session is not None:
            self.manager.session.close()
        wish = SessionConfig(
            ["*"], str(workload.start), str(workload.end), speed=speed, start_paused=True,
            history_days=0,
        )  # fmt: skip
        session = self.manager.start_session(wish)
        session.wait_started(START_S)
        _wait_until_read_ahead(session)
        return session


class Kept:
    """The stamps of each session that is started on a host."""

    def __init__(self, host: Host) -> None:
        self.last: Stamps
        host.manager.on_session(self._attach)

    def _attach(self, session: ReplaySession) -> None:
        self.last = Stamps(session)
        session.attach(self.last)


@contextmanager
def hosted(root: Path) -> Iterator[Host]:
    """Serve a catalog on a free port of the loopback, on a thread."""
    settings = load_settings(None, tapedeck_cache_dir=DATA / "cache", tapedeck_port=0)
    settings = settings.model_copy(update={"data_catalog_uri": str(root)})
    started: queue.Queue[str] = queue.Queue()
    manager = SystemManager.from_settings(settings)
    server = Server(create_app(settings, manager), settings, started.put)
    thread = threading.Thread(target=server.run, name="Server", daemon=True)
    thread.start()
    try:
        manager.catalog()
        base = started.get(timeout=START_S)
        with quick_turns():
            yield Host(base, manager)
    finally:
        server.should_exit = True
        thread.join(START_S)
        manager.close()


def _wait_until_read_ahead(session: ReplaySession) -> None:
    """Idle means idle: the queues are full, nothing is being read, and no bars wait to be derived
    (which an equal count alone does not tell: on a busy machine a thread stands for a while)."""
    queued, until_s = -1, time.monotonic() + START_S
    while True:
        stats = session.stream_stats()
        now = sum(s.queued for s in stats)
        from_it = [s for s in stats if s.channel != "quotes"]  # of which no bars are derived
        known = {(s.symbol, s.complete_through_ns, s.ended) for s in from_it}
        if now == queued and len(known) == len({s.symbol for s in from_it}):
            return
        queued = now
        threading.Event().wait(0.5)
        if time.monotonic() > until_s:
            raise RuntimeError(f"the queues are not full after {START_S} s: {queued} rows")


class Clients:
    """Clients in a process of their own; ``ready`` when they are connected."""

    def __init__(self, base: str, **wish: Any) -> None:
        self._seconds = float(wish["seconds"])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clients", json.dumps({"base": base} | wish)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            if self._line(START_S) != "ready\n":
                raise RuntimeError("the clients could not connect")
        except BaseException:
            self._process.kill()
            raise

    def go(self) -> None:
        """Begin to count the time."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """What they saw, once their time is over."""
        with self._process:
            found: dict[str, Any] = json.loads(self._line(self._seconds + LATE_S) or "{}")
            self._process.kill()
        if not found:
            raise RuntimeError("the clients failed")
        return found

    def _line(self, timeout_s: float) -> str:
        """A whole line of theirs, or nothing; they are ended where none comes in time."""
        assert self._process.stdout is not None
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
            return line if line.endswith("\n") else ""
        finally:
            timer.cancel()


def percentiles(values: Any) -> dict[str, float | None]:
    """p50_ms, p99_ms and max_ms of milliseconds; None where there are none."""
    if not len(values):
        return {"p50_ms": None, "p99_ms": None, "max_ms": None}
    found = [*np.percentile(values, [50, 99]), np.max(values)]
    names = ("p50_ms", "p99_ms", "max_ms")
    return {name: round(float(v), 3) for name, v in zip(names, found, strict=True)}
