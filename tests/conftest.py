"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from settings import load_settings
from tests.client.small_catalog import write_small_catalog

StartServer = Callable[..., str]

# The same examples at every run: a change is judged by what it changed. New ones are looked for
# with --hypothesis-profile=search. How long one takes says more of the machine than of the code.
hypothesis_settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis_settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
hypothesis_settings.load_profile("fixed")


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


@pytest.fixture(scope="session")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of two symbols and two days."""
    return write_small_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StartServer]:
    """``server(catalog_uri, **settings) -> base_url``: a real server, stopped after the test.

    Settings are given by field name, such as ``http_max_wait_seconds=1``. One session at a
    time lives in a process, so a second server cannot replay beside the first.
    """
    running: list[LocalServer] = []

    def start(catalog_uri: str | Path, **overrides: Any) -> str:
        settings = load_settings(
            None, **{"data_catalog_uri": str(catalog_uri), "tapedeck_port": 0,
                     "tapedeck_cache_dir": tmp_path / "cache",
                     "tapedeck_runs_dir": tmp_path / "runs", **overrides},
        )  # fmt: skip
        running.append(LocalServer(SystemManager.from_settings(settings), settings))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()
