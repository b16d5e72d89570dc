"""A machine whose time is set back or forward plays the same market, and its record is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.runs.store import RunStore
from app.runs.writer import AuditWriter
from app.times import SECOND_NS
from app.trading.events import WarningEvent
from tests.reliability.killed import Bench, came_to, only_run

HOUR_NS = 3600 * SECOND_NS

# The machine's time stands an hour early or late, other every few hundred times that it is asked.
_JUMPING = """
import sys, time
real_ns, real, asked = time.time_ns, time.time, 0

def offset():
    global asked
    asked += 1
    return (3600, -3600, 0)[asked // 300 % 3]

time.time_ns = lambda: real_ns() + offset() * 10**9
time.time = lambda: real() + offset()
from app.cli.root import main
sys.argv = ["tapedeck", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    "command",
    [
        ("backtest", "configs/once.yaml"),
        ("replay", "AIG", "--start", "2013-10-07", "--end", "2013-10-07", "--speed", "50000",
         "--record"),
    ],
    ids=["backtest", "replay"],
)  # fmt: skip
def test_a_run_on_a_clock_that_jumps_is_the_same(
    bench: Bench, command: tuple[str, ...], tmp_path: Path
) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    bench.done(calm, *command)
    subprocess.run(
        [sys.executable, "-c", _JUMPING, *command], cwd=bench.work, check=True, timeout=180,
        env=bench.environment(wild), capture_output=True,
    )  # fmt: skip
    bench.done(wild, "runs", "list")
    found = []
    for folder in (calm, wild):
        store = RunStore(folder)
        run = only_run(store)
        assert run is not None
        assert run.check() == []
        found.append(came_to(run))
        store.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("jump_ns", [-HOUR_NS, HOUR_NS, -1])
def test_events_reach_the_disk_as_often_as_before(tmp_path: Path, jump_ns: int) -> None:
    """Once after the jump, and then every tenth of a second of the new time."""
    writer = AuditWriter(tmp_path, flush_s=0.1)
    base_ns = writer._due_ns + 5 * SECOND_NS
    times = [base_ns] + [base_ns + jump_ns + n * SECOND_NS // 50 for n in range(20)]
    for number, created_ns in enumerate(times):
        writer.add(WarningEvent(ts_event_ns=number, ts_created_ns=created_ns, code="x", text=""))
    assert len(writer._waiting) <= 5, "no more than a tenth of a second waits"
    writer.close()
