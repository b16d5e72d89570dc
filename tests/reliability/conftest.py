"""One small catalog, and a real server over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import Settings
from tests.api.conftest import fake, impatient, place
from tests.api.test_auth import locked
from tests.cli.conftest import run
from tests.conftest import StartServer
from tests.reliability.deck import Deck
from tests.reliability.killed import Bench
from tests.runs.jobs import settings_for, write_configs

# Servers, and the commands.
__all__ = ["fake", "impatient", "locked", "place", "run"]


@pytest.fixture(scope="session")
def catalog(small_catalog: Path) -> Path:
    """Two symbols and two days; never changed."""
    return small_catalog


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def deck(server: StartServer, catalog: Path, tmp_path: Path) -> Iterator[Deck]:
    url = server(catalog, tapedeck_configs_dir=write_configs(tmp_path / "configs"))
    found = Deck(url, tmp_path / "runs")
    yield found
    found.close()


@pytest.fixture
def settings(catalog: Path, tmp_path: Path) -> Settings:
    """Those of a program over the same catalog and runs."""
    return settings_for(catalog, tmp_path)
