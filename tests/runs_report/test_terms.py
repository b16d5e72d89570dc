"""Every statistic has a name for people, and a definition in docs/report.md."""

from __future__ import annotations

import re
from pathlib import Path

from app.runs.report import write_report
from app.runs.report.csv_files import EQUITY_COLUMNS, TRADE_COLUMNS
from app.runs.report.terms import TERMS
from tests.runs_report.made import facts, write_run

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text("utf-8")
NAMED = set(re.findall(r"`([a-z_]+)`", PAGE))


def test_statistics_are_the_terms(tmp_path: Path) -> None:
    made = write_report(write_run(tmp_path / "run"), facts())
    assert set(made["statistics"]) == set(TERMS)


def test_every_term_is_defined_in_the_docs() -> None:
    assert not set(TERMS) - NAMED


def test_every_part_of_the_summary_is_told_of(tmp_path: Path) -> None:
    made = write_report(write_run(tmp_path / "run"), facts())
    plain = {"report_version", "name", "currency", "outcome", "statistics"}
    assert not set(made) - plain - NAMED


def test_the_columns_of_both_csv_files_are_told_of() -> None:
    assert not {*TRADE_COLUMNS, *EQUITY_COLUMNS} - NAMED


def test_kinds_are_known() -> None:
    kinds = {term.kind for term in TERMS.values()}
    assert kinds == {"money", "share", "count", "ratio", "time", "seconds", "bps"}
