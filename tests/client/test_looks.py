"""What people see in a notebook: tables, bars that say how far it is, problems in words."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import app.client as client
from app.client import AsyncTapedeck, ConnectionProblem, RunDetail, Runs, ServerProblem, Tapedeck
from app.client.answers import convert
from app.notebook import fields_html, rows_html
from app.progress import progress_bar
from tests.client.small_catalog import DAYS


def html_of(answer: Any) -> str:
    shown: str = answer._repr_html_()
    return shown


def test_tables_escape_and_set_numbers_to_the_right() -> None:
    assert fields_html("<b>", [("a & b", "<i>"), ("none", None), ("n", 1234567)]) == (
        "<strong>&lt;b&gt;</strong><table>"
        '<tr><th style="text-align:left">a &amp; b</th>'
        '<td style="text-align:left">&lt;i&gt;</td></tr>'
        '<tr><th style="text-align:left">n</th>'
        '<td style="text-align:left">1,234,567</td></tr></table>'
    )
    shown = rows_html("t", ["a", "b"], [("x", 0.5), (None, True)])
    assert '<td style="text-align:left">x</td><td style="text-align:right">0.5</td>' in shown
    assert '<td style="text-align:left"></td>' in shown


def test_a_session_is_a_table(real_url: str) -> None:
    with Tapedeck(real_url) as deck:
        assert "No session" in html_of(deck.session())
        deck.start("AIG", DAYS[0], DAYS[1], speed=0)
        shown = html_of(deck.wait())
    for words in ("Session s1: COMPLETED", "2 of 2", "2013-10-08T20:", "td1:"):
        assert words in shown


def test_runs_are_tables() -> None:
    run = {"id": "a-1", "name": "a", "state": "failed", "cause": "no <luck>", "events": 7,
           "created": "2024-01-02T15:00:00Z"}  # fmt: skip
    shown = html_of(convert({"runs": [run]}, Runs))
    assert "no &lt;luck&gt;" in shown
    assert "2024-01-02T15:00:00Z" in shown
    more = run | {"summary": {"statistics": {"return": 0.25}}, "files": ["a.csv", "b.csv"],
                  "progress": {"fraction": 0.5}}  # fmt: skip
    shown = html_of(convert(more, RunDetail))
    for words in ("Run a-1: failed", "return", "0.25", "a.csv, b.csv", "50%"):
        assert words in shown


def test_waiting_shows_how_far_it_is(real_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Tapedeck(real_url) as deck:
        deck.start("AIG", DAYS[0], DAYS[1], speed=0)
        assert deck.wait(progress=True, every_s=0.01).state == "COMPLETED"
    told = capsys.readouterr().err
    assert "session 2/2 days" in told
    assert "100%" in told


def test_waiting_ends_where_a_session_is_paused_and_shows_nothing_unasked(
    real_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def wait() -> str:
        async with AsyncTapedeck(real_url) as deck:
            await deck.start("AIG", DAYS[0], DAYS[0], speed=0, start_paused=True)
            return (await deck.wait()).state

    assert asyncio.run(wait()) == "PAUSED"
    assert capsys.readouterr().err == ""


def test_a_bar_goes_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("title") as tell:
        tell(0.25, "one")
        tell(1.0, "two")
    told = capsys.readouterr().err
    assert "title two 100%" in told


def test_problems_are_sentences_in_a_notebook(real_url: str) -> None:
    with Tapedeck(real_url) as deck, pytest.raises(ServerProblem) as caught:
        deck.start("AIGG", *DAYS)
    (line,) = caught.value._render_traceback_()
    assert line.startswith("ServerProblem: 404 ")
    assert "nearest: AIG" in line
    with Tapedeck("http://127.0.0.1:1") as deck, pytest.raises(ConnectionProblem) as gone:
        deck.session()
    assert gone.value._render_traceback_()[0].startswith("ConnectionProblem: no Tapedeck server")


def test_everything_public_is_described() -> None:
    bare = [name for name in client.__all__ if not (getattr(client, name).__doc__ or "").strip()]
    assert bare == ["Message"] or not bare  # a union of types has the doc of its kind
    for made in (Tapedeck, AsyncTapedeck):
        methods = [n for n in vars(made) if not n.startswith("_")]
        assert not [n for n in methods if not (getattr(made, n).__doc__ or "").strip()]


def test_types_are_shipped() -> None:
    assert (Path(client.__file__).parents[1] / "py.typed").is_file()
