"""``tapedeck runs``: what runs left behind, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from app.runs.manifest import Artifact, Manifest, RunState, hash_file, write_manifest
from app.runs.store import RunStore
from tests.cli.conftest import Run
from tests.conftest import StartServer
from tests.runs.jobs import settings_for, write_catalog, write_configs
from tests.runs.made import recorded, spec
from tests.until import until


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """The folder that the settings name by default, seen from the folder of the call."""
    return RunStore(tmp_path / "runs")


def test_list_shows_runs_newest_first(run: Run, store: RunStore, tmp_path: Path) -> None:
    assert json.loads(run("runs", "list", "--json").stdout) == {"runs": []}
    first = recorded(store, tmp_path)
    failed = store.create(spec(tmp_path, name="other"))
    failed.finish(RunState.FAILED, cause="strategy a failed")
    done = run("runs", "list")
    assert done.exit_code == 0, done.output
    assert done.stdout.index(failed.id) < done.stdout.index(first)
    assert "strategy a failed" in done.stdout
    found = json.loads(run("runs", "list", "--json", "--name", "small").stdout)["runs"]
    assert [(r["id"], r["state"], r["events"]) for r in found] == [(first, "completed", 103)]
    assert found[0]["created"] == store.open(first).manifest.created
    (one,) = json.loads(run("runs", "list", "--state", "failed", "--json").stdout)["runs"]
    assert one["id"] == failed.id
    assert len(json.loads(run("runs", "list", "--limit", 1, "--json").stdout)["runs"]) == 1


def test_list_takes_another_folder(run: Run, tmp_path: Path) -> None:
    other = RunStore(tmp_path / "other")
    run_id = recorded(other, tmp_path)
    assert run_id in run("runs", "list", "--runs", "other").stdout
    assert run_id not in run("runs", "list").stdout


def test_list_finds_interrupted_and_broken_runs(run: Run, store: RunStore, tmp_path: Path) -> None:
    store.create(spec(tmp_path)).release()
    done = run("runs", "list")
    assert (done.exit_code, "interrupted" in done.stdout) == (0, True)
    (store.root / "empty").mkdir()
    done = run("runs", "list")
    assert done.exit_code == 1
    assert "cannot be read" in " ".join(done.stdout.replace("│", " ").split())


def test_list_refuses_an_unknown_state(run: Run) -> None:
    done = run("runs", "list", "--state", "gone")
    assert done.exit_code == 2
    assert "unknown state 'gone'; allowed: queued, running, completed" in done.stderr


def test_show_says_what_a_run_is_and_came_to(run: Run, store: RunStore, tmp_path: Path) -> None:
    run_id = recorded(store, tmp_path)
    done = run("runs", "show", run_id)
    assert done.exit_code == 0, done.output
    for text in (run_id, "completed", "td1:00", "made.py", "return", "0.25"):
        assert text in done.stdout
    found = json.loads(run("runs", "show", run_id, "--json").stdout)
    assert found["manifest"]["config"]["data"] == {"symbols": ["ON"]}
    assert found["summary"] == {"return": 0.25, "sharpe": None}
    assert (found["progress"], found["wrong"]) == (None, [])


def test_show_tells_the_progress_of_a_running_run(
    run: Run, store: RunStore, tmp_path: Path
) -> None:
    handle = store.create(spec(tmp_path))
    handle.note_progress({"done": 0.5})
    assert '{"done": 0.5}' in run("runs", "show", handle.id).stdout
    handle.release()


def test_show_tells_of_files_that_changed(run: Run, store: RunStore, tmp_path: Path) -> None:
    run_id = recorded(store, tmp_path)
    (store.root / run_id / "fills.parquet").unlink()
    done = run("runs", "show", run_id)
    assert (done.exit_code, done.stderr) == (1, "broken: fills.parquet is missing\n")
    assert run("runs", "show", run_id, "--json").exit_code == 1


def test_an_unknown_run_names_the_nearest(run: Run, store: RunStore, tmp_path: Path) -> None:
    run_id = recorded(store, tmp_path)
    done = run("runs", "show", run_id + "x")
    assert done.exit_code == 1
    assert f"nearest: {run_id}" in done.stderr


def test_diff_of_equal_runs(run: Run, store: RunStore, tmp_path: Path) -> None:
    runs = [recorded(store, tmp_path, cut) for cut in (30, 4)]
    done = run("runs", "diff", *runs)
    assert (done.exit_code, done.stdout) == (0, "The runs came to the same.\n")
    assert json.loads(run("runs", "diff", *runs, "--json").stdout)["equal"] is True


def test_diff_names_the_first_event(run: Run, store: RunStore, tmp_path: Path) -> None:
    runs = [
        recorded(store, tmp_path),
        recorded(store, tmp_path, price=10.75, spec={"config": {str(n): n for n in range(30)}}),
    ]
    done = run("runs", "diff", *runs)
    assert done.exit_code == 1
    for text in (
        "They part at event 4: order_request", "orders[0].limit_price", "10.75", "config.10",
        "... and", "The runs differ.",
    ):  # fmt: skip
        assert text in done.stdout
    found = json.loads(run("runs", "diff", *runs, "--json").stdout)
    assert found["first_event"]["seq"] == 4
    assert found["first_event"]["fields"] == [
        {"path": "orders[0].limit_price", "a": 10.5, "b": 10.75}
    ]


def test_diff_of_a_run_that_goes_on(run: Run, store: RunStore, tmp_path: Path) -> None:
    empty = store.create(spec(tmp_path))
    empty.finish(RunState.STOPPED)
    other = recorded(store, tmp_path)
    for pair, longer in (((empty.id, other), "B"), ((other, empty.id), "A")):
        done = run("runs", "diff", *pair)
        assert done.exit_code == 1
        assert f"Event 1 is in {longer} only" in done.stdout


def test_rebuild_and_delete(run: Run, store: RunStore, tmp_path: Path) -> None:
    runs = [recorded(store, tmp_path) for _ in range(2)]
    (store.root / "index.sqlite").unlink()
    done = run("runs", "rebuild")
    assert (done.exit_code, done.stdout.startswith("2 runs in the index of ")) == (0, True)
    done = run("runs", "delete", runs[0])
    assert (done.exit_code, done.stdout) == (0, f"deleted {runs[0]}\n")
    assert not (store.root / runs[0]).exists()
    found = json.loads(run("runs", "list", "--json").stdout)["runs"]
    assert [r["id"] for r in found] == [runs[1]]
    held = store.create(spec(tmp_path))
    assert "cancel it first" in run("runs", "delete", held.id).stderr
    held.release()


# -- runs of a server --------------------------------------------------------------------------


def test_resume(run: Run, store: RunStore, small_catalog: Path, tmp_path: Path) -> None:
    write_configs(tmp_path)
    made = json.loads(run("backtest", "once.yaml", "--catalog", small_catalog, "--json").stdout)
    folder = store.open(made["run_id"])
    before = folder.manifest
    call = ("runs", "resume", folder.id, "--catalog", small_catalog)
    done = run(*call)
    assert done.exit_code == 2
    assert "it is completed; only interrupted runs can" in done.stderr

    write_manifest(folder.path, msgspec.structs.replace(before, state=RunState.INTERRUPTED))
    done = run(*call)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"{folder.id} completed", f"digest {before.digest}",
        f"events digest {before.events_digest}",
    ]  # fmt: skip
    after = folder.manifest
    assert (after.state, after.files) == (RunState.COMPLETED, before.files | changed(after))

    write_manifest(folder.path, msgspec.structs.replace(after, state=RunState.INTERRUPTED))
    copy = folder.path / "strategies" / "once.py"
    copy.write_text(
        "from app.trading.strategy import Strategy\n\n\nclass Idle(Strategy):\n    pass\n"
    )
    done = run(*call)
    assert done.exit_code == 2
    assert "once.py is not the file that the run began with" in done.stderr
    (found,) = after.strategies
    found = msgspec.structs.replace(found, hash=hash_file(copy).hash)
    write_manifest(folder.path, msgspec.structs.replace(folder.manifest, strategies=(found,)))
    done = run(*call, "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["state"] == "interrupted"
    assert "executed again, it differs from event " in said["cause"]


def changed(manifest: Manifest) -> dict[str, Artifact]:
    """Wall times stand in the events alone."""
    return {"events.parquet": manifest.files["events.parquet"]}


def test_submit_and_cancel(run: Run, server: StartServer, tmp_path: Path) -> None:
    settings = settings_for(write_catalog(tmp_path / "catalog"), tmp_path)
    url = server(tmp_path / "catalog", tapedeck_configs_dir=settings.tapedeck_configs_dir)
    done = run("runs", "submit", "slow.yaml", "--set", "backtest.name=mine", "--url", url)
    assert done.exit_code == 0, done.output
    run_id, state = done.stdout.split()
    assert (run_id.startswith("mine-"), state) == (True, "queued")
    waits = json.loads(run("runs", "submit", "once.yaml", "--url", url, "--json").stdout)["id"]
    assert run("runs", "cancel", waits, "--url", url).stdout == f"{waits} stopped\n"
    until(lambda: RunStore(tmp_path / "runs").open(run_id).progress())
    assert run("runs", "cancel", run_id, "--url", url).exit_code == 0
    until(lambda: RunStore(tmp_path / "runs").open(run_id).manifest.state is RunState.STOPPED)
    again = run("runs", "cancel", run_id, "--url", url)
    assert (again.exit_code, "it is stopped" in again.stderr) == (1, True)
    assert (tmp_path / "runs" / run_id).is_dir()
    wrong = run("runs", "submit", "slwo.yaml", "--url", url)
    assert (wrong.exit_code, "nearest: slow.yaml" in wrong.stderr) == (2, True)


def test_submit_where_nobody_is_is_one_line(run: Run) -> None:
    done = run("runs", "submit", "once.yaml", "--url", "http://127.0.0.1:1")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "no Tapedeck server can be reached" in done.stderr
