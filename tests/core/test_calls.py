"""What is done between two slices by order from outside."""

from __future__ import annotations

from pathlib import Path

from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from tests.core.harness import DAY1, MINUTE, FakeWall, open_ns, session_bars, write
from tests.core.test_worker import Worker, working


def test_the_clock_does_not_pass_what_a_call_has_made_due(tmp_path: Path) -> None:
    """An order that arrives after its latency is at work when the clock shows that time."""
    write(tmp_path, "bars_1m", "AAA", DAY1, session_bars(DAY1, [0, 1, 5, 389]))
    due_ns = open_ns(DAY1) + 3 * MINUTE + 7
    due: list[int] = []
    worker = Worker()
    worker._due = due
    wish = {"speed": 60.0, "end": str(DAY1), "start_paused": True}
    with working(tmp_path, worker, FakeWall(), **wish) as session:
        session.step("bar", 3).result(10)  # the next bar comes at the sixth minute
        get_coordinator().call(lambda: due.append(due_ns)).result(10)
        session.resume().result(10)
        assert session.wait(60)
    (clock_ns,) = [clock for what, _, clock in worker.calls if what == "due"]
    assert clock_ns < due_ns
