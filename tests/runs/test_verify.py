"""Recorded runs executed again: however they ended, and whatever was altered since."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.layout import side_path
from app.errors import RequestError, RunError, SessionFailedError, StateError
from app.managers.system_manager import SystemManager
from app.managers.system_manager.backtest import BacktestEngine
from app.managers.system_manager.plan import TradingPlan, session_config
from app.managers.system_manager.verify import Verifier
from app.managers.system_manager.verify_process import (
    ANSWER,
    Answer,
    VerifyJob,
    execute,
    hand_over,
    start_process,
)
from app.runs.folder import RunFolder
from app.runs.manifest import Manifest, RunState, hash_file, write_manifest
from app.runs.store import RunStore
from app.runs.verify import Verification
from app.trading.config import read_config_file
from app.trading.events import CancelRequestEvent, OrderRequestEvent
from app.trading.orders import Order, OrderType, Side
from settings import Settings
from tests.api.conftest import wait_for
from tests.client.small_catalog import DAYS, bar_table, day_path_of, write, write_small_catalog
from tests.conftest import StartServer
from tests.runs.conftest import OpenStore
from tests.runs.jobs import settings_for, write_catalog
from tests.until import until

ROOT = Path(__file__).parents[2]
TABLES = ("fills", "positions", "round_trips", "equity", "orders")


class Here(Verifier):
    """Executes in this process, which takes a tenth of the time."""

    def _execute(self, job: VerifyJob, progress: Any) -> Answer:
        return execute(job)


class Place:
    """A catalog, configurations, and the runs that were made of them."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.catalog = write_small_catalog(work / "catalog")
        self.settings = settings_for(self.catalog, work)
        self.configs = work / "configs"
        self.made: dict[tuple[str, ...], Path] = {}
        self.copies = 0

    def run(self, name: str = "once.yaml", *sets: str, **settings: Any) -> RunFolder:
        """A copy of a run to its end; the run itself is made once."""
        key = (name, *sets, *settings)
        if key not in self.made:
            changed = self.settings.model_copy(update=settings)
            engine = BacktestEngine.from_config(self.configs / name, sets, settings=changed)
            folder = engine.run().folder
            assert folder is not None
            self.made[key] = folder
        self.copies += 1
        made = self.made[key]
        copy = shutil.copytree(made, self.work / "copies" / str(self.copies) / made.name)
        return RunFolder(copy)

    def verify(self, run: RunFolder, **more: Any) -> Verification:
        return Here(run, self.settings, **more).run()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    work = tmp_path_factory.mktemp("verify")
    before = Path.cwd()
    os.chdir(work)  # where a user's files are looked for
    yield Place(work)
    os.chdir(before)


def alter(run: RunFolder, **fields: Any) -> None:
    write_manifest(run.path, msgspec.structs.replace(run.manifest, **fields))


def rewrite(run: RunFolder, table: str, change: Callable[[Any], Any]) -> None:
    path = run.path / f"{table}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


# -- the same again ------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["once.py", "../configs/once.py", "{configs}/once.py"])
def test_a_run_comes_to_the_same(place: Place, file: str) -> None:
    named = file.format(configs=place.configs)
    run = place.run("once.yaml", f"strategies.once.file={named}")
    found = place.verify(run)
    assert found.equal, found
    assert (found.run, found.state) == (run.id, "completed")
    assert found.events == len(run.table("events")) > 50
    assert (found.inputs, found.edited, found.broken) == ((), (), ())


def test_the_settings_it_hung_on_are_those_of_the_record(place: Place) -> None:
    run = place.run("once.yaml", market_close_grace_seconds=300)
    assert run.manifest.settings == {
        "market_close_grace_seconds": 300, "tick_keep_rows": place.settings.tick_keep_rows,
    }  # fmt: skip
    assert place.verify(run).equal
    alter(run, settings={})
    found = place.verify(run)
    assert found.first_event is not None
    assert [d.path for d in found.first_event.fields] == ["end_ns"]
    assert [(d.path, d.b) for d in found.inputs][1:] == [
        ("settings.market_close_grace_seconds", 60),
        ("settings.tick_keep_rows", place.settings.tick_keep_rows),
    ]


def test_a_strategy_that_raises_fails_again_at_the_same_bar(place: Place) -> None:
    raises = "from app.trading.strategy import Strategy\n\n\nclass Late(Strategy):\n"
    raises += "    n = 0\n\n    def on_bar(self, ctx, bar):\n        self.n += 1\n"
    raises += "        if self.n == 400:\n            raise ValueError('no luck')\n"
    (place.configs / "late.py").write_text(raises)
    run = place.run("once.yaml", f"strategies.once.file={place.configs / 'late.py'}")
    assert run.manifest.state is RunState.FAILED
    found = place.verify(run)
    assert found.equal, found
    luck = raises.replace("no luck", "some luck")
    (place.work / "other").mkdir()
    (place.work / "other" / "late.py").write_text(luck)
    found = place.verify(run, strategies=place.work / "other")
    assert found.first_event is not None
    assert [d.path for d in found.first_event.fields] == ["cause"]
    assert [d.path for d in found.came_to] == ["cause"]


# -- what has changed ------------------------------------------------------------------------------


def test_an_altered_data_file_is_named_with_the_first_event_that_differs(place: Place) -> None:
    run = place.run()
    catalog = write_small_catalog(place.work / "altered")
    path = day_path_of("bars_1m", "AIG", DAYS[1])
    before = hash_file(catalog / path).hash
    write(catalog / path, bar_table(DAYS[1], 51.0))
    found = place.verify(run, catalog=str(catalog))
    assert not found.equal
    changed = {d.path: (d.a, d.b) for d in found.inputs}
    assert changed == {f"data.{path}": (before, hash_file(catalog / path).hash)}
    event = found.first_event
    assert event is not None
    assert event.a is not None
    assert event.b is not None
    types = run.table("events")["type"].to_pylist()
    second_day = types.index("day_open", types.index("day_open") + 1)
    assert event.seq > second_day + 1
    assert "fill" in types[second_day : event.seq]
    assert {d.path for d in found.came_to} > {"digest", "events_digest"}
    assert any(d.path.startswith("fills[") for d in found.came_to)


def test_a_split_that_came_later_is_named(place: Place) -> None:
    run = place.run()
    catalog = write_small_catalog(place.work / "with_split")
    path = side_path("corporate_actions", "AIG")
    split = {"date": date.fromisoformat(DAYS[1]), "type": "split", "ratio": 2.0, "amount": None}
    (catalog / path).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([split]), catalog / path)
    found = place.verify(run, catalog=str(catalog))
    assert [(d.path, d.a, d.b) for d in found.inputs] == [
        (f"data.{path}", None, hash_file(catalog / path).hash)
    ]
    assert found.first_event is not None
    assert found.first_event.b is not None
    assert found.first_event.b["type"] == "corporate_action"


def test_an_edited_strategy_is_told_and_the_recorded_one_executed(place: Place) -> None:
    run = place.run()
    recorded = run.manifest.strategies[0].hash
    own = place.work / "once.py"
    edited = (place.configs / "once.py").read_text().replace("self.bars == 5", "self.bars == 7")
    own.write_text(edited)
    try:
        found = place.verify(run)
        assert found.equal
        (told,) = found.edited
        assert (told.path, told.a, told.b) == (str(own), recorded, hash_file(own).hash)
        assert found.inputs == ()
        found = place.verify(run, strategies=place.work)
    finally:
        own.unlink()
    assert not found.equal
    assert [(d.path, d.a) for d in found.inputs] == [("strategies.once", recorded)]
    assert found.edited == ()
    event = found.first_event
    assert event is not None
    assert event.a is not None
    assert event.a["type"] == "order_request"
    with pytest.raises(RequestError, match=r"there is no 'once\.py' in"):
        place.verify(run, strategies=place.catalog)


def test_an_altered_copy_of_a_strategy_is_found(place: Place) -> None:
    run = place.run()
    copy = run.path / "strategies" / "once.py"
    copy.write_text(copy.read_text().replace("sell", "buy"))
    found = place.verify(run)
    assert not found.equal
    assert found.broken == ("strategies/once.py is not what the run left",)
    assert [d.path for d in found.inputs] == ["strategies.once"]
    copy.unlink()
    with pytest.raises(RunError, match="cannot be executed without it"):
        place.verify(run)


@pytest.mark.parametrize("column", ["payload", "ts_event_ns"])
def test_an_altered_event_is_named(place: Place, column: str) -> None:
    run = place.run()

    def change(table: Any) -> Any:
        values = table[column].cast(pa.string() if column == "payload" else pa.int64()).to_pylist()
        values[20] = values[20].replace("AIG", "AIH") if column == "payload" else values[20] + 1
        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values).cast(
            table.schema.field(at).type
        ))  # fmt: skip

    rewrite(run, "events", change)
    found = place.verify(run)
    assert not found.equal
    assert found.broken == ("events.parquet is not what the run left",)
    assert found.events == 20
    event = found.first_event
    assert event is not None
    assert event.seq == 21
    assert len(event.fields) >= 1
    assert found.came_to == ()


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_missing_is_found(place: Place, table: str) -> None:
    run = place.run()
    rewrite(run, table, lambda rows: rows.slice(0, len(rows) - 1))
    alter(run, files={})  # and nobody can tell from the manifest
    found = place.verify(run)
    assert not found.equal
    last = len(pq.read_table(run.path / f"{table}.parquet"))
    assert [(d.path, d.a) for d in found.came_to] == [(f"{table}[{last}]", None)]


def test_an_altered_summary_and_report_are_found(place: Place) -> None:
    run = place.run()
    (run.path / "report.html").write_text("better")
    summary = run.path / "summary.json"
    summary.write_text(summary.read_text().replace('"completed"', '"won"'))
    alter(run, files={**run.manifest.files, "report.html": hash_file(run.path / "report.html")})
    found = place.verify(run)
    assert [d.path for d in found.came_to] == ["report.html"]
    assert [(d.path, d.a, d.b) for d in found.summary] == [("outcome", "won", "completed")]
    older = msgspec.structs.replace(run.manifest.versions, code="0" * 64)
    alter(run, versions=older)  # another program may write another report
    found = place.verify(run)
    assert found.came_to == ()
    assert [d.path for d in found.inputs] == ["versions.code"]


# -- what is refused -------------------------------------------------------------------------------


def _formats(manifest: Manifest, **fields: Any) -> dict[str, Any]:
    return {"formats": msgspec.structs.replace(manifest.formats, **fields)}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (lambda m: _formats(m, digest="td9"), "digest is 'td9', this program knows 'td1'"),
        (lambda m: _formats(m, events_digest="te9"), "events_digest is 'te9'"),
        (lambda m: _formats(m, tables={**m.formats.tables, "fills": 7}), "tables.fills is 7"),
        (lambda m: _formats(m, tables={**m.formats.tables, "loans": 1}), "tables.loans is 1"),
        (lambda m: {"format": 2}, "its format is 2; this program reads 1"),
        (lambda m: {"settings": {"moon_phase": 3}}, r"settings unknown here: \['moon_phase'\]"),
    ],
)
def test_unknown_versions_are_refused(
    place: Place, fields: Callable[[Manifest], Mapping[str, Any]], said: str
) -> None:
    run = place.run()
    alter(run, **fields(run.manifest))
    with pytest.raises(RunError, match=said):
        place.verify(run)


def test_events_of_unknown_versions_and_kinds_are_refused(place: Place) -> None:
    run = place.run()

    def change(table: Any) -> Any:
        kinds = table["type"].to_pylist()
        kinds[5] = "miracle"
        versions = pa.array([9] * len(table), pa.int16())
        at = table.schema.get_field_index("type")
        table = table.set_column(at, table.schema.field(at), pa.array(kinds))
        return table.set_column(at + 1, table.schema.field(at + 1), versions)

    rewrite(run, "events", change)
    with pytest.raises(RunError, match="event 'fill' has version 9, this program knows 1") as found:
        place.verify(run)
    assert "event 'miracle' has version 9, this program knows None" in str(found.value)


def test_what_has_not_run_is_refused(place: Place, open_store: OpenStore) -> None:
    run = place.run()
    alter(run, state=RunState.RUNNING)
    with pytest.raises(StateError, match="it has not ended"):
        place.verify(run)
    (run.path / "events.parquet").unlink()
    alter(run, state=RunState.STOPPED)
    with pytest.raises(RunError, match=r"its \d+ events are missing"):
        place.verify(run)
    alter(run, events=0)
    with pytest.raises(RequestError, match="did nothing: stopped before its first day"):
        place.verify(run)
    alter(run, config={"backtest": {"name": "x"}})
    with pytest.raises(RequestError, match="the configuration of run"):
        place.verify(run)


def test_a_catalog_that_is_not_there_is_told(place: Place) -> None:
    with pytest.raises(RequestError, match="cannot be executed: catalog root"):
        place.verify(place.run(), catalog=str(place.work / "absent"))


# -- runs that were cut short ----------------------------------------------------------------------


def session_run(place: Place, drive: Callable[[Any], None]) -> RunFolder:
    """A recorded session that is driven by hand, then stopped."""
    file = read_config_file(place.configs / "once.yaml")
    manager = SystemManager.from_settings(place.settings)
    store = RunStore(place.work / "runs")
    plan = TradingPlan(file.config, file.folder, store, watched=True)
    session = manager.start_session(session_config(file.config, 0, start_paused=True), plan)
    try:
        drive(session)
    finally:
        manager.close()
        store.close()
    status = session.status()
    assert status.run is not None
    run = store.open(status.run)
    assert (run.manifest.state, run.manifest.digest) == (RunState.STOPPED, status.digest)
    return run


@pytest.mark.parametrize(("unit", "count"), [("slice", 150), ("bar", 7), ("day", 1)])
def test_a_stopped_run_is_the_same_as_far_as_it_went(place: Place, unit: Any, count: int) -> None:
    run = session_run(place, lambda session: session.step(unit, count).result(10))
    found = place.verify(run)
    assert found.equal, found
    assert found.state == "stopped"
    rows = run.table("events")
    assert found.events == len(rows)
    assert rows["type"].to_pylist()[-1] == "backtest_end"


def test_orders_from_outside_are_sent_again_at_their_time(place: Place) -> None:
    """In the middle of a day, twice at one time, and between the end of a day and the next."""

    def drive(session: Any) -> None:
        for unit, count in (("slice", 50), ("slice", 0), ("slice", 3), ("day", 1), ("slice", 9)):
            if count:
                session.step(unit, count).result(10)
            (number,) = session.desk.number_orders(1)
            session.trade(lambda now_ns, number=number: order(number, now_ns)).result(10)
        cancel = CancelRequestEvent(
            ts_event_ns=session.view().now_ns, strategy_id="manual", order_id=number,
            reason="requested_outside",
        )  # fmt: skip
        session.trade(lambda now_ns: cancel).result(10)
        session.step("slice", 40).result(10)

    run = session_run(place, drive)
    sent = [t for t in run.table("events")["payload"].to_pylist() if '"manual"' in t]
    assert len([t for t in sent if '"type":"order_request"' in t]) == 5
    assert run.table("fills").num_rows >= 3
    found = place.verify(run)
    assert found.equal, found


def order(number: str, now_ns: int) -> OrderRequestEvent:
    limit = 49.0 if number == "manual-5" else None  # it is to rest
    one = Order(
        order_id=number, strategy_id="manual", symbol="AIG", side=Side.BUY, quantity=3.0,
        type=OrderType.LIMIT if limit else OrderType.MARKET, created_ns=now_ns, limit_price=limit,
    )  # fmt: skip
    return OrderRequestEvent(ts_event_ns=now_ns, strategy_id="manual", orders=(one,))


def test_a_session_that_was_traded_over_http_can_be_verified(
    server: StartServer, tmp_path: Path
) -> None:
    """An order, and the cancel of a strategy's own one."""
    place = Place(tmp_path)
    rests = (place.configs / "once.py").read_text()
    rests = rests.replace('"buy", self.quantity)', '"buy", self.quantity, limit=40.0)')
    (place.configs / "once.py").write_text(rests)
    url = server(place.catalog, tapedeck_configs_dir=place.configs)
    with httpx.Client(base_url=url + "/api/v1", timeout=20) as http:
        body = {"config": "once.yaml", "start_paused": True, "speed": 0, "record": True}
        run_id = http.post("/session", json=body).raise_for_status().json()["run"]
        http.post("/session/step", json={"unit": "bar", "count": 20}).raise_for_status()
        sent = {"symbol": "AIG", "side": "buy", "quantity": 5}
        http.post("/session/orders", json=sent).raise_for_status()
        http.delete("/session/orders/once-1").raise_for_status()
        http.post("/session/resume").raise_for_status()
        wait_for(http, "COMPLETED")
        run = RunStore(tmp_path / "runs").open(run_id)
        until(lambda: run.manifest.state.final)
        http.post("/session/stop")
        found = Verifier(run, place.settings).run()
    assert found.equal, found
    orders = {row["order_id"]: row for row in run.table("orders").to_pylist()}
    assert orders["manual-1"]["state"] == "filled"
    assert (orders["once-1"]["state"], orders["once-1"]["reason"]) == (
        "cancelled", "requested_outside",
    )  # fmt: skip


def test_a_killed_run_is_the_same_as_far_as_it_was_written(
    open_store: OpenStore, tmp_path: Path
) -> None:
    catalog = write_catalog(tmp_path / "catalog")
    settings = settings_for(catalog, tmp_path)
    run = killed(open_store(), settings, tmp_path)
    assert open_store().mark_interrupted() == (run.id,)
    events = len(run.table("events"))
    verifier = Verifier(run, settings)
    told: list[float] = []
    found = verifier.run(told.append)
    assert found.equal, found
    assert (found.state, found.events) == ("interrupted", events)
    assert told == sorted(told)
    assert told[-1] < 0.5, "it stops soon after"
    # An end that is not the recorded one is found in a stream too.
    table = run.table("fills")
    path = str(run.path / "fills.arrows")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.slice(1))
    assert [d.path for d in Here(run, settings).run().came_to] == ["fills[0]"]


def killed(store: RunStore, settings: Settings, work: Path) -> RunFolder:
    """A backtest that was killed after 100 fills."""
    config = str(work / "configs" / "slow.yaml")
    command = [sys.executable, "-m", "app.cli", "backtest", config]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "TAPEDECK_RUNS_DIR": str(settings.tapedeck_runs_dir),
        "TAPEDECK_CACHE_DIR": str(settings.tapedeck_cache_dir),
        "DATA_CATALOG_URI": str(settings.data_catalog_uri),
    }  # fmt: skip
    with subprocess.Popen(command, cwd=work, env=environment, stderr=subprocess.DEVNULL) as one:
        (record,) = until(store.list)
        run = store.open(record.id)
        until(lambda: run.table("fills").num_rows > 100)
        one.kill()
        assert one.wait(30) == -signal.SIGKILL
    return run


def test_it_can_be_stopped(place: Place) -> None:
    verifier = Verifier(place.run(), place.settings)
    verifier.stop()
    with pytest.raises(SessionFailedError, match="was stopped"):
        verifier.run()


def test_a_process_that_dies_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEDECK_LOG_LEVEL", "x")
    monkeypatch.setattr("app.managers.system_manager.verify_process._NAME", "app.no_such_module")
    verifier = Verifier(place.run(), place.settings)
    with pytest.raises(SessionFailedError, match=r"ended with code 1: .*no_such_module"):
        verifier.run()


def test_its_process_ends_with_whoever_started_it(place: Place, tmp_path: Path) -> None:
    process = start_process(tmp_path / "errors.txt")
    waits = (place.configs / "slow.py").read_text().replace("0.001", "0.05")
    (tmp_path / "once.py").write_text(waits)
    (tmp_path / "runs").mkdir()
    file = read_config_file(place.configs / "once.yaml")
    job = VerifyJob(
        place.run().path, tmp_path / "runs", tmp_path / ANSWER, tmp_path, file.config,
        place.settings, False,
    )  # fmt: skip
    with process:
        hand_over(process, job)
        until(lambda: list((tmp_path / "runs").glob("once-*/events.arrows")))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 1
    assert not job.answer.exists()
