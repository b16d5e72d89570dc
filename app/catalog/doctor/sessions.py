"""Trading days for rows of any time: calendars are made year by year, as rows need them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np

from app.calendar import Hours, TradingCalendar, TradingDay
from app.errors import RangeError, RequestError
from app.model import Ints
from app.times import SECOND_NS, datetime_to_ns

_LONGEST_CLOSURE = timedelta(days=15)
_GRACE_S = 60  # what trickles in after the end of the hours is still of the day
_PROBE = date(2020, 1, 2)  # any date will do to learn of a calendar's zone and kind


class Piece(NamedTuple):
    """A run of rows of one date of the exchange."""

    date: date
    session: TradingDay | None  # None where it is no trading day
    low: int  # first row and the one after the last
    high: int


class Sessions:
    """The trading days of one exchange, in their widest known hours."""

    def __init__(self, calendar: str) -> None:
        self._name = calendar
        self._years: dict[int, TradingCalendar | None] = {}
        known = TradingCalendar(calendar, Hours.REGULAR, 0, _PROBE, _PROBE)  # raises if unknown
        self.zone = known.zone
        self._hours = Hours.EXTENDED
        try:
            TradingCalendar(calendar, Hours.EXTENDED, 0, _PROBE, _PROBE)
        except RequestError:
            self._hours = Hours.REGULAR  # extended hours are known for US exchanges only

    def on(self, day: date) -> TradingDay | None:
        """The session of a date, None where there is none."""
        found = self.first_from(day)
        return found if found is not None and found.date == day else None

    def first_from(self, day: date) -> TradingDay | None:
        """The first session on or soon after a date; None beyond what the calendar knows."""
        calendar = self._year(day.year)
        if calendar is None:
            return None
        found = calendar.day(calendar.index_from(day))
        return found if found.date - day <= _LONGEST_CLOSURE else None

    def between(self, after: date, before: date) -> tuple[int, date | None]:
        """How many trading dates lie strictly between two dates, and the first of them."""
        count, first = 0, None
        low = after + timedelta(days=1)
        while low < before:
            high = min(before, date(low.year + 1, 1, 1))
            calendar = self._year(low.year)
            if calendar is not None:
                number = calendar.index_from(low)
                found = calendar.index_from(high) - number
                if found and first is None:
                    first = calendar.day(number).date
                count += found
            low = high
        return count, first

    def pieces(self, ts_ns: Ints) -> Iterator[Piece]:
        """Sorted times, cut by trading date."""
        low = 0
        while low < len(ts_ns):
            day, end_ns = self._locate(int(ts_ns[low]))
            high = max(int(np.searchsorted(ts_ns, end_ns)), low + 1)
            yield Piece(day, self.on(day), low, high)
            low = high

    def _year(self, year: int) -> TradingCalendar | None:
        if year not in self._years:
            first, last = date(year, 1, 1), date(year, 12, 31)
            try:
                made = TradingCalendar(self._name, self._hours, _GRACE_S, first, last)
            except RangeError:
                made = None  # no such year in this calendar: none of its days is a trading day
            self._years[year] = made
        return self._years[year]

    def _locate(self, ns: int) -> tuple[date, int]:
        """The date a time belongs to, and where the next one begins.

        A session may open the evening before its date (futures do).
        """
        day = datetime.fromtimestamp(ns // SECOND_NS, UTC).astimezone(self.zone).date()
        following = self.first_from(day + timedelta(days=1))
        if following is not None and following.open_ns <= ns:
            day = following.date
            following = self.first_from(day + timedelta(days=1))
        midnight_ns = datetime_to_ns(datetime.combine(day + timedelta(days=1), time(0), self.zone))
        if following is not None and following.open_ns < midnight_ns:
            return day, following.open_ns
        return day, midnight_ns
