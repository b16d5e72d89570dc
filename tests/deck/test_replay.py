"""The deck before a replay: what is seen and done on the page is what the API says."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from tests.deck.conftest import OPEN, NextPage, Served, clock, press, state

NEW_YORK = ZoneInfo("America/New_York")


def local(text: str) -> str:
    """The clock's face at a time of the API."""
    return datetime.fromisoformat(text).astimezone(NEW_YORK).strftime("%H:%M:%S")


def same_place(page: Page, served: Served) -> Any:
    """The session, once the page shows its state and its time."""
    session = served.get("/session")
    expect(state(page)).to_have_text(re.compile(session["state"], re.IGNORECASE))
    expect(clock(page)).to_have_text(local(session["time"]))
    return session


def test_a_session_is_started_from_the_form(served: Served, open_page: NextPage) -> None:
    served.api.post("/session/stop").raise_for_status()
    page = open_page()
    if served.get("/session")["id"] is not None:
        press(page, "New session")
    form = page.get_by_role("form", name="New session")
    expect(form.get_by_text("With symbols and days chosen")).to_be_visible()
    for symbol in ("AIG", "BRK/B"):
        form.get_by_role("checkbox", name=symbol).check()
    expect(form.get_by_label("First day")).to_have_value("2013-10-07")
    form.get_by_role("combobox", name="Speed").select_option("600")
    expect(form.get_by_label("With curl")).to_contain_text('"symbols":["AIG","BRK/B"]')
    expect(form.get_by_label("With Python")).to_contain_text(
        'deck.start(["AIG", "BRK/B"], "2013-10-07", "2013-10-08", speed=600, start_paused=True)'
    )
    form.get_by_role("checkbox", name="Leave the record of a run").check()
    expect(form.get_by_label("With curl")).to_contain_text('"record":true')
    form.get_by_role("button", name="Start the session").click()
    expect(state(page)).to_contain_text("Paused")
    assert served.get("/session")["run"] is not None
    plan = served.get("/session/plan")
    assert (plan["symbols"], len(plan["days"])) == (["AIG", "BRK/B"], 2)
    assert same_place(page, served)["speed"] == 600
    rows = page.get_by_label("Watch list").get_by_role("rowheader")
    expect(rows).to_have_text(["AIG", "BRK/B"])


def test_what_is_wrong_with_a_wish_is_said(served: Served, open_page: NextPage) -> None:
    served.session()
    served.api.post("/session/stop").raise_for_status()
    page = open_page()
    press(page, "New session")
    form = page.get_by_role("form", name="New session")
    form.get_by_role("checkbox", name="AIG").check()
    form.get_by_label("First day").fill("2013-10-09")
    form.get_by_role("button", name="Start the session").click()
    expect(form.get_by_role("alert")).to_contain_text("2013-10-09")


def test_play_pause_and_step(served: Served, open_page: NextPage) -> None:
    served.session(speed=60)
    page = open_page()
    expect(state(page)).to_contain_text("Paused")
    press(page, "Play")
    expect(state(page)).to_contain_text("Running")
    assert served.get("/session")["state"] == "RUNNING"
    press(page, "Pause")
    expect(state(page)).to_contain_text("Paused")
    before = same_place(page, served)
    press(page, "Step one bar")
    expect(clock(page)).not_to_have_text(local(before["time"]))
    bar = same_place(page, served)
    assert bar["time"].endswith(":00Z")
    press(page, "Step one slice")
    expect(page.locator(".busy")).to_have_count(0)
    assert same_place(page, served)["seq"] == bar["seq"] + 1
    press(page, "Step one day")
    expect(clock(page)).to_have_text("16:01:00")  # the end of the grace after the close
    assert same_place(page, served)["trading_day"] == "2013-10-07"


def test_speed_by_list_and_by_steps(served: Served, open_page: NextPage) -> None:
    served.session(speed=60)
    page = open_page()
    speeds = page.get_by_role("group", name="Transport").get_by_role("combobox", name="Speed")
    expect(speeds).to_have_value("60")
    speeds.select_option("0")
    expect(page.locator(".state-line")).to_contain_text("max")
    assert served.get("/session")["speed"] == 0
    press(page, "Slower")
    expect(speeds).to_have_value("20000")
    press(page, "Faster")
    expect(speeds).to_have_value("0")
    served.api.patch("/session", json={"speed": 7}).raise_for_status()  # by somebody else
    expect(speeds).to_have_value("7")


def test_seek_on_the_timeline_and_back(served: Served, open_page: NextPage) -> None:
    served.session(speed=0)
    page = open_page()
    line = page.get_by_role("slider", name="Seek")
    expect(line).to_be_visible()
    box = line.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    expect(page.locator(".clock-date")).to_contain_text("2013-10-08")
    middle = same_place(page, served)
    assert middle["time"][:14] == "2013-10-08T16:"  # 12:45 in New York, within a pixel or two
    line.focus()
    line.press("PageDown")  # to the day's open
    expect(clock(page)).to_have_text("09:30:00")
    back = same_place(page, served)
    assert (back["time"], back["epoch"] > middle["epoch"]) == ("2013-10-08T13:30:00Z", True)
    page.get_by_role("combobox", name="Day").select_option("2013-10-07")
    page.get_by_label("Time", exact=True).fill("10:15")
    press(page, "Go")
    expect(clock(page)).to_have_text("10:15:00")
    assert same_place(page, served)["time"] == "2013-10-07T14:15:00Z"


def test_prices_are_those_of_the_api(served: Served, open_page: NextPage) -> None:
    served.session()
    page = open_page()
    chart = page.get_by_role("region", name="Chart of AIG")
    expect(chart).to_be_visible()
    served.api.post("/session/run-to", json={"time": "2013-10-07T14:10:00Z"}).raise_for_status()
    view = served.get("/session/data", symbols="AIG,BAC")
    for symbol, found in view["symbols"].items():
        row = page.get_by_label("Watch list").get_by_role("row", name=symbol)
        expect(row).to_contain_text(f"{found['last']:.2f}")
        expect(row).to_contain_text(f"{found['quality']:.1f} %")
    chart.get_by_label("Symbol").select_option("BAC")
    chart = page.get_by_role("region", name="Chart of BAC")
    chart.get_by_label("Interval").select_option("5m")
    bars = served.get("/session/data/BAC/bars", interval="5m")["bars"]
    assert len(bars) == 8
    chart.get_by_role("button", name="Table").click()
    rows = chart.get_by_role("region", name="The newest bars of BAC").get_by_role("row")
    expect(rows).to_have_count(1 + len(bars))
    expect(rows.nth(1)).to_contain_text(f"{bars[-1]['close']:.2f}")
    served.api.post("/session/step", json={"unit": "bar", "count": 5}).raise_for_status()
    expect(rows).to_have_count(2 + len(bars))


def test_two_tabs_show_the_same(served: Served, open_page: NextPage) -> None:
    served.session(speed=0)
    first, second = open_page(), open_page()
    expect(state(second)).to_contain_text("Paused")
    press(first, "Step one bar")
    press(first, "Step one bar")
    expect(clock(second)).to_have_text("09:31:00")
    assert same_place(first, served)["time"] == same_place(second, served)["time"]
    served.session(symbols=["BAC"])  # another session takes its place
    for page in (first, second):
        expect(page.get_by_label("Watch list").get_by_role("rowheader")).to_have_text(["BAC"])


def test_keyboard_alone(served: Served, open_page: NextPage) -> None:
    served.session(speed=60)
    page = open_page()
    expect(state(page)).to_contain_text("Paused")
    keys = page.keyboard
    keys.press("ArrowRight")
    expect(clock(page)).to_have_text("09:30:00")
    keys.press("ArrowRight")
    expect(clock(page)).to_have_text("09:31:00")
    assert same_place(page, served)["time"] == "2013-10-07T13:31:00Z"
    keys.press("ArrowLeft")
    expect(clock(page)).to_have_text("09:30:00")
    assert same_place(page, served)["time"] == OPEN
    keys.press("+")
    expect(page.locator(".state-line")).to_contain_text("120×")
    keys.press("-")
    expect(page.locator(".state-line")).to_contain_text("60×")
    keys.press("Space")
    expect(state(page)).to_contain_text("Running")
    keys.press("Space")
    expect(state(page)).to_contain_text("Paused")
    keys.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    reached = page.evaluate(_FOCUS_ORDER)
    for name in ("To the charts", "Play", "Seek", "Symbol", "Positions"):
        assert any(name in one for one in reached), (name, reached)


# Names of what Tab reaches, in order: all is in the order of the page, and nothing is above 0.
_FOCUS_ORDER = """() => [...document.querySelectorAll("a, button, select, input, [tabindex]")]
  .filter((one) => one.tabIndex === 0 && one.offsetParent !== null)
  .map((one) => one.getAttribute("aria-label") || one.textContent)"""


def test_an_ended_session_is_shown(served: Served, open_page: NextPage) -> None:
    served.session(speed=0)
    page = open_page()
    expect(state(page)).to_contain_text("Paused")
    press(page, "Play")
    expect(state(page)).to_contain_text("Completed")
    expect(page.get_by_text("The session is completed").first).to_be_visible()
    expect(page.get_by_role("button", name="New session")).to_be_visible()
    same_place(page, served)


def test_the_server_is_lost_and_had_again(served: Served, open_page: NextPage) -> None:
    served.session(speed=60)
    page = open_page()
    expect(state(page)).to_contain_text("Paused")
    served.stop()
    try:
        expect(page.get_by_role("alert")).to_contain_text("No connection to the server")
    finally:
        served.start()
    expect(page.get_by_text("The server was restarted; its session is gone.")).to_be_visible()
    expect(page.get_by_text("No connection to the server")).to_have_count(0)
    expect(page.get_by_role("form", name="New session")).to_be_visible()
    served.session(speed=60)
    expect(state(page)).to_contain_text("Paused")
    same_place(page, served)
