"""``tapedeck serve`` as a process: it starts, answers, and stops at a signal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app.client import Tapedeck
from settings import Settings
from tests.cli.conftest import Run
from tests.cli.served import served
from tests.client.small_catalog import SYMBOLS


def test_it_serves_the_catalog_until_sigterm(small_catalog: Path, tmp_path: Path) -> None:
    with served(small_catalog, tmp_path) as url, Tapedeck(url) as deck:
        assert set(deck.catalog().symbols) == set(SYMBOLS)
        assert deck.ready()


def test_options_stand_above_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[Settings] = []
    monkeypatch.setattr("app.api.server.run", taken.append)
    monkeypatch.setenv("TAPEDECK_PORT", "9000")
    monkeypatch.setenv("LOG_FORMAT", "json")
    done = run("serve", "--port", "9001", "--catalog", tmp_path, "--speed", "0")
    assert done.exit_code == 0, done.output
    (settings,) = taken
    assert (settings.tapedeck_port, settings.log_format) == (9001, "json")
    assert (settings.data_catalog_uri, settings.data_manager_backtest_speed) == (str(tmp_path), 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0"), "set TAPEDECK_API_KEY"),
        (("--port", "70000"), "TAPEDECK_PORT is 70000; allowed: a whole number from 0 to 65535"),
        (("--log-level", "loud"), "LOG_LEVEL is 'loud'"),
        (("--speed", "-1"), "DATA_MANAGER_BACKTEST_SPEED is -1.0"),
    ],
)
def test_a_wrong_setting_is_one_line(run: Run, options: tuple[str, ...], words: str) -> None:
    done = run("serve", *options)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_a_port_that_is_taken_is_told(run: Run, small_catalog: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", port, "--catalog", small_catalog)
    assert done.exit_code == 2
    assert f"port {port}" in done.stderr
