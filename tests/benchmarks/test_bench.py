"""The comparison with other engines: its arithmetic, its table and charts, and one real pair."""

from __future__ import annotations

import json
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import bench, page
from benchmarks import comparison as comparison_module
from benchmarks.charts import bar_chart
from benchmarks.comparison import Comparison
from benchmarks.engines import LIMITS, OTHERS, OURS, PEERS, TAPEDECK, Duel, Engine, duels
from benchmarks.environments import PeerMissing, environment, last_error, plain
from benchmarks.figures import Row, medians, ratios, slower
from benchmarks.instructions import read_count
from benchmarks.measured import write
from benchmarks.parts import PARTS
from benchmarks.peers.common import Means
from benchmarks.runs import Result, RunFailed, own_python, run
from benchmarks.strategies.bar_cross import Means as OwnMeans
from benchmarks.table import table
from benchmarks.workloads import QUICK, Workload, write_w2

SVG = "{http://www.w3.org/2000/svg}"


def row(
    engine: str, pair: int, load_s: float, run_s: float, strategy: str = "sma",
    items: int = 1000, peak_mb: float = 100.0,
) -> Row:  # fmt: skip
    return {
        "engine": engine, "workload": "W1", "strategy": strategy, "pair": pair, "items": items,
        "load_s": load_s, "run_s": run_s, "peak_mb": peak_mb,
    }  # fmt: skip


ROWS = [
    row(OURS, 1, 0.5, 0.5), row("slow", 1, 2.0, 8.0),  # 1000 and 100 items/s: 10 times
    row(OURS, 2, 1.0, 1.0), row("slow", 2, 4.0, 4.0, peak_mb=300),  # 500 and 125: 4 times
    row(OURS, 3, 0.25, 0.25), row("slow", 3, 5.0, 5.0),  # 2000 and 100: 20 times
]  # fmt: skip


def results(rows: list[Row], missing: dict[str, str] | None = None) -> dict[str, Any]:
    found = [counted | {"fills": 7} for counted in medians(rows)]
    return {
        "date": "2024-03-05", "scale": "full", "pairs": 3, "left_out": 0,
        "machine": {"cpu": "A <fast> one", "cores": 2, "memory_gb": 24.0},
        "versions": {OURS: {"python": "3.11.7"}},
        "missing": [{"engine": e, "reason": r} for e, r in (missing or {}).items()],
        "parts": [],
        "medians": found, "ratios": ratios(rows), "rows": rows,
    }  # fmt: skip


# -- figures --------------------------------------------------------------------------------


def test_medians_are_of_speeds_from_the_files_to_the_end() -> None:
    ours, slow = medians(ROWS)
    assert (ours["engine"], ours["runs"], ours["items"]) == (OURS, 3, 1000)
    assert (ours["items_per_s"], ours["slowest"], ours["fastest"]) == (1000, 500, 2000)
    assert (slow["items_per_s"], slow["slowest"], slow["fastest"]) == (100, 100, 125)
    assert (slow["load_s"], slow["run_s"], slow["peak_mb"]) == (4.0, 5.0, 100.0)


def test_ratios_are_taken_pair_by_pair() -> None:
    (found,) = ratios(ROWS)
    assert (found["against"], found["pairs"]) == ("slow", 3)
    assert (found["lowest"], found["ratio"], found["highest"]) == (4.0, 10.0, 20.0)
    assert found["ratio_run"] == 16.0  # 16, 4 and 20: loading left out


def test_a_limit_is_its_own_work_alone() -> None:
    rows = [row(OURS, 1, 0.5, 0.5, "none"), row("limit-sort", 1, 3.0, 0.25, "none")]
    assert medians(rows)[1]["items_per_s"] == 4000
    assert ratios(rows)[0]["ratio"] == 0.25


def test_two_ways_of_this_project_make_a_pair_too() -> None:
    rows = [row(OURS, 1, 0.5, 0.5, "slice"), row(OURS, 1, 0.5, 2.5)]
    (found,) = ratios(rows)
    assert (found["strategy"], found["against_strategy"], found["ratio"]) == ("slice", "sma", 3.0)


def test_a_run_without_its_other_half_gives_no_ratio() -> None:
    assert ratios(ROWS[:1]) == []
    assert medians(ROWS[:1])[0]["runs"] == 1


def ratio(value: float, against: str = "slow") -> Row:
    return {
        "workload": "W1", "strategy": "sma", "against": against, "against_strategy": "sma",
        "ratio": value,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("now", "falls"), [(10.0, 0), (8.01, 0), (7.99, 1), (30.0, 0), (0.1, 1)]
)  # fmt: skip
def test_a_ratio_may_fall_by_a_fifth(now: float, falls: int) -> None:
    lines, compared = slower([ratio(10.0), ratio(3.0, "gone")], [ratio(now), ratio(1.0, "new")])
    assert (len(lines), compared) == (falls, 1)


def test_what_fell_is_named() -> None:
    lines, _ = slower([ratio(10.0)], [ratio(5.0)])
    assert lines == ["W1 sma against slow: 5, was 10 (-50%)"]


def test_what_is_over_at_once_is_not_judged() -> None:
    before, now = [ratio(1.0, "limit-sort")], [ratio(0.1, "limit-sort")]
    assert slower(before, now) == ([], 0)


@pytest.mark.parametrize(("now", "code"), [(9.0, 0), (7.0, 1)])
def test_check_fails_where_a_committed_ratio_fell(tmp_path: Path, now: float, code: int) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"ratios": [ratio(10.0)]}), "utf-8")
    assert bench.judge(path, {"ratios": [ratio(now)]}) == code
    assert bench.judge(path, {"ratios": [ratio(now, "other")]}) == 1  # nothing was compared


@pytest.mark.parametrize(
    ("now", "python", "is_more"),
    [(109, "3.11.7", False), (111, "3.11.7", True), (200, "3.12.1", False)],
)
def test_instructions_are_compared_on_the_same_versions(
    now: int, python: str, is_more: bool
) -> None:
    before = {"instructions": 100, "versions": {OURS: {OURS: "0.0.1", "python": "3.11.7"}}}
    found = bench.grown_instructions(
        before, {"instructions": now, "versions": {OURS: {"python": python}}}
    )
    assert (found is not None) == is_more
    assert bench.grown_instructions({"versions": {}}, before) is None


def test_the_count_is_read_from_what_valgrind_says() -> None:
    assert read_count("==7== \n==7== I   refs:      5,627,650,837\n") == 5_627_650_837
    with pytest.raises(ValueError, match="gave no count"):
        read_count("killed")


# -- table, charts, page --------------------------------------------------------------------


def test_the_table_has_a_line_a_median_and_names_who_is_missing() -> None:
    text = table(results(ROWS, {"other-engine": "not installed: no wheel"}))
    lines = text.splitlines()
    assert (
        lines[2]
        == "| W1 | sma | tapedeck | 1,000 | 1,000 (500 to 2,000) | 0.5 | 0.5 | 100 | 7 |  |"
    )
    assert (
        lines[3]
        == "| W1 | sma | slow | 1,000 | 100 (100 to 125) | 4 | 5 | 100 | 7 | 10 (4 to 20) |"
    )
    assert lines[-1] == "- other-engine: not installed: no wheel"
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert "Not the whole" not in text


def test_the_table_says_who_ran_a_part_and_how_much_that_was() -> None:
    part = {
        "engine": "slow", "workload": "W1", "items": 196_200, "of": 1_000_000,
        "part": "the first two years",
    }  # fmt: skip
    text = table(results(ROWS) | {"parts": [part]})
    assert text.endswith("\n\n- slow on W1: the first two years, 196,200 of 1,000,000 items")


def test_the_chart_is_svg_with_a_bar_a_median() -> None:
    rows = [*ROWS, row("a<b&c", 4, 1.0, 1.0), row("limit-read", 5, 0.0, 0.1, "none")]
    drawn = ElementTree.fromstring(bar_chart(medians(rows), "W1"))
    assert drawn.tag == f"{SVG}svg"
    assert {text.text for text in drawn.iter(f"{SVG}text")} >= {OURS, "slow", "a<b&c", "1,000"}
    widths = [float(rect.attrib["width"]) for rect in drawn.iter(f"{SVG}rect")]
    assert widths == [250.0, 125.0, 25.0]  # of 500 pixels for 2,000 items/s
    assert float(drawn.attrib["width"]) == 860.0


def test_the_page_is_filled_between_its_marks(tmp_path: Path) -> None:
    text = page.section(results(ROWS), ["W1"])
    assert "2 cores of A <fast> one" in text
    assert "want of time" not in text
    text = page.section(results(ROWS) | {"left_out": 3}, ["W1"])
    assert "pairs but for 3 of them, for want of time:" in text
    begin, end = "<!-- bench: begin -->", "<!-- bench: end -->"
    put = page.put(f"before\n{begin}\nold\n{end}\nafter\n", text)
    assert put.startswith(f"before\n{begin}\n\n2024-03-05")
    assert put.endswith(f"{end}\nafter\n")
    assert "old" not in put
    with pytest.raises(ValueError, match="no <!-- bench: begin"):
        page.put("nothing", text)

    (tmp_path / "benchmarks.md").write_text((page.DOCS / "benchmarks.md").read_text("utf-8"))
    page.write_page(results(ROWS), tmp_path)
    assert "| W1 | sma | slow |" in (tmp_path / "benchmarks.md").read_text("utf-8")
    ElementTree.parse(tmp_path / "benchmarks-w1.svg")


def test_results_are_written_a_row_a_line(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write(path, results(ROWS))
    assert json.loads(path.read_text("utf-8")) == results(ROWS)
    assert sum('"pair": ' in line for line in path.read_text("utf-8").splitlines()) == len(ROWS)


# -- who takes part -------------------------------------------------------------------------


def test_every_peer_has_its_script_and_its_pins() -> None:
    for engine in OTHERS:
        assert engine.script.is_file(), engine.name
        pins = (PEERS / "requirements" / f"{engine.peer}.txt").read_text("utf-8")
        assert f"{(engine.peer or '').replace('_', '-')}==" in pins
        assert "--hash=sha256:" in pins
        assert "://" not in pins


@pytest.mark.parametrize("workload", ["W1", "W2", "W3"])
def test_quick_is_a_part_of_all(workload: str) -> None:
    every, quick = duels(workload, False), duels(workload, True)
    assert quick == [duel for duel in every if duel in quick]
    assert 0 < len(quick) < len(every)
    assert all(duel.strategy in TAPEDECK.work[workload] for duel in every)


def test_what_cannot_be_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--engines", "nobody"]) == 2
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "none.json")
    assert bench.main(["--check"]) == 2
    assert "there is no none.json" in capsys.readouterr().err


def test_a_peer_without_an_interpreter_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PEER_PYTHON", str(tmp_path / "python"))
    with pytest.raises(PeerMissing, match=r"no Python of 3\.12"):
        environment("backtrader", tmp_path)


def test_a_peer_that_fails_is_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PEER_PYTHON", str(tmp_path / "python"))
    comparison = Comparison(tmp_path, tmp_path)
    peer = next(engine for engine in OTHERS if engine.peer == "backtrader")
    comparison.set_up([peer])
    comparison.duel(Duel("W1", "sma", peer, "sma"))  # runs nothing
    found = comparison.results(False, 5)
    assert [entry["engine"] for entry in found["missing"]] == ["backtrader"]
    assert found["rows"] == []
    assert found["left_out"] == 0


def test_the_budget_begins_when_all_is_set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = iter([1000.0, 1060.5])
    monkeypatch.setattr(comparison_module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    comparison = Comparison(tmp_path, tmp_path, budget_s=60)
    comparison.set_up([])
    comparison.duel(Duel("W1", "none", LIMITS[0], "none"))  # half a second late: runs nothing
    assert comparison.results(False, 5, to_come=3)["left_out"] == 4


def test_an_interrupted_comparison_keeps_what_it_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[str] = []

    def interrupted(engine: Engine, *_: object) -> Result:
        begun.append(engine.name)
        if len(begun) == 4:  # warmed, a pair, and this project's half of the next
            raise KeyboardInterrupt
        found = row(engine.name, 1, 0.5, 0.5, "none")
        return Result(found, {"python": "3.11.7"}, None)

    monkeypatch.setattr(bench, "DATA", tmp_path)
    monkeypatch.setattr(comparison_module, "run", interrupted)
    monkeypatch.setattr(comparison_module, "prepare", lambda *_: tmp_path)
    assert bench.main(["--quick", "--workloads", "W1", "--engines", "limit", "--pairs", "5"]) == 130
    assert "results-quick-so-far.json" in capsys.readouterr().err
    kept = json.loads((tmp_path / "results-quick-so-far.json").read_text("utf-8"))
    assert [found["engine"] for found in kept["rows"]] == [OURS, "limit-read"]
    assert (kept["pairs"], kept["left_out"], len(kept["ratios"])) == (5, 4, 1)


@pytest.mark.parametrize(
    ("arguments", "is_whole"),
    [([], True), (["--pairs", "9"], True), (["--pairs", "2"], False), (["--uncut"], False),
     (["--quick"], False), (["--workloads", "W1"], False)],
)  # fmt: skip
def test_only_the_whole_comparison_is_published(arguments: list[str], is_whole: bool) -> None:
    assert bench.is_whole(bench.read_options(arguments)) == is_whole


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    script = tmp_path / "run_it.py"
    script.write_text("raise ValueError('no bars in /some/where/x.parquet')\n", "utf-8")
    engine = OTHERS[0]._replace(script=script)
    with pytest.raises(RunFailed, match=r"W1 sma: ValueError: no bars in \(path\)"):
        run(engine, own_python(), tmp_path, "W1", "sma", 1)


def test_reasons_hold_no_addresses_and_no_paths() -> None:
    log = "Looking in x\nERROR: no match for a==1 from https://host.example/simple\nhint: none\n"
    assert last_error(log) == "ERROR: no match for a==1 from (address)"
    assert plain("No such file: /opt/some/where/x.txt") == "No such file: (path)"
    assert plain("3/4 of items/s") == "3/4 of items/s"


# -- the work -------------------------------------------------------------------------------


def test_peers_cross_where_this_project_does() -> None:
    prices = np.round(100 + np.cumsum(np.random.default_rng(7).normal(0, 0.05, 3000)), 2).tolist()
    peers, ours = Means(), OwnMeans()
    crosses = [(peers.add(price), ours.add(price)) for price in prices]
    assert all(theirs == own for theirs, own in crosses)
    assert sum(own for _, own in crosses) > 10


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """W2 with eight symbols, where the quick workloads lie."""
    folder = tmp_path_factory.mktemp("bench") / "quick"
    write_w2(folder / "W2", (QUICK[1].start, QUICK[1].end), 8)
    return folder


def test_pairs_of_real_runs(small: Path) -> None:
    comparison = Comparison(small, small)
    comparison.duel(Duel("W2", "slice", TAPEDECK, "sma"))
    comparison.duel(Duel("W2", "count", LIMITS[0], "none"))
    found = comparison.results(True, 1)
    assert [(r["engine"], r["pair"], r["items"]) for r in found["rows"]] == [
        (OURS, 1, 6240), (OURS, 1, 6240), (OURS, 2, 6240), ("limit-read", 2, 6240),
    ]  # fmt: skip
    assert all(r["load_s"] + r["run_s"] > 0 and r["peak_mb"] > 10 for r in found["rows"])
    assert [(r["strategy"], r["against"], r["pairs"]) for r in found["ratios"]] == [
        ("slice", OURS, 1), ("count", "limit-read", 1),
    ]  # fmt: skip
    fills = {r["strategy"]: r["fills"] for r in found["medians"]}
    assert fills["slice"] == fills["sma"] > 20  # the same orders, a slice at a time
    assert fills["count"] is None


def test_a_peer_keeps_its_other_work_when_one_fails(small: Path) -> None:
    bad = LIMITS[0]._replace(mode="bad")
    comparison = Comparison(small, small)
    for _ in range(2):
        comparison.duel(Duel("W2", "count", bad, "none"))
    comparison.duel(Duel("W2", "none", LIMITS[0]._replace(name="limit-read", mode="sort"), "none"))
    found = comparison.results(True, 1)
    assert [entry["engine"] for entry in found["missing"]] == ["limit-read"]
    assert "W2 none: limits: mode is 'bad'" in found["missing"][0]["reason"]
    assert [r["strategy"] for r in found["rows"]] == ["count"]  # not begun a second time


def test_this_project_runs_though_its_peers_are_missing(small: Path) -> None:
    comparison = Comparison(small, small)
    comparison.warm(QUICK[1])
    comparison.alone("W2", ["none"])
    comparison.alone("W2", ["none"])  # has run since
    found = comparison.results(True, 1)
    assert [(r["engine"], r["strategy"]) for r in found["rows"]] == [(OURS, "none")]
    assert found["ratios"] == []


def test_a_part_has_the_first_rows_of_every_file_and_is_named(tmp_path: Path) -> None:
    days = (date(2024, 3, 5), date(2024, 3, 7))
    workload = Workload("W2", *days, ("bars_1m",), partial(write_w2, days=days, symbols=2))
    comparison = Comparison(tmp_path / "data", tmp_path, has_parts=True)
    comparison.folder.mkdir()
    comparison.warm(workload)
    comparison.duel(Duel("W2", "none", LIMITS[0]._replace(runs_part=True), "none"))
    found = comparison.results(False, 1)
    assert [(r["engine"], r["items"]) for r in found["rows"]] == [
        (OURS, 2 * 3 * 390), ("limit-read", 2 * 390)
    ]  # fmt: skip
    assert found["parts"] == [
        {"engine": "limit-read", "workload": "W2", "items": 780, "of": 2340,
         "part": "the first two days"}
    ]  # fmt: skip
    whole, part = (
        pq.read_table(tmp_path / "data" / name / "bars_1m" / "symbol=S001" / "all.parquet")
        for name in ("W2", "W2-part")
    )
    assert part.equals(whole.slice(0, 390))
    assert PARTS.keys() == TAPEDECK.work.keys()
