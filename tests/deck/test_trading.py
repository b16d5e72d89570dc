"""A session that trades, by hand: orders, their reasons, the account, runs beside one another."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.api.trading_place import CONFIG, STRATEGY
from tests.deck.conftest import NextPage, Served, press


@pytest.fixture
def trading(served: Served, open_page: NextPage) -> Page:
    """A page before a session that trades, one minute after the open."""
    served.session(config="live.yaml", speed=0)
    served.api.post("/session/step", json={"unit": "bar", "count": 2}).raise_for_status()
    page = open_page()
    expect(page.get_by_role("button", name="Order", exact=True)).to_be_visible()
    return page


def show(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name, exact=True).click()
    return page.get_by_role("tabpanel", name=name)


def order(page: Page, **fields: str) -> None:
    """Fill the ticket that is open, and send it."""
    ticket = page.get_by_role("dialog")
    for label, value in fields.items():
        field = ticket.get_by_label(label, exact=True)
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    ticket.get_by_role("button", name=re.compile("send", re.IGNORECASE)).click()


def orders(served: Served) -> dict[str, Any]:
    return {one["id"]: one for one in served.get("/session/orders")["orders"]}


def test_an_order_from_its_ticket_to_its_fill(trading: Page, served: Served) -> None:
    page = trading
    press(page, "Order")
    order(page, Symbol="BAC", Quantity="10")
    expect(page.get_by_role("status").filter(has_text="manual-1")).to_be_visible()
    sent = orders(served)["manual-1"]
    assert (sent["symbol"], sent["side"], sent["quantity"]) == ("BAC", "buy", 10)
    panel = show(page, "Orders")
    expect(panel.get_by_role("row", name="manual-1")).to_contain_text("working")
    press(page, "Step one bar")
    expect(panel.get_by_role("row", name="manual-1")).to_contain_text("filled")
    [fill] = served.get("/session/fills", order="manual-1")["fills"]
    row = show(page, "Fills").get_by_role("row").filter(has_text="manual-1")
    expect(row).to_contain_text(f"{fill['price']:.2f}")
    [held] = served.get("/session/positions", strategy="manual")["positions"]
    row = show(page, "Positions").get_by_role("row").filter(has_text="manual")
    expect(row).to_contain_text(f"{held['average_price']:.2f}")
    equity = served.get("/session/account")["equity"]
    expect(page.get_by_label("Account")).to_contain_text(f"{equity:,.2f}")


def test_a_resting_order_is_explained_changed_and_cancelled(trading: Page, served: Served) -> None:
    page = trading
    page.keyboard.press("o")
    order(page, Symbol="BAC", Type="limit", Limit="15.5", Quantity="20")
    panel = show(page, "Orders")
    expect(panel.get_by_role("row", name="manual-1")).to_contain_text("limit 15.50")
    served.api.post("/session/step", json={"unit": "bar", "count": 3}).raise_for_status()
    panel.get_by_role("row", name="manual-1").get_by_role("button", name="Why not filled").click()
    why = served.get("/session/orders/manual-1/why", limit=100)["slices"]
    dialog = page.get_by_role("dialog", name="Order manual-1")
    expect(dialog.get_by_role("row")).to_have_count(1 + len(why))
    expect(dialog.get_by_role("row").nth(1)).to_contain_text(why[-1]["reason"])
    page.keyboard.press("Escape")
    panel.get_by_role("row", name="manual-1").get_by_role("button", name="Change").click()
    order(page, Limit="16")
    expect(panel.get_by_role("row", name="manual-2")).to_contain_text("limit 16.00")
    found = orders(served)
    assert (found["manual-1"]["state"], found["manual-2"]["limit_price"]) == ("cancelled", 16)
    panel.get_by_role("row", name="manual-2").get_by_role("button", name="Cancel").click()
    expect(panel.get_by_role("row", name="manual-2")).to_contain_text("cancelled")
    assert orders(served)["manual-2"]["state"] == "cancelled"


def test_an_order_is_dragged_on_the_chart(trading: Page, served: Served) -> None:
    page = trading
    chart = page.get_by_role("region", name=re.compile("^Chart of"))
    chart.get_by_label("Symbol").select_option("BAC")
    last = served.get("/session/data", symbols="BAC")["symbols"]["BAC"]["last"]
    body = {
        "symbol": "BAC", "side": "buy", "quantity": 5, "type": "limit", "limit_price": last - 0.8,
    }  # fmt: skip
    served.api.post("/session/orders", json=body).raise_for_status()
    press(page, "Step one slice")  # the page hears of it
    expect(show(page, "Orders").get_by_role("row", name="manual-1")).to_be_visible()
    box = page.get_by_role("img", name=re.compile("^BAC")).bounding_box()
    assert box is not None
    at = page.evaluate(_FIND_LINE, [box["x"] + box["width"] / 3, box["y"], box["height"]])
    assert at is not None, "no line of the order is on the chart"
    x = box["x"] + box["width"] / 3
    page.mouse.move(x, at)
    page.mouse.down()
    page.mouse.move(x, at - 20, steps=4)
    page.mouse.up()
    ticket = page.get_by_role("dialog", name="Change order manual-1")
    moved = float(ticket.get_by_label("Limit").input_value())
    assert moved > last - 0.8
    ticket.get_by_role("button", name="Cancel and send").click()
    expect(show(page, "Orders").get_by_role("row", name="manual-2")).to_contain_text(f"{moved:.2f}")
    assert orders(served)["manual-2"]["limit_price"] == moved


# The height at which the cursor says that an order can be dragged.
_FIND_LINE = """async ([x, top, height]) => {
  const chart = document.elementFromPoint(x, top + height / 2).closest(".canvas");
  for (let wait = 0; wait < 200; wait++) {
    for (let y = top + 2; y < top + height; y += 4) {
      chart.dispatchEvent(new PointerEvent("pointermove", {clientX: x, clientY: y}));
      if (chart.style.cursor) return y;
    }
    await new Promise(requestAnimationFrame);
  }
  return null;
}"""


def test_signals_and_refusals_are_shown(trading: Page, served: Served) -> None:
    page = trading
    served.api.post("/session/step", json={"unit": "bar", "count": 6}).raise_for_status()
    signals = served.get("/session/signals")["signals"]
    panel = show(page, "Signals")
    expect(panel.get_by_role("row")).to_have_count(1 + len(signals))
    assert {one["symbol"] for one in signals} == {"BAC", "BRK/B"}
    refused = next(one for one in signals if one["symbol"] == "BRK/B")
    page.keyboard.press("o")
    order(page, Symbol="BAC", Quantity="0.5")
    panel = show(page, "Refusals")
    expect(panel).to_contain_text("lot")
    expect(panel).to_contain_text(refused["outcome"])


def test_runs_are_started_and_compared(served: Served, open_page: NextPage) -> None:
    played = served.session(config="live.yaml", speed=0)["run"]
    served.api.post("/session/step", json={"unit": "day"}).raise_for_status()
    served.api.post("/session/stop").raise_for_status()
    page = open_page()
    panel = show(page, "Runs")
    panel.get_by_role("button", name="Run it").click()
    expect(page.get_by_text(re.compile("is queued"))).to_be_visible()
    fresh = [served.get("/runs")["runs"][0]["id"], played]
    for run, state in zip(fresh, ("completed", "stopped"), strict=True):
        row = panel.get_by_role("row").filter(has_text=run)
        expect(row).to_contain_text(state, timeout=60_000)
        row.get_by_role("checkbox").check()
    curves = [served.get(f"/runs/{run}/equity", points=2000) for run in fresh]
    made = curves[0]["equity"][-1] / curves[0]["initial_cash"] - 1
    both = panel.get_by_role("region", name="Comparison")
    row = both.get_by_role("row").filter(
        has=page.get_by_role("rowheader", name="return", exact=True)
    )
    expect(row).to_contain_text(f"{abs(100 * made):.2f} %")
    expect(both.get_by_role("columnheader")).to_have_count(3)
    report = panel.get_by_role("row").filter(has_text=fresh[0]).get_by_role("link", name="Report")
    answer = page.request.get(served.url + str(report.get_attribute("href")))
    assert answer.text() == served.api.get(f"/runs/{fresh[0]}/report").text


# Kills its process the first time, as a machine does that is switched off.
_KILLED = """
    def on_start(self, ctx: Context) -> None:
        self.seen = 0
        if os.path.exists({mark!r}):
            os.remove({mark!r})
            os.kill(os.getpid(), 9)
"""


def test_an_interrupted_run_is_resumed(served: Served, open_page: NextPage) -> None:
    configs, mark = served.work / "configs", served.work / "mark"
    begin = "    def on_start(self, ctx: Context) -> None:\n        self.seen = 0\n"
    text = "import os\n" + STRATEGY.replace(begin, _KILLED.format(mark=str(mark)).lstrip("\n"))
    (configs / "other.py").write_text(text, "utf-8")
    (configs / "other.yaml").write_text(CONFIG.replace("once.py", "other.py"), "utf-8")
    mark.touch()
    run = served.api.post("/runs", json={"config": "other.yaml"}).json()["id"]
    row = show(open_page(), "Runs").get_by_role("row").filter(has_text=run)
    expect(row).to_contain_text("interrupted", timeout=60_000)
    expect(row).to_contain_text("its process was gone")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("completed", timeout=60_000)
    expect(row.get_by_role("link", name="Report")).to_be_visible()
    assert served.get(f"/runs/{run}")["state"] == "completed"
