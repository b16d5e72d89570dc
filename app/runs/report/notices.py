"""What a reader must know before believing the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.runs.report.facts import ReportInput
from app.runs.report.files import Fills
from app.runs.report.journal import Journal, symbols_of
from app.runs.report.local_time import local_text

LOW_COVERAGE = 95.0
_SHOWN = 8


class Notice(NamedTuple):
    """``level`` is serious (doubts the numbers) or note; ``code`` is stable."""

    level: str
    code: str
    text: str


def notices_of(facts: ReportInput, fills: Fills, journal: Journal) -> list[Notice]:
    """The serious ones first."""
    found = [
        *_outcome(facts), *_optimistic(facts, fills), *_stale(journal), *_halts(journal),
        *_ambiguous(fills), *_coverage(facts, fills), *_counted(journal),
    ]  # fmt: skip
    return sorted(found, key=lambda notice: notice.level != "serious")


def _outcome(facts: ReportInput) -> list[Notice]:
    if facts.outcome == "completed":
        return []
    reached = facts.reached_ns
    until = f", until {local_text(reached, facts.tz)}" if reached is not None else ""
    cause = f": {facts.cause}" if facts.cause else ""
    text = f"The run {facts.outcome}{cause}. All numbers are of the part that was replayed{until}."
    return [Notice("serious", facts.outcome, text)]


def _optimistic(facts: ReportInput, fills: Fills) -> list[Notice]:
    count = fills.flags.get("optimistic", 0)
    if facts.policy != "immediate" and not count:
        return []
    text = (
        f"Optimistic run: {count:,} of {len(fills.price):,} fills took a price that was known "
        "before the order was sent. A live account would have done worse."
    )
    return [Notice("serious", "optimistic", text)]


def _stale(journal: Journal) -> list[Notice]:
    symbols = symbols_of(journal.stale)
    if not symbols:
        return []
    text = f"Data ended while a position was open: {_some(symbols)}. Its last mark still counts."
    return [Notice("serious", "stale", text)]


def _halts(journal: Journal) -> list[Notice]:
    halts = [note for note in journal.halts if note.payload.get("active", True)]
    if not halts:
        return []
    first = halts[0].payload
    text = f"Risk halted trading {_times(len(halts))}. The first: {first['reason']}"
    return [Notice("note", "halted", text)]


def _ambiguous(fills: Fills) -> list[Notice]:
    count = fills.flags.get("ambiguous", 0)
    if not count:
        return []
    text = (
        f"{count:,} of {len(fills.price):,} fills are ambiguous: the bar does not tell which of "
        "two prices came first, and the worse was taken."
    )
    return [Notice("note", "ambiguous", text)]


def _coverage(facts: ReportInput, fills: Fills) -> list[Notice]:
    low = [
        f"{symbol} {coverage:.1f} %"
        for symbol in fills.symbol.names
        if (coverage := facts.coverage.get(symbol)) is not None and coverage < LOW_COVERAGE
    ]
    if not low:
        return []
    text = f"Traded symbols with less than {LOW_COVERAGE:.0f} % of the expected minutes: "
    return [Notice("note", "coverage", f"{text}{_some(low)}.")]


def _counted(journal: Journal) -> list[Notice]:
    found = []
    if journal.refusals:
        count = _count(sum(journal.refusals.values()), "refusal")
        text = f"{count} of orders, changes or signals; the codes are below."
        found.append(Notice("note", "refusals", text))
    if journal.warnings:
        count = _count(sum(journal.warnings.values()), "warning")
        found.append(Notice("note", "warnings", f"{count}; the codes are below."))
    return found


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
