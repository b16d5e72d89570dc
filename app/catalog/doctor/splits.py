"""Prices that jump as they do at a split, and bars that hold both sides of one."""

from __future__ import annotations

from datetime import date

import numpy as np

from app.catalog.doctor.findings import Findings, Severity
from app.catalog.doctor.rows import Rows
from app.catalog.doctor.sessions import Piece
from app.catalog.doctor.values import report
from app.model import Floats

_RATIOS = np.array([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100])
_TOLERANCE = 0.04
_LONGEST_PAUSE_DAYS = 10  # after a longer one a jump says nothing


def near_split(ratios: Floats) -> Floats:
    """For each ratio of two prices the split ratio it is close to, either way; NaN for none."""
    ratios = np.atleast_1d(np.asarray(ratios, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(ratios < 1, 1 / ratios, ratios)
        distance = np.abs(size[:, None] / _RATIOS - 1)
    nearest = np.argmin(distance, axis=1)
    close = distance[np.arange(len(size)), nearest] <= _TOLERANCE
    return np.where(close, _RATIOS[nearest], np.nan)


class SplitDoctor:
    """One symbol's bars, day by day. ``known``: ratio of each split by its ex-date."""

    def __init__(self, findings: Findings, known: dict[date, float]) -> None:
        self._findings = findings
        self._known = known
        self._close: float | None = None  # of the last regular bar, and its day
        self._day: date | None = None

    def check_bars(self, rows: Rows, piece: Piece) -> None:
        """Rows of one date; more of the same date may follow."""
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = rows.values["high"] / rows.values["low"]
        both = ~np.isnan(near_split(spread)) & np.isfinite(spread)
        report(self._findings, Severity.WARNING, "spans_split", rows, both)
        session = piece.session
        if session is None:
            return
        regular = (rows.ts_ns >= session.open_ns) & (rows.ts_ns < session.close_ns)
        if regular.any():
            self._check_jump(rows.take(regular), piece.date)

    def _check_jump(self, rows: Rows, day: date) -> None:
        opened = float(rows.values["open"][0])
        before, self._close = self._close, float(rows.values["close"][-1])
        previous, self._day = self._day, day
        if previous is None or previous == day or not before or not opened:
            return
        if (day - previous).days > _LONGEST_PAUSE_DAYS:
            return
        ratio = float(near_split(np.array([before / opened]))[0])
        if np.isnan(ratio):
            return
        kind = f"{ratio:g}:1" if before > opened else f"1:{ratio:g}"
        said = f"from {before:g} on {previous} to {opened:g}: like a {kind} split"
        if day in self._known:
            said += f"; corporate_actions has ratio {self._known[day]:g}"
            self._findings.add(Severity.INFO, "known_split", rows.place(0), said)
        else:
            self._findings.add(Severity.WARNING, "split_jump", rows.place(0), said)
