"""What pollers and stream clients wait while a replay runs, and what they cost it.

    python -m benchmarks.polling [--quick]

A real server and, in a process of their own, its clients: an open-loop, bounded generator of
200 and 1,000 requests a second from 1, 16 and 64 clients; streams to 1, 10 and 100 clients; the
same replay with and without ten conflating clients, in turn. Writes polling.json and the section of
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import httpx
import numpy as np

from app.managers.lifecycle import State
from benchmarks.hosting import Clients, Cost, Host, Kept, Stamps, hosted, percentiles
from benchmarks.measured import DATA, conditions, say
from benchmarks.page import publish
from benchmarks.workloads import Workload, bars, prepare

WAIT_S = 120
POLLS_S, STREAMS_S = 240, 320  # since the beginning, after which no more of them are begun
_ALL = {"channels": ["bars_1m", "bars_5m", "bars_15m"], "symbols": ["*"]}


class Scale(NamedTuple):
    symbols: int
    long_days: int  # of what lasts as long as a measurement at speed 0
    days: int
    seconds: float
    rates: tuple[int, ...]
    clients: tuple[int, ...]
    streams: tuple[int, ...]
    pairs: int


FULL = Scale(500, 60, 10, 3, (200, 1000), (1, 16, 64), (1, 10, 100), 5)
QUICK = Scale(100, 60, 20, 1, (200,), (1, 16), (1, 4), 2)


class Cell(NamedTuple):
    """One measurement of polling."""

    speed: float
    call: str
    paths: list[str]
    rate: int
    clients: int


def cells(scale: Scale, symbols: Sequence[str]) -> Iterator[Cell]:
    few = ",".join(symbols[:20])
    calls = {
        "data, 20 symbols": [f"/session/data?symbols={few}"],
        f"data, {scale.symbols} symbols": ["/session/data"],
        "bars": [f"/session/data/{name}/bars" for name in symbols[:100]],
    }
    # Those that wait longest last: they are left out first, should the machine be slow.
    for speed, clients, rate, (call, paths) in product(
        (60.0, 0.0), scale.clients, scale.rates, calls.items()
    ):
        yield Cell(speed, call, paths, rate, clients)


def poll(host: Host, kept: Kept, workload: Workload, cell: Cell, seconds: float) -> dict[str, Any]:
    """Latencies while the replay runs: at speed 0 one of its own, else one for all."""
    session = host.manager.session
    if session is None or session.ended or not cell.speed or session.status().speed != cell.speed:
        session = host.start(workload, cell.speed)
    clients = Clients(
        host.base, seconds=seconds,
        polls={"clients": cell.clients, "rate": cell.rate, "paths": cell.paths},
    )  # fmt: skip
    began, before = Cost.now(), kept.last.rows
    if session.state is State.PAUSED:
        session.resume().result(10)
    clients.go()
    if not cell.speed:  # the market may be over before the pollers are
        session.wait(seconds)
    delivering_s = time.monotonic() - began.wall_s
    items = kept.last.rows
    found = clients.result()
    if cell.speed:
        delivering_s, items = time.monotonic() - began.wall_s, kept.last.rows
    cpu = began.share()
    latencies = np.array(found["latencies_ms"])
    return {
        "speed": cell.speed, "call": cell.call, "offered_per_s": cell.rate,
        "clients": cell.clients, "offered": found["offered"], "left_out": found["left_out"],
        "errors": found["errors"], "answered": len(latencies), **percentiles(latencies),
        "items_per_s": round((items - before) / delivering_s), "running_s": round(delivering_s, 2),
        "cpu": cpu,
    }  # fmt: skip


def stream(
    host: Host, kept: Kept, workload: Workload, speed: float, count: int, seconds: float,
    encoding: str = "msgpack", delivery: str = "lossless",
) -> dict[str, Any]:  # fmt: skip
    """All of a session to so many clients; how old a frame's last slice is when it comes."""
    session = host.start(workload, speed)
    wish = {"channels": _ALL["channels"], "symbols": ["*"], "delivery": delivery}
    clients = Clients(
        host.base, seconds=seconds,
        streams={"clients": count, "encoding": encoding, "subscription": wish},
    )  # fmt: skip
    began = Cost.now()
    session.resume().result(10)
    clients.go()
    session.wait(seconds)
    running_s, cpu = time.monotonic() - began.wall_s, began.share()
    session.stop()
    found = clients.result()
    sent = _sent(kept.last, found["frames"])
    return {
        "speed": speed, "clients": count, "delivery": delivery, "encoding": encoding,
        "items_per_s": round(sent / running_s),
        "mb_per_s": round(found["bytes"] / running_s / 1e6, 2),
        "holes": found["holes"], **percentiles(ages_ms(kept.last, found["frames"])), "cpu": cpu,
    }  # fmt: skip


def _sent(stamps: Stamps, frames: list[list[tuple[int, int]]]) -> float:
    """Rows that a client was sent, in the mean: of lossless ones all up to the last that came."""
    rows = stamps.rows_until()
    last = [client[-1][0] if client else 0 for client in frames]
    return statistics.fmean(rows(seq) for seq in last) if last else 0.0


def ages_ms(stamps: Stamps, frames: list[list[tuple[int, int]]]) -> Any:
    """From a slice's delivery by the merge thread to its frame's arrival, every frame of all."""
    pairs = np.array([pair for client in frames for pair in client], np.int64).reshape(-1, 2)
    seqs, delivered = stamps.wall_ns()
    at = np.searchsorted(seqs, pairs[:, 0])
    known = at < len(seqs)
    return (pairs[known, 1] - delivered[at[known]]) / 1e6


def slowdown(host: Host, kept: Kept, workload: Workload, pairs: int) -> dict[str, Any]:
    """The same replay alone and with ten conflating clients, in turn.

    Also by the server's CPU: on a machine that others use too, wall time tells of them.
    """
    ratios, by_cpu = [], []
    for _ in range(pairs):
        alone, served = replay_cost(host, workload, 0), replay_cost(host, workload, 10)
        ratios.append(served.wall_s / alone.wall_s)
        by_cpu.append(served.cpu_s / alone.cpu_s)
    return {
        "pairs": pairs, "ratio": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3), "highest": round(max(ratios), 3),
        "cpu_ratio": round(statistics.median(by_cpu), 3),
    }  # fmt: skip


def replay_cost(host: Host, workload: Workload, conflating: int) -> Cost:
    """From resuming a session whose queues are full to its end, with so many clients of it."""
    session = host.start(workload, 0)
    # They come after it: to who subscribes while the last one's end stands, that is the end.
    clients = Clients(
        host.base, seconds=WAIT_S,
        streams={
            "clients": conflating, "encoding": "json",
            "subscription": _ALL | {"delivery": "conflate", "interval_ms": 100},
        },
    )  # fmt: skip
    clients.go()
    began = Cost.now()
    session.resume().result(10)
    if not session.wait(WAIT_S):
        raise RuntimeError(f"not over after {WAIT_S} s: {session.status()}")
    cost = began.spent()
    clients.result()
    return cost


def first_item_ms(host: Host, workload: Workload) -> float:
    """From ``POST /session`` until a poll shows the first slice."""
    wish = {
        "symbols": ["*"], "start": str(workload.start), "end": str(workload.end), "speed": 0,
        "history_days": 0,
    }  # fmt: skip
    with httpx.Client(base_url=f"{host.base}/api/v1", timeout=60) as client:
        client.post("/session/stop")  # connected, and whatever was there is over
        began = time.perf_counter()
        client.post("/session", json=wish).raise_for_status()
        client.get("/session/data", params={"symbols": "S000", "after": 0, "wait_s": 30})
        return round((time.perf_counter() - began) * 1e3, 1)


def run(scale: Scale) -> dict[str, Any]:
    short, lasting = bars(scale.symbols, scale.days), bars(scale.symbols, scale.long_days)
    rows, streams, left_out = [], [], 0
    root, began = prepare(DATA, lasting), time.monotonic()
    with hosted(root) as host:
        kept = Kept(host)
        names = host.manager.catalog().symbols
        for cell in cells(scale, names):
            if time.monotonic() > began + POLLS_S:
                left_out += 1
                continue
            rows.append(poll(host, kept, lasting, cell, scale.seconds))
            say(json.dumps(rows[-1]))
        for speed, count in product((0.0, 60.0), scale.streams):
            if time.monotonic() > began + STREAMS_S:
                left_out += 1
                continue
            # Of the bars of 60x one slice comes a second.
            seconds = scale.seconds * (3 if speed else 1)
            streams.append(stream(host, kept, lasting, speed, count, seconds))
            say(json.dumps(streams[-1]))
    if left_out:
        say(f"{left_out} measurements are left out, for want of time")
    with hosted(prepare(DATA, short)) as host:
        kept = Kept(host)
        first = statistics.median(first_item_ms(host, short) for _ in range(scale.pairs))
        conflating = slowdown(host, kept, short, scale.pairs)
    return {
        "first_item_ms": first, "conflating": conflating, "left_out": left_out, "rows": rows,
        "streams": streams,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    options = parser.parse_args(argv)
    found = run(QUICK if options.quick else FULL)
    publish("polling", conditions(options.quick) | found, options.quick)


if __name__ == "__main__":
    main()
