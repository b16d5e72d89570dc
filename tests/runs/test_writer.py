"""What the audit writes: every event, once, in sequence, and the tables made of them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import app.runs.streams as streams
import app.runs.writer as writers
from app.errors import RunError
from app.runs.audit import AuditRunner
from app.runs.events_digest import payload_of
from app.runs.streams import StreamFile, read_table
from app.runs.tables import TABLES
from app.runs.writer import AuditWriter
from app.trading.bus import HandlerError, Kind
from app.trading.data_events import EquityEvent
from app.trading.events import (
    DayEndEvent,
    EventBase,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Side
from tests.runs.made import SmallRun, fill_of, played, types_of, update_of
from tests.trading.harness import DAYS, Stage

ORDER = Order(
    order_id="a-1", strategy_id="a", symbol="AAA", side=Side.SELL, type=OrderType.TRAILING_STOP,
    quantity=10.0, created_ns=1, stop_price=9.5, trail=0.5, group_id="g", tag="exit",
)  # fmt: skip


def plain(table: Any) -> list[dict[str, Any]]:
    """Rows with times as nanoseconds."""
    columns = {
        name: table[name].cast(pa.int64()) if name.endswith("_ns") else table[name]
        for name in table.column_names
    }
    rows: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return rows


def take(writer: AuditWriter, *events: EventBase) -> None:
    for event in events:
        writer.add(event)


def orders_of(folder: Path, *events: EventBase) -> list[dict[str, Any]]:
    """The table of orders after these events."""
    writer = AuditWriter(folder)
    take(writer, *events)
    writer.close()
    return plain(read_table(folder, "orders"))


# -- events ------------------------------------------------------------------------------------


def test_every_event_stands_there_once_and_in_sequence(tmp_path: Path) -> None:
    run = played(tmp_path / "run")
    rows = plain(read_table(tmp_path / "run", "events"))
    assert [row["seq"] for row in rows] == list(range(1, len(run.events) + 1))
    assert [row["payload"].encode() for row in rows] == [payload_of(e) for e in run.events]
    assert [row["ts_event_ns"] for row in rows] == [e.ts_event_ns for e in run.events]
    assert [row["ts_created_ns"] for row in rows] == [e.ts_created_ns for e in run.events]
    assert [row["type"] for row in rows] == types_of(run.events)
    assert {row["version"] for row in rows} == {1}
    assert run.writer.events == len(rows)


def test_an_event_is_of_the_day_that_was_opened_last(tmp_path: Path) -> None:
    played(tmp_path / "run")
    rows = plain(read_table(tmp_path / "run", "events"))
    days: list[date | None] = []
    for row in rows:
        if row["day"] not in days:
            days.append(row["day"])
    assert days == [None, *(day.date for day in DAYS)]
    first = {row["day"]: row["type"] for row in reversed(rows)}
    assert set(first.values()) == {"control", "day_open"}
    assert [row["type"] for row in rows if row["day"] is None] == ["control", "backtest_start"]


def test_the_audit_hears_every_topic() -> None:
    bus = Stage().bus
    audit = AuditRunner.from_config(None, bus)
    assert set(audit.handlers()) == bus.topics
    assert (audit.NAME, audit.RANK, audit.PHASE) == ("audit", 90, None)
    assert audit.writer.folder is None


def test_events_are_flushed_by_number_and_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "time_ns", lambda: 1000)
    monkeypatch.setattr(writers, "BATCH_EVENTS", 4)
    writer = AuditWriter(tmp_path, flush_s=500e-9)
    there = []
    for created_ns in (1000, 1400, 1500, 1500, 1900, 1900, 1950, 1950, 2450):
        writer.add(DayEndEvent(ts_event_ns=0, ts_created_ns=created_ns, day=0))
        there.append(read_table(tmp_path, "events").num_rows)
    assert there == [0, 0, 3, 3, 3, 3, 7, 7, 9]
    writer.close()


# -- tables ------------------------------------------------------------------------------------


def test_fills_trips_and_positions_have_all_fields(tmp_path: Path) -> None:
    played(tmp_path / "run")
    events = plain(read_table(tmp_path / "run", "events"))
    fill = plain(read_table(tmp_path / "run", "fills"))[0]
    now_ns = DAYS[0].open_ns + 7 * 60_000_000_000
    assert events[fill.pop("seq") - 1]["type"] == "fill"
    assert fill == {
        "ts_event_ns": now_ns, "fill_id": "a-1-f1", "order_id": "a-1", "strategy_id": "a",
        "symbol": "AAA", "side": "buy", "quantity": 10.0, "price": 10.25, "commission": 1.0,
        "fees": 0.01, "slippage": 0.0, "price_time_ns": now_ns - 1, "arrival_price": None,
        "order_type": "limit", "source": "bars", "flags": ["partial", "ambiguous"], "tag": "",
    }  # fmt: skip
    trip = plain(read_table(tmp_path / "run", "round_trips"))[0]
    assert events[trip.pop("seq") - 1]["type"] == "round_trip"
    now_ns += 7 * 60_000_000_000
    assert trip == {
        "ts_event_ns": now_ns, "strategy_id": "a", "symbol": "AAA", "side": "buy",
        "quantity": 10.0, "entry_ns": now_ns - 60, "entry_price": 10.25, "exit_price": 10.25,
        "pnl": -2.02, "costs": 2.02, "mae": None, "mfe": 0.5,
    }  # fmt: skip
    position = plain(read_table(tmp_path / "run", "positions"))[1]
    assert events[position.pop("seq") - 1]["type"] == "portfolio_state"
    assert position == {
        "ts_event_ns": now_ns, "strategy_id": "a", "symbol": "AAA", "quantity": -10.0,
        "average_price": 10.25, "mark": None, "market_value": 0.0, "unrealised": 0.0,
        "realised": -1.0, "fees": 1.01, "stale": False,
    }  # fmt: skip


def test_times_are_of_utc_and_versions_stand_in_the_files(tmp_path: Path) -> None:
    played(tmp_path / "run")
    for table, schema in TABLES.items():
        found = pq.read_schema(tmp_path / "run" / f"{table}.parquet")
        assert found.remove_metadata() == schema.remove_metadata()
        assert found.metadata[b"tapedeck.table"].decode() == table
        assert found.metadata[b"tapedeck.version"] == b"1"
        for field in found:
            assert field.type == pa.timestamp("ns", "UTC") or not field.name.endswith("_ns")


def test_a_run_without_events_has_all_tables(tmp_path: Path) -> None:
    AuditWriter(tmp_path).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{t}.parquet" for t in TABLES)
    assert [read_table(tmp_path, t).num_rows for t in TABLES] == [0] * len(TABLES)


# -- orders ------------------------------------------------------------------------------------


def request(at_ns: int, *orders: Order) -> OrderRequestEvent:
    return OrderRequestEvent(ts_event_ns=at_ns, strategy_id="a", orders=orders)


def refusal(at_ns: int, code: str, what: str = "order") -> OrderRejectedEvent:
    return OrderRejectedEvent(
        ts_event_ns=at_ns, order_id="a-1", strategy_id="a", symbol="AAA", code=code,
        reason=f"because of {code}", by="risk", request=what,
    )  # fmt: skip


def test_an_order_from_its_request_to_its_end(tmp_path: Path) -> None:
    rows = orders_of(
        tmp_path, request(10, ORDER), OrderApprovedEvent(ts_event_ns=11, orders=(ORDER,)),
        update_of(ORDER, 12, OrderState.WORKING), fill_of(ORDER, 13), fill_of(ORDER, 14),
        update_of(ORDER, 14, OrderState.FILLED),
    )  # fmt: skip
    assert rows == [
        {
            "number": 1, "order_id": "a-1", "strategy_id": "a", "symbol": "AAA", "side": "sell",
            "type": "trailing_stop", "tif": "day", "quantity": 10.0, "limit_price": None,
            "stop_price": 9.5, "trail": 0.5, "trail_in_bps": False, "reduce_only": False,
            "post_only": False, "role": "single", "group_id": "g", "parent_id": None,
            "tag": "exit", "signal_id": None, "state": "filled", "filled": 10.0,
            "submitted_ns": 10, "approved_ns": 11, "first_fill_ns": 13, "final_ns": 14,
            "code": None, "reason": "",
        }
    ]  # fmt: skip


def test_an_order_that_is_refused(tmp_path: Path) -> None:
    row = orders_of(tmp_path, request(10, ORDER), refusal(11, "lot"))[0]
    assert (row["state"], row["code"], row["reason"]) == ("rejected", "lot", "because of lot")
    assert (row["submitted_ns"], row["approved_ns"], row["final_ns"]) == (10, None, 11)


@pytest.mark.parametrize("what", ["modify", "cancel"])
def test_a_refused_change_of_a_working_order_refuses_not_the_order(
    tmp_path: Path, what: str
) -> None:
    row = orders_of(
        tmp_path, request(10, ORDER), OrderApprovedEvent(ts_event_ns=11, orders=(ORDER,)),
        update_of(ORDER, 12, OrderState.WORKING), refusal(13, "price_band", what),
    )[0]  # fmt: skip
    assert (row["state"], row["code"], row["final_ns"]) == ("working", None, None)


def test_new_terms_are_those_of_the_last_update(tmp_path: Path) -> None:
    bigger = Order(
        **{f: getattr(ORDER, f) for f in ORDER.__struct_fields__ if f not in ("quantity", "trail")},
        quantity=20.0, trail=0.75,
    )  # fmt: skip
    row = orders_of(
        tmp_path, request(10, ORDER), OrderApprovedEvent(ts_event_ns=11, orders=(ORDER,)),
        ModifyApprovedEvent(ts_event_ns=12, strategy_id="a", order_id="a-1", trail=0.75),
        update_of(bigger, 13, OrderState.WORKING),
    )[0]  # fmt: skip
    assert (row["quantity"], row["trail"], row["stop_price"]) == (20.0, 0.75, 9.5)


def test_an_order_that_risk_made_of_a_signal(tmp_path: Path) -> None:
    approved = OrderApprovedEvent(ts_event_ns=11, orders=(ORDER,), signal_id="a-s1")
    row = orders_of(tmp_path, approved)[0]
    assert (row["signal_id"], row["submitted_ns"], row["approved_ns"]) == ("a-s1", 11, 11)


def test_a_refused_signal_is_no_order(tmp_path: Path) -> None:
    assert orders_of(tmp_path, refusal(11, "no_price", "signal")) == []


def test_orders_that_rest_for_days_have_one_row(tmp_path: Path) -> None:
    resting = update_of(ORDER, 12, OrderState.WORKING)
    other = Order(**{f: getattr(ORDER, f) for f in ORDER.__struct_fields__} | {"order_id": "a-2"})
    writer = AuditWriter(tmp_path, flush_s=0)
    take(
        writer, request(10, ORDER, other), resting, update_of(other, 12, OrderState.EXPIRED),
        DayEndEvent(ts_event_ns=20, day=0), DayEndEvent(ts_event_ns=30, day=1),
        update_of(ORDER, 35, OrderState.CANCELLED), update_of(other, 36, OrderState.WORKING),
    )  # fmt: skip
    writer.close()
    rows = plain(read_table(tmp_path, "orders"))
    assert [(r["number"], r["order_id"], r["state"], r["final_ns"]) for r in rows] == [
        (1, "a-1", "cancelled", 35), (2, "a-2", "expired", 12),
    ]  # fmt: skip


# -- the same bytes ----------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file, the events without their wall times."""
    events = pq.read_table(folder / "events.parquet").drop_columns(["ts_created_ns"])
    pq.write_table(events, folder / "events.parquet")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_runs_leave_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played(tmp_path / "a")
    played(tmp_path / "b", cut=4, flush_s=0)
    monkeypatch.setattr(writers, "BATCH_EVENTS", 3)
    played(tmp_path / "c", cut=1)
    first = contents(tmp_path / "a")
    assert set(first) == {f"{table}.parquet" for table in TABLES}
    assert contents(tmp_path / "b") == first
    assert contents(tmp_path / "c") == first


def test_a_thread_of_its_own_leaves_the_same_bytes(tmp_path: Path) -> None:
    for kind in (Kind.INLINE, Kind.THREADED):
        (tmp_path / kind).mkdir()
        run = SmallRun(AuditWriter(tmp_path / kind), kind=kind)
        run.play()
        run.stage.bus.close()
        run.writer.close()
    assert contents(tmp_path / "inline") == contents(tmp_path / "threaded")


def curve(first: int, count: int) -> EquityEvent:
    values = np.arange(first, first + count, dtype=np.float64)
    return EquityEvent(
        times_ns=np.arange(first, first + count), equity=values, cash=values + 0.5,
        gross=-values, net=values * 2,
    )  # fmt: skip


@pytest.mark.parametrize("pieces", [[10], [3, 7], [1] * 10, [4, 0, 4, 2], [8, 2]])
def test_how_the_curve_comes_shows_in_no_file(
    tmp_path: Path, pieces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GROUP_ROWS", 4)
    for name, sizes in (("a", [10]), ("b", pieces)):
        (tmp_path / name).mkdir()
        writer = AuditWriter(tmp_path / name)
        for at, size in enumerate(sizes):
            writer.add_equity(curve(sum(sizes[:at]), size))
        writer.close()
    paths = [tmp_path / name / "equity.parquet" for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    found = pq.ParquetFile(paths[1])
    assert [found.metadata.row_group(n).num_rows for n in range(3)] == [4, 4, 2]
    rows = plain(found.read())
    assert [r["ts_ns"] for r in rows] == list(range(10))
    assert rows[3] == {"ts_ns": 3, "equity": 3.0, "cash": 3.5, "gross": -3.0, "net": 6.0}


@pytest.mark.parametrize("rows", [3, 65_536])
def test_files_that_are_written_meanwhile_are_those_of_their_streams(
    tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GROUP_ROWS", rows)
    (tmp_path / "run").mkdir()
    run = SmallRun(AuditWriter(tmp_path / "run", flush_s=0))
    run.play()
    run.writer.flush()
    shutil.copytree(tmp_path / "run", tmp_path / "killed", ignore=shutil.ignore_patterns(".*"))
    run.writer.close()
    streams.seal(tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "run")


# -- when things go wrong ------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"events\.arrows: cannot be written: No such file"):
        AuditWriter(tmp_path / "none")


def test_a_full_disk_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    run = SmallRun(AuditWriter(tmp_path, flush_s=60))
    run.stage.start()
    run.writer._files._streams["fills"] = full_file(monkeypatch)
    monkeypatch.setattr(writers, "BATCH_EVENTS", 7)  # the seventh event is the first fill
    with pytest.raises(HandlerError, match=r"audit failed on FillEvent .*No space left"):
        run.stage.play(*(run.bar(0, number) for number in range(20)))
    run.stage.engine.finish("failed", "no space")
    run.writer._files._streams["fills"] = StreamFile(tmp_path, "fills")
    run.writer.close()
    types = read_table(tmp_path, "events")["type"].to_pylist()
    assert types == types_of(run.events)[:7]
    assert run.writer.events == 8, "the end came, and is not written after a gap"


def test_a_file_that_is_begun_early_and_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GROUP_ROWS", 4)
    (tmp_path / ".equity.parquet.new").mkdir()
    writer = AuditWriter(tmp_path)
    writer.add_equity(curve(0, 10))
    writer.flush()
    assert writer._files._early["equity"].begun
    with pytest.raises(RunError, match=r"equity\.parquet: cannot be written: Is a directory"):
        writer.close()
    assert read_table(tmp_path, "equity").num_rows == 10
    assert not writer._files._early["equity"].begun


def full_file(monkeypatch: pytest.MonkeyPatch) -> StreamFile:
    """The stream of fills on a device that takes nothing; it is not written to as yet."""
    monkeypatch.setattr(streams, "stream_path", lambda *_: Path("/dev/full"))
    monkeypatch.setattr(StreamFile, "_write", lambda *_: None)
    made = StreamFile(Path(), "fills")
    monkeypatch.undo()
    return made


def test_closing_twice_changes_nothing(tmp_path: Path) -> None:
    run = played(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    run.writer.close()
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before
