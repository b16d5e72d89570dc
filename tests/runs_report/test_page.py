"""report.html: one well-formed file that loads nothing, with the same bytes for the same run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.runs.report import write_report
from app.runs.report.page import plotly_script
from tests.runs_report.made import (
    DAYS,
    days_of,
    equity,
    event,
    facts,
    fill,
    minute,
    prices,
    trade,
    write_run,
)

VOID = {"meta", "input", "br", "link", "img", "hr"}
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


class Page(HTMLParser):
    """Open elements, ids, attributes that could load something, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.loads += [found[n] or "" for n in ("src", "href", "srcset", "action") if n in found]
        assert not [name for name in found if name.startswith("on")], "an inline handler"
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def full_run(folder: Path, name: str = "run", symbol: str = "A") -> Path:
    """A bit of everything."""
    fills = [
        fill(symbol, "buy", 2, 100.0, flags=["ambiguous"]),
        fill(symbol, "sell", 2, 104.0, ts_event_ns=minute(9), commission=1.0),
    ]
    events = [
        event("order_rejected", symbol=symbol, code="lot", reason="3 is no multiple of 2"),
        event("warning", code="late", text="it came late"),
        event("risk_halt", scope="account", code="daily_loss", action="block", reason="lost 5 %"),
        event("corporate_action", symbol=symbol, kind="split", ratio=7.0, amount=0.0),
        event("corporate_action", symbol=symbol, kind="dividend", ratio=1.0, amount=0.47),
        event("stale_symbol", symbol=symbol, last_ns=1),
    ]
    return write_run(
        folder / name, fills=fills, events=events, round_trips=[trade(7.0, symbol=symbol)],
        equity=equity((minute(1), 1000.0), (minute(5), 990.0), (minute(9), 1007.0)),
        positions=[{"strategy_id": "s", "symbol": symbol, "quantity": 3.0, "average_price": 9.5}],
    )  # fmt: skip


def all_facts(symbol: str = "A", **more: Any) -> Any:
    bars = prices([minute(n) for n in range(5)], [100.0, 101.0, 99.0, 103.0, 104.0])
    plain = {
        "symbols": [symbol], "prices": {symbol: bars}, "coverage": {symbol: 91.23},
        "benchmark": {DAYS[0].date: 10.0, DAYS[1].date: 11.0}, "benchmark_symbol": symbol,
        "provenance": {"Digest": "td1:00ff"},
    }  # fmt: skip
    return facts(**(plain | more))


def page_of(run: Path, told: Any) -> Page:
    write_report(run, told)
    return Page((run / "report.html").read_text("utf-8"))


def test_well_formed_and_alone(tmp_path: Path) -> None:
    page = page_of(full_run(tmp_path), all_facts())
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.loads)
    assert not page.tags & {"link", "img", "iframe", "object", "embed", "base", "form"}


def test_nothing_may_be_loaded(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    page_of(run, all_facts())
    text = (run / "report.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'unsafe-inline';")
    assert "http" not in policy[1]
    ours = text.replace(plotly_script(), "")
    assert "http://" not in ours
    assert "https://" not in ours
    assert "@import" not in ours
    assert "url(" not in ours


def test_plotly_is_in_it_once_and_sends_nothing(tmp_path: Path) -> None:
    page = page_of(full_run(tmp_path), all_facts())
    assert [script == plotly_script() for script in page.scripts] == [False, True, False]
    assert 'showSendToCloud: false, plotlyServerURL: ""' in page.scripts[2]
    assert "sendChartToCloud" not in page.scripts[2]


def test_equal_runs_make_equal_bytes(tmp_path: Path) -> None:
    """Under another folder, with another manifest, and where services ran in other ways."""
    first, second = full_run(tmp_path, "one"), full_run(tmp_path, "two")
    manifest = json.loads((second / "manifest.json").read_text())
    manifest["config"]["services"] = {"execution": "inline"}
    (second / "manifest.json").write_text(json.dumps(manifest | {"finished": "now"}))
    assert write_report(first, all_facts()) == write_report(second, all_facts())
    for name in ("report.html", "trades.csv", "equity.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_what_a_reader_sees(tmp_path: Path) -> None:
    page = page_of(full_run(tmp_path), all_facts(strategies=["sma", "z"]))
    for text in (
        "2024-07-01 to 2024-07-02 \u00b7 A \u00b7 sma, z \u00b7 completed",
        "P&L 7.00", "Return 0.70 %", "Deepest drawdown \u22121.00 %",
        "CAGR \u2014 2 trading days, 60 are needed",
        "lot 1 3 is no multiple of 2", "late 1 it came late",
        "Risk halts (1)", "Corporate actions (2)", "Symbols whose data ended (1)",
        "Digest td1:00ff", "Open at the end (1)", "All 1, a row for each closed lot",
        "trades.csv beside this page", '"name": "made"', "Fill policy next_bar",
    ):  # fmt: skip
        assert text in page.text, text
    assert '"services"' not in page.text


def test_every_statistic_is_shown(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    made = write_report(run, all_facts())
    page = Page((run / "report.html").read_text("utf-8"))
    rows = re.findall(r'<th scope="row">', (run / "report.html").read_text("utf-8"))
    assert len(rows) >= len(made["statistics"])
    assert "Not defined: 1 trading day, 20 are needed." in page.text  # beta, of one return


def test_without_a_benchmark_there_is_one_sentence(tmp_path: Path) -> None:
    page = page_of(full_run(tmp_path), all_facts(benchmark=None))
    assert "Not defined: no benchmark was named." in page.text
    assert "Tracking error" not in page.text
    assert page.data["benchmark"] is None


@pytest.mark.parametrize(
    ("more", "fills", "level", "said"),
    [
        ({"policy": "immediate"}, [], "serious", "Optimistic run: 0 of 0 fills"),
        ({}, [fill("A", "buy", 1, 1.0, flags=["optimistic"])], "serious", "1 of 1 fills took"),
        ({"outcome": "failed", "cause": "no memory"}, [], "serious", "The run failed: no memory."),
        ({"outcome": "stopped", "reached_ns": minute(30)}, [], "serious",
         "The run stopped. All numbers are of the part that was replayed, until 2024-07-01 10:00."),
        ({}, [fill("A", "buy", 1, 1.0, flags=["ambiguous"])], "note", "1 of 1 fills are ambiguous"),
        ({"coverage": {"A": 94.9}}, [fill("A", "buy", 1, 1.0)], "note", "A 94.9 %"),
    ],
)  # fmt: skip
def test_notices_at_the_top(
    tmp_path: Path, more: dict[str, Any], fills: list[Any], level: str, said: str
) -> None:
    run = write_run(tmp_path / "run", fills=fills)
    made = write_report(run, facts(**more))
    assert [n["level"] for n in made["notices"] if said in n["text"]] == [level]
    text = (run / "report.html").read_text("utf-8")
    assert text.index(said) < text.index('<dl class="keys">')


def test_a_plain_run_has_no_notice(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", fills=[fill("A", "buy", 1, 1.0)])
    assert write_report(run, facts(coverage={"A": 100.0, "B": 3.0}))["notices"] == []
    assert 'class="notices"' not in (run / "report.html").read_text("utf-8")


def test_serious_notices_come_first(tmp_path: Path) -> None:
    made = write_report(full_run(tmp_path), all_facts(policy="immediate", outcome="stopped"))
    assert [notice["code"] for notice in made["notices"]] == [
        "stopped", "optimistic", "stale", "halted", "ambiguous", "coverage", "refusals", "warnings",
    ]  # fmt: skip


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    run = full_run(tmp_path, symbol=HOSTILE)
    told = all_facts(HOSTILE, name=HOSTILE, strategies=[HOSTILE], provenance={HOSTILE: HOSTILE})
    page = page_of(run, told)
    assert page.open == []
    assert len(page.scripts) == 3
    assert "img" not in page.tags
    assert page.data["prices"][0]["symbol"] == HOSTILE
    assert page.text.count(HOSTILE) > 5


def test_chart_times_are_exchange_time(tmp_path: Path) -> None:
    data = page_of(full_run(tmp_path), all_facts()).data
    shift_ms = -4 * 3_600_000  # New York in July
    opened = DAYS[0].open_ns // 1_000_000 + shift_ms
    assert data["account"]["x"][:2] == [opened, opened + 60_000]
    assert data["prices"][0]["x"][0] == opened
    assert data["prices"][0]["fills"]["q"] == [2.0, -2.0]
    assert data["prices"][0]["actions"]["text"] == ["split 7:1", "dividend 0.47"]
    assert data["trades"]["exit"] == [opened + 600_000]
    assert data["spans"][0][0] == opened
    assert len(data["spans"]) == 2


def test_the_benchmark_starts_where_the_account_does(tmp_path: Path) -> None:
    before = days_of("2024-06-28", "2024-06-28")[0].date
    closes = {before: 10.0, DAYS[0].date: 11.0, DAYS[1].date: 12.0}
    run = full_run(tmp_path)
    assert page_of(run, all_facts(benchmark=closes)).data["benchmark"]["y"] == [1100.0, 1200.0]
    del closes[before]
    data = page_of(run, all_facts(benchmark=closes)).data
    assert data["benchmark"]["y"] == pytest.approx([1000.0, 1090.91])
    assert page_of(run, all_facts(benchmark={before: 10.0})).data["benchmark"] is None


def test_runs_of_one_day_and_of_many_have_a_plain_axis(tmp_path: Path) -> None:
    for days in (DAYS[:1], days_of("2024-01-02", "2024-04-30")):
        run = write_run(tmp_path / str(len(days)))
        assert page_of(run, facts(days=days)).data["spans"] is None


def test_months_of_the_heatmap(tmp_path: Path) -> None:
    days = days_of("2023-12-28", "2024-02-01")
    rows = equity((days[0].close_ns, 1100.0), (days[-1].close_ns, 1210.0))
    data = page_of(write_run(tmp_path / "run", equity=rows), facts(days=days)).data["months"]
    assert data["years"] == ["2023", "2024"]
    assert data["values"][0][10:] == [None, pytest.approx(0.1)]
    assert data["values"][1][:3] == [0.0, pytest.approx(0.1), None]
    assert data["totals"] == pytest.approx([0.1, 0.1])


def test_long_listings_are_capped_and_say_so(tmp_path: Path) -> None:
    names = [f"S{n:03d}" for n in range(150)]
    fills = [fill(name, "buy", 1, 1.0 + n) for n, name in enumerate(names)]
    bars = {name: prices([minute(1)], [2.0]) for name in names}
    round_trips = [trade(float(n % 7 - 3)) for n in range(5_003)]
    positions = [
        {"strategy_id": "s", "symbol": name, "quantity": 1.0, "average_price": 1.0}
        for name in names
    ]
    run = write_run(
        tmp_path / "run", fills=fills + [fill("S149", "buy", 1, 1.0)] * 1_600,
        round_trips=round_trips, positions=positions,
    )  # fmt: skip
    page = page_of(run, facts(prices=bars, symbols=names))  # equity is empty: a row for the rest
    for text in (
        "150 symbols", "By symbol (the first 100 of 151)", "The first 5,000 of 5,003",
        "Symbol (the 12 best and worst of 151)", "Open at the end (the first 100 of 150)",
        "The 40 symbols with the most fills; 110 more were traded.",
    ):  # fmt: skip
        assert text in page.text, text
    assert len(page.data["prices"]) == 40
    assert page.data["prices"][0]["symbol"] == "S149"
    assert (len(page.data["prices"][0]["fills"]["x"]), page.data["prices"][0]["all_fills"]) == (
        1_500, 1_601,
    )  # fmt: skip
    assert len(page.data["pnl"]["symbol"]["x"]) == 24
    assert (len(page.data["trades"]["pnl"]), page.data["trades"]["all"]) == (5_000, 5_003)
    assert len((run / "trades.csv").read_text().splitlines()) == 5_004


def test_without_a_fill_there_is_no_price_chart(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path / "run"), facts())
    assert "No symbol was traded, or no prices were given." in page.text
    assert "No trade was closed." in page.text
    assert "chart-price" not in page.ids
