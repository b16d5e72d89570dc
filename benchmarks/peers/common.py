"""What every run of the comparison does alike, in whichever environment: it needs pyarrow."""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.dataset  # noqa: F401 - read_table imports it, which is no part of reading
import pyarrow.parquet as pq

FAST, SLOW = 30, 90
QUANTITY = 100
CASH = 100_000_000
FEE = 1.0  # of an order of 100 shares: 0.005 a share, at least 1
MINUTE_NS = 60 * 10**9

STREAMS = {"W1": ("bars_1m",), "W2": ("bars_1m",), "W3": ("trades", "quotes")}


class Job(NamedTuple):
    """What one process is to do."""

    root: Path
    workload: str
    strategy: str
    mode: str

    @property
    def has_ticks(self) -> bool:
        return self.workload == "W3"


def read_job(argv: list[str] | None = None) -> Job:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True, help="folder of the workload's Parquet")
    parser.add_argument("--workload", choices=sorted(STREAMS), required=True)
    parser.add_argument("--strategy", choices=("count", "sma", "none", "slice"), required=True)
    parser.add_argument("--mode", default="")
    options = parser.parse_args(argv)
    return Job(options.root, options.workload, options.strategy, options.mode)


def files(root: Path, dataset: str) -> list[tuple[str, Path]]:
    """Symbol and file of everything in a dataset."""
    paths = sorted((root / dataset).rglob("*.parquet"))
    return [(path.parent.name.removeprefix("symbol="), path) for path in paths]


def rows_of(job: Job) -> int:
    """Rows that a run has to deliver; all of the workload."""
    paths = [path for dataset in STREAMS[job.workload] for _, path in files(job.root, dataset)]
    return sum(pq.read_metadata(path).num_rows for path in paths)


class Means:
    """Running sums of the last 30 and 90 prices, as this project's own strategies keep them."""

    __slots__ = ("fast", "long", "prices", "slow")

    def __init__(self) -> None:
        self.prices: deque[float] = deque(maxlen=SLOW)
        self.fast = self.slow = 0.0
        self.long = False

    def add(self, price: float) -> bool:
        """Another price; whether it changes the side."""
        prices = self.prices
        if len(prices) < SLOW:
            prices.append(price)
            self.slow += price
            self.fast = sum(list(prices)[-FAST:])
            return False
        self.fast += price - prices[-FAST]
        self.slow += price - prices[0]
        prices.append(price)
        if (self.fast * SLOW > self.slow * FAST) == self.long:
            return False
        self.long = not self.long
        return True


class Timer:
    """Seconds of loading, then of running."""

    def __init__(self) -> None:
        self.load_s = self.run_s = 0.0
        self._began = time.perf_counter()

    def loaded(self) -> None:
        now = time.perf_counter()
        self.load_s, self._began = now - self._began, now

    def ended(self) -> None:
        self.run_s = time.perf_counter() - self._began


def peak_mb() -> float:
    """Largest resident memory of this process; of its own image, not of the one it came from."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def report(timer: Timer, items: int, packages: tuple[str, ...], orders: int | None = None) -> None:
    """The one line that is read: figures, versions, and how many orders were filled."""
    found: dict[str, Any] = {
        "items": items,
        "load_s": round(timer.load_s, 6),
        "run_s": round(timer.run_s, 6),
        "peak_mb": round(peak_mb(), 1),
        "fills": orders,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")
    sys.stdout.flush()
