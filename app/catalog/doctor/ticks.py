"""Quotes whose sides cross or lock. Trades have no check of their own: equal ones are real."""

from __future__ import annotations

from app.catalog.doctor.findings import Findings, Severity
from app.catalog.doctor.rows import Rows
from app.catalog.doctor.sessions import Piece, Sessions
from app.catalog.doctor.streams import StreamDoctor, Tally

_OFTEN = {"crossed": 0.01, "locked": 0.2}  # share of all quotes from which it is suspect


class QuoteDoctor(StreamDoctor):
    """Counts crossed and locked quotes; how bad that is, their share says in the end."""

    def __init__(self, sessions: Sessions, findings: Findings) -> None:
        super().__init__(sessions, findings)
        self._quotes = 0
        self._tallies = {check: Tally() for check in _OFTEN}

    def examine(self, rows: Rows, piece: Piece) -> None:
        bid, ask = rows.values["bid"], rows.values["ask"]
        self._quotes += len(rows)
        self._tallies["crossed"].take(rows, bid > ask, piece)
        self._tallies["locked"].take(rows, bid == ask, piece)

    def finish(self) -> None:
        for check, tally in self._tallies.items():
            if tally.first is not None:
                place, example = tally.first
                share = tally.count / self._quotes
                severity = Severity.WARNING if share > _OFTEN[check] else Severity.INFO
                said = f"{example} ({share:.2%} of quotes)"
                self.findings.add(severity, check, place, said, tally.count, tally.days)
