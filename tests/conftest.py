"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.api.server import Server, create_app
from app.managers.system_manager import SystemManager
from settings import load_settings

StartServer = Callable[..., str]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """What a test logged goes to another process in UTF-8, whatever it was."""
    report: Any = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """A job in the background of a shell ignores SIGINT, and so would the processes of tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real market data beside the project; skips where it is absent."""
    named = os.environ.get("TAPEDECK_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "parquet").is_dir():
        pytest.skip(f"no real market data in {folder}; name its folder in TAPEDECK_TEST_DATA")
    return folder


class RunningServer:
    """A real server of this process, in a thread, on a free port."""

    def __init__(self, manager: SystemManager, settings: Any) -> None:
        self.manager = manager
        self.url = ""
        self._listens = threading.Event()
        self._server = Server(create_app(settings, manager), settings, self._started)
        self._thread = threading.Thread(target=self._server.run, name="server")

    def _started(self, url: str) -> None:
        self.url = url
        self._listens.set()

    def start(self) -> str:
        self._thread.start()
        assert self._listens.wait(10), "the server does not listen"
        return self.url

    def ask_to_stop(self) -> None:
        """As SIGTERM does."""
        self._server.should_exit = True

    def join(self, timeout_s: float = 10) -> None:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the server does not stop"

    def stop(self) -> None:
        self.ask_to_stop()
        self.join()
        self.manager.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StartServer]:
    """``server(catalog_uri, **settings) -> base_url``: a real server, stopped after the test.

    Settings are given by field name, such as ``http_max_wait_seconds=1``. One session at a
    time lives in a process, so a second server cannot replay beside the first.
    """
    running: list[RunningServer] = []

    def start(catalog_uri: str | Path, **overrides: Any) -> str:
        settings = load_settings(
            None, **{"data_catalog_uri": str(catalog_uri), "tapedeck_port": 0,
                     "tapedeck_cache_dir": tmp_path / "cache",
                     "tapedeck_runs_dir": tmp_path / "runs", **overrides},
        )  # fmt: skip
        running.append(RunningServer(SystemManager.from_settings(settings), settings))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()
