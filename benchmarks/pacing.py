"""How exactly slices are delivered at speed > 0, against their deadline on the wall.

    python -m benchmarks.pacing [--quick]

500 symbols at 1x, 60x and 1,000x, idle and with 50 polling and 10 stream clients in a process of
their own; then the highest speed at which their 1m bars keep up. Writes pacing.json and the
section of docs/benchmarks.md. At 1x, trades and quotes: there a bar comes once a minute.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.managers.lifecycle import State
from benchmarks.hosting import Clients, Cost, Host, Kept, hosted, percentiles
from benchmarks.measured import DATA, conditions, say
from benchmarks.page import publish
from benchmarks.workloads import Workload, bars, prepare, ticks

LATE_MS = 50.0  # p99 beyond which a speed is too high
LONGER = 1.1  # than scheduled that all days may take
STEP = 1.25  # from one speed that is tried to the next
RUN_S = 30  # that one of them may take
_POLLERS, _RATE, _STREAMERS = 50, 200, 10


class Scale(NamedTuple):
    symbols: int
    days: int
    seconds: float
    first_speed: float  # of the search


FULL = Scale(500, 10, 20, 20_000)
QUICK = Scale(100, 2, 3, 20_000)


def load(host: Host, symbols: Sequence[str], channels: list[str], seconds: float) -> Clients:
    """50 pollers, 200 requests a second together; 10 lossless stream clients."""
    few = ",".join(symbols[:20])
    return Clients(
        host.base, seconds=seconds,
        polls={"clients": _POLLERS, "rate": _RATE, "paths": [f"/session/data?symbols={few}"]},
        streams={
            "clients": _STREAMERS, "encoding": "json",
            "subscription": {"channels": channels, "symbols": ["*"]},
        },
    )  # fmt: skip


def measure(
    host: Host, kept: Kept, workload: Workload, speed: float, seconds: float, loaded: bool
) -> dict[str, Any]:
    session = host.start(workload, speed)
    is_bars = "bars_1m" in workload.streams
    channels = ["bars_1m"] if is_bars else ["trades", "quotes"]
    clients = load(host, session.symbols, channels, seconds) if loaded else None
    began = Cost.now()
    session.resume().result(10)
    if clients is None:
        session.wait(seconds)
    else:
        clients.go()
        clients.result()
    cpu, errors = began.share(), kept.last.error_ms()
    session.stop()
    return {
        "speed": speed, "symbols": len(session.symbols), "data": "bars" if is_bars else "ticks",
        "load": "clients" if loaded else "idle", "slices": len(errors), "rows": kept.last.rows,
        **percentiles(errors), "cpu": cpu,
    }  # fmt: skip


def keeps_up(host: Host, kept: Kept, workload: Workload, speed: float) -> dict[str, Any]:
    """The whole workload at one speed: whether it was over in time, and no slice much too late.

    Each night the clock is anchored anew, so that a day's lateness is not carried on: the sum of
    all days must be right too.
    """
    session = host.start(workload, speed)
    began = time.monotonic()
    session.resume().result(10)
    session.wait(RUN_S)
    seconds, state, errors = time.monotonic() - began, session.state, kept.last.error_ms()
    session.stop()
    found = percentiles(errors)
    late = found["p99_ms"]
    scheduled_s = sum(day.end_ns - day.first_ns for day in session.days) / speed / 1e9
    in_time = state is State.COMPLETED and seconds <= LONGER * scheduled_s
    return {
        "speed": round(speed), "symbols": len(session.symbols), "seconds": round(seconds, 3),
        "items_per_s": round(kept.last.rows / seconds), **found,
        "scheduled_s": round(scheduled_s, 3),
        "keeps_up": in_time and late is not None and late <= LATE_MS,
    }  # fmt: skip


def search(host: Host, kept: Kept, workload: Workload, first: float) -> list[dict[str, Any]]:
    """By doubling and halving to the first that does not, and then in steps of a quarter."""
    rows = [keeps_up(host, kept, workload, first)]
    rising = rows[0]["keeps_up"]
    say(json.dumps(rows[0]))
    while rows[-1]["keeps_up"] is rising and 10_000 < rows[-1]["speed"] < 500_000:
        speed = rows[-1]["speed"] * (2 if rising else 0.5)
        rows.append(keeps_up(host, kept, workload, speed))
        say(json.dumps(rows[-1]))
    known = [row["speed"] for row in rows if row["keeps_up"]]
    if not known:
        return rows
    speed = max(known) * STEP
    while speed < max(known) * 2 and rows[-1]["speed"] < 500_000:
        rows.append(keeps_up(host, kept, workload, speed))
        say(json.dumps(rows[-1]))
        if not rows[-1]["keeps_up"]:
            break
        speed *= STEP
    return rows


def run(scale: Scale) -> dict[str, Any]:
    work = bars(scale.symbols, scale.days)
    flow = ticks(scale.symbols, 1, 500)  # 85 slices a second at 1x
    rows = []
    for workload, speeds in ((flow, (1.0, 60.0)), (work, (60.0, 1000.0))):
        with hosted(prepare(DATA, workload)) as host:
            kept = Kept(host)
            for speed in speeds:
                for loaded in (False, True):
                    rows.append(measure(host, kept, workload, speed, scale.seconds, loaded))
                    say(json.dumps(rows[-1]))
            if workload is work:
                ladder = search(host, kept, work, scale.first_speed)
    return {"rows": rows, "ladder": ladder}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    options = parser.parse_args(argv)
    publish(
        "pacing", conditions(options.quick) | run(QUICK if options.quick else FULL), options.quick
    )


if __name__ == "__main__":
    main()
