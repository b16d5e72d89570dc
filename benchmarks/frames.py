"""What a frame of a page costs its main thread, from a trace of Chromium.

Times are of the thread's own CPU clock, so they hold on a machine that others use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page

CATEGORIES = [
    "toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "blink", "__metadata",
]  # fmt: skip
PARTS = ("script", "layout", "paint", "commit")
_MAIN = "CrRendererMain"
_TASK = "ThreadControllerImpl::RunTask"
_FRAME_ENDS = "Commit"
_PART = {
    "FunctionCall": "script", "FireAnimationFrame": "script", "EvaluateScript": "script",
    "LocalFrameView::RunStyleAndLayoutLifecyclePhases": "layout", "UpdateLayoutTree": "layout",
    "Layout": "layout", "LocalFrameView::RunPrePaintLifecyclePhase": "paint", "Layerize": "paint",
    "LocalFrameView::RunPaintLifecyclePhase": "paint", "Commit": "commit",
}  # fmt: skip
_WAIT_MS = 100
_MOST_WAITS = 600

Event = dict[str, Any]


class Spread(NamedTuple):
    """Milliseconds of CPU a frame."""

    mean: float
    p95: float
    worst: float


def spread(values: Iterable[float]) -> Spread:
    """Of microseconds; there must be some."""
    ordered = sorted(value / 1000 for value in values)
    return Spread(sum(ordered) / len(ordered), ordered[int(0.95 * len(ordered))], ordered[-1])


def trace(browser: Browser, page: Page, seconds: float) -> list[Event]:
    """All that Chromium says of ``seconds`` of its work."""
    events: list[Event] = []
    ended: list[Any] = []
    chrome = browser.new_browser_cdp_session()
    chrome.on("Tracing.dataCollected", lambda said: events.extend(said["value"]))
    chrome.on("Tracing.tracingComplete", lambda said: ended.append(said))
    config = {"recordMode": "recordUntilFull", "includedCategories": CATEGORIES}
    chrome.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": config})
    page.wait_for_timeout(1000 * seconds)
    chrome.send("Tracing.end")
    for _ in range(_MOST_WAITS):
        if ended:
            break
        page.wait_for_timeout(_WAIT_MS)
    chrome.detach()
    if not ended or ended[0]["dataLossOccurred"]:
        raise SystemExit("benchmarks.frames: chromium's trace is not whole; try fewer seconds")
    return events


def _of_main_thread(events: list[Event]) -> list[Event]:
    """Of the busiest page, parents before children."""
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == _MAIN
    }
    found: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for one in events:
        place = (one["pid"], one["tid"])
        if one["ph"] == "X" and place in mains:
            found[place].append(one)
    busiest = max(found.values(), key=len)
    return sorted(busiest, key=lambda one: (one["ts"], -one["dur"]))


def frames(events: list[Event]) -> list[Counter[str]]:
    """Microseconds of CPU by frame, ``all`` and each of ``PARTS``; a frame ends as it is handed to
    the compositor, and what the thread did since the one before is its own."""
    found = [Counter[str]()]
    open_: list[tuple[float, str | None, bool]] = []  # end, part, whether a task: what is going on
    for one in _of_main_thread(events):
        while open_ and open_[-1][0] <= one["ts"]:
            open_.pop()
        name, took = one["name"], one.get("tdur", 0)
        above = next((part for _, part, _ in reversed(open_) if part), None)
        part = _PART.get(name)
        if name == _TASK and not any(task for *_, task in open_):
            found[-1]["all"] += took
        if part and part != above:
            found[-1][part] += took
            if above:
                found[-1][above] -= took
        open_.append((one["ts"] + one["dur"], part, name == _TASK))
        if name == _FRAME_ENDS:
            found.append(Counter())
    return found[1:-1]  # the first and the last are cut


def work_text(found: list[Counter[str]]) -> str:
    """A line: of all of it the spread, of its parts the mean."""
    total = spread(one["all"] for one in found)
    parts = "  ".join(f"{name} {spread(one[name] for one in found).mean:.2f}" for name in PARTS)
    return (
        f"{len(found)} frames: main thread {total.mean:.2f} ms a frame, "
        f"95 % within {total.p95:.1f}, worst {total.worst:.1f};  {parts}"
    )
