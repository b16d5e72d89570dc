"""Round trips a second of one lockstep client of a server on this machine, and what they cost.

    python -m benchmarks.lockstep [--minutes 390] [--days 10] [--kind strategy|follower|both]

Server and client are a process each. A strategy is played by the project's own client; a follower
acknowledges slices over a bare socket. Beside the rate stand the CPU of both, and the time of the
same turns on a bare socket pair between two processes: what this machine allows at most.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.calendar import Hours, TradingCalendar
from app.catalog.layout import day_path
from app.client.lockstep import LockstepSocket
from app.lockstep.run import LockstepRun
from app.times import MINUTE_NS, parse_date

ROOT = Path(__file__).parents[1]
START, END = "2013-10-01", "2013-12-31"
STRATEGY = """
from app.trading.strategy import BarEvent, Context, Strategy


class Counts(Strategy):
    intervals = ({minutes},)

    def on_start(self, ctx: Context) -> None:
        self.seen = 0

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        self.seen += 1
"""


def write_catalog(root: Path, days: int) -> None:
    """One symbol's 1m bars of so many days."""
    first, last = parse_date(START), parse_date(END)
    assert first is not None
    assert last is not None
    calendar = TradingCalendar("XNYS", Hours.REGULAR, 0, first, last)
    spans, _ = calendar.range(first, last)
    for day in spans[:days]:
        starts = np.arange(day.open_ns, day.close_ns, MINUTE_NS)
        price = 100 + np.sin(np.arange(len(starts)) / 30)
        path = root / day_path("bars_1m", "AAA", day.date)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {
            "ts": pa.array(starts).cast(pa.timestamp("ns", "UTC")), "open": price,
            "high": price + 0.1, "low": price - 0.1, "close": price,
            "volume": pa.array(np.full(len(starts), 100)), "vwap": price,
        }  # fmt: skip
        pq.write_table(pa.table(columns), path)


def write_config(folder: Path, minutes: int) -> Path:
    wish = {
        "backtest": {"name": "lockstep", "start": START, "end": END},
        "data": {"symbols": ["AAA"]},
        "strategies": [{"id": "alpha", "lockstep": True}],
    }
    (folder / "run.yaml").write_text(json.dumps(wish))
    file = folder / f"counts_{minutes}.py"
    file.write_text(STRATEGY.format(minutes=minutes))
    return file


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """A server's URL and its process."""
    environment = os.environ | {
        "DATA_CATALOG_URI": str(folder / "catalog"), "TAPEDECK_CONFIGS_DIR": str(folder),
        "TAPEDECK_CACHE_DIR": str(folder / "cache"), "TAPEDECK_RUNS_DIR": str(folder / "runs"),
        "PYTHONPATH": str(ROOT), "LOG_LEVEL": "error",
    }  # fmt: skip
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield line[line.index("http://") :].strip().removesuffix("/api/v1"), process.pid
        finally:
            process.terminate()


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def start(url: str, body: dict[str, Any]) -> None:
    answer = httpx.post(f"{url}/api/v1/session", json=body, timeout=60)
    answer.raise_for_status()


def bare_rate(turns: int = 20_000) -> float:
    """Turns a second of 200 bytes each way over loopback, with nothing else done."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = Process(target=_echo, args=(listener.getsockname()[1],))
        child.start()
        line, _ = listener.accept()
        with line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began_s = time.perf_counter()
            for _ in range(turns):
                line.sendall(b"x" * 200)
                line.recv(4096)
            took_s = time.perf_counter() - began_s
        child.join()
    return turns / took_s


def _echo(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := line.recv(4096):
            line.sendall(data)


def play_strategy(url: str, file: Path) -> int:
    run = LockstepRun(file, url, "alpha")
    state = run.run(lambda frame: None)
    assert state == "COMPLETED", state
    return run.turns


def follow(url: str, channel: str) -> int:
    turns = 0
    with LockstepSocket(url) as line:
        line.send({
            "action": "subscribe", "delivery": "lockstep", "name": "alpha", "channels": [channel],
        })  # fmt: skip
        start(url, {"symbols": ["AAA"], "start": START, "end": END, "speed": 0})
        while (frame := line.receive())["type"] != "end":
            if frame["type"] == "slices":
                turns += 1
                line.send({"action": "ack", "turn": frame["seqs"][-1]})
    return turns


def measure(folder: Path, kind: str, minutes: int) -> dict[str, Any]:
    file = write_config(folder, minutes)
    with served(folder) as (url, pid):
        if kind == "strategy":
            start(url, {"config": "run.yaml", "speed": 0, "record": False})
        server_s, client_s, began_s = cpu_s(pid), own_cpu_s(), time.perf_counter()
        by_file = kind == "strategy"
        turns = play_strategy(url, file) if by_file else follow(url, f"bars_{minutes}m")
        took_s = time.perf_counter() - began_s
        server_s, client_s = cpu_s(pid) - server_s, own_cpu_s() - client_s
    return {
        "kind": kind, "bars": f"{minutes}m", "turns": turns, "wall_s": round(took_s, 3),
        "turns_per_s": round(turns / took_s), "server_cpu_us": round(server_s / turns * 1e6),
        "client_cpu_us": round(client_s / turns * 1e6),
    }  # fmt: skip


def tell(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--kind", choices=("strategy", "follower", "both"), default="both")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_catalog(folder / "catalog", given.days)
        tell({"bare_turns_per_s": round(bare_rate())})
        for kind in ("strategy", "follower") if given.kind == "both" else (given.kind,):
            for minutes in (1, 5):
                tell(measure(folder, kind, minutes))


if __name__ == "__main__":
    main()
