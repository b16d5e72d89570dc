"""A run's folder from its beginning to its end, and who may do what with it when."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3
from ruamel.yaml import YAML

from app.errors import NotFoundError, RequestError, RunError, StateError
from app.runs import store as stores
from app.runs.manifest import Artifact, DataFile, RunState, StrategyCopy
from app.runs.spec import StrategyFile
from app.runs.store import RunStore
from tests.runs.conftest import OpenStore
from tests.runs.made import recorded, spec

ROOT = Path(__file__).parents[2]


# -- what a run leaves -------------------------------------------------------------------------


def test_a_run_begins_with_all_that_it_is_made_of(open_store: OpenStore, tmp_path: Path) -> None:
    config = {
        "data": {"symbols": ["ON", "NO", "1e5"]},
        "risk": {"cash_buffer_pct": 0.05, "a": None},
    }
    handle = open_store().create(spec(tmp_path, config=config))
    found = handle.manifest
    assert re.fullmatch(r"small-\d{8}T\d{6}Z-[0-9a-f]{6}", handle.id)
    assert (found.id, found.name, found.state, found.seed) == (handle.id, "small", "running", 7)
    assert found.created == found.started
    assert (found.finished, found.cause, found.digest, found.files) == (None, None, None, {})
    assert found.config == config
    assert YAML(typ="safe").load((handle.path / "config.yaml").read_text()) == config
    source = b"VALUE = 1\n"
    assert found.strategies == (
        StrategyCopy(
            id="a", file="made.py", hash=blake3(source).hexdigest(), copy="strategies/a.py"
        ),
    )
    assert (handle.path / "strategies" / "a.py").read_bytes() == source
    assert [file.path for file in found.data] == ["actions", "bars_1m/AAA.parquet"]
    assert found.formats.digest == "td1"
    assert found.formats.events_digest == "te1"
    assert set(found.formats.tables.values()) == {1}
    handle.release()


def test_a_run_ends_with_all_that_it_came_to(open_store: OpenStore, tmp_path: Path) -> None:
    folder = open_store().open(recorded(open_store(), tmp_path))
    found = folder.manifest
    assert (found.state, found.digest, found.events) == ("completed", "td1:00", 103)
    assert found.finished is not None
    assert found.finished > found.created
    assert folder.summary() == {"return": 0.25, "sharpe": None}
    assert folder.table("events").num_rows == 103
    names = {p.relative_to(folder.path).as_posix() for p in folder.path.rglob("*") if p.is_file()}
    assert set(found.files) == names - {"manifest.json"}
    assert not names & {"run.lock", "progress.json", "cancel", "taken"}
    content = (folder.path / "fills.parquet").read_bytes()
    assert found.files["fills.parquet"] == Artifact(len(content), blake3(content).hexdigest())


def test_only_the_manifest_knows_id_and_wall_time(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    runs = [store.open(recorded(store, tmp_path)) for _ in range(2)]
    left, right = (run.manifest.files for run in runs)
    assert left.keys() == right.keys()
    assert {name for name in left if left[name] != right[name]} == {"events.parquet"}
    for run in runs:
        for path in run.path.rglob("*"):
            assert not path.is_file() or path.name == "manifest.json" or (
                run.id.encode() not in path.read_bytes()
            )  # fmt: skip


def test_what_is_wrong_with_the_files_of_an_ended_run(
    open_store: OpenStore, tmp_path: Path
) -> None:
    folder = open_store().open(recorded(open_store(), tmp_path))
    assert folder.check() == []
    (folder.path / "fills.parquet").unlink()
    (folder.path / "summary.json").write_text("{}")
    assert folder.check() == ["fills.parquet is missing", "summary.json is not what the run left"]


def test_data_files_may_be_found_late(open_store: OpenStore, tmp_path: Path) -> None:
    files = [DataFile("b", 2, "22"), DataFile("a", 1, "11")]
    handle = open_store().create(spec(tmp_path, data=lambda: files))
    assert [file.path for file in handle.manifest.data] == ["a", "b"]
    handle.note_data([*files, DataFile("Z", 3, "33")])
    assert [file.path for file in handle.manifest.data] == ["Z", "a", "b"]
    handle.release()


@pytest.mark.parametrize("state", ["queued", "running", "broken"])
def test_a_run_ends_in_a_final_state(open_store: OpenStore, tmp_path: Path, state: str) -> None:
    handle = open_store().create(spec(tmp_path))
    with pytest.raises(StateError, match=f"cannot end as {state}"):
        handle.finish(RunState(state))
    handle.release()


def test_a_cause_that_is_no_text_is_told_nonetheless(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    handle = store.create(spec(tmp_path))
    handle.finish(RunState.FAILED, cause="no file x\udcff.parquet")
    assert store.open(handle.id).manifest.cause == "no file x?.parquet"


# -- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "\u00e4", "x" * 65, "a\n"])
def test_names_that_cannot_be_a_folders(open_store: OpenStore, tmp_path: Path, name: str) -> None:
    store = open_store()
    with pytest.raises(RequestError, match="cannot name a run: 1 to 64 letters"):
        store.create(spec(tmp_path, name=name))
    assert list(store.root.iterdir()) == []


def test_an_id_that_is_taken_is_not_given_again(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(["one", "one", "one", "two"])
    monkeypatch.setattr(stores, "_new_id", lambda name: next(ids))
    handles = [open_store().create(spec(tmp_path)) for _ in range(2)]
    assert [handle.id for handle in handles] == ["one", "two"]
    assert [handle.manifest.id for handle in handles] == ["one", "two"]
    for handle in handles:
        handle.release()


def test_many_at_once_get_folders_of_their_own(open_store: OpenStore, tmp_path: Path) -> None:
    store, made = open_store(), spec(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        handles = list(pool.map(lambda _: store.create(made), range(24)))
    assert len({handle.id for handle in handles}) == 24
    assert {r.id for r in open_store().list(state=RunState.RUNNING)} == {h.id for h in handles}
    for handle in handles:
        handle.release()


CREATE = """
import sys
from pathlib import Path
from app.runs.manifest import RunState
from app.runs.spec import RunSpec
from app.runs.store import RunStore
store = RunStore(Path(sys.argv[1]))
for _ in range(5):
    handle = store.create(RunSpec("many", {}))
    handle.finish(RunState.COMPLETED)
    print(handle.id)
"""


def test_many_processes_share_a_store(open_store: OpenStore) -> None:
    store = open_store()
    command = [sys.executable, "-W", "error", "-c", CREATE, str(store.root)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in said] == [b""] * 3
    ids = b"".join(out for out, _ in said).decode().split()
    assert len(set(ids)) == 15
    assert {record.id for record in store.list()} == set(ids)


@pytest.mark.parametrize("run_id", ["../runs", "..", ".", "", "/etc", "a/../b", ".new-1", "a\0b"])
def test_ids_lead_nowhere_else(open_store: OpenStore, run_id: str) -> None:
    with pytest.raises(NotFoundError, match="there is no run"):
        open_store().open(run_id)


def test_an_unknown_id_names_the_nearest(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    known = recorded(store, tmp_path)
    with pytest.raises(NotFoundError, match=f"nearest: {known}"):
        store.open(known[:-1])
    for call in (store.delete, store.take):
        with pytest.raises(NotFoundError):
            call("nothing-like-it")


def test_a_run_that_cannot_begin_leaves_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    missing = StrategyFile("a", "none.py", tmp_path / "none.py")
    with pytest.raises(RunError, match=r"none\.py: cannot be read: No such file"):
        store.create(spec(tmp_path, strategies=[missing]))
    assert list(store.root.iterdir()) == []


def test_a_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is no folder for runs"):
        RunStore(tmp_path / "file")


# -- queue, progress, cancel -------------------------------------------------------------------


def test_a_queued_run_goes_from_hand_to_hand(open_store: OpenStore, tmp_path: Path) -> None:
    server, worker = open_store(), open_store()
    waiting = server.create(spec(tmp_path), RunState.QUEUED)
    assert waiting.manifest.started is None
    assert worker.mark_interrupted() == ()
    at_work = worker.take(waiting.id)
    waiting.release()
    assert server.mark_interrupted() == ()
    assert at_work.manifest.state is RunState.RUNNING
    assert at_work.manifest.started is not None
    at_work.finish(RunState.COMPLETED)
    assert [r.state for r in server.list()] == ["completed"]


def test_a_run_begins_once(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    waiting = store.create(spec(tmp_path), RunState.QUEUED)
    (waiting.path / "taken").touch()  # by somebody who has not written the manifest yet
    with pytest.raises(StateError, match="it has begun"):
        store.take(waiting.id)
    (waiting.path / "taken").unlink()
    taken = store.take(waiting.id)
    with pytest.raises(StateError, match="it is running"):
        store.take(waiting.id)
    taken.release()
    waiting.release()


def test_progress_and_cancel_go_through_the_folder(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    handle = store.create(spec(tmp_path))
    other = open_store().open(handle.id)
    assert other.progress() is None
    handle.note_progress({"done_pct": 0.5})
    assert other.progress() == {"done_pct": 0.5}
    before = handle.cancelled
    other.cancel()
    assert (before, handle.cancelled) == (False, True)
    handle.finish(RunState.STOPPED)
    assert (other.progress(), other.cancelled) == (None, False)
    with pytest.raises(StateError, match="cannot be cancelled: it is stopped"):
        other.cancel()


# -- interrupted -------------------------------------------------------------------------------


def test_runs_whose_process_is_gone_are_interrupted(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    alive = store.create(spec(tmp_path))
    gone = [store.create(spec(tmp_path), state) for state in (RunState.RUNNING, RunState.QUEUED)]
    done = recorded(store, tmp_path)
    for handle in gone:
        handle.release()  # as the end of its process does
    found = open_store()
    assert sorted(found.mark_interrupted()) == sorted(handle.id for handle in gone)
    assert found.mark_interrupted() == ()
    states = {record.id: (record.state, record.cause) for record in found.list()}
    assert states == {
        alive.id: ("running", None), done: ("completed", None),
        **{handle.id: ("interrupted", "its process was gone") for handle in gone},
    }  # fmt: skip
    assert not (gone[0].path / "run.lock").exists()
    alive.release()


def test_halves_of_killed_processes_are_swept(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    old, young, gone = (store.root / n for n in (".new-1", ".new-2", ".deleted-3"))
    for folder in (old, young, gone):
        folder.mkdir()
        (folder / "run.lock").touch()
    os.utime(old / "run.lock", (0, 0))
    held = store.create(spec(tmp_path))
    store.mark_interrupted()
    assert {p.name for p in store.root.iterdir() if p.is_dir()} == {young.name, held.id}
    held.release()


# -- broken and deleted ------------------------------------------------------------------------


def manifests_that_are_none() -> Sequence[tuple[str, str]]:
    return [
        ("", "is no manifest"), ("[]", "is no manifest"), ('{"format": 1}', "is no manifest"),
        ('{"format": 2}', "its format is 2; this program reads 1"),
        ("\udcff", "is no manifest"),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), manifests_that_are_none())
def test_a_broken_folder_is_listed_with_its_reason(
    open_store: OpenStore, tmp_path: Path, text: str, why: str
) -> None:
    store = open_store()
    run_id = recorded(store, tmp_path)
    manifest = store.root / run_id / "manifest.json"
    manifest.write_bytes(text.encode("utf-8", "surrogateescape"))
    (record,) = store.list()
    assert (record.id, record.state) == (run_id, RunState.BROKEN)
    assert record.cause is not None
    assert why in record.cause
    assert str(manifest) in record.cause
    assert store.list(state=RunState.BROKEN) == (record,)
    assert store.mark_interrupted() == ()
    store.delete(run_id)
    assert store.list() == ()


def test_other_ways_to_be_broken(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    run_id = recorded(store, tmp_path)
    (store.root / "empty").mkdir()
    (store.root / run_id).rename(store.root / "renamed")
    causes = {record.id: str(record.cause) for record in store.list()}
    assert "manifest.json: cannot be read: No such file" in causes["empty"]
    assert f"is of run '{run_id}', not of 'renamed'" in causes["renamed"]
    (store.root / "renamed").rename(store.root / run_id)
    (store.root / run_id / "summary.json").write_text("[1]")
    store.rebuild()
    assert "is no JSON object" in {r.id: str(r.cause) for r in store.list()}[run_id]
    manifest = store.root / run_id / "manifest.json"
    text = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(text | {"state": "broken"}))
    with pytest.raises(RunError, match="which no run writes"):
        _ = store.open(run_id).manifest


def test_a_run_at_work_is_not_deleted(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    handle = store.create(spec(tmp_path))
    with pytest.raises(StateError, match="is at work; cancel it first"):
        open_store().delete(handle.id)
    assert handle.path.is_dir()
    handle.finish(RunState.COMPLETED)
    store.delete(handle.id)
    assert not handle.path.exists()
    assert store.list() == ()
