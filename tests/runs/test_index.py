"""The index of runs: made from the folders whenever it is not there, in SQLite and PostgreSQL."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.errors import RunError, SettingsError
from app.runs import index
from app.runs.manifest import RunState
from app.runs.store import RunStore
from app.times import parse_time_ns
from tests.runs.conftest import OpenStore
from tests.runs.made import recorded, spec


def rows_of(store: RunStore) -> list[dict[str, Any]]:
    """All rows of this store's folder, as they lie in the database."""
    engine = create_engine(store._index._engine.url, poolclass=NullPool)
    query = text("SELECT * FROM tapedeck_runs WHERE root = :root ORDER BY id")
    with engine.connect() as connection:
        found = connection.execute(query, {"root": str(store.root)})
        return [dict(row._mapping) for row in found]


def sql(store: RunStore, statement: str) -> None:
    engine = create_engine(store._index._engine.url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement))


def some_runs(store: RunStore, tmp_path: Path) -> list[str]:
    """Runs in all kinds of states, oldest first."""
    done = recorded(store, tmp_path)
    failed = store.create(spec(tmp_path, name="other", seed=2**80))
    failed.finish(RunState.FAILED, cause="no \0 file \u00e4", summary={"return": None})
    queued = store.create(spec(tmp_path), RunState.QUEUED)
    queued.release()
    (store.root / "empty").mkdir()
    return [done, failed.id, queued.id, "empty"]


def test_a_record_says_what_the_folder_says(open_either: OpenStore, tmp_path: Path) -> None:
    store = open_either()
    run_id = recorded(store, tmp_path)
    manifest = store.open(run_id).manifest
    (record,) = store.list()
    assert manifest.started is not None
    assert manifest.finished is not None
    assert record == index.RunRecord(
        id=run_id, name="small", state=RunState.COMPLETED, cause=None, seed=7, events=103,
        created_ns=parse_time_ns(manifest.created), started_ns=parse_time_ns(manifest.started),
        finished_ns=parse_time_ns(manifest.finished), digest="td1:00",
        events_digest=manifest.events_digest, tapedeck=manifest.versions.tapedeck,
        summary={"return": 0.25, "sharpe": None},
    )  # fmt: skip


def test_newest_first_and_by_what_is_asked_for(open_either: OpenStore, tmp_path: Path) -> None:
    store = open_either()
    done, failed, queued, empty = some_runs(store, tmp_path)
    assert [r.id for r in store.list()] == [empty, queued, failed, done]
    assert [r.id for r in store.list(limit=2)] == [empty, queued]
    assert [r.id for r in store.list(name="small")] == [queued, done]
    assert [r.id for r in store.list(name="small", state=RunState.COMPLETED)] == [done]
    assert store.list(state=RunState.RUNNING) == ()
    (record,) = store.list(state=RunState.FAILED)
    assert (record.seed, record.cause) == (2**80, "no \ufffd file \u00e4")


def test_the_index_made_anew_is_the_one_that_lived(open_either: OpenStore, tmp_path: Path) -> None:
    store = open_either()
    ids = some_runs(store, tmp_path)
    lived, listed = rows_of(store), store.list()
    assert [row["id"] for row in lived] == sorted(set(ids) - {"empty"}), "written without a list"
    with_broken = rows_of(store)
    assert open_either().rebuild() == 4
    assert rows_of(store) == with_broken
    assert store.list() == listed
    sql(store, "DROP TABLE tapedeck_runs")
    assert store.list() == listed
    assert rows_of(store) == with_broken


def test_folders_that_came_and_went_by_hand(open_either: OpenStore, tmp_path: Path) -> None:
    store = open_either()
    run_id = recorded(store, tmp_path)
    aside = tmp_path / "aside"
    (store.root / run_id).rename(aside)
    assert store.list() == ()
    aside.rename(store.root / run_id)
    assert [r.id for r in store.list()] == [run_id]


def test_a_database_holds_several_folders(postgres_url: str, tmp_path: Path) -> None:
    stores = [RunStore(tmp_path / name, postgres_url) for name in "ab"]
    ids = [recorded(store, tmp_path) for store in stores]
    stores[0].rebuild()
    assert [[r.id for r in store.list()] for store in stores] == [[ids[0]], [ids[1]]]
    for store in stores:
        store.close()


def test_another_version_is_made_anew(open_either: OpenStore, tmp_path: Path) -> None:
    store = open_either()
    run_id = recorded(store, tmp_path)
    sql(store, "UPDATE tapedeck_runs_about SET version = 99")
    sql(store, "UPDATE tapedeck_runs SET name = 'of another version'")
    assert [(r.id, r.name) for r in open_either().list()] == [(run_id, "small")]


def test_many_make_it_at_once(open_either: OpenStore, tmp_path: Path) -> None:
    made = spec(tmp_path)

    def create(_: int) -> str:
        handle = open_either().create(made)
        handle.finish(RunState.COMPLETED)
        return handle.id

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(create, range(12)))
    assert sorted(row["id"] for row in rows_of(open_either())) == sorted(ids)


def test_a_deleted_file_is_made_anew(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    run_id = recorded(store, tmp_path)
    with create_engine(store._index._engine.url).connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    for path in store.root.glob("index.sqlite*"):
        path.unlink()
    assert [r.id for r in store.list()] == [run_id]


def test_a_broken_file_is_made_anew(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    run_id = recorded(store, tmp_path)
    (store.root / "index.sqlite").write_bytes(b"this is not a database" * 100)
    assert [r.id for r in store.list()] == [run_id]
    assert "is broken and is made anew" in caplog.text


def test_a_file_that_is_somebody_elses_stays(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"this is not a database" * 100)
    store = RunStore(tmp_path / "runs", f"sqlite:///{other}")
    with pytest.raises(RunError, match="cannot be used: file is not a database"):
        store.list()
    assert other.read_bytes().startswith(b"this is")


def test_a_run_goes_on_without_an_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = "postgresql+psycopg://somebody:secret@127.0.0.1:1/none?connect_timeout=2"
    store = RunStore(tmp_path / "runs", url)
    with caplog.at_level(logging.WARNING):
        run_id = recorded(store, tmp_path)
    assert store.open(run_id).manifest.state is RunState.COMPLETED
    assert f"run {run_id} is not in the index for now" in caplog.text
    with pytest.raises(RunError, match=r"the index of runs .*127.0.0.1:1/none.* cannot be used"):
        store.list()
    assert "secret" not in caplog.text
    assert [r.id for r in RunStore(tmp_path / "runs").list()] == [run_id]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://localhost/runs", "no index of runs in 'mysql'; allowed: sqlite, postgresql"),
        ("not a url", "has no usable URL"),
        ("sqlite+none:///x", "has no usable URL"),
        ("postgresql+psycopg2://localhost/runs", "'psycopg2' is not installed"),
    ],
)
def test_urls_that_cannot_be(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        RunStore(tmp_path, url)
