"""``tapedeck watch`` on a real server."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from app.cli.board import Board
from app.client import ConnectionProblem, End, ServerProblem, Status, Tapedeck
from tests.cli.conftest import Run
from tests.client.small_catalog import (
    DAYS,
    MINUTE_NS,
    MINUTES,
    bar_table,
    day_path_of,
    open_ns,
    stamps,
    write,
    write_broken,
)
from tests.conftest import StartServer


@pytest.fixture
def url(server: StartServer, small_catalog: Path) -> str:
    return server(small_catalog)


def start(url: str, speed: float, paused: bool = True) -> None:
    with Tapedeck(url) as deck:
        deck.start("*", *DAYS, streams=["bars_1m"], speed=speed, start_paused=paused)


def test_once_without_a_session(run: Run, url: str) -> None:
    done = run("watch", url, "--once")
    assert done.exit_code == 0
    assert "STOPPED" in done.stdout
    assert "no session" in done.stdout
    assert json.loads(run("watch", url, "--json").stdout)["data"] is None


def test_once_shows_state_progress_and_prices(run: Run, url: str) -> None:
    start(url, 60)
    with Tapedeck(url) as deck:
        deck.step("bar", 11)
    done = run("watch", url, "--once", "--symbols", "AIG")
    assert done.exit_code == 0, done.output
    for words in ("PAUSED", "2013-10-07T13:40:00Z", "speed 60", "0/2 days", "AIG", "50.09"):
        assert words in done.stdout
    assert "BRK/B" not in done.stdout
    found = json.loads(run("watch", url, "--json").stdout)
    assert found["session"]["time"] == "2013-10-07T13:40:00Z"
    assert found["data"]["symbols"]["BRK/B"]["bars"] == 10


def test_it_follows_a_session_to_its_end(run: Run, url: str) -> None:
    start(url, 100_000, paused=False)
    done = run("watch", url, "--interval-ms", "100")
    assert done.exit_code == 0, done.output
    assert "COMPLETED" in done.stdout
    assert f"{MINUTES}" in done.stdout
    again = run("watch", url)
    assert (again.exit_code, "COMPLETED" in again.stdout) == (0, True)


def test_a_server_that_stops_ends_it_well(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(url, 60)
    first = Board.refresh
    calls: list[Board] = []

    def refresh(self: Board) -> None:
        calls.append(self)
        if len(calls) == 1:
            return first(self)
        with Tapedeck(url) as deck:
            deck.stop()
        raise ConnectionProblem("it has gone")

    monkeypatch.setattr(Board, "refresh", refresh)
    done = run("watch", url)
    assert (done.exit_code, "STOPPED" in done.stdout) == (0, True), done.output
    assert len(calls) > 2


def test_a_session_that_failed_is_shown_and_is_exit_code_1(
    run: Run, server: StartServer, tmp_path: Path
) -> None:
    path = write_broken(tmp_path / "broken")
    url = server(path.parents[2])
    with Tapedeck(url) as deck, deck.stream("status") as stream:
        with suppress(ServerProblem):  # it may fail while it starts
            deck.start("AIG", DAYS[0], DAYS[0], speed=0, history_days=0)
        assert any(m.state == "FAILED" for m in stream if isinstance(m, Status | End))
    done = run("watch", url)
    assert done.exit_code == 1
    assert path.name in done.stdout


def test_what_was_discarded_is_counted(run: Run, server: StartServer, tmp_path: Path) -> None:
    early = stamps(open_ns(DAYS[0]) + (np.arange(MINUTES) - 60) * MINUTE_NS)
    write(
        tmp_path / "early" / day_path_of("bars_1m", "AIG", DAYS[0]),
        bar_table(DAYS[0], 50.0).set_column(0, "ts", early),
    )
    url = server(tmp_path / "early")
    with Tapedeck(url) as deck, deck.stream("status") as stream:
        deck.start("AIG", DAYS[0], DAYS[0], speed=0, history_days=0)
        assert any(isinstance(m, End) for m in stream)
    assert "discarded: before_hours 60" in run("watch", url).stdout


def test_ctrl_c_leaves_and_the_session_goes_on(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(url, 60)
    first = Board.refresh
    calls: list[Board] = []

    def refresh(self: Board) -> None:
        calls.append(self)
        if len(calls) > 1:
            raise KeyboardInterrupt
        first(self)

    monkeypatch.setattr(Board, "refresh", refresh)
    done = run("watch", url)
    assert (done.exit_code, "the session goes on" in done.stderr) == (0, True)
    with Tapedeck(url) as deck:
        assert deck.session().state == "PAUSED"


def test_an_unknown_symbol_is_told(run: Run, url: str) -> None:
    start(url, 60)
    done = run("watch", url, "--symbols", "AIGG")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "AIG" in done.stderr


def test_nobody_there_is_one_line(run: Run) -> None:
    done = run("watch", "http://127.0.0.1:1", "--once")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "no Tapedeck server can be reached" in done.stderr
    assert run("watch", "127.0.0.1:1").exit_code == 2


def test_the_key_is_sent(run: Run, server: StartServer, small_catalog: Path) -> None:
    url = server(small_catalog, tapedeck_api_key="s3cret")
    refused = run("watch", url, "--once")
    assert (refused.exit_code, "Key needed" in refused.stderr) == (1, True)
    assert run("watch", url, "--once", "--api-key", "s3cret").exit_code == 0
