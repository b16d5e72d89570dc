"""Growth, clock and serving: their arithmetic, their pages, and one small real measurement each."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from app.managers.lifecycle import State
from benchmarks import growth, pacing, page, polling
from benchmarks.hosting import Kept, hosted, percentiles
from benchmarks.plots import growth_plots, short
from benchmarks.sections import SECTIONS
from benchmarks.workloads import Workload, bars, prepare, ticks

SVG = "{http://www.w3.org/2000/svg}"
CONDITIONS = {"date": "2024-03-05", "machine": {"cpu": "one", "cores": 2, "memory_gb": 24.0}}
LATE = {"p50_ms": 0.1, "p99_ms": 0.94, "max_ms": None}
GROWTH = [
    {
        "grows": grows, "size": size, "items": 1000 * size, "first_s": 0.05, "run_s": 0.5 * size,
        "ns_per_item": 500.0, "peak_mb": 180.0 + size, "digest": "td1:0123456789abcdef",
    }
    for grows in ("days", "symbols") for size in (1, 10)
]  # fmt: skip
PACED = {
    "speed": 60.0, "data": "bars", "load": "idle", "slices": 1200, "cpu": 0.25, **LATE
}  # fmt: skip
STEPS = [
    {"speed": speed, "symbols": 500, "items_per_s": 10 * speed, "keeps_up": fits, **LATE}
    for speed, fits in ((20_000, True), (40_000, False), (25_000, True))
]
POLLED = {
    "speed": 0.0, "call": "bars", "offered_per_s": 200, "clients": 16, "offered": 800,
    "answered": 600, "items_per_s": 1_234_567, **LATE,
}  # fmt: skip
STREAMED = {
    "speed": 0.0, "clients": 1, "delivery": "lossless", "encoding": "msgpack",
    "items_per_s": 900_000, "mb_per_s": 61.2, "cpu": 1.2, **LATE,
}  # fmt: skip
FIGURES: dict[str, dict[str, Any]] = {
    "growth": {"rows": GROWTH},
    "pacing": {"rows": [PACED], "ladder": STEPS},
    "polling": {
        "rows": [POLLED], "streams": [STREAMED], "first_item_ms": 212.0, "left_out": 2,
        "conflating": {
            "ratio": 1.05, "lowest": 0.98, "highest": 1.11, "pairs": 5, "cpu_ratio": 1.02,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("growth", "| symbols | 10 | 10k | 50 ms | 5.00 s | 500 | 190 | `td1:01234567` |"),
        ("pacing", "| 60x | bars | idle | 1,200 | 0.1 | 0.94 | - | 25% |"),
        ("pacing", "of 500 symbols keep up: 25,000x, 0.25 M items/s, p99 0.94 ms late."),
        ("polling", "| 0 | bars | 200 | 16 | 75% | 0.1 | 0.94 | - | 1.23M items/s |"),
        ("polling", "| 0 | 1 | lossless | msgpack | 900k | 61.2 | 0.1 | 0.94 | 120% |"),
        ("polling", "2 measurements were left out"),
        ("polling", "1.05 times as long (0.98 to 1.11 in 5 pairs), and 1.02 times the CPU"),
    ],
)
def test_a_section_of_the_page_is_made_of_its_figures(tmp_path: Path, name: str, line: str) -> None:
    text = (page.DOCS / "benchmarks.md").read_text("utf-8")
    (tmp_path / "benchmarks.md").write_text(text, "utf-8")
    page.write_section(name, CONDITIONS | FIGURES[name], tmp_path)
    assert line in (tmp_path / "benchmarks.md").read_text("utf-8")
    for drawn in tmp_path.glob("*.svg"):
        ElementTree.parse(drawn)
    assert len(list(tmp_path.glob("*.svg"))) == (2 if name == "growth" else 0)


def test_a_plot_has_a_line_a_series_within_its_frame() -> None:
    drawn = ElementTree.fromstring(growth_plots(GROWTH)["growth-memory"])
    lines = [line.attrib["points"].split() for line in drawn.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [2, 2]
    for x, y in (map(float, point.split(",")) for points in lines for point in points):
        assert 0 < x < 860
        assert 0 < y < 360
    assert [short(n) for n in (7, 1500, 2_500_000)] == ["7", "1.5k", "2.5M"]


def test_percentiles_of_nothing_are_nothing() -> None:
    assert set(percentiles(np.empty(0)).values()) == {None}
    assert percentiles(np.arange(101.0))["p99_ms"] == 99.0


def test_the_cases_have_the_sizes_that_are_published() -> None:
    sizes: dict[str, list[int]] = {}
    for case in growth.cases(quick=False):
        sizes.setdefault(case.grows, []).append(case.size)
    assert sizes == {
        "days": [1, 10, 60, 250],
        "symbols": [1, 10, 100, 500, 2000],
        "ticks": [1_000_000, 5_000_000, 20_000_000],
    }
    assert not FIGURES.keys() ^ SECTIONS.keys()


# -- small ones, in earnest ------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workload]:
    workload = bars(8, 2)
    return prepare(tmp_path_factory.mktemp("load"), workload), workload


def test_growth_measures_a_replay(small: tuple[Path, Workload]) -> None:
    root, workload = small
    found = growth.measure(root, 4, str(workload.start), str(workload.end))
    assert found["items"] == 4 * 2 * (390 + 78 + 26)
    assert 0 < found["first_s"] <= found["run_s"]
    assert found["peak_mb"] >= found["before_mb"] > 10


def test_clock_and_serving_measure_a_server(small: tuple[Path, Workload]) -> None:
    root, workload = small
    with hosted(root) as host:
        kept = Kept(host)
        paced = pacing.measure(host, kept, workload, 5000.0, 1.0, loaded=True)
        assert paced["slices"] > 0
        assert 0 <= paced["p50_ms"] <= paced["p99_ms"] <= paced["max_ms"]
        cell = polling.Cell(60.0, "data", ["/session/data"], 50, 4)
        for _ in range(2):  # the second one takes up the session of the first
            polled = polling.poll(host, kept, workload, cell, 0.5)
            assert (polled["errors"], polled["left_out"]) == (0, 0)
            assert polled["answered"] == polled["offered"] > 0
        sent = polling.stream(host, kept, workload, 0.0, 2, 5.0)
        assert sent["holes"] == 0
        assert sent["items_per_s"] > 0
        assert sent["p50_ms"] > 0
        step = pacing.keeps_up(host, kept, workload, 100_000.0)
        assert step["scheduled_s"] > 0
        assert polling.first_item_ms(host, workload) > 0


def test_ticks_are_read_ahead_with_the_bars_made_of_them(tmp_path: Path) -> None:
    """Their quotes, of which no bars are made, may be known further."""
    workload = ticks(3, 2, 20)
    with hosted(prepare(tmp_path, workload)) as host:
        assert host.start(workload, 60.0).state is State.PAUSED


def test_workloads_of_other_days_have_other_names() -> None:
    assert bars(8, 2).name != bars(8, 2, date(2023, 1, 3)).name
    assert ticks(8, 2, 5).name != ticks(8, 2, 5, date(2023, 1, 3)).name


def test_ticks_have_days_of_their_own(tmp_path: Path) -> None:
    root = prepare(tmp_path, ticks(2, 2, 20))
    assert len(list(root.rglob("trades/symbol=T00/*.parquet"))) == 2
