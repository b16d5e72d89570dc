"""The report of a finished run: its numbers, ``report.html``, ``trades.csv``, ``equity.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.runs.manifest import write_whole
from app.runs.report.csv_files import write_equity, write_trades
from app.runs.report.facts import DayFacts, PriceColumns, ReportInput
from app.runs.report.files import read_config
from app.runs.report.page import page
from app.runs.report.summary import read_run, summary_of

__all__ = ["DayFacts", "PriceColumns", "ReportInput", "write_report"]


def write_report(folder: Path, facts: ReportInput, made_of: Path | None = None) -> dict[str, Any]:
    """Write the report of the run in ``folder`` and return its summary, ready for JSON.

    Reads the run's Parquet files and the configuration in ``manifest.json``, which may lie in
    another folder, ``made_of``. A statistic that is
    not defined is None and has its reason under ``not_defined``. A file that is missing or cannot
    be used raises RunError.
    """
    run = read_run(folder, facts)
    summary = summary_of(run)
    html = page(run, summary, read_config(made_of or folder))
    write_trades(folder / "trades.csv", run)
    write_equity(folder / "equity.csv", run)
    write_whole(folder / "report.html", html.encode())
    return summary
