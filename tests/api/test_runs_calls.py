"""Runs over HTTP and through the client: queued, followed, read, stopped, removed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.local import LocalServer
from app.api.schemas_runs import EquityCurve
from app.client import AsyncTapedeck, RunDetail, ServerProblem, Tapedeck
from app.managers.system_manager import SystemManager
from app.runs.manifest import RunState
from app.runs.spec import RunSpec
from app.runs.store import RunStore
from tests.api.talk import START
from tests.api.test_requests import check
from tests.conftest import StartServer
from tests.runs.jobs import settings_for, write_catalog
from tests.until import until


class Served:
    """A server with configurations; its client and its store."""

    def __init__(self, work: Path) -> None:
        self.settings = settings_for(write_catalog(work / "catalog"), work)
        self.server = LocalServer(SystemManager.from_settings(self.settings), self.settings)
        self.url = self.server.start()
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=20)
        self.deck = Tapedeck(self.url)
        self.store = RunStore(work / "runs")

    def close(self) -> None:
        self.http.close()
        self.deck.close()
        self.server.stop()
        self.store.close()

    def ended(self, run_id: str) -> RunDetail:
        found: RunDetail = until(lambda: (run := self.deck.run(run_id)).ended and run)
        return found

    def submit(self, name: str, **more: Any) -> httpx.Response:
        return self.http.post("/runs", json={"config": f"{name}.yaml"}, **more)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = Served(tmp_path_factory.mktemp("served"))
    yield one
    one.close()


def test_a_run_from_its_start_to_its_removal(served: Served) -> None:
    answer = served.http.post(
        "/runs", json={"config": "once.yaml", "set": ["strategies.once.params.quantity=20"]}
    )
    assert answer.status_code == 202
    queued = answer.json()
    run_id = queued["id"]
    assert answer.headers["location"] == f"/api/v1/runs/{run_id}"
    assert (queued["name"], queued["started"]) == ("once", None)
    done = served.ended(run_id)
    assert (done.state, done.cause) == ("completed", None)
    assert done.created_ns < done.started_ns < done.finished_ns  # type: ignore[operator]
    assert done.config is not None
    assert done.config["strategies"][0]["params"] == {"quantity": 20}
    # 20 shares a day from the open of the 6th bar to that of the 101st: 0.95 a share, less 0.01
    # a share for each of the four fills.
    assert done.summary is not None
    assert done.summary["statistics"]["pnl"] == pytest.approx(2 * 20 * 0.95 - 4 * 20 * 0.01)
    assert {"events.parquet", "report.html", "strategies/once.py"} <= set(done.files)
    assert (done.progress, done.events_digest) == (
        None,
        served.store.open(run_id).manifest.events_digest,
    )
    page = served.http.get(f"/runs/{run_id}/report")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == served.deck.run_report(run_id)
    assert "<title>" in page.text
    assert run_id in [run.id for run in served.deck.runs(state="completed", limit=1).runs]
    check(served.http.delete(f"/runs/{run_id}?only=cancel"), 409, "it is completed")
    removed = served.http.delete(f"/runs/{run_id}")
    assert (removed.status_code, removed.json()["state"]) == (200, "completed")
    check(served.http.get(f"/runs/{run_id}"), 404, "there is no run")
    check(served.http.delete(f"/runs/{run_id}"), 404, "there is no run")
    assert run_id not in [run.id for run in served.deck.runs().runs]


@pytest.mark.parametrize("name", ["equity.parquet", "summary.json", "manifest.json"])
def test_a_run_whose_files_are_damaged(served: Served, name: str) -> None:
    run_id = served.submit("once").json()["id"]
    served.ended(run_id)
    path = served.store.open(run_id).path / name
    whole = path.read_bytes()
    told = 0
    for at in range(0, len(whole), len(whole) // 12):
        path.write_bytes(whole[:at] + b"\xe5\xff" + whole[at + 2 :])
        for call in ("", "/equity", "/report"):
            answer = served.http.get(f"/runs/{run_id}{call}")
            assert answer.status_code in (200, 404, 503), answer.text
            if answer.status_code != 200:
                assert answer.status_code == 404 or name in answer.json()["detail"]
                told += 1
        assert served.http.get("/runs").status_code == 200
    path.write_bytes(whole)
    assert told or name == "summary.json"  # its numbers are in the index
    assert served.http.get(f"/runs/{run_id}").json()["state"] == "completed"


def test_the_curve_of_a_run_is_its_equity(served: Served) -> None:
    run_id = served.submit("once").json()["id"]
    queued = served.http.get(f"/runs/{run_id}/equity").json()  # as far as it is written
    assert len(queued["times"]) == len(queued["equity"]) <= queued["rows"]
    served.ended(run_id)
    curve = served.http.get(f"/runs/{run_id}/equity?points=10000").json()
    EquityCurve.model_validate(curve)
    table = served.store.open(run_id).table("equity")
    assert curve["rows"] == table.num_rows
    assert curve["equity"] == table["equity"].to_pylist()
    summary = served.deck.run(run_id).summary
    assert summary is not None
    statistics = summary["statistics"]
    assert min(curve["drawdown"]) == pytest.approx(statistics["max_drawdown"])
    made = sum(day["pnl"] for day in curve["days"])
    assert made == pytest.approx(statistics["pnl"])
    assert max(day["pnl"] for day in curve["days"]) == pytest.approx(
        statistics["best_day"] * curve["initial_cash"], rel=1e-3
    )
    thin = served.http.get(f"/runs/{run_id}/equity?points=8").json()
    assert (thin["rows"], min(thin["equity"])) == (curve["rows"], min(curve["equity"]))
    assert len(thin["equity"]) <= 8
    check(served.http.get("/runs/none/equity"), 404, "there is no run")
    check(served.http.get(f"/runs/{run_id}/equity?points=1"), 422, "points")


def test_configurations_are_those_of_the_folder(served: Served) -> None:
    folder = served.settings.tapedeck_configs_dir
    assert folder is not None
    names = served.http.get("/configs").json()["configs"]
    assert {"once.yaml", "slow.yaml"} <= set(names)
    assert all((folder / name).is_file() for name in names)
    assert names == sorted(names)


def test_live_runs_are_followed_and_stopped(served: Served) -> None:
    runs, waits = (served.submit("slow").json()["id"] for _ in range(2))
    progress = until(lambda: served.deck.run(runs).progress)
    assert 0 <= progress.fraction < 1
    assert progress.days_total == 66
    assert served.deck.run(waits).state == "queued"
    for run_id, state in ((runs, "running"), (waits, "queued")):
        answer = check(served.http.get(f"/runs/{run_id}/report"), 409, f"is {state}")
        assert answer["state"] == state
        check(served.http.delete(f"/runs/{run_id}?only=remove"), 409, "cancel it first")
    body = START | {"symbols": ["*"]}
    assert served.http.post("/session", json=body).status_code == 201, "a run is not in its way"
    assert all(served.http.get("/runs").status_code == 200 for _ in range(20))
    stopped = served.http.delete(f"/runs/{waits}")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    assert served.deck.run(waits).cause == "cancelled before it began"
    assert served.http.delete(f"/runs/{runs}").status_code == 202
    done = served.ended(runs)
    assert done.state == "stopped"
    assert 0 < served.store.open(runs).table("events").num_rows == done.events
    assert served.http.get(f"/runs/{runs}/report").status_code == 200
    check(served.http.get(f"/runs/{waits}/report"), 404, "left no report")
    with pytest.raises(ServerProblem, match="it is stopped"):
        served.deck.cancel_run(runs)
    assert served.deck.delete_run(runs).state == "stopped"


def test_a_killed_run_is_interrupted_and_a_failed_one_says_why(served: Served) -> None:
    killed = served.submit("slow").json()["id"]
    failed = served.submit("raises").json()["id"]
    until(lambda: served.deck.run(killed).progress)
    process = served.server._server._services.runs._busy[killed]
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    found = served.ended(killed)
    assert (found.state, found.cause) == ("interrupted", "its process was gone")
    found = served.ended(failed)
    assert found.state == "failed"
    assert "no luck" in str(found.cause)
    assert "raises.py" in str(found.cause)


def test_a_repeated_call_is_one_run(served: Served) -> None:
    before = len(served.deck.runs().runs)
    first, second = (
        served.submit("once", headers={"Idempotency-Key": "a"}).json() for _ in range(2)
    )
    assert first == second
    other = served.http.post(
        "/runs", json={"config": "slow.yaml"}, headers={"Idempotency-Key": "a"}
    )
    check(other, 422, "another request")
    assert len(served.deck.runs().runs) == before + 1

    async def over_again() -> str:
        async with AsyncTapedeck(served.url) as deck:
            return (await deck.submit_run("once.yaml", idempotency_key="a")).id

    # Its body says "set" and is the same request.
    assert asyncio.run(over_again()) == first["id"]
    served.ended(first["id"])


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"config": "onse.yaml"}, 422, "nearest: once.yaml"),
        ({"config": "../configs/../x.yaml"}, 422, "outside of the folder"),
        ({"config": "/etc/passwd"}, 422, "outside of the folder"),
        ({"config": "a\0b"}, 422, "body.config"),
        ({"config": "é" * 255}, 422, "cannot be the name"),
        ({"config": "once.yaml", "set": ["data.catalog=/etc"]}, 422, "cannot be set"),
        ({"config": "once.yaml", "set": ['strategies.once.file="/x/y.py"']}, 422, "outside"),
        ({"config": "once.yaml", "set": ['strategies.once.file="a\\0.py"']}, 422, "cannot be"),
        ({"config": "once.yaml", "sets": []}, 422, "body.sets"),
        ({"config": "once.yaml", "set": "a=b"}, 422, "body.set"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(
    served: Served, body: dict[str, Any], status: int, why: str
) -> None:
    check(served.http.post("/runs", json=body), status, why)


@pytest.mark.parametrize(
    "run_id", ["..%2F..%2Fetc", "%2e%2e", "%00", ".index.lock", "index.sqlite"]
)
@pytest.mark.parametrize("call", ["", "/report"])
def test_ids_lead_nowhere_else(served: Served, run_id: str, call: str) -> None:
    answer = served.http.get(f"/runs/{run_id}{call}")
    assert answer.status_code == 404
    if not call:
        assert served.http.delete(f"/runs/{run_id}").status_code in (404, 405)


def test_broken_runs_are_shown_and_can_be_removed(served: Served) -> None:
    (served.store.root / "broken").mkdir()
    found = served.deck.run("broken")
    assert (found.state, found.config, found.files) == ("broken", None, ())
    assert "cannot be read" in str(found.cause)
    check(served.http.get("/runs/broken/report"), 404, "left no report")
    assert served.deck.delete_run("broken").state == "broken"


def test_runs_of_a_server_before_are_found_at_the_start(
    server: StartServer, tmp_path: Path
) -> None:
    store = RunStore(tmp_path / "runs")
    handle = store.create(RunSpec("left", {}), RunState.QUEUED)
    handle.release()
    url = server(tmp_path)
    until(lambda: store.open(handle.id).manifest.state is RunState.INTERRUPTED)
    with Tapedeck(url) as deck:
        assert [(r.id, r.state) for r in deck.runs().runs] == [(handle.id, "interrupted")]
        with pytest.raises(ServerProblem, match="set TAPEDECK_CONFIGS_DIR"):
            deck.submit_run("once.yaml")


def test_a_store_that_cannot_be_used_is_503_and_no_more(
    server: StartServer, tmp_path: Path
) -> None:
    settings = settings_for(write_catalog(tmp_path / "catalog"), tmp_path)
    (tmp_path / "runs").write_text("in the way")
    url = server(tmp_path / "catalog", tapedeck_configs_dir=settings.tapedeck_configs_dir)
    with httpx.Client(base_url=url + "/api/v1", timeout=60) as client:
        check(client.post("/runs", json={"config": "once.yaml"}), 503, "is no folder for runs")
        check(client.get("/runs"), 503, "is no folder for runs")
        assert client.get("/ready").status_code == 200
