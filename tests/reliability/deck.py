"""A server's call, told in a line; and the runs that it left."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from app.errors import StateError
from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from app.managers.system_manager.verify import Verifier
from app.managers.system_manager.verify_process import Answer, VerifyJob, execute
from app.runs.folder import RunFolder
from app.runs.journal import Entry
from app.runs.store import RunStore
from tests.until import until

PLAIN = {"symbols": ["AIG"], "start": "2013-10-07", "end": "2013-10-08", "speed": 0}


def let_go() -> None:
    """End the session that a server of this process shows, and free its place."""
    with suppress(StateError):
        get_coordinator().close()


class Here(Verifier):
    """Executes in this process, which takes a tenth of the time."""

    def _execute(self, job: VerifyJob, progress: Any) -> Answer:
        let_go()
        return execute(job)


class Deck:
    """Calls of ``/api/v1``; an answer that is no success raises."""

    def __init__(self, url: str, runs: Path) -> None:
        self.http = httpx.Client(base_url=url + "/api/v1", timeout=60)
        self.store = RunStore(runs)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def start(self, **body: Any) -> str:
        """A session that is recorded, PAUSED; the id of its run."""
        found = self("POST", "/session", {**body, "record": True, "start_paused": True})
        assert found["run"] is not None
        return str(found["run"])

    def step(self, unit: str, count: int) -> Any:
        return self("POST", "/session/step", {"unit": unit, "count": count})

    def seek(self, at: str) -> Any:
        return self("POST", "/session/seek", {"time": at})

    def stop(self) -> Any:
        return self("POST", "/session/stop")

    def until(self, state: str) -> Any:
        """Ask for the session until it is in this state."""

        def found() -> Any:
            session = self("GET", "/session")
            return session if session["state"] == state else None

        return until(found, state)

    def run(self, run_id: str) -> RunFolder:
        return self.store.open(run_id)

    def journal(self, run_id: str) -> list[Entry]:
        found = self.run(run_id).journal()
        assert found is not None
        return list(found)

    def close(self) -> None:
        self.http.close()
        self.store.close()


def names(journal: list[Entry]) -> list[str]:
    return [entry.command for entry in journal]


def config_text(**fields: Any) -> str:
    """YAML is a superset of JSON."""
    return json.dumps(fields)
