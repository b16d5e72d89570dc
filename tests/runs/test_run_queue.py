"""Queued runs: as a call in this process, and each in a process of its own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.errors import (
    CatalogError,
    ConfigError,
    NotFoundError,
    RequestError,
    RunError,
    StateError,
)
from app.managers.system_manager import run_queue
from app.managers.system_manager.backtest import BacktestEngine
from app.managers.system_manager.beginning import run_spec
from app.managers.system_manager.run_job import RunJob, run_job
from app.managers.system_manager.run_process import carry_out
from app.managers.system_manager.run_queue import RunQueue
from app.runs.manifest import RunState
from app.runs.spec import RunSpec
from app.runs.store import RunStore
from app.trading.config import read_config_file
from settings import Settings
from tests.client.small_catalog import write_broken
from tests.runs.jobs import settings_for, write_catalog
from tests.until import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def settings(catalog: Path, tmp_path: Path) -> Settings:
    return settings_for(catalog, tmp_path)


@pytest.fixture
def queue(settings: Settings) -> Iterator[RunQueue]:
    one = RunQueue(settings)
    yield one
    one.close(5)


def state_of(queue: RunQueue, run_id: str) -> RunState:
    return queue.record(run_id).state


def pid_of(queue: RunQueue, run_id: str) -> int | None:
    process = queue._busy.get(run_id)
    return None if process is None else process.pid


def started(queue: RunQueue, run_id: str) -> int:
    """Once it has said how far it is: its process."""
    until(lambda: queue.store.open(run_id).progress())
    pid = pid_of(queue, run_id)
    assert pid is not None
    return pid


# -- one run, as a call ------------------------------------------------------------------------

Waiting = Callable[..., RunJob]


@pytest.fixture
def waiting(settings: Settings) -> Iterator[Waiting]:
    """``waiting(name, *overrides)``: a run that waits in the store, and its job."""
    store = RunStore(settings.tapedeck_runs_dir)
    held = []

    def queued(name: str, *overrides: str) -> RunJob:
        file = read_config_file(f"{name}.yaml", overrides, settings.tapedeck_configs_dir)
        held.append(store.create(run_spec(file.config, file.folder), RunState.QUEUED))
        job = RunJob(held[-1].id, file.folder, file.config, settings)
        copy: RunJob = pickle.loads(pickle.dumps(job))
        return copy

    yield queued
    for handle in held:
        handle.release()


def test_a_job_is_the_run_that_was_queued(settings: Settings, waiting: Waiting) -> None:
    job = waiting("once", "strategies.once.params.quantity=20")
    assert settings.tapedeck_configs_dir is not None
    (settings.tapedeck_configs_dir / "once.yaml").unlink()
    run_job(job)
    found = RunStore(settings.tapedeck_runs_dir).open(job.run_id)
    assert found.manifest.state is RunState.COMPLETED
    assert found.manifest.started is not None
    assert len(found.manifest.data) == 2
    assert set(found.table("fills")["quantity"].to_pylist()) == {20.0}
    assert found.check() == []
    with pytest.raises(StateError, match="cannot begin: it is completed"):
        run_job(job)
    assert found.manifest.state is RunState.COMPLETED


def test_the_same_input_comes_to_the_same_with_and_without_a_queue(
    settings: Settings, waiting: Waiting
) -> None:
    job = waiting("once")
    run_job(job)
    assert settings.tapedeck_configs_dir is not None
    alone = BacktestEngine.from_config(
        settings.tapedeck_configs_dir / "once.yaml", settings=settings
    ).run()
    manifest = RunStore(settings.tapedeck_runs_dir).open(job.run_id).manifest
    assert (manifest.digest, manifest.events_digest) == (alone.digest, alone.events_digest)


def test_a_job_that_was_cancelled_never_begins(settings: Settings, waiting: Waiting) -> None:
    job = waiting("raises")
    found = RunStore(settings.tapedeck_runs_dir).open(job.run_id)
    found.cancel()
    run_job(job)
    assert (found.manifest.state, found.manifest.cause) == (
        RunState.STOPPED, "cancelled before it began",
    )  # fmt: skip
    assert found.manifest.started is not None
    assert not found.cancelled


def test_what_keeps_a_job_from_running_is_its_cause(
    settings: Settings, waiting: Waiting, tmp_path: Path
) -> None:
    store = RunStore(settings.tapedeck_runs_dir)

    def fails(job: RunJob, kind: type[Exception], why: str) -> None:
        with pytest.raises(kind, match=why):
            run_job(job)
        manifest = store.open(job.run_id).manifest
        assert manifest.state is RunState.FAILED
        assert kind.__name__ in str(manifest.cause)

    fails(waiting("once", "data.symbols=[AIGG]"), NotFoundError, "AIGG")
    gone = waiting("once").settings.model_copy(update={"data_catalog_uri": str(tmp_path / "no")})
    job = waiting("once")
    fails(RunJob(job.run_id, job.folder, job.config, gone), CatalogError, "no")
    changed = waiting("once")
    (changed.folder / "once.py").write_text("# another")
    fails(changed, ConfigError, "once.py: changed while the run waited")
    (changed.folder / "once.py").unlink()
    fails(waiting_copy(store, changed), ConfigError, "once.py: changed while the run waited")


def waiting_copy(store: RunStore, job: RunJob) -> RunJob:
    """The same run, queued once more; its strategy's file is there no more."""
    (job.folder / "once.py").write_text("# for the copy")
    handle = store.create(run_spec(job.config, job.folder), RunState.QUEUED)
    (job.folder / "once.py").unlink()
    return RunJob(handle.id, job.folder, job.config, job.settings)


def test_a_job_that_cannot_read_its_data_fails(
    settings: Settings, waiting: Waiting, tmp_path: Path
) -> None:
    broken = write_broken(tmp_path / "broken").parents[2]
    job = waiting("once")
    other = settings.model_copy(update={"data_catalog_uri": str(broken)})
    run_job(RunJob(job.run_id, job.folder, job.config, other))
    found = RunStore(settings.tapedeck_runs_dir).open(job.run_id).manifest
    assert (found.state, "CatalogError" in str(found.cause)) == (RunState.FAILED, True)


def test_a_job_whose_run_is_gone_says_so(settings: Settings, waiting: Waiting) -> None:
    job = waiting("once")
    folder = RunStore(settings.tapedeck_runs_dir).open(job.run_id).path
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(NotFoundError, match="no run"):
        run_job(job)


def test_a_job_shows_no_secret(settings: Settings, waiting: Waiting) -> None:
    job = waiting("once")
    secret = job.settings.model_copy(update={"data_catalog_uri": "s3://key:s3cret@bucket/x"})
    assert "s3cret" not in repr(RunJob(job.run_id, job.folder, job.config, secret))


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "overrides", "why"),
    [
        ("onse.yaml", [], "no such file; nearest: once.yaml"),
        ("../once.yaml", [], "lies outside"),
        ("/etc/passwd", [], "lies outside"),
        ("a\0b", [], "cannot be the name of a file"),
        ("é" * 255, [], "cannot be the name of a file"),
        ("once.yaml", ["strategies.once.file=../../once.py"], "lies outside"),
        ("once.yaml", ["data.catalog=/etc"], "cannot be set from outside"),
        ("once.yaml", ["data={symbols: [AIG], catalog: /etc}"], "cannot be set from outside"),
        ("once.yaml", ["backtest.sead=1"], "unknown key; nearest: seed"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused(
    queue: RunQueue, config: str, overrides: list[str], why: str
) -> None:
    with pytest.raises(RequestError, match=why):
        queue.submit(config, overrides)
    assert queue.store.list() == ()


def test_no_configurations_no_runs(catalog: Path, tmp_path: Path) -> None:
    queue = RunQueue(settings_for(catalog, tmp_path, tapedeck_configs_dir=None))
    queue.open()
    with pytest.raises(NotFoundError, match="set TAPEDECK_CONFIGS_DIR"):
        queue.submit("once.yaml")
    assert not (tmp_path / "runs").exists()
    queue.close(1)


def test_a_run_that_has_just_ended_can_be_removed(
    queue: RunQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state is final before its process is gone, which may still hold its lock."""
    goes, order = threading.Event(), list[str]()

    def lingering(process: subprocess.Popen[bytes], job: RunJob) -> int:
        code = carry_out(process, job)
        goes.wait(30)
        order.append("its process is gone")
        return code

    monkeypatch.setattr(run_queue, "carry_out", lingering)
    run_id = queue.submit("once.yaml")
    until(lambda: state_of(queue, run_id).final)

    def remove() -> None:
        queue.remove(run_id)
        order.append("it is removed")

    with ThreadPoolExecutor(1) as pool:
        removed = pool.submit(remove)
        goes.set()
        removed.result(30)
    assert order == ["its process is gone", "it is removed"]
    with pytest.raises(NotFoundError):
        queue.record(run_id)


def test_so_many_may_wait(queue: RunQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_queue, "MOST_WAITING", 0)
    with pytest.raises(StateError, match="wait already"):
        queue.submit("once.yaml")


def test_a_store_that_cannot_be_written_is_said(queue: RunQueue, tmp_path: Path) -> None:
    queue.store.root.rename(tmp_path / "elsewhere")
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written: Not a directory"):
        queue.submit("once.yaml")


def test_deleted_by_many_at_once_it_is_gone_once(queue: RunQueue) -> None:
    handle = queue.store.create(RunSpec("one", {}))
    handle.finish(RunState.COMPLETED)

    def delete(_: int) -> str:
        try:
            queue.store.delete(handle.id)
        except (NotFoundError, StateError) as error:
            return type(error).__name__
        return "deleted"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(delete, range(8)))
    assert found.count("deleted") == 1
    with pytest.raises(NotFoundError):
        queue.record(handle.id)
    assert queue.store.list() == ()


def test_a_closed_queue_takes_no_run(queue: RunQueue) -> None:
    queue.close(1)
    queue.close(1)
    with pytest.raises(StateError, match="shut down"):
        queue.submit("once.yaml")
    (record,) = queue.store.list()
    assert (record.state, record.cause) == (RunState.STOPPED, "the server shut down")


# -- in processes of their own -----------------------------------------------------------------


def test_one_runs_the_rest_wait_and_a_killed_one_is_found(queue: RunQueue) -> None:
    killed, cancelled, last = (queue.submit(f"{n}.yaml") for n in ("slow", "slow", "once"))
    pid = started(queue, killed)
    assert [state_of(queue, r) for r in (killed, cancelled, last)] == [
        RunState.RUNNING, RunState.QUEUED, RunState.QUEUED,
    ]  # fmt: skip
    queue.cancel(cancelled)
    found = queue.record(cancelled)
    assert (found.state, found.cause) == (RunState.STOPPED, "cancelled before it began")
    with pytest.raises(StateError, match="it is stopped"):
        queue.cancel(cancelled)
    until(lambda: queue.store.open(killed).table("fills").num_rows)
    os.kill(pid, signal.SIGKILL)
    until(lambda: state_of(queue, last) is RunState.COMPLETED)
    found = queue.record(killed)
    assert (found.state, found.cause) == (RunState.INTERRUPTED, "its process was gone")
    (listed,) = queue.store.list(state=RunState.INTERRUPTED)
    assert listed.id == killed
    events = queue.store.open(killed).table("events")
    assert events["seq"].to_pylist() == list(range(1, len(events) + 1))
    assert "fill" in events["type"].to_pylist()


def test_closing_stops_what_runs_and_what_waits(queue: RunQueue) -> None:
    runs, waits = queue.submit("slow.yaml"), queue.submit("once.yaml")
    started(queue, runs)
    queue.close(10)
    assert [state_of(queue, r) for r in (runs, waits)] == [RunState.STOPPED] * 2
    assert (queue.store.open(runs).path / "report.html").is_file()
    assert pid_of(queue, runs) is None


def test_closing_does_not_wait_for_ever(queue: RunQueue) -> None:
    """It has only just been started, and is killed before it could see anything."""
    run_id = queue.submit("slow.yaml")
    until(lambda: pid_of(queue, run_id))
    began_s = time.monotonic()
    queue.close(0.0)
    assert time.monotonic() - began_s < 5
    assert state_of(queue, run_id) is RunState.INTERRUPTED
    assert pid_of(queue, run_id) is None


# -- servers that are gone ---------------------------------------------------------------------


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``tapedeck serve`` and its base URL."""
    named = ("data_catalog_uri", "tapedeck_cache_dir", "tapedeck_runs_dir", "tapedeck_configs_dir")
    environment = {name.upper(): str(getattr(settings, name)) for name in named}
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"], cwd=tmp_path, text=True,
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def test_a_server_stops_in_time_with_its_runs(
    server: tuple[subprocess.Popen[str], str], settings: Settings
) -> None:
    process, url = server
    runs, waits = (
        httpx.post(f"{url}/runs", json={"config": f"{n}.yaml"}, timeout=60).json()["id"]
        for n in ("slow", "once")
    )
    store = RunStore(settings.tapedeck_runs_dir)
    until(lambda: store.open(runs).progress())
    began_s = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - began_s < 8
    found = [store.open(r).manifest for r in (runs, waits)]
    # A slow machine may not be done with the first one's report.
    assert found[0].state in (RunState.STOPPED, RunState.INTERRUPTED)
    assert (found[1].state, found[1].cause) == (RunState.STOPPED, "the server shut down")


def test_a_killed_servers_runs_are_found_by_the_next_one(
    server: tuple[subprocess.Popen[str], str], settings: Settings
) -> None:
    process, url = server
    runs, waits = (
        httpx.post(f"{url}/runs", json={"config": f"{n}.yaml"}, timeout=60).json()["id"]
        for n in ("slow", "once")
    )
    store = RunStore(settings.tapedeck_runs_dir)
    until(lambda: store.open(runs).progress())
    process.kill()
    process.wait(10)
    queue = RunQueue(settings)
    queue.open()
    until(lambda: store.open(waits).manifest.state is RunState.INTERRUPTED)
    assert state_of(queue, runs) is RunState.RUNNING, "it goes on without its server"
    queue.cancel(runs)
    until(lambda: state_of(queue, runs) is RunState.STOPPED)
    queue.close(1)
