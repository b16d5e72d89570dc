"""What is checked of every stream in its order: lateness, dates, hours, days without data."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from app.catalog.doctor.findings import Findings, Place, Severity
from app.catalog.doctor.rows import Mask, Rows
from app.catalog.doctor.sessions import Piece, Sessions
from app.catalog.doctor.values import check_values, report
from app.times import format_time

_LIFETIME = timedelta(days=365 * 30)  # no stream rests so long
_NEVER = np.iinfo(np.int64).min


class Tally:
    """How often something was seen, on how many days, and where first."""

    def __init__(self) -> None:
        self.count = 0
        self.days = 0
        self.first: tuple[Place, str] | None = None
        self._day: date | None = None

    def take(self, rows: Rows, found: Mask, piece: Piece) -> None:
        count = int(np.count_nonzero(found))
        if not count:
            return
        first = int(np.argmax(found))
        self.first = self.first or (rows.place(first), rows.text(first))
        self.count += count
        self.days += self._day != piece.date
        self._day = piece.date


class StreamDoctor:
    """One stream, fed chunk by chunk in source order, then finished. Its state is a day's."""

    def __init__(self, sessions: Sessions, findings: Findings) -> None:
        self.sessions = sessions
        self.findings = findings
        self._highest_ns = int(_NEVER)
        self._day: date | None = None

    def feed(self, rows: Rows) -> None:
        """The next rows of this stream."""
        rows = self._in_order(check_values(rows, self.findings))
        rows = self.accept(rows)
        for piece in self.sessions.pieces(rows.ts_ns):
            own = rows.take(slice(piece.low, piece.high))
            self._check_date(own, piece)
            own = replace(own, day=piece.date)
            self._check_missing_days(own, piece)
            self.check_hours(own, piece)
            self.examine(own, piece)

    def accept(self, rows: Rows) -> Rows:
        """Rows that a replay would take of those in order."""
        return rows

    def examine(self, rows: Rows, piece: Piece) -> None:
        """Rows of one date; more of the same date may follow."""

    def finish(self) -> None:
        """Nothing follows."""

    def _in_order(self, rows: Rows) -> Rows:
        before = np.maximum.accumulate(np.concatenate([[self._highest_ns], rows.ts_ns]))
        late = rows.ts_ns < before[:-1]
        self._highest_ns = int(before[-1])
        if not late.any():
            return rows
        first = int(np.argmax(late))
        said = f"{rows.text(first)} stands after {format_time(int(before[first]))}"
        count = int(late.sum())
        self.findings.add(Severity.ERROR, "disorder", rows.place(first), said, count)
        return rows.take(~late)

    def _check_date(self, rows: Rows, piece: Piece) -> None:
        if rows.day is not None and rows.day != piece.date:
            said = f"{rows.text(0)} is of {piece.date}"
            self.findings.add(Severity.WARNING, "wrong_date", rows.place(0), said, len(rows))

    def _check_missing_days(self, rows: Rows, piece: Piece) -> None:
        if piece.session is None or self._day == piece.date:
            return
        if self._day is not None:
            self._report_missing_days(rows, self._day, piece.date)
        self._day = piece.date

    def _report_missing_days(self, rows: Rows, last: date, day: date) -> None:
        if day - last > _LIFETIME:
            said = f"{last} and then {day}: one of them must be wrong"
            self.findings.add(Severity.ERROR, "implausible_time", rows.place(0), said)
            return
        count, first = self.sessions.between(last, day)
        if count:
            place = Place(rows.dataset, rows.symbol, first, rows.file)
            said = f"{count} between {last} and {day}"
            self.findings.add(Severity.WARNING, "missing_days", place, said, count, count)

    def check_hours(self, rows: Rows, piece: Piece) -> None:
        """Rows of extended hours, of a break, of the night, of a day that is no trading day."""
        session = piece.session
        if session is None:
            said = f"{piece.date} is no trading day"
            everything = np.ones(len(rows), bool)
            report(self.findings, Severity.WARNING, "outside_sessions", rows, everything, said)
            return
        times = rows.ts_ns
        outside = (times < session.first_ns) | (times > session.end_ns)
        for start, end in session.breaks:
            outside |= (times >= start) & (times < end)
        report(self.findings, Severity.WARNING, "outside_sessions", rows, outside)
        before, after = times < session.open_ns, times > session.close_ns
        extended: Mask = ~outside & (before | after)
        report(self.findings, Severity.INFO, "extended_hours", rows, extended)
