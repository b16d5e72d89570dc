"""The built deck, a server behind it, and a real browser in front."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from settings import load_settings
from tests.api.small_catalog import build
from tests.api.talk import START
from tests.api.trading_place import CONFIG, STRATEGY

ROOT = Path(__file__).parents[2]
DECK = ROOT / "deck"
WAIT_MS = 20_000
_NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT")  # npm's words
OPEN = "2013-10-07T13:30:00Z"
NextPage = Callable[..., Page]

expect.set_options(timeout=WAIT_MS)


def node() -> str:
    """The PATH entry of Node; skips where this machine has none that is new enough."""
    names = runpy.run_path(str(ROOT / "scripts" / "build_deck.py"))
    folder: Path | None = names["node_on_machine"]()
    if folder is None:
        oldest = ".".join(map(str, names["OLDEST_NODE"]))
        pytest.skip(f"no Node {oldest} or later is on this machine: the deck is not tested")
    return str(folder)


@pytest.fixture(scope="session")
def installed() -> Path:
    """deck/ with its packages, and the built deck in its place."""
    node()
    command = [sys.executable, str(ROOT / "scripts" / "build_deck.py")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    except subprocess.TimeoutExpired:
        pytest.skip("the deck was not built within 100 s here: it is not tested")
    if done.returncode and any(code in done.stderr for code in _NO_NETWORK):
        pytest.skip("npm's packages cannot be fetched here: the deck is not tested")
    assert done.returncode == 0, done.stderr
    return DECK


@pytest.fixture(scope="module")
def browser(installed: Path) -> Iterator[Browser]:
    """Not for the whole session: while it lives its thread has an event loop."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium is installed: the deck is not tested in a browser")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


class Served:
    """A server over the small catalog and two configurations, to be lost and had again."""

    def __init__(
        self, work: Path, write: Callable[[Path], object] = build, **overrides: Any
    ) -> None:
        self.work = work
        write(work / "catalog")
        (work / "configs").mkdir()
        (work / "configs" / "live.yaml").write_text(CONFIG, "utf-8")
        (work / "configs" / "once.py").write_text(STRATEGY, "utf-8")
        self._overrides = overrides
        self._port = 0
        self.start()

    def start(self) -> None:
        settings = load_settings(
            None, data_catalog_uri=str(self.work / "catalog"), tapedeck_port=self._port,
            tapedeck_configs_dir=self.work / "configs", tapedeck_runs_dir=self.work / "runs",
            tapedeck_cache_dir=self.work / "cache", **self._overrides,
        )  # fmt: skip
        self._server = LocalServer(SystemManager.from_settings(settings), settings)
        self.url = self._server.start()
        self._port = int(self.url.rpartition(":")[2])
        self.api = httpx.Client(base_url=self.url + "/api/v1", timeout=20)

    def stop(self) -> None:
        self.api.close()
        self._server.stop()

    def session(self, **more: Any) -> Any:
        """Another one in place of what there is, PAUSED."""
        self.api.post("/session/stop").raise_for_status()
        body = more if "config" in more else START | {"symbols": ["*"], **more}
        answer = self.api.post("/session", json={"speed": 60, "start_paused": True, **body})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        answer = self.api.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = Served(tmp_path_factory.mktemp("deck"))
    yield one
    one.stop()


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[NextPage]:
    """``open_page(**context) -> Page`` of the deck, with ``init`` run before its own scripts; at
    the end nobody may have complained, and nothing may have been asked of another machine."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def start(url: str | None = None, init: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.add_init_script(init)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
        page.on("request", lambda request: None if is_ours(request.url) else faults.append(
            f"asked elsewhere: {request.url}"))  # fmt: skip
        page.goto((url or served.url) + "/")
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def is_fault(said: Any) -> bool:
    """Statuses and refused connections are shown on the page; what else is an error is a fault."""
    return said.type == "error" and "Failed to load resource" not in said.text and (
        "ERR_CONNECTION" not in said.text
    )  # fmt: skip


def is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def state(page: Page) -> Locator:
    return page.get_by_role("status", name="State")


def clock(page: Page) -> Locator:
    return page.get_by_role("timer", name="Simulated time")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
