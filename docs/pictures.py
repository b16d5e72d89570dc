"""Takes the pictures of docs/images anew, in a Chromium, on a catalog with the real October 2013.

    .venv/bin/python -m docs.pictures [--catalog ../shared/data/parquet] [--to docs/images]

Nothing compares them: whoever takes them looks at each before it is committed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from settings import load_settings

ROOT = Path(__file__).parents[1]
PANES = [{"id": 1, "symbol": "AIG", "interval": "1m"}, {"id": 2, "symbol": "IBM", "interval": "5m"}]
SCREEN, TELEPHONE = {"width": 1280, "height": 960}, {"width": 360, "height": 760}
TALL = {"width": 1280, "height": 1800}
DRAWN_MS = 1500  # charts draw a frame or two after their numbers are read
RUN_S = 120


def serve(catalog: Path, work: Path) -> LocalServer:
    settings = load_settings(
        None, data_catalog_uri=str(catalog), tapedeck_port=0, tapedeck_runs_dir=work / "runs",
        tapedeck_configs_dir=ROOT / "examples", tapedeck_cache_dir=work / "cache",
        log_level="error",
    )  # fmt: skip
    return LocalServer(SystemManager.from_settings(settings), settings)


def post(api: httpx.Client, path: str, **body: Any) -> Any:
    answer = api.post(path, json=body)
    answer.raise_for_status()
    return answer.json()


def wait_for(api: httpx.Client, path: str, state: str) -> None:
    ends = time.monotonic() + RUN_S
    while api.get(path).json()["state"] != state:
        if time.monotonic() > ends:
            raise SystemExit(f"{path} was not {state} within {RUN_S} s")
        time.sleep(0.2)


def open_page(browser: Browser, url: str, scheme: str, size: dict[str, int], tab: str) -> Page:
    kept = {"panes": PANES, "tab": tab}
    page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    for name, value in kept.items():
        page.add_init_script(
            f"localStorage.setItem('tapedeck.{name}', {json.dumps(json.dumps(value))})"
        )
    page.goto(url + "/")
    page.get_by_role("region", name="Chart of IBM").get_by_label("Symbol").focus()
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(DRAWN_MS)
    return page


def trading(browser: Browser, url: str, api: httpx.Client, to: Path) -> None:
    """A session that stands in the middle of its second day, with two orders by hand."""
    post(api, "/session", config="mean_reversion.yaml", speed=60, start_paused=True)
    post(api, "/session/run-to", time="2013-10-07T17:30:00Z")
    order = {"symbol": "AIG", "side": "buy", "type": "limit", "limit_price": 48.82}
    post(api, "/session/orders", quantity=100, **order)
    post(api, "/session/orders", symbol="AIG", side="buy", quantity=0.5)
    post(api, "/session/step", unit="bar", count=5)
    page = open_page(browser, url, "light", SCREEN, "Orders")
    page.screenshot(path=to / "deck.png")
    row = page.get_by_role("row", name="manual-1")
    row.get_by_role("button", name="Why not filled").click()
    page.get_by_role("dialog").get_by_role("row").nth(1).wait_for()
    page.screenshot(path=to / "deck-why.png")
    page.close()
    page = open_page(browser, url, "light", TELEPHONE, "Orders")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=to / "deck-narrow.png")
    page.close()


def ended(browser: Browser, url: str, api: httpx.Client, to: Path) -> None:
    """The same session at its end, and two runs of the store."""
    api.patch("/session", json={"speed": 0}).raise_for_status()
    post(api, "/session/resume")
    wait_for(api, "/session", "COMPLETED")
    runs = [
        post(api, "/runs", config=f"{name}.yaml", set=[])["id"]
        for name in ("mean_reversion", "pair_trade")
    ]
    for run in runs:
        wait_for(api, f"/runs/{run}", "completed")
    page = open_page(browser, url, "dark", SCREEN, "Equity")
    page.screenshot(path=to / "deck-dark.png")
    page.set_viewport_size(TALL)  # else the head stands over what is scrolled to
    page.get_by_role("tab", name="Runs").click()
    for run in runs:
        page.get_by_role("checkbox", name=f"Compare {run}").check()
    page.get_by_role("region", name="Comparison").wait_for()
    page.wait_for_timeout(DRAWN_MS)
    page.locator(".panels").screenshot(path=to / "deck-runs.png")
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", type=Path, default=ROOT.parent / "shared/data/parquet")
    parser.add_argument("--to", type=Path, default=ROOT / "docs/images")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("docs.pictures needs chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        server = serve(options.catalog, Path(work))
        url = server.start()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with httpx.Client(base_url=url + "/api/v1", timeout=RUN_S) as api:
            trading(browser, url, api, options.to)
            ended(browser, url, api, options.to)
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
