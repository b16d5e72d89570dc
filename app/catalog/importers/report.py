"""What an import did: files, rows, and every row that was rejected, by reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Progress = Callable[[int, int, str], None]  # done, total, label
KEPT_EXAMPLES = 5


class Example(NamedTuple):
    """Where a thing was seen; ``row`` counts from 1, 0 where it concerns the whole file."""

    file: str
    row: int
    what: str


@dataclass
class Counts:
    """Numbers by reason, each with its first examples."""

    by_reason: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(self, reason: str, count: int, examples: Sequence[Example] = ()) -> None:
        """Count ``count`` more of ``reason``; only its first few examples are kept."""
        if count <= 0:
            return
        self.by_reason[reason] = self.by_reason.get(reason, 0) + count
        kept = self.examples.setdefault(reason, [])
        kept.extend(examples[: KEPT_EXAMPLES - len(kept)])

    @property
    def total(self) -> int:
        return sum(self.by_reason.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``{reason: {count, examples: [{file, row, what}]}}``, by reason."""
        return {
            reason: {
                "count": self.by_reason[reason],
                "examples": [e._asdict() for e in self.examples[reason]],
            }
            for reason in sorted(self.by_reason)
        }


@dataclass
class ImportReport:
    """What an import read, wrote, rejected and skipped.

    ``rejected`` are rows that were left out, ``notes`` rows that were kept but needed a
    decision (and rows of factor files that say nothing), ``skipped`` files that are no
    input of the server. ``rows_read`` is always ``rows_written`` plus ``rejected.total``;
    ``actions`` are the splits and dividends derived from factor files, whose rows are
    not among those.
    """

    files_read: int = 0
    files_written: int = 0
    rows_read: int = 0
    rows_written: int = 0
    actions: int = 0
    rejected: Counts = field(default_factory=Counts)
    notes: Counts = field(default_factory=Counts)
    skipped: Counts = field(default_factory=Counts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "files_read": self.files_read,
            "files_written": self.files_written,
            "rows_read": self.rows_read,
            "rows_written": self.rows_written,
            "actions": self.actions,
            "rejected": self.rejected.to_dict(),
            "notes": self.notes.to_dict(),
            "skipped": self.skipped.to_dict(),
        }


def no_progress(done: int, total: int, label: str) -> None:
    """The progress of a caller who does not want any."""
