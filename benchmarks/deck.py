"""Frames a second and memory of the page, in a real Chromium, while a session plays fast.

    python -m benchmarks.deck [--seconds 20] [--speed 1000] [--every 20] [--profile]

20 symbols, 16 of bars and 4 of trades and quotes; four charts, two of them in ticks. Frames a
second are of a machine without a graphics card and of what else it does: the load average stands
beside them. What the page's main thread works a frame is in CPU time, and holds under load too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from benchmarks.frames import frames, trace, work_text
from benchmarks.workloads import bars, first_days, ticks
from settings import load_settings

BARS, TICKS = 16, 4
FEWEST_DAYS = 20
DAY_S = 23_400  # of a regular session; what plays at 1,000 must not end before the measurement
TICKS_A_DAY = 5_000
CHARTS = (("S000", "1m"), ("S001", "5m"), ("T00", "ticks"), ("T01", "ticks"))
TRACE_S = 5
_COUNT = """() => {
  window.__gaps = [];
  let last = performance.now();
  const next = now => { window.__gaps.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
_GAPS = "() => window.__gaps.splice(0)"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def days_for(seconds: float, speed: float) -> int:
    """A tenth more than what is played, at least ``FEWEST_DAYS``."""
    return max(FEWEST_DAYS, math.ceil(1.1 * (seconds + 2 * TRACE_S) * speed / DAY_S))


def start(work: Path, speed: float, days: int = FEWEST_DAYS) -> LocalServer:
    """A server on the catalog, with a session that waits at its first open."""
    for workload in (bars(BARS, days), ticks(TICKS, days, TICKS_A_DAY)):
        workload.write(work / "catalog")
    settings = load_settings(
        None, data_catalog_uri=str(work / "catalog"), tapedeck_port=0,
        tapedeck_cache_dir=work / "cache", tapedeck_runs_dir=work / "runs", log_level="error",
    )  # fmt: skip
    server = LocalServer(SystemManager.from_settings(settings), settings)
    first, last = first_days(bars(1, days).start, days)
    body = {"symbols": ["*"], "start": str(first), "end": str(last), "speed": speed,
            "start_paused": True}  # fmt: skip
    url = server.start()
    httpx.post(url + "/api/v1/session", json=body, timeout=60).raise_for_status()
    return server


def open_page(browser: Browser, url: str) -> Page:
    """The charts are as somebody has left them, in this browser's own storage."""
    panes = [{"id": n, "symbol": s, "interval": i} for n, (s, i) in enumerate(CHARTS, 1)]
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.add_init_script(f"localStorage.setItem('tapedeck.panes', {json.dumps(json.dumps(panes))})")
    page.goto(url)
    page.get_by_role("region", name="Chart of T01").wait_for()
    return page


def kept(chrome: CDPSession) -> str:
    """What is there after a collection."""
    chrome.send("HeapProfiler.collectGarbage")
    heap_mb = chrome.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    found = metrics(chrome)
    return (
        f"heap {heap_mb:5.2f} MB  {found['Nodes']:.0f} nodes  "
        f"{found['JSEventListeners']:.0f} listeners"
    )


def metrics(chrome: CDPSession) -> dict[str, float]:
    """``TaskDuration`` is CPU time of the page's main thread until now, in seconds."""
    return {one["name"]: one["value"] for one in chrome.send("Performance.getMetrics")["metrics"]}


def measure(page: Page, chrome: CDPSession, seconds: float, every_s: float) -> None:
    """A line each ``every_s``: frames a second, the slowest of them, what they cost, memory."""
    chrome.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(_COUNT)
    done = 0.0
    while done < seconds:
        part = min(every_s, seconds - done)
        page.evaluate(_GAPS)
        before = metrics(chrome)["TaskDuration"]
        page.wait_for_timeout(1000 * part)
        used = metrics(chrome)["TaskDuration"] - before
        gaps = sorted(page.evaluate(_GAPS))
        done += part
        wall_s = sum(gaps) / 1000
        say(
            f"{done:5.0f} s  {len(gaps) / wall_s:5.1f} frames/s  "
            f"95 % within {gaps[int(0.95 * len(gaps))]:5.1f} ms  "
            f"main thread {100 * used / wall_s:4.1f} %, {1000 * used / len(gaps):4.1f} ms a frame  "
            f"{kept(chrome)}  load {os.getloadavg()[0]:.1f}"
        )


def self_times(profile: dict[str, Any]) -> Counter[str]:
    """Milliseconds that each function took by itself."""
    names = {}
    for node in profile["nodes"]:
        frame = node["callFrame"]
        place = f"{frame['lineNumber'] + 1}:{frame['columnNumber'] + 1}"
        names[node["id"]] = f"{frame['functionName'] or '(none)'} {place}"
    found: Counter[str] = Counter()
    for node, delta in zip(profile["samples"], profile["timeDeltas"], strict=True):
        found[names[node]] += delta / 1000
    return found


def main() -> None:
    """Play, count, and say where the time went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--speed", type=float, default=1000)
    parser.add_argument("--every", type=float, default=20, help="seconds between two lines")
    parser.add_argument("--profile", action="store_true", help="also the costliest functions")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("benchmarks.deck needs chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        days = days_for(options.seconds, options.speed)
        server = start(Path(work), options.speed, days)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = open_page(browser, server.url)
        chrome = page.context.new_cdp_session(page)
        httpx.post(server.url + "/api/v1/session/resume").raise_for_status()
        if options.profile:
            chrome.send("Profiler.enable")
            chrome.send("Profiler.start")
        measure(page, chrome, options.seconds, options.every)
        if options.profile:
            times = self_times(chrome.send("Profiler.stop")["profile"])
            for name, took in times.most_common(25):
                say(f"{took:9.0f} ms  {name}")
        say(work_text(frames(trace(browser, page, TRACE_S))))
        state = httpx.get(server.url + "/api/v1/session").json()["state"]
        if state != "RUNNING":
            raise SystemExit(f"the session was {state} before the end: the figures are of less")
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
