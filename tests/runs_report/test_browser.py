"""The page in a real browser, where one is installed: it draws, sorts, filters and turns pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from typing import Any

import pytest

from app.runs.report import write_report
from tests.runs_report.made import minute, trade, write_table
from tests.runs_report.test_page import all_facts, full_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

# What a person would do, one line each; the page has told of what it drew before.
ACTIONS = """
const said = {};
const cells = (column) => [...document.querySelectorAll("#trades tbody tr")]
  .map((row) => row.children[column].textContent);
const press = (key) => document.querySelector(`th[data-key="${key}"] button`).click();
window.addEventListener("load", () => setTimeout(() => {
  const charts = [...document.querySelectorAll(".chart")];
  said.charts = charts.length;
  said.drawn = charts.filter((chart) => chart.querySelector("svg")).length;
  said.first = cells(0).slice(0, 2);
  said.where = document.getElementById("where").textContent;
  press("pnl"); said.up = cells(10).slice(0, 3);
  press("pnl"); said.down = cells(10).slice(0, 3);
  said.sorted = document.querySelector('th[aria-sort="descending"]').dataset.key;
  document.getElementById("next").click(); said.page = document.getElementById("where").textContent;
  const filter = document.getElementById("filter");
  filter.value = "zz"; filter.dispatchEvent(new Event("input"));
  said.filtered = document.getElementById("where").textContent;
  const theme = document.getElementById("theme");
  theme.click(); theme.click(); said.theme = document.documentElement.dataset.theme;
  said.note = document.getElementById("price-note").textContent;
  document.title = JSON.stringify(said);
}, 500));
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page told after the actions, and what the console said."""
    folder = tmp_path_factory.mktemp("browser")
    run = full_run(folder)
    trades = [trade(float((7 * n) % 60 - 30), ts_event_ns=minute(6 + n)) for n in range(60)]
    write_table(run, "round_trips", [*trades, trade(0.5, symbol="Zz", ts_event_ns=minute(200))])
    write_report(run, all_facts())
    text = (run / "report.html").read_text("utf-8")
    (folder / "acted.html").write_text(
        text.replace("</body>", f"<script>{ACTIONS}</script></body>"), "utf-8"
    )
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
        "--virtual-time-budget=8000", "--enable-logging=stderr", f"--user-data-dir={folder / 'u'}",
        "--dump-dom", (folder / "acted.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    found: dict[str, Any] = json.loads(unescape(title[1]))
    return found | {"console": [x for x in done.stderr.splitlines() if "CONSOLE" in x]}


def test_every_chart_is_drawn_without_a_complaint(said: dict[str, Any]) -> None:
    assert said["console"] == []
    assert said["drawn"] == said["charts"] == 8


def test_trades_are_in_pages_in_order_of_exit(said: dict[str, Any]) -> None:
    assert said["first"] == ["1", "2"]
    assert said["where"] == "1 to 25 of 61"
    assert said["page"] == "26 to 50 of 61"


def test_a_click_sorts_and_another_turns_it_round(said: dict[str, Any]) -> None:
    assert said["up"] == ["\u221230.00", "\u221229.00", "\u221228.00"]
    assert said["down"] == ["+29.00", "+28.00", "+27.00"]
    assert said["sorted"] == "pnl"


def test_the_filter_ignores_case(said: dict[str, Any]) -> None:
    assert said["filtered"] == "1 to 1 of 1"


def test_theme_and_note(said: dict[str, Any]) -> None:
    assert said["theme"] == "dark"
    assert said["note"] == "Each candle is a bar. 2 fills."
