"""The recorder of a long run: the same files by another process, and what becomes of its end."""

from __future__ import annotations

import math
import os
import resource
import signal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from app.errors import RunError, StateError
from app.runs import recorder_process
from app.runs import writer as writers
from app.runs.locks import RECORDER_LOCK, FileLock
from app.runs.recorder import SIZE_BYTES, Answer, Recorder
from app.runs.recorder_batches import Batch, pack, unpack
from app.runs.streams import read_table
from app.runs.writer import AuditWriter
from app.trading.bus import HandlerError, Kind
from app.trading.data_events import EquityEvent
from app.trading.events import (
    CorporateActionEvent,
    DayEndEvent,
    EventBase,
    OrderRequestEvent,
    StaleSymbolEvent,
    WarningEvent,
)
from app.trading.orders import OrderState
from tests.runs.made import SmallRun, fill_of, played, state_of, trip_of, update_of
from tests.runs.test_writer import ORDER, contents, curve
from tests.until import until

pytestmark = pytest.mark.usefixtures("long")


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are long from their 20th row on."""
    monkeypatch.setattr(writers, "LONG_ROWS", 20)


def recorder_of(writer: AuditWriter) -> Recorder:
    assert writer._recorder is not None
    return writer._recorder


def process_of(writer: AuditWriter) -> int:
    return int(until(lambda: recorder_of(writer)._process).pid)


def begun(folder: Path) -> SmallRun:
    """A long run, its first day played and written by its recorder."""
    run = SmallRun(AuditWriter(folder, flush_s=0))
    run.play_day(0)
    until(lambda: read_table(folder, "events").num_rows >= run.writer.events - 1)
    return run


# -- the same run ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.INLINE, Kind.THREADED])
def test_a_long_run_leaves_the_files_and_digest_of_one_that_writes_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    (tmp_path / "long").mkdir()
    run = SmallRun(AuditWriter(tmp_path / "long", flush_s=0), kind=kind)
    run.play()
    run.stage.bus.close()
    assert process_of(run.writer) != os.getpid()
    with pytest.raises(StateError, match="known when it is closed"):
        _ = run.writer.events_digest
    run.writer.close()
    (tmp_path / "long" / RECORDER_LOCK).unlink()
    monkeypatch.setattr(writers, "LONG_ROWS", 10**9)
    short = played(tmp_path / "short")
    assert contents(tmp_path / "long") == contents(tmp_path / "short")
    assert run.writer.events_digest == short.writer.events_digest
    assert run.writer.events == short.writer.events


def test_rows_of_the_curve_make_a_run_long_too(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path)
    writer.add_equity(curve(0, 12))
    writer.flush()
    assert writer._recorder is None
    writer.add_equity(curve(12, 12))
    writer.close()
    assert process_of(writer)
    assert read_table(tmp_path, "equity")["ts_ns"].to_numpy().view(np.int64).tolist() == list(
        range(24)
    )


def test_what_is_flushed_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    run = begun(tmp_path)
    before = read_table(tmp_path, "events")
    run.play_day(1)
    until(lambda: read_table(tmp_path, "events").num_rows >= run.writer.events - 1)
    assert read_table(tmp_path, "events").slice(0, len(before)).equals(before)
    run.stage.engine.finish("completed")
    run.writer.close()
    assert read_table(tmp_path, "events").num_rows == run.writer.events


def test_closing_twice_changes_nothing(tmp_path: Path) -> None:
    run = played(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    run.writer.close()
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


# -- what is handed over -----------------------------------------------------------------------

STRANGE: list[EventBase] = [
    CorporateActionEvent(ts_event_ns=-(2**63), symbol="Ü \x00", kind="split", ratio=value)
    for value in (math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2)
]
STRANGE += [
    OrderRequestEvent(ts_event_ns=2**63 - 1, strategy_id="", orders=(ORDER, ORDER)),
    StaleSymbolEvent(ts_event_ns=1, symbol="ON", last_ns=None),
    StaleSymbolEvent(ts_event_ns=1, symbol="ON", last_ns=2**62 + 1),
    WarningEvent(ts_event_ns=1, code="x", text='"\n\u2028\U0001f600'),
    fill_of(ORDER, 11), state_of(ORDER, 12), trip_of(ORDER, 13),
    update_of(ORDER, 14, OrderState.FILLED),
]  # fmt: skip


def bits(value: Any) -> Any:
    """A value as what it is made of, with types; numbers bit by bit."""
    if isinstance(value, msgspec.Struct):
        return type(value), bits(msgspec.structs.astuple(value))
    if isinstance(value, tuple):
        return [bits(part) for part in value]
    return type(value), value.hex() if isinstance(value, float) else value


def test_events_come_as_they_went() -> None:
    found = unpack(pack(Batch(STRANGE, [])))
    assert found.equity == []
    assert [bits(event) for event in found.events] == [bits(event) for event in STRANGE]


def test_the_curve_comes_as_it_went() -> None:
    columns = dict.fromkeys(EquityEvent.__struct_fields__, np.array([math.nan, -0.0, math.inf]))
    columns["times_ns"] = np.arange(3)
    pieces = [curve(0, 3), curve(3, 0), EquityEvent(**columns)]
    (found,) = unpack(pack(Batch([], pieces))).equity
    for name in EquityEvent.__struct_fields__:
        there = np.concatenate([getattr(piece, name) for piece in pieces])
        assert getattr(found, name).dtype == there.dtype
        assert getattr(found, name).tobytes() == there.tobytes()


def test_a_number_that_would_come_as_another_is_refused() -> None:
    event = CorporateActionEvent(ts_event_ns=1, symbol="ON", kind="split", ratio=7)
    with pytest.raises(RunError, match="is not what it was"):
        unpack(pack(Batch([event], [])))


# -- when things go wrong ----------------------------------------------------------------------


def test_a_recorder_that_is_killed_fails_the_run(tmp_path: Path) -> None:
    run = begun(tmp_path)
    os.kill(process_of(run.writer), signal.SIGKILL)
    run.stage.open(1)  # is sent to nobody
    until(lambda: recorder_of(run.writer)._end)
    with pytest.raises(HandlerError, match="its recorder ended by signal 9"):
        run.stage.play(*(run.bar(1, number) for number in range(20)))
    with pytest.raises(RunError, match="its recorder ended by signal 9"):
        run.writer.close()
    assert read_table(tmp_path, "events").num_rows > 20, "what was flushed can be read"


def test_a_disk_that_takes_no_more_fails_the_run_and_leaves_what_was_written(
    tmp_path: Path,
) -> None:
    run = begun(tmp_path)
    size = (tmp_path / "events.arrows").stat().st_size
    pid = process_of(run.writer)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 1, resource.RLIM_INFINITY))
    run.stage.open(1)
    run.writer.flush()
    until(lambda: recorder_of(run.writer)._errors)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    with pytest.raises(HandlerError, match=r"events\.arrows: cannot be written: File too large"):
        run.stage.play(*(run.bar(1, number) for number in range(20)))
    run.stage.engine.finish("failed", "no space")
    run.writer.close()
    types = [e.topic() for e in run.events]
    found = read_table(tmp_path, "events")["type"].to_pylist()
    assert types[: len(found)] == found
    assert 20 < len(found) < len(types), "nothing is written after a gap"
    assert run.writer.events_digest.startswith("te1:")


def test_a_recorder_that_cannot_begin_says_why(tmp_path: Path) -> None:
    (tmp_path / ".fills.arrows.new").mkdir()
    writer = AuditWriter(tmp_path)
    writer.add_equity(curve(0, 24))
    writer.flush()
    until(lambda: recorder_of(writer)._end)
    with pytest.raises(RunError, match=r"fills\.arrows: cannot be written: .* is a directory"):
        writer.close()


def test_a_recorder_holds_its_lock_and_is_not_ended_by_what_ends_the_run(tmp_path: Path) -> None:
    run = begun(tmp_path)
    pid = process_of(run.writer)
    lock = FileLock(tmp_path / RECORDER_LOCK)
    assert not lock.alone()
    assert os.getsid(pid) != os.getsid(0), "Ctrl-C in a terminal does not reach it"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    run.play_day(1)
    run.stage.engine.finish("stopped")
    run.writer.close()
    assert lock.alone(), "it is gone"
    lock.release()


# -- in its process ----------------------------------------------------------------------------


class Source:
    """Input that ends after so many bytes."""

    def __init__(self, *batches: Batch, cut: int = 0, end: bool = False) -> None:
        frames = [len(p).to_bytes(SIZE_BYTES, "little") + p for p in map(pack, batches)]
        whole = b"".join(frames) + (bytes(SIZE_BYTES) if end else b"")
        self.left = whole[: len(whole) - cut]

    def read(self, size: int) -> bytes:
        part, self.left = self.left[:size], self.left[size:]
        return part


@pytest.mark.parametrize(("cut", "rows"), [(0, 2), (1, 1), (10**6, 0)])
def test_where_its_input_ends_it_leaves_what_came_and_says_nothing(
    tmp_path: Path, cut: int, rows: int
) -> None:
    said: list[Answer] = []
    batches = [Batch([WarningEvent(ts_event_ns=n, code="x", text="")], []) for n in range(2)]
    source: Any = Source(*batches, cut=cut)
    recorder_process.record(tmp_path, source, said.append)
    assert said == []
    assert read_table(tmp_path, "events").num_rows == rows
    assert not list(tmp_path.glob("*.parquet"))


def test_at_the_end_of_the_run_it_says_the_digest(tmp_path: Path) -> None:
    said: list[Answer] = []
    event = DayEndEvent(ts_event_ns=1, day=0)
    source: Any = Source(Batch([event], []), end=True)
    recorder_process.record(tmp_path, source, said.append)
    writer = AuditWriter(None)
    writer.add(event)
    assert said == [Answer(digest=writer.events_digest)]
    assert read_table(tmp_path, "events").num_rows == 1
