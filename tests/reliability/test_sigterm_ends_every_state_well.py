"""SIGTERM, whatever a server is at: it exits with 0, and its runs say how they ended."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.runs.manifest import RunState
from tests.cli.served import base_url
from tests.reliability.deck import PLAIN, Deck
from tests.reliability.killed import CLI, Bench
from tests.until import until

Drive = Callable[[Deck], threading.Thread | None]  # what waits for an answer
SLOW = {"config": "slow.yaml", "set": ["backtest.start=2013-10-07"], "speed": 0}
_EXIT_S = 60.0  # two seconds, but for a machine that is busy with other things


def later(deck: Deck, path: str, body: dict[str, Any]) -> threading.Thread:
    """A call whose answer comes when it can."""

    def call() -> None:
        try:
            deck.http.post(path, json=body)
        except httpx.TransportError:
            return

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def nothing(deck: Deck) -> None:
    deck("GET", "/session")


def paused(deck: Deck) -> None:
    deck.start(**PLAIN)
    deck.step("bar", 20)


def running(deck: Deck) -> None:
    deck.start(**{**PLAIN, "speed": 60})
    deck("POST", "/session/resume")


def trading(deck: Deck) -> None:
    deck.start(**SLOW)
    deck("POST", "/session/resume")
    until(lambda: deck("GET", "/session")["seq"] > 20)


def stepping(deck: Deck) -> threading.Thread:
    deck.start(**SLOW)
    call = later(deck, "/session/step", {"unit": "day", "count": 2})
    until(lambda: deck("GET", "/session")["state"] == "RUNNING")
    return call


def going_back(deck: Deck) -> threading.Thread:
    deck.start(**SLOW)
    deck.step("day", 1)
    call = later(deck, "/session/seek", {"time": "2013-10-07T19:59:00Z"})
    until(lambda: deck("GET", "/session")["state"] == "RUNNING")
    return call


def completed(deck: Deck) -> None:
    deck.start(**PLAIN)
    deck("POST", "/session/resume")
    deck.until("COMPLETED")


def failed(deck: Deck) -> None:
    deck.start(config="raises.yaml", speed=0)
    deck("POST", "/session/resume")
    deck.until("FAILED")


S, C, F = RunState.STOPPED, RunState.COMPLETED, RunState.FAILED
STATES: list[tuple[Drive, set[RunState]]] = [
    (nothing, set()), (paused, {S}), (running, {S}), (trading, {S}), (stepping, {S}),
    (going_back, {S}), (completed, {C}), (failed, {F}),
]  # fmt: skip


@pytest.mark.parametrize(("drive", "states"), STATES, ids=[drive.__name__ for drive, _ in STATES])
def test_sigterm(bench: Bench, tmp_path: Path, drive: Drive, states: set[RunState]) -> None:
    runs = tmp_path / "runs"
    with subprocess.Popen(
        [*CLI, "serve", "--port", "0"], cwd=bench.work, env=bench.environment(runs), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        deck = Deck(base_url(process.stdout), runs)
        call = None
        try:
            call = drive(deck)
            process.send_signal(signal.SIGTERM)
            assert process.wait(_EXIT_S) == 0
        finally:
            process.kill()
            if call is not None:
                call.join()
            deck.http.close()
    assert deck.store.mark_interrupted() == ()
    found = deck.store.list()
    assert {record.state for record in found} == states
    for record in found:
        assert deck.run(record.id).check() == []
    deck.close()
