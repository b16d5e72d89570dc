"""What the page keeps does not grow with what it is sent."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import CDPSession, Page, Route, expect

from tests.deck.conftest import WAIT_MS, NextPage, Served
from tests.deck.test_replay import NEW_YORK

FRAMES = 4_400
MOST_NODES = 100
MOST = 4_000  # points of a chart, as deck/src/state/feeds.ts has it

# The page's socket is kept, and its frames of the screen wait until they are asked for.
_HOLD = """() => {
  window.held = {sockets: [], draws: []};
  window.WebSocket = class extends WebSocket {
    constructor(...given) { super(...given); held.sockets.push(this); }
  };
}"""
_FLOOD = """([count, epoch, begin]) => {
  const socket = held.sockets.at(-1);
  const real = window.requestAnimationFrame;
  window.requestAnimationFrame = draw => held.draws.push(draw);
  const column = value => [value];
  for (let n = 0; n < count; n++) {
    const ts = new Date(begin + 1000 * n).toISOString();
    const minute = new Date(begin + 60000 * n).toISOString();
    const of = more => ({symbol: ["AIG"], ...more});
    const price = column(10 + n % 7);
    socket.onmessage({data: JSON.stringify({
      type: "slices", epoch, prev_seq: n, seqs: [n + 1], times: [ts],
      trades: of({ts: [ts], price, size: [1], eligible: [true]}),
      quotes: of({ts: [ts], bid: price, ask: price, bid_size: [1], ask_size: [1]}),
      bars_1m: of({ts: [minute], open: price, high: price, low: price, close: price, volume: [1]}),
    })});
    held.draws.pop()(0);  // the page's own; the charts' are drawn once, in the end
  }
  window.requestAnimationFrame = real;
  for (const draw of held.draws.splice(0)) real(draw);
}"""
_LONGEST = "function() { return Math.max(...this.map(one => one.length)); }"


_POINTS = """function() {
  const isPoint = one => one?.ms !== undefined && 'value' in one;
  return this.filter(one => one.length > 100 && isPoint(one[0])).map(one => one.at(-1).ms);
}"""


def of_all_arrays(chrome: CDPSession, function: str) -> Any:
    """What a function says of all arrays that the page holds, those within the charts too."""
    chrome.send("HeapProfiler.collectGarbage")
    kind = chrome.send("Runtime.evaluate", {"expression": "Array.prototype"})["result"]["objectId"]
    found = chrome.send("Runtime.queryObjects", {"prototypeObjectId": kind})["objects"]["objectId"]
    given: dict[str, Any] = {
        "objectId": found, "functionDeclaration": function, "returnByValue": True,
    }  # fmt: skip
    said = chrome.send("Runtime.callFunctionOn", given)["result"]["value"]
    chrome.send("Runtime.releaseObject", {"objectId": found})  # else it holds them all
    return said


def counted(chrome: CDPSession) -> tuple[int, int]:
    """Nodes of the page, and its listeners, after a collection."""
    chrome.send("Performance.enable")
    chrome.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in chrome.send("Performance.getMetrics")["metrics"]}
    return int(found["Nodes"]), int(found["JSEventListeners"])


def test_charts_keep_no_more_than_they_show(served: Served, open_page: NextPage) -> None:
    epoch = served.session(streams=["bars_1m", "trades", "quotes"], allow_missing=True)["epoch"]
    begin = datetime(2013, 10, 7, 13, 35, tzinfo=UTC)  # the next bar and tick
    served.api.post("/session/run-to", json={"time": begin.isoformat()}).raise_for_status()
    page = open_page(init=f"({_HOLD})()")
    add_chart(page, "ticks")
    chrome = page.context.new_cdp_session(page)
    nodes, listeners = counted(chrome)
    page.evaluate(_FLOOD, [FRAMES, epoch, 1000 * begin.timestamp()])
    nodes_after, listeners_after = counted(chrome)
    assert listeners_after == listeners
    assert nodes_after < nodes + MOST_NODES  # a figure that was empty, a notice
    chart = page.get_by_role("region", name="Chart of AIG").first
    chart.get_by_role("button", name="Table").click()
    newest = begin + timedelta(minutes=FRAMES - 1)
    rows = chart.get_by_role("region", name="The newest bars of AIG").get_by_role("row")
    expect(rows.nth(1)).to_contain_text(newest.astimezone(NEW_YORK).strftime("%m-%d %H:%M"))
    expect(chart).to_contain_text(f"{10 + (FRAMES - 1) % 7:.2f}")
    longest = of_all_arrays(chrome, _LONGEST)
    assert MOST / 2 < longest <= MOST + 2  # the flood came to the charts, and was cut


def test_what_comes_while_a_chart_is_read_is_kept(served: Served, open_page: NextPage) -> None:
    epoch = served.session(streams=["bars_1m", "trades", "quotes"], allow_missing=True)["epoch"]
    begin = datetime(2013, 10, 7, 13, 35, tzinfo=UTC)
    served.api.post("/session/run-to", json={"time": begin.isoformat()}).raise_for_status()
    page = open_page(init=f"({_HOLD})()")
    waiting: list[Route] = []
    page.route("**/trades?*", lambda route: waiting.append(route))
    with page.expect_request("**/trades?*"):
        add_chart(page, "ticks")
    page.evaluate(_FLOOD, [3, epoch, 1000 * begin.timestamp()])
    with page.expect_response(lambda answer: "/trades" in answer.url):
        for route in waiting:
            route.continue_()
    newest = 1000 * (begin + timedelta(seconds=2)).timestamp()
    chrome = page.context.new_cdp_session(page)
    ends = time.monotonic() + WAIT_MS / 1000
    while newest not in (last := of_all_arrays(chrome, _POINTS)):
        assert time.monotonic() < ends, f"the chart's points end at {last}, not at {newest}"


def add_chart(page: Page, interval: str) -> None:
    page.get_by_role("button", name="Add a chart").click()
    charts = page.get_by_role("region", name=re.compile("^Chart of AIG"))
    expect(charts).to_have_count(2)
    with page.expect_response(lambda answer: "/quotes" in answer.url):
        charts.nth(1).get_by_label("Interval").select_option(interval)
