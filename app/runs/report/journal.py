"""What the events of a run say that is neither a fill nor a value: refusals, warnings, cash."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from app.errors import RunError
from app.runs.report.files import read_events
from app.runs.report.values import tidy
from app.times import format_time

TOPICS = (
    "order_rejected", "warning", "risk_halt", "stale_symbol", "corporate_action", "cash",
)  # fmt: skip


class Note(NamedTuple):
    """One event worth telling, with its time."""

    ts_ns: int
    payload: dict[str, Any]


class Cash(NamedTuple):
    """Cash without a fill."""

    kind: str
    amount: float
    symbol: str | None
    strategy_id: str | None


@dataclass
class Journal:
    """Counts by code, the first sentence of each code, and the rare events themselves."""

    refusals: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # by topic and code
    halts: list[Note] = field(default_factory=list)
    stale: list[Note] = field(default_factory=list)
    actions: list[Note] = field(default_factory=list)
    cash: list[Cash] = field(default_factory=list)

    def cash_of(self, *kinds: str) -> float:
        """Cash of these kinds together; what was paid is negative."""
        return tidy(math.fsum(c.amount for c in self.cash if c.kind in kinds))

    def example(self, topic: str, code: str) -> str:
        return self.examples.get(f"{topic} {code}", "")


def read_journal(folder: Path) -> Journal:
    events = read_events(folder, TOPICS)
    journal = Journal()
    for ts_ns, topic, payload in zip(*events, strict=True):
        try:
            _note(journal, topic, Note(ts_ns, payload))
        except (KeyError, TypeError, ValueError) as error:
            place = f"{folder / 'events.parquet'}: the {topic} at {format_time(ts_ns)}"
            raise RunError(f"{place} cannot be used: {error!r}") from error
    return journal


def _note(journal: Journal, topic: str, note: Note) -> None:
    payload = note.payload
    if topic == "order_rejected":
        journal.refusals[payload["code"]] += 1
        journal.examples.setdefault(f"{topic} {payload['code']}", payload["reason"])
    elif topic == "warning":
        journal.warnings[payload["code"]] += 1
        journal.examples.setdefault(f"{topic} {payload['code']}", payload["text"])
    elif topic == "cash":
        amount = float(payload["amount"])
        who = (payload.get("symbol"), payload.get("strategy_id"))
        journal.cash.append(Cash(payload["kind"], amount, *who))
    else:
        rare = {
            "risk_halt": journal.halts,
            "stale_symbol": journal.stale,
            "corporate_action": journal.actions,
        }
        rare[topic].append(note)


def by_count(counted: Counter[str]) -> dict[str, int]:
    """The most frequent first, ties by code point."""
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def symbols_of(notes: Iterable[Note]) -> list[str]:
    return sorted({note.payload["symbol"] for note in notes})
