"""What a report must be told beyond the files of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from app.errors import RequestError
from app.model import Floats, Ints


@dataclass(frozen=True, slots=True)
class DayFacts:
    """One trading day that was replayed: its date and its regular hours."""

    date: date
    open_ns: int
    close_ns: int


@dataclass(frozen=True, slots=True)
class PriceColumns:
    """Regular bars of one symbol for the price chart, in order; ``ts_ns`` is a bar's start."""

    ts_ns: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """What a report needs to know of a run and its market.

    ``days`` are the trading days of the run, without look-back. ``sessions_a_year`` is the
    calendar's average. ``reached_ns`` is how far the run came, None for to its end: a day whose
    close lies behind it has no daily value. ``marks`` are the last prices of symbols with an open
    position; where one is missing the last close of ``prices`` serves. ``benchmark`` has closes by
    date, adjusted for splits, best from the day before the run on. ``coverage`` is the share of
    the expected minutes that came, 0 to 100 as the server's quality, None where none was expected.
    ``provenance`` are lines to print at the end, such as the digests.
    """

    name: str
    days: Sequence[DayFacts]
    zone: str
    sessions_a_year: float
    initial_cash: float
    symbols: Sequence[str]
    strategies: Sequence[str] = ()
    currency: str = "USD"
    policy: str = "next_bar"
    outcome: str = "completed"
    cause: str | None = None
    reached_ns: int | None = None
    marks: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, PriceColumns] = field(default_factory=dict)
    coverage: Mapping[str, float | None] = field(default_factory=dict)
    benchmark_symbol: str | None = None
    benchmark: Mapping[date, float] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.initial_cash <= 0:
            raise RequestError(f"initial_cash is {self.initial_cash}; it must be above zero")
        if self.sessions_a_year <= 0:
            raise RequestError(f"sessions_a_year is {self.sessions_a_year}; it must be above zero")
        if any(a.close_ns > b.open_ns for a, b in pairwise(self.days)):
            raise RequestError("days of a report must be in order and may not overlap")

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @property
    def finished_days(self) -> list[DayFacts]:
        """Those whose regular close was reached."""
        reached = self.reached_ns
        return [day for day in self.days if reached is None or day.close_ns <= reached]

    def end_ns(self, last_row_ns: int) -> int:
        """Until when the account stood as it was at last."""
        if self.reached_ns is not None:
            return max(self.reached_ns, last_row_ns)
        return max([last_row_ns, *(day.close_ns for day in self.days[-1:])])

    def opens_ns(self) -> Ints:
        """Regular opens of all days."""
        return np.array([day.open_ns for day in self.days], np.int64)

    def closes_ns(self) -> Ints:
        """Regular closes of the finished days."""
        return np.array([day.close_ns for day in self.finished_days], np.int64)
