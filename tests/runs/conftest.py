"""Stores of runs, with an index in SQLite or in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.runs.store import RunStore
from tests.runs.postgres import running_postgres

OpenStore = Callable[[], RunStore]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[OpenStore]:
    """``open_store()``: one more store of the same folder, as another process would open it."""
    yield from _stores(tmp_path, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """As ``open_store``, with each kind of index."""
    postgres = request.param == "postgresql"
    yield from _stores(tmp_path, request.getfixturevalue("postgres_url") if postgres else None)


def _stores(tmp_path: Path, url: str | None) -> Iterator[OpenStore]:
    opened: list[RunStore] = []

    def open_one() -> RunStore:
        opened.append(RunStore(tmp_path / "runs", url))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()
