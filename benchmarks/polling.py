"""What a poller waits while a replay runs at speed 0: GET /session/data, p50 and p99.

    python -m benchmarks.polling [--rate 50] [--workload W3] [--rounds 3]

A real server in a process of its own; an open-loop, bounded generator: requests
go out at their times, whether the last one was answered or not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time

import httpx
import numpy as np

from benchmarks.replay import DATA
from benchmarks.workloads import WORKLOADS, Workload, prepare


async def poll(base: str, workload: Workload, rate: float) -> tuple[list[float], int]:
    """Latencies in ms of polls during one replay, and its items a second."""
    wish = {
        "symbols": ["*"], "start": str(workload.start), "end": str(workload.end), "speed": 0,
        "history_days": 0, "start_paused": True,
    }  # fmt: skip
    latencies: list[float] = []
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        (await client.post("/session", json=wish)).raise_for_status()
        symbols = sorted((await client.get("/catalog")).json()["symbols"])[:20]

        async def ask() -> None:
            began = time.perf_counter()
            answer = await client.get("/session/data", params={"symbols": ",".join(symbols)})
            answer.raise_for_status()
            latencies.append((time.perf_counter() - began) * 1e3)

        await ask()
        latencies.clear()
        (await client.post("/session/resume")).raise_for_status()
        began = time.perf_counter()
        asked: list[asyncio.Task[None]] = []
        state = {"state": "RUNNING"}
        while state["state"] == "RUNNING" and len(asked) < 5000:
            asked.append(asyncio.ensure_future(ask()))
            await asyncio.sleep(max(0, began + len(asked) / rate - time.perf_counter()))
            if len(asked) % 10 == 0:
                state = (await client.get("/session")).json()
        await asyncio.gather(*asked)
        items = (await client.get("/session")).json()["progress"]["items_delivered"]
        return latencies, int(items / (time.perf_counter() - began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--workload", default="W3")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    workload = next(w for w in WORKLOADS if w.name == options.workload)
    root = prepare(DATA, workload)
    server = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        env=os.environ | {"DATA_CATALOG_URI": str(root), "TAPEDECK_CACHE_DIR": f"{DATA}/cache"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None, "the server did not start"
        latencies: list[float] = []
        speeds = []
        for _ in range(options.rounds):
            more, items_per_s = asyncio.run(poll(found[0], workload, options.rate))
            latencies += more
            speeds.append(items_per_s)
    finally:
        server.terminate()
        server.wait(10)
    row = {
        "workload": workload.name,
        "rate": options.rate,
        "polls": len(latencies),
        "p50_ms": round(float(np.percentile(latencies, 50)), 2),
        "p99_ms": round(float(np.percentile(latencies, 99)), 2),
        "max_ms": round(max(latencies), 2),
        "items_per_s": round(float(np.median(speeds))),
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
