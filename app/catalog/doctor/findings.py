"""What the doctor found, gathered so that memory does not grow with the catalog.

One finding stands for one check of one stream: how often, on how many days, and
the first example with its file and row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple


class Severity(StrEnum):
    """How bad: an error loses or falsifies data, a warning may, an info is good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


# Every check, and what to do about what it finds.
MEND = {
    "unreadable": "Copy or import the file again; a session that needs it fails.",
    "wrong_columns": "Import the data with a column map so that names and types are as needed.",
    "wrong_place": "Name it <dataset>/symbol=X/date=YYYY-MM-DD.parquet, or add a column symbol.",
    "unknown_dataset": "Nothing to do: a replay reads bars_1m, trades, quotes, daily, "
    "corporate_actions and halts only.",
    "empty_file": "Remove the file, or import that day again.",
    "null": "Repair it at the source and import again; such rows are dropped as invalid.",
    "nan": "Repair it at the source and import again; such rows are dropped as invalid.",
    "infinite": "Repair it at the source and import again; such rows are dropped as invalid.",
    "negative": "Repair it at the source and import again; such rows are dropped as invalid.",
    "half_side": "Give a quote's side both price and size, or neither; such rows are dropped.",
    "nan_for_null": "Write null where there is no value; NaN is read as null.",
    "zero_price": "Look at the source: a price of zero is nearly always a placeholder.",
    "ohlc": "Repair it at the source: high must be the highest and low the lowest of the four.",
    "interleaved": "Bring it into order: tapedeck catalog build SOURCE --to CATALOG.",
    "off_grid": "Start 1m bars on whole minutes; others do not fit the grid of derived bars.",
    "disorder": "Sort the rows by ts (tapedeck catalog build does); late rows are dropped.",
    "duplicate": "Remove the copies; the first one is replayed, the others are dropped.",
    "conflict": "Find out which bar is right: the first one is replayed, the others are dropped.",
    "wrong_date": "Move the rows to the file of their trading date, or check the time zone.",
    "implausible_time": "Check the unit of the times (seconds, milliseconds) and import again.",
    "outside_sessions": "Check calendar and time zone; such rows are replayed in no hours.",
    "extended_hours": "Nothing to do: they are replayed with hours=extended or hours=all.",
    "missing_minutes": "Quiet minutes are normal in thin names; import a long hole again.",
    "missing_days": "Import these days, or replay only ranges that have them.",
    "fill_forward": "Remove invented bars at the source; they count as received in quality.",
    "end_stamped": "Import again as end-stamped bars: ts must be the start of the minute.",
    "split_jump": "If it is a split, add it to corporate_actions; prices look unadjusted.",
    "known_split": "Nothing to do: corporate_actions has it.",
    "spans_split": "Remove the bar: it mixes prices from before and after, or holds a bad tick.",
    "crossed": "Nothing to do for moments; where it is frequent, check the order of the quotes.",
    "locked": "Nothing to do for moments; where it is frequent, check the order of the quotes.",
    "bad_action": "Give a split a positive ratio and a dividend an amount.",
    "bad_halt": "Give a halt a start with a zone, and an end after it (null: until further).",
}
COLUMNS = (
    "severity", "check", "dataset", "symbol", "day", "file", "row", "count", "days", "example",
    "mend",
)  # fmt: skip


class Place(NamedTuple):
    """Where something was found."""

    dataset: str
    symbol: str | None = None
    day: date | None = None
    file: str | None = None
    row: int | None = None  # 1-based within the file


@dataclass
class Finding:
    """One check of one stream: ``place`` and ``example`` are of the first case."""

    severity: Severity
    check: str
    place: Place
    example: str
    count: int = 0
    days: int = 0
    last_day: date | None = None

    @property
    def mend(self) -> str:
        return MEND[self.check]

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the names of ``COLUMNS``."""
        place = self.place
        day = None if place.day is None else place.day.isoformat()
        values = (
            self.severity.value, self.check, place.dataset, place.symbol, day, place.file,
            place.row, self.count, self.days, self.example, self.mend,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


class Findings:
    """Gathers findings; one writer."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str | None], Finding] = {}

    def add(
        self,
        severity: Severity,
        check: str,
        place: Place,
        example: str,
        count: int = 1,
        days: int | None = None,
    ) -> None:
        """``count`` more cases; the first place and example are kept.

        ``days``: on how many days they are; None where it is the day of ``place``.
        """
        key = (severity.value, check, place.dataset, place.symbol)
        finding = self._found.setdefault(key, Finding(severity, check, place, example))
        finding.count += count
        if days is not None:
            finding.days += days
        elif place.day is not None and place.day != finding.last_day:
            finding.days += 1
            finding.last_day = place.day

    def sorted(self) -> list[Finding]:
        """Errors first, then by dataset, symbol and check."""
        rank = list(Severity)
        return sorted(
            self._found.values(),
            key=lambda f: (rank.index(f.severity), f.place.dataset, f.place.symbol or "", f.check),
        )


@dataclass
class Diagnosis:
    """The whole answer of ``diagnose``."""

    root: str
    calendar: str
    files: int = 0
    items: int = 0
    findings: list[Finding] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        """How many findings (not cases) of one severity there are."""
        return sum(f.severity is severity for f in self.findings)

    @property
    def exit_code(self) -> int:
        """1 where there is an error, else 0."""
        return int(self.count(Severity.ERROR) > 0)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``: totals and findings, plain values only."""
        return {
            "root": self.root,
            "calendar": self.calendar,
            "files": self.files,
            "rows": self.items,
            **{f"{s.value}s": self.count(s) for s in Severity},
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """One row of text a finding, in the order of ``COLUMNS``, empty where nothing applies."""
        return [
            tuple("" if value is None else str(value) for value in finding.to_dict().values())
            for finding in self.findings
        ]
