"""A file that is deleted, cut or replaced under a running session ends it with the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.runs.manifest import RunState
from tests.client.small_catalog import DAYS, bar_table, day_path_of, write
from tests.conftest import StartServer
from tests.reliability.deck import PLAIN, Deck
from tests.runs.jobs import write_catalog, write_configs

LONG = {"start": "2013-09-16"}
TRADES = {"set": ["backtest.start=2013-09-16"]}
FILE = day_path_of("bars_1m", "AIG", DAYS[1])


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (Path.unlink, "removed"),
    "cut": (cut, "changed"),
    "replaced": (lambda path: write(path, bar_table(DAYS[1], 60.0)), "changed"),
}


@pytest.fixture
def deck(server: StartServer, tmp_path: Path) -> Iterator[Deck]:
    """A server that reads no more than three days ahead, on a catalog of its own."""
    own = write_catalog(tmp_path / "catalog")
    configs = write_configs(tmp_path / "configs")
    url = server(own, tapedeck_configs_dir=configs, feed_buffer_rows=1024, feed_read_rows=100)
    found = Deck(url, tmp_path / "runs")
    yield found
    found.close()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("body", [PLAIN | LONG, {"config": "once.yaml", "speed": 0} | TRADES])
def test_the_session_has_failed_and_so_has_its_run(
    deck: Deck, tmp_path: Path, change: str, body: dict[str, object]
) -> None:
    act, word = CHANGES[change]
    run_id = deck.start(**body)
    deck.step("bar", 10)
    act(tmp_path / "catalog" / FILE)
    deck("POST", "/session/resume")
    status = deck.until("FAILED")
    assert "CatalogChangedError" in status["error"]
    assert f"{FILE}: the file was {word} after the session began" in status["error"]
    manifest = deck.run(run_id).manifest
    assert (manifest.state, manifest.cause) == (RunState.FAILED, status["error"])
    assert deck.run(run_id).check() == []
    assert deck("GET", "/health") is not None
