"""How exactly slices are delivered at speed > 0, against their deadline on the wall.

    python -m benchmarks.pacing [--speed 60] [--seconds 20] [--workload W2]

The deadline of a slice is (its release - the clock at the start) / speed after
the start. Prints p50, p99 and the largest error in milliseconds; never negative:
nothing is delivered early.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any

import numpy as np

from app.managers.system_manager import (
    ReplaySession,
    SessionConfig,
    SessionDefaults,
    SystemManager,
)
from app.model import Window
from benchmarks.replay import DATA
from benchmarks.workloads import WORKLOADS, prepare


class Stamps:
    """Notes when each slice came."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.wall_ns: list[int] = []
        self.rows = 0

    def window_rows(self) -> int | None:
        return None

    def holding(self) -> float | None:
        return None

    def on_window(self, window: Window) -> None:
        now_ns = time.monotonic_ns()
        for time_ns in window.times_ns.tolist():
            self.times_ns.append(time_ns)
            self.wall_ns.append(now_ns)
        self.rows += len(window.items)

    def on_status(self, *_: Any) -> None:
        return None


def wait_until_read_ahead(session: ReplaySession) -> None:
    """Idle means idle: the queues are full, nothing is being read."""
    queued = -1
    while (now := sum(s.queued for s in session.stream_stats())) != queued:
        queued = now
        threading.Event().wait(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workload", default="W2")
    options = parser.parse_args()
    workload = next(w for w in WORKLOADS if w.name == options.workload)
    root = prepare(DATA, workload)
    manager = SystemManager(str(root), SessionDefaults(speed=options.speed), DATA / "cache")
    stamps = Stamps()
    manager.on_session(lambda session: session.attach(stamps))
    sys.setswitchinterval(0.0005)
    try:
        wish = SessionConfig(["*"], str(workload.start), str(workload.end), start_paused=True)
        session = manager.start_session(wish)
        wait_until_read_ahead(session)
        session.resume().result(10)
        threading.Event().wait(options.seconds)
    finally:
        manager.close()
    market = (np.array(stamps.times_ns) - stamps.times_ns[0]) / options.speed
    error_ms = (np.array(stamps.wall_ns) - stamps.wall_ns[0] - market) / 1e6
    error_ms -= error_ms.min()  # the least late one is the best known deadline
    row = {
        "workload": workload.name,
        "speed": options.speed,
        "slices": len(error_ms),
        "rows": stamps.rows,
        "p50_ms": round(float(np.percentile(error_ms, 50)), 3),
        "p99_ms": round(float(np.percentile(error_ms, 99)), 3),
        "max_ms": round(float(error_ms.max()), 3),
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
