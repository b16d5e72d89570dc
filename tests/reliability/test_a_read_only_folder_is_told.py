"""Where nothing may be written there is a sentence that names the folder, and no half record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.errors import RunError
from app.runs.spec import RunSpec
from app.runs.store import RunStore
from tests.conftest import StartServer
from tests.reliability.deck import PLAIN


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that is there and takes no file, from root neither: permissions are nothing to
    root, and so it gets one that the system keeps for itself."""
    if os.geteuid() == 0:
        yield Path("/proc/sys")
        return
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    yield folder
    folder.chmod(0o755)


def test_a_store_says_that_it_cannot_be_written(read_only: Path) -> None:
    store = RunStore(read_only, "sqlite://")
    with pytest.raises(RunError, match=f"{read_only}: cannot be written: "):
        store.create(RunSpec("x", {}))
    store.close()
    with pytest.raises(RunError, match="is no folder for runs: "):
        RunStore(read_only / "runs")


def test_a_session_is_refused_its_record_and_goes_without_one(
    server: StartServer, catalog: Path, read_only: Path
) -> None:
    url = server(catalog, tapedeck_runs_dir=read_only / "runs")
    refused = httpx.post(f"{url}/api/v1/session", json={**PLAIN, "record": True}, timeout=60)
    assert refused.status_code == 503
    assert str(read_only) in refused.json()["detail"]
    assert httpx.get(f"{url}/api/v1/session", timeout=60).json()["state"] == "STOPPED"
    assert httpx.post(f"{url}/api/v1/session", json=PLAIN, timeout=60).status_code == 201


def test_without_a_cache_everything_is_read_again(
    server: StartServer, catalog: Path, read_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = server(catalog, tapedeck_cache_dir=read_only / "cache")
    assert httpx.post(f"{url}/api/v1/session", json=PLAIN, timeout=60).status_code == 201
    assert f"index cannot be kept in {read_only}/cache" in caplog.text
