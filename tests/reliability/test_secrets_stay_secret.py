"""Keys and passwords of the settings are in no log, record, answer or error."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.local import LocalServer
from app.client import Tapedeck
from app.errors import TapedeckError
from app.managers.system_manager import SystemManager
from app.managers.system_manager.backtest import BacktestEngine
from settings import load_settings
from tests.api.small_catalog import build
from tests.api.trading_place import CONFIG, STRATEGY
from tests.cli.conftest import Run
from tests.until import until

KEY, DB_PASSWORD, CATALOG_KEY = "key-JhG7xQp2", "password-Rw5vNn81", "catalog-Zt3mKd64"
SECRETS = (KEY, DB_PASSWORD, CATALOG_KEY)
BEARER = {"Authorization": f"Bearer {KEY}"}
# Nobody listens on port 1: what is told of it is told by the libraries below.
DATABASE = f"postgresql+psycopg://tapes:{DB_PASSWORD}@127.0.0.1:1/runs"
BUCKET = f"s3://AKIA:{CATALOG_KEY}@bucket/x?region=none&endpoint_override=127.0.0.1:1"


def hide_nothing(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


class Watched:
    """A server with a key, whose every answer is looked at."""

    def __init__(self, work: Path, **settings: object) -> None:
        configs = work / "configs"
        configs.mkdir()
        (configs / "once.py").write_text(STRATEGY)
        (configs / "live.yaml").write_text(CONFIG)
        named = {
            "tapedeck_api_key": KEY, "tapedeck_port": 0, "tapedeck_configs_dir": configs,
            "tapedeck_cache_dir": work / "cache", "tapedeck_runs_dir": work / "runs", **settings,
        }  # fmt: skip
        self.settings = load_settings(None, **named)
        self.server = LocalServer(SystemManager.from_settings(self.settings), self.settings)
        self.url = self.server.start()
        self.http = httpx.Client(base_url=self.url + "/api/v1", headers=BEARER, timeout=20)

    def ask(self, method: str, path: str, status: int, **more: object) -> httpx.Response:
        answer = self.http.request(method, path, **more)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        assert not hide_nothing(answer.text + repr(answer.headers.raw)), (method, path)
        return answer

    def close(self) -> None:
        self.http.close()
        self.server.stop()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, from debug on."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_answers_metrics_records_and_logs(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    one = Watched(tmp_path, data_catalog_uri=str(build(tmp_path / "catalog", minutes=5)))
    try:
        answer = httpx.post(one.url + "/login", json={"key": KEY}, timeout=60)
        assert KEY not in repr(answer.headers.raw)
        wrong = httpx.get(
            one.url + "/api/v1/session", headers={"Authorization": f"Bearer {KEY}x"}, timeout=60
        )
        assert (wrong.status_code, KEY in wrong.text) == (401, False)
        one.ask("POST", "/session", 201, json={"config": "live.yaml", "speed": 0})
        run = one.ask("POST", "/runs", 202, json={"config": "live.yaml"}).json()["id"]
        with Tapedeck(one.url, KEY) as deck, deck.stream("bars_1m") as stream:
            assert not hide_nothing(repr(stream.hello) + repr(deck))
        ended = ("completed", "failed", "stopped")
        assert until(lambda: one.ask("GET", f"/runs/{run}", 200).json()["state"] in ended), (
            "the run ends"
        )
        for path in httpx.get(one.url + "/openapi.json", timeout=60).json()["paths"]:
            shown = path.replace("/api/v1", "").replace("{id}", run).replace("{symbol}", "BAC")
            answer = one.http.get(shown)
            assert not hide_nothing(answer.text), path
        config = one.ask("GET", f"/runs/{run}", 200).json()["config"]
        assert not re.search("key|password|secret", json.dumps(config))
    finally:
        one.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.json", "config.yaml", "events.parquet"} <= {path.name for path in files}
    for path in files:
        found = [secret for secret in SECRETS if secret.encode() in path.read_bytes()]
        assert not found, path
    assert not hide_nothing(logged.text)


def test_errors_of_a_database_and_a_bucket_that_are_not_there(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    one = Watched(tmp_path, tapedeck_runs_database_url=DATABASE, data_catalog_uri=BUCKET)
    try:
        one.ask("GET", "/runs", 503)
        one.ask("GET", "/runs/none", 404)
        one.ask("GET", "/ready", 503)
        one.ask("GET", "/catalog", 503)
        one.ask("POST", "/session", 422, json={"config": "live.yaml"})
        assert not hide_nothing(repr(one.settings) + str(one.settings))
    finally:
        one.close()
    assert not hide_nothing(logged.text)


def test_the_catalog_that_a_configuration_names(
    tmp_path: Path, logged: pytest.LogCaptureFixture, run: Run
) -> None:
    """Its keys are left out of what a run records of it, and of what is said of it."""
    (tmp_path / "once.py").write_text(STRATEGY)
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("data: {", f"data: {{catalog: '{BUCKET}', "))
    runs = tmp_path / "runs"
    said = run("backtest", path, "--runs", runs)
    assert said.exit_code != 0
    assert "bucket" in said.stderr
    engine = BacktestEngine.from_config(path, runs=runs, catalog=str(tmp_path))
    with pytest.raises(TapedeckError) as failed:
        engine.run()
    assert not hide_nothing(f"{said.output}{said.stderr}{failed.value!r}{logged.text}")
    for file in [p for p in runs.rglob("*") if p.is_file()]:
        assert CATALOG_KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TAPEDECK_API_KEY", f"{KEY} with blanks"),
        ("TAPEDECK_RUNS_DATABASE_URL", f"no:{DB_PASSWORD}"),
    ],
)
def test_settings_that_are_wrong(
    monkeypatch: pytest.MonkeyPatch, run: Run, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = run("serve", "--port", "0")
    assert done.exit_code == 2
    said = done.stderr
    assert f"{name} is not usable" in said
    assert not hide_nothing(said)
