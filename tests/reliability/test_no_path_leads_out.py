"""Nothing that a caller sends names a file outside of the folders that the settings name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from tests.api.small_catalog import build
from tests.api.talk import START
from tests.api.trading_place import CONFIG, STRATEGY
from tests.runs.jobs import settings_for

SECRET = "what-nobody-may-read"
OUTSIDE = f"secret: {SECRET}\n"


class Folders:
    """A server whose folders hold links that lead out of them, and files that must stay unread."""

    def __init__(self, root: Path) -> None:
        self.root, self.outside = root, root / "outside"
        self.outside.mkdir()
        (self.outside / "secret.yaml").write_text(OUTSIDE)
        (self.outside / "secret.py").write_text(f"raise ValueError({SECRET!r})\n")
        (self.outside / "report.html").write_text(SECRET)
        settings = settings_for(build(root / "catalog", minutes=5), root)
        self.configs, self.runs = root / "configs", root / "runs"
        (self.configs / "live.yaml").write_text(CONFIG)
        (self.configs / "live.py").write_text(STRATEGY)
        (self.configs / "link.yaml").symlink_to(self.outside / "secret.yaml")
        (self.configs / "link.py").symlink_to(self.outside / "secret.py")
        (self.configs / "folder").symlink_to(self.outside)
        (self.configs / "circle.yaml").symlink_to(self.configs / "circle.yaml")
        self.runs.mkdir()
        (self.runs / "linked").symlink_to(self.outside)
        self.server = LocalServer(SystemManager.from_settings(settings), settings)
        self.http = httpx.Client(base_url=self.server.start() + "/api/v1", timeout=20)

    def send(self, method: str, raw_path: str) -> httpx.Response:
        """With a path that no client has tidied up."""
        host, _, port = self.server.url.removeprefix("http://").partition(":")
        with closing(HTTPConnection(host, int(port), timeout=20)) as line:
            line.request(method, raw_path)
            answer = line.getresponse()
            return httpx.Response(answer.status, content=answer.read())

    def close(self) -> None:
        self.http.close()
        self.server.stop()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folders]:
    one = Folders(tmp_path_factory.mktemp("folders"))
    yield one
    assert (one.outside / "secret.yaml").read_text() == OUTSIDE
    assert (one.outside / "report.html").read_text() == SECRET
    one.close()


def names(folders: Folders, ending: str) -> list[str]:
    """Ways to a file outside, of this ending."""
    outside = folders.outside / f"secret{ending}"
    return [
        str(outside), f"../outside/secret{ending}", f"./../outside/secret{ending}",
        f"folder/secret{ending}", f"link{ending}", f"..\\outside\\secret{ending}",
        f"folder/../../outside/secret{ending}", f"%2e%2e/outside/secret{ending}",
        f"~/secret{ending}", f"//{outside}", f"file://{outside}", f"link{ending}\0.yaml",
        f"secret{ending}\0", "/proc/self/environ", "/dev/stdin", "..", ".", "/", "circle.yaml",
        "x" * 5000, "\ud7ff" * 200, "a/" * 500 + "b", "CON", "nul", "folder",
    ]  # fmt: skip


def check_refused(answer: httpx.Response) -> None:
    assert answer.status_code in (404, 405, 409, 422), answer.text
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text


def test_configurations_come_from_their_folder_alone(folders: Folders) -> None:
    for name in names(folders, ".yaml"):
        for path in ("/runs", "/session"):
            check_refused(folders.http.post(path, json={"config": name}))


def test_strategies_come_from_their_folder_alone(folders: Folders) -> None:
    for name in names(folders, ".py"):
        change = f"strategies.once.file={json.dumps(name)}"
        for path in ("/runs", "/session"):
            answer = folders.http.post(path, json={"config": "live.yaml", "set": [change]})
            check_refused(answer)
        (folders.configs / "bad.yaml").write_text(CONFIG.replace("once.py", json.dumps(name)))
        check_refused(folders.http.post("/runs", json={"config": "bad.yaml"}))


@pytest.mark.parametrize(
    "change",
    [
        "data.catalog=/", 'data={"catalog": "/"}', "data.catalog=s3://other/", " data . catalog =/",
        '"data".catalog=/', "data.catalog.x=/", "strategies=[]", "=", "data.catalog",
    ],
)  # fmt: skip
def test_which_catalog_is_read_is_not_the_callers_word(folders: Folders, change: str) -> None:
    for path in ("/runs", "/session"):
        body = {"config": "live.yaml", "set": [change]}
        check_refused(folders.http.post(path, json=body))


RUN_IDS = (
    "linked", "..", ".", "%2e%2e", "%2e%2e%2foutside", "..%2foutside", "..%5coutside", "%00",
    "linked%00", "/etc", "%2fetc", ".index.lock", "index.sqlite", "linked/..", "x" * 300,
    "linked%2freport.html",
)  # fmt: skip


@pytest.mark.parametrize("run_id", RUN_IDS)
def test_runs_are_those_of_their_folder_alone(folders: Folders, run_id: str) -> None:
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/report"):
        check_refused(folders.send("GET", "/api/v1" + path))
    check_refused(folders.send("DELETE", f"/api/v1/runs/{run_id}"))
    assert folders.http.get("/runs").json()["runs"] == []
    assert (folders.runs / "linked").is_symlink()


def test_a_report_that_is_a_link_is_not_shown(folders: Folders) -> None:
    run = folders.runs / "mine"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    (run / "report.html").symlink_to(folders.outside / "report.html")
    answer = folders.http.get("/runs/mine/report")
    assert (answer.status_code, SECRET in answer.text) == (503, False)
    assert "is a link" in answer.json()["detail"]
    assert folders.http.delete("/runs/mine").status_code == 200
    assert (folders.outside / "report.html").exists(), "the link goes, not what it leads to"


@pytest.mark.parametrize(
    "symbol", ["../../outside", "/etc/passwd", "..", "AIG/../../../outside", "AIG\0", "*/*", "."]
)
def test_symbols_are_names_and_no_paths(folders: Folders, symbol: str) -> None:
    body: dict[str, Any] = START | {"symbols": [symbol]}
    check_refused(folders.http.post("/session", json=body))
    folders.http.post("/session", json=START | {"start_paused": True}).raise_for_status()
    quoted = "".join(f"%{byte:02x}" for byte in symbol.encode())
    for call in ("bars", "trades", "quotes", "quality"):
        check_refused(folders.http.get(f"/session/data/{quoted}/{call}"))
    folders.http.post("/session/stop").raise_for_status()


@pytest.mark.parametrize(
    "path",
    ["/../settings.py", "/..%2f..%2fsettings.py", "/docs/../../etc/passwd", "/static/x", "/.env",
     "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/docs%00", "/openapi.json/../../.env"],
)  # fmt: skip
def test_no_file_is_served(folders: Folders, path: str) -> None:
    check_refused(folders.send("GET", path))
