"""A server over a fake session, and a client of the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from settings import load_settings
from tests.api.fake_manager import FakeManager, FakeSession
from tests.api.small_catalog import build
from tests.api.talk import START
from tests.api.trading_place import Place
from tests.conftest import StartServer


class Fake:
    """A running server whose session is the test's to play."""

    def __init__(self, **overrides: Any) -> None:
        self.manager = FakeManager()
        settings = load_settings(None, tapedeck_port=0, **overrides)
        self.server = LocalServer(cast(SystemManager, self.manager), settings)
        self.url = self.server.start()
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=60)

    def start(self, **more: Any) -> FakeSession:
        answer = self.http.post("/session", json={**START, **more})
        assert answer.status_code == 201, answer.text
        assert self.manager.session is not None
        return self.manager.session

    def close(self) -> None:
        self.http.close()
        self.server.stop()


@pytest.fixture
def fake() -> Iterator[Fake]:
    one = Fake()
    yield one
    one.close()


@pytest.fixture
def impatient() -> Iterator[Fake]:
    """Small queues, little patience, few rows held."""
    one = Fake(
        stream_client_queue_bytes=2**16, stream_lossless_patience_seconds=0.3,
        stream_resume_rows=20, stream_max_clients=2, stream_max_frame_bytes=2000,
    )  # fmt: skip
    yield one
    one.close()


@pytest.fixture
def real(server: StartServer, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a real server over the small catalog."""
    url = server(build(tmp_path / "catalog"), http_max_wait_seconds=5)
    with httpx.Client(base_url=url + "/api/v1", timeout=60) as client:
        yield client


@pytest.fixture
def played(real: httpx.Client) -> httpx.Client:
    """As ``real``, with a session that has come to its end."""
    start(real)
    wait_for(real, "COMPLETED")
    return real


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server with a session that trades."""
    one = Place(tmp_path_factory.mktemp("trading"))
    yield one
    one.close()


def start(client: httpx.Client, **more: Any) -> Any:
    answer = client.post("/session", json={**START, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def wait_for(client: httpx.Client, state: str) -> Any:
    """Long polls until the session has this state."""
    for _ in range(200):
        seq = client.get("/session").json()
        if seq["state"] == state:
            return seq
        client.get("/session/data", params={"after": seq["seq"], "wait_s": 1})
    raise AssertionError(f"the session is {seq['state']}, not {state}")
