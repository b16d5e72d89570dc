"""Checks of 1m bars: grid, duplicates, gaps, invented bars, and how they are stamped."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np

from app.calendar import TradingDay
from app.catalog.doctor.findings import Findings, Place, Severity
from app.catalog.doctor.rows import Mask, Rows
from app.catalog.doctor.sessions import Piece, Sessions
from app.catalog.doctor.splits import SplitDoctor
from app.catalog.doctor.streams import StreamDoctor, Tally
from app.catalog.doctor.values import report
from app.model import Ints
from app.times import MINUTE_NS, format_time

_HOLE_MINUTES = 15  # a name that is else nearly always there does not rest so long
_BUSY = 0.9
_RUN_BARS = 5
_MANY_INVENTED = 0.05
_CLEAR = 0.6  # share of days that must look end-stamped


class _Day:
    """The regular minutes of the day at hand."""

    def __init__(self, session: TradingDay, place: Place) -> None:
        self.session = session
        self.place = place
        self.minutes = session.regular_minutes()
        self.present = np.zeros(len(self.minutes), bool)
        self.at_close = False

    def take(self, ts_ns: Ints) -> None:
        places = np.searchsorted(self.minutes, ts_ns)
        inside = places < len(self.minutes)
        inside[inside] = self.minutes[places[inside]] == ts_ns[inside]
        self.present[places[inside]] = True
        self.at_close |= bool(np.any(ts_ns == self.session.close_ns))

    def gaps(self) -> tuple[Ints, Ints]:
        """First minute of each run of missing ones and its length; breaks cut runs."""
        absent = np.flatnonzero(~self.present)
        if not len(absent):
            return absent, absent
        apart = (np.diff(absent) > 1) | (np.diff(self.minutes[absent]) > MINUTE_NS)
        starts = np.concatenate([[0], np.flatnonzero(apart) + 1])
        return absent[starts], np.diff(np.append(starts, len(absent)))


class BarDoctor(StreamDoctor):
    """One symbol's 1m bars."""

    def __init__(
        self, sessions: Sessions, findings: Findings, splits: dict[date, float] | None = None
    ) -> None:
        super().__init__(sessions, findings)
        self._splits = SplitDoctor(findings, splits or {})
        self._last: Rows | None = None  # the last bar that was taken
        self._current: _Day | None = None
        self._stamps = _Stamps()
        self._invented = _Invented()

    def accept(self, rows: Rows) -> Rows:
        """Bars on the grid; of those with one start the first."""
        off = rows.ts_ns % MINUTE_NS != 0
        report(self.findings, Severity.ERROR, "off_grid", rows, off)
        if not len(rows):
            return rows
        joined = rows if self._last is None else _join(self._last, rows)
        carried = len(joined) - len(rows)
        again = np.concatenate([[False], np.diff(joined.ts_ns) == 0])
        kept = np.maximum.accumulate(np.where(again, 0, np.arange(len(joined))))
        equal = np.ones(len(joined), bool)
        for column in joined.values.values():
            equal &= (column == column[kept]) | (np.isnan(column) & np.isnan(column[kept]))
        new = slice(carried, None)
        report(self.findings, Severity.WARNING, "duplicate", rows, (again & equal)[new])
        report(self.findings, Severity.ERROR, "conflict", rows, (again & ~equal)[new])
        taken = joined.take(~again)
        self._last = taken.take(slice(-1, None))
        return rows.take(~again[new])

    def examine(self, rows: Rows, piece: Piece) -> None:
        self._invented.take(rows, piece)
        self._splits.check_bars(rows, piece)
        if piece.session is None:
            return
        if self._current is None or self._current.session.date != piece.date:
            self._close_day()
            self._current = _Day(piece.session, rows.place(0))
        self._current.take(rows.ts_ns)

    def finish(self) -> None:
        self._close_day()
        self._invented.report(self.findings)
        self._stamps.report(self.findings)

    def _close_day(self) -> None:
        if self._current is None:
            return
        self._stamps.take(self._current)
        firsts, lengths = self._current.gaps()
        if not len(lengths):
            return
        day = self._current
        missing, longest = int(lengths.sum()), int(lengths.max())
        total = len(day.minutes)
        else_there = (total - missing) / max(total - longest, 1)
        hole = longest >= _HOLE_MINUTES and else_there >= _BUSY
        start = int(day.minutes[firsts[np.argmax(lengths)]])
        said = (
            f"{total - missing} of {total} minutes; longest gap {longest} from {format_time(start)}"
        )
        place = day.place._replace(row=None)
        severity = Severity.WARNING if hole else Severity.INFO
        self.findings.add(severity, "missing_minutes", place, said, missing)


class _Stamps:
    """Evidence that bars are labelled by their end: one at the close, never one at the open."""

    def __init__(self) -> None:
        self._days = 0
        self._like_ends = 0
        self._first: Place | None = None

    def take(self, day: _Day) -> None:
        there = np.flatnonzero(day.present)
        if day.present[0]:
            self._days = -1  # one bar at an open settles it
        if self._days < 0:
            return
        self._days += 1
        thick = len(there) >= len(day.present) / 2
        if thick and there[0] == 1 and day.at_close:
            self._like_ends += 1
            self._first = self._first or day.place

    def report(self, findings: Findings) -> None:
        if self._first is not None and self._days > 0 and self._like_ends >= _CLEAR * self._days:
            said = (
                f"on {self._like_ends} of {self._days} days the first bar is a minute after the "
                "open and one is at the close; none is at an open"
            )
            days = self._like_ends
            findings.add(Severity.WARNING, "end_stamped", self._first, said, days, days)


class _Invented:
    """Runs of flat bars without volume that repeat the close before them."""

    def __init__(self) -> None:
        self._bars = self._runs = self._longest = self._run = 0
        self._close = np.nan
        self._tally = Tally()

    def take(self, rows: Rows, piece: Piece) -> None:
        v = rows.values
        before = np.concatenate([[self._close], v["close"][:-1]])
        flat: Mask = (v["volume"] == 0) & (v["high"] == v["low"]) & (v["close"] == before)
        flat &= v["open"] == v["close"]
        self._bars += len(rows)
        self._tally.take(rows, flat, piece)
        self._close = float(v["close"][-1])
        for is_flat, length in _run_lengths(flat):
            self._runs += is_flat and not self._run
            self._run = self._run + length if is_flat else 0
            self._longest = max(self._longest, self._run)

    def report(self, findings: Findings) -> None:
        tally = self._tally
        if tally.first is None:
            return
        place, text = tally.first
        many = tally.count >= _MANY_INVENTED * self._bars
        severity = Severity.WARNING if many or self._longest >= _RUN_BARS else Severity.INFO
        said = f"{self._runs} runs, the longest of {self._longest} bars; first {text}"
        findings.add(severity, "fill_forward", place, said, tally.count, tally.days)


def _run_lengths(flags: Mask) -> list[tuple[bool, int]]:
    edges = np.concatenate([[0], np.flatnonzero(np.diff(flags)) + 1, [len(flags)]])
    return [(bool(flags[low]), int(high - low)) for low, high in pairwise(edges)]


def _join(last: Rows, rows: Rows) -> Rows:
    """The last bar taken before the next rows; columns that either lacks are left out."""
    common = last.values.keys() & rows.values.keys()
    return replace(
        rows,
        numbers=np.concatenate([last.numbers, rows.numbers]),
        ts_ns=np.concatenate([last.ts_ns, rows.ts_ns]),
        values={n: np.concatenate([last.values[n], rows.values[n]]) for n in common},
        nulls={},
    )
