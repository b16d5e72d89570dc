"""What the timeline says of its days: half days, and minutes that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import expect

from app.times import SECOND_NS
from tests.api.small_catalog import _write, bars
from tests.deck.conftest import NextPage, Served

DAYS = ("2013-11-27", "2013-11-29")  # Thanksgiving between them, the second until 13:00
OPENS_NS = (1_385_562_600 * SECOND_NS, 1_385_735_400 * SECOND_NS)
LACKS = slice(100, 130)  # minutes of the first day


def write(root: Path) -> None:
    for day, open_ns, minutes in zip(DAYS, OPENS_NS, (390, 210), strict=True):
        table = bars(open_ns, 10.0, minutes)
        if day == DAYS[0]:
            table = pa.concat_tables([table[: LACKS.start], table[LACKS.stop :]])
        _write(root, "bars_1m", "AIG", date.fromisoformat(day), table)


@pytest.fixture
def holed(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path, write)
    yield one
    one.stop()


def test_half_days_and_gaps_are_on_the_timeline(holed: Served, open_page: NextPage) -> None:
    holed.session(start=DAYS[0], end=DAYS[1], speed=0)
    holed.api.post("/session/run-to", json={"time": "2013-11-29T16:00:00Z"}).raise_for_status()
    page = open_page(holed.url)
    line = page.get_by_role("slider", name="Seek")
    days = line.locator(".timeline-day")
    expect(days).to_have_text(["11-27", "11-29 ½"])
    assert [day["half_day"] for day in holed.get("/session/plan")["days"]] == [False, True]
    expect(line.locator(".timeline-day.half")).to_have_count(1)
    gap = line.locator(".gap")
    expect(gap).to_have_count(1)
    whole, found = line.bounding_box(), gap.bounding_box()
    assert whole is not None
    assert found is not None
    places = [(found["x"] - whole["x"]) / whole["width"], found["width"] / whole["width"]]
    assert places == pytest.approx([100 / 390 / 2, 30 / 390 / 2], abs=0.01)
    choices = page.get_by_role("combobox", name="Day").get_by_role("option")
    expect(choices).to_have_text([DAYS[0], f"{DAYS[1]} (half day)"])
    line.focus()
    line.press("End")
    expect(page.get_by_role("timer")).to_have_text("13:00:00")
