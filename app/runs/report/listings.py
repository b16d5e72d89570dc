"""Listings below the charts: P&L by name, open positions, codes, rare events, what was run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import orjson

from app.runs.report.breakdown import last_mark
from app.runs.report.journal import Note
from app.runs.report.local_time import local_text
from app.runs.report.markup import (
    element,
    fact_list,
    name_cell,
    number_cell,
    shown,
    table,
    text_cell,
    tone,
)
from app.runs.report.summary import Run

MAX_ROWS = 100


def pnl_tables(run: Run, summary: dict[str, Any]) -> str:
    parts = (
        ("Symbol", "symbol", "pnl_by_symbol"),
        ("Strategy", "strategy_id", "pnl_by_strategy"),
    )
    return "".join(_pnl_table(*part, run, summary) for part in parts)


def _pnl_table(caption: str, key: str, name: str, run: Run, summary: dict[str, Any]) -> str:
    rows = sorted(summary[name], key=lambda row: (-row["pnl"], row[key] or ""))
    cap = _cap(len(rows))
    heads = [caption, "P&L ", "Costs ", "Traded value ", "Fills ", "Trades ", "Won "]
    if key == "symbol":
        heads.append("Coverage ")
    body = [_pnl_row(key, row, run) for row in rows[:MAX_ROWS]]
    return table(f"By {caption.lower()}{cap}", heads, body)


def _pnl_row(key: str, row: dict[str, Any], run: Run) -> list[str]:
    zone = run.facts.tz
    cells = [
        name_cell(row[key] or "(account)"),
        number_cell(shown(row["pnl"], "money", zone), tone(row["pnl"])),
        number_cell(shown(row["costs"], "money", zone)),
        number_cell(shown(row["traded_value"], "money", zone)),
        *(number_cell(f"{row[name]:,}") for name in ("fills", "trades", "winning_trades")),
    ]
    if key == "symbol":
        coverage = run.facts.coverage.get(row[key] or "")
        cells.append(number_cell("\u2014" if coverage is None else f"{coverage:.1f} %"))
    return cells


def positions(run: Run) -> str:
    zone = run.facts.tz
    rows = [
        [
            name_cell(position.symbol), text_cell(position.strategy_id),
            number_cell(shown(position.quantity, "quantity", zone)),
            number_cell(shown(position.average_price, "price", zone)),
            number_cell(shown(last_mark(position, run.facts), "price", zone)),
            number_cell(shown(position.quantity * last_mark(position, run.facts), "money", zone)),
        ]
        for position in run.positions[:MAX_ROWS]
    ]  # fmt: skip
    if not rows:
        return element("p", "No position was open at the end.", "soft")
    heads = ["Symbol", "Strategy", "Quantity ", "Average price ", "Last mark ", "Value "]
    return table(f"Open at the end{_cap(len(run.positions))}", heads, rows)


def codes(run: Run, summary: dict[str, Any]) -> str:
    """Refusals and warnings by code."""
    return "".join(
        _codes(caption, topic, summary[name], run)
        for caption, topic, name in (
            ("Refusals by code", "order_rejected", "rejected_by_code"),
            ("Warnings by code", "warning", "warnings_by_code"),
        )
    )


def _codes(caption: str, topic: str, counted: dict[str, int], run: Run) -> str:
    if not counted:
        return element("p", f"{caption}: none.", "soft")
    rows = [
        [name_cell(code), number_cell(f"{count:,}"), text_cell(run.journal.example(topic, code))]
        for code, count in counted.items()
    ]
    return table(caption, ["Code", "Count ", "The first"], rows)


def rare_events(run: Run) -> str:
    """Halts, corporate actions and stale symbols, each folded away."""
    journal = run.journal
    return "".join(
        _folded(title, notes, run)
        for title, notes in (
            ("Risk halts", journal.halts),
            ("Corporate actions", journal.actions),
            ("Symbols whose data ended", journal.stale),
        )
        if notes
    )


def _folded(title: str, notes: Sequence[Note], run: Run) -> str:
    items = "".join(
        element("li", f"{local_text(note.ts_ns, run.facts.tz)}: {_told(note.payload)}")
        for note in notes[:MAX_ROWS]
    )
    return f"<details><summary>{title}{_cap(len(notes))}</summary><ul>{items}</ul></details>"


def _cap(rows: int) -> str:
    """How many rows there are, and how many of them are shown."""
    return f" (the first {MAX_ROWS} of {rows:,})" if rows > MAX_ROWS else f" ({rows:,})"


def _told(payload: dict[str, Any]) -> str:
    """The fields of an event that a reader wants, in their order."""
    left_out = ("type", "ts_event_ns", "ts_created_ns")
    told = (
        f"{name} {value}" for name, value in payload.items()
        if name not in left_out and value is not None
    )  # fmt: skip
    return ", ".join(told)


def provenance(run: Run, config: dict[str, Any]) -> str:
    """What the run was made of. Where its services ran changes nothing, and is left out."""
    kept = {name: section for name, section in config.items() if name != "services"}
    text = orjson.dumps(kept, option=orjson.OPT_INDENT_2, default=str).decode()
    facts: Iterable[tuple[str, str]] = [
        ("Fill policy", run.facts.policy),
        ("Exchange time", run.facts.zone),
        ("Sessions a year", f"{run.facts.sessions_a_year:g}"),
        *run.facts.provenance.items(),
    ]
    return (
        f"{fact_list(facts)}<details><summary>Configuration</summary>"
        f"<pre>{escape(text)}</pre></details>"
    )
