"""A server, clients that play strategies, and the same configuration as a backtest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import httpx

from app.api.local import LocalServer
from app.lockstep.run import LockstepRun
from app.managers.system_manager import SystemManager
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from settings import load_settings

ENDS = ("COMPLETED", "STOPPED", "FAILED")


class Host:
    """A running server and its folder of configurations."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.url, self.folder = server.start(), folder
        self.server = server
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=60)

    def write(self, wish: Mapping[str, Any], name: str = "run.yaml") -> Path:
        path = self.folder / name
        path.write_text(json.dumps(wish), "utf-8")
        return path

    def start(self, **body: Any) -> dict[str, Any]:
        answer = self.http.post("/session", json={"speed": 0, **body})
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started

    def post(self, what: str, **body: Any) -> httpx.Response:
        return self.http.post(f"/session/{what}", json=body or None)

    def session(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get("/session").json()
        return found

    def wait_for(self, *states: str, timeout_s: float = 60) -> dict[str, Any]:
        """The session once it has one of these states, by long polls."""
        until_s = monotonic() + timeout_s
        while monotonic() < until_s:
            now = self.session()
            if now["state"] in states:
                return now
            params = {"after": now["seq"] or 0, "wait_s": 0.05}
            self.http.get("/session/data", params=params)
        raise AssertionError(f"the session is not {states}: {now}")

    def run_of(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a session's run."""
        found: dict[str, Any] = self.http.get(f"/runs/{session['run']}").json()
        return found

    def close(self) -> None:
        self.http.close()
        self.server.stop()


@contextmanager
def hosted(catalog: Path, folder: Path, **overrides: Any) -> Iterator[Host]:
    one = Host(LocalServer(*_made(catalog, folder, overrides)), folder)
    yield one
    one.close()


def _made(catalog: Path, folder: Path, overrides: Mapping[str, Any]) -> tuple[SystemManager, Any]:
    settings = load_settings(
        None, data_catalog_uri=str(catalog), tapedeck_port=0, tapedeck_cache_dir=folder / "cache",
        tapedeck_runs_dir=folder / "runs", tapedeck_configs_dir=folder, **overrides,
    )  # fmt: skip
    return SystemManager.from_settings(settings), settings


class Player:
    """``LockstepRun`` on a thread of its own."""

    def __init__(self, file: Path, url: str, name: str, **options: Any) -> None:
        self.run = LockstepRun(file, url, name, **options)
        self.frames: list[dict[str, Any]] = []
        self._state = ""
        self._error: BaseException | None = None
        self._thread = Thread(target=self._play, name=f"client {name}", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        try:
            self._state = self.run.run(self.frames.append)
        except BaseException as error:
            self._error = error

    def ended(self, timeout_s: float = 60) -> str:
        """The state in which its session ended; raises what the client failed of."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the client does not end"
        if self._error is not None:
            raise self._error
        return self._state


def inline(config: Path, catalog: Path, folder: Path, *sets: str) -> BacktestResult:
    """The same configuration with its strategies inside."""
    engine = BacktestEngine.from_config(config, sets, catalog=str(catalog), runs=folder / "inline")
    result = engine.run()
    assert result.outcome == "completed", result.cause
    return result


def check_same(host: Host, session: Mapping[str, Any], base: BacktestResult) -> None:
    """Both digests are those of the inline run."""
    assert session["state"] == "COMPLETED", session["error"]
    run = host.run_of(session)
    assert run["state"] == "completed"
    assert (run["digest"], run["events_digest"]) == (base.digest, base.events_digest)
