"""What everybody can use: contrast, names and roles by axe, narrow screens, the log-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.deck.conftest import NextPage, Served, press

PANELS = (
    "Positions", "Orders", "Fills", "Signals", "Refusals", "Equity", "P&L", "Quality", "Streams",
    "Runs", "Log",
)  # fmt: skip


@pytest.fixture(scope="module")
def axe(installed: Path) -> str:
    return (installed / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def violations(page: Page, axe: str, *rules: str, within: str = ":root") -> list[Any]:
    """What axe finds wrong with the page, or a part of it, by all rules or some."""
    page.evaluate(axe)  # not by a script element: the page's policy would refuse it
    found: list[Any] = page.evaluate(
        "([part, rules]) => axe.run(part, rules.length ? {runOnly: rules} : {})"
        ".then(done => done.violations)", [within, list(rules)],
    )  # fmt: skip
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


@pytest.fixture
def traded(served: Served) -> Served:
    """A session with orders, fills, signals and refusals, on its second day."""
    served.session(config="live.yaml", speed=0)
    served.api.post("/session/step", json={"unit": "bar", "count": 3}).raise_for_status()
    for body in (
        {"symbol": "BAC", "side": "buy", "quantity": 10},
        {"symbol": "BAC", "side": "buy", "quantity": 0.5},
        {"symbol": "BAC", "side": "buy", "quantity": 10, "type": "limit", "limit_price": 15},
    ):
        served.api.post("/session/orders", json=body).raise_for_status()
    to_second_day = {"time": "2013-10-08T15:00:00Z"}
    served.api.post("/session/run-to", json=to_second_day).raise_for_status()
    return served


@pytest.mark.parametrize(("scheme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_axe_finds_nothing(
    traded: Served, open_page: NextPage, axe: str, scheme: str, rules: tuple[str, ...]
) -> None:
    page = open_page(color_scheme=scheme)
    expect(page.get_by_role("button", name="Order", exact=True)).to_be_visible()
    assert violations(page, axe, *rules) == []
    for name in PANELS:
        page.get_by_role("tab", name=name, exact=True).click()
        panel = page.get_by_role("tabpanel", name=name)
        expect(panel.get_by_text("Reading")).to_have_count(0)
        assert violations(page, axe, *rules, within=".panels") == [], name
    for key, name in (("o", "New order"), ("?", "Keys")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        assert violations(page, axe, *rules, within="dialog") == [], name
        page.keyboard.press("Escape")
    traded.api.post("/session/stop").raise_for_status()
    press(page, "New session")
    expect(page.get_by_role("checkbox", name="AIG")).to_be_visible()
    assert violations(page, axe, *rules) == []


def test_a_narrow_screen_holds_all_of_it(traded: Served, open_page: NextPage, axe: str) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True)
    expect(page.get_by_role("button", name="Order", exact=True)).to_be_visible()
    for name in PANELS:
        page.get_by_role("tab", name=name, exact=True).click()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == 360, f"{name} is {wide} px wide"
    assert violations(page, axe) == []
    press(page, "Step one bar")
    expect(page.get_by_role("timer")).to_have_text("11:01:00")
    page.get_by_role("button", name="Order", exact=True).tap()
    dialog = page.get_by_role("dialog", name="New order")
    box = dialog.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_the_watch_list_has_room_for_all_of_it(traded: Served, open_page: NextPage) -> None:
    page = open_page(viewport={"width": 1280, "height": 900})
    card = page.get_by_role("region", name="Watch list")
    expect(card.get_by_role("row", name="BAC")).to_contain_text("%")
    over = card.evaluate("one => one.scrollWidth - one.clientWidth")
    assert over == 0, f"{over} px of it are out of sight"
    card.evaluate("""one => {
      for (const cell of one.querySelectorAll('.figure')) cell.firstChild.data = '1,234.56';
    }""")
    cut = card.evaluate("""one => [...one.querySelectorAll('tbody tr')].map(row =>
      row.querySelector('.figure').firstChild).filter(text => {
        const place = document.createRange();
        place.selectNode(text);
        const name = text.parentNode.closest('tr').querySelector('button');
        return place.getBoundingClientRect().left < name.getBoundingClientRect().right;
      }).length""")
    assert cut == 0, "a long price runs into its symbol"


def test_the_quality_of_a_day_is_read_without_colour(traded: Served, open_page: NextPage) -> None:
    page = open_page()
    page.get_by_role("tab", name="Quality").click()
    day = traded.get("/session/days")["days"][0]
    row = page.get_by_role("tabpanel").get_by_role("row").filter(has_text="BAC")
    expect(row).to_contain_text("100")
    expect(row).to_contain_text("no gap")
    row.get_by_role("button").first.click()
    said = f"BAC {day['day']}: {day['symbols']['BAC']['bars']} of 390 minutes"
    expect(page.get_by_text(said)).to_be_visible()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = Served(tmp_path_factory.mktemp("locked"), tapedeck_api_key="open-sesame")
    yield one
    one.stop()


def test_a_key_is_asked_for(locked: Served, open_page: NextPage, axe: str) -> None:
    page = open_page(locked.url)
    form = page.get_by_role("form", name="Log in")
    form.get_by_label("Key").fill("wrong")
    form.get_by_role("button", name="Log in").click()
    expect(form.get_by_role("alert")).to_contain_text("not the server's key")
    assert violations(page, axe) == []
    form.get_by_label("Key").fill("open-sesame")
    form.get_by_role("button", name="Log in").click()
    # The stream's greeting says that there is no session: the cookie opened the WebSocket too.
    expect(page.get_by_role("form", name="New session")).to_be_visible()
