"""Trading days and their hours, all of them from exchange_calendars.

A day lasts from its first deliverable instant to the end of the grace after its
close, or to the next day's first instant. Nothing is hard-coded but the extended
hours of US exchanges, which no calendar has.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
from exchange_calendars.errors import CalendarError

from app.errors import RangeError, RequestError, nearest
from app.model import Ints
from app.times import MINUTE_NS, SECOND_NS, datetime_to_ns

_US = "XNYS"
_EXTENDED_OPEN = time(4)
_EXTENDED_CLOSE = time(20)
_EXTENDED_HALF_CLOSE = time(17)
_MARGIN = timedelta(days=30)
OUTER_PARTS = ("pre", "post")


class Hours(StrEnum):
    """Which hours of a day are delivered."""

    REGULAR = "regular"
    EXTENDED = "extended"
    ALL = "all"


class Part(NamedTuple):
    """A continuous part of a day, with its own grid of derived bars."""

    name: str  # pre, regular, morning, afternoon or post
    start_ns: int
    end_ns: int


class TradingDay(NamedTuple):
    """One session of the exchange calendar, as this replay delivers it."""

    date: date
    first_ns: int  # first deliverable instant
    open_ns: int
    close_ns: int  # the official close
    hours_end_ns: int  # end of the delivered hours; then only the grace follows
    end_ns: int  # nothing released later belongs to the day
    midnight_ns: int  # local midnight after the day
    half_day: bool
    breaks: tuple[tuple[int, int], ...]
    parts: tuple[Part, ...]

    @property
    def regular_parts(self) -> tuple[Part, ...]:
        return tuple(p for p in self.parts if p.name not in OUTER_PARTS)

    def regular_minutes(self) -> Ints:
        """Starts of all its regular minutes, breaks excluded."""
        return np.concatenate(
            [np.arange(p.start_ns, p.end_ns, MINUTE_NS) for p in self.regular_parts]
        )


@lru_cache(maxsize=16)
def _exchange(name: str, start: date, end: date) -> exchange_calendars.ExchangeCalendar:
    known = exchange_calendars.get_calendar_names()
    if name not in known:
        close = ", ".join(nearest(name, known)) or "XNYS, XLON, XHKG, 24/7"
        raise RequestError(f"unknown calendar {name!r}; nearest: {close}")
    try:
        return exchange_calendars.get_calendar(name, start=start, end=end)
    except (CalendarError, ValueError) as error:
        raise RangeError(f"calendar {name} cannot cover {start} to {end}: {error}") from error


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a calendar."""
    return ZoneInfo(str(_exchange(name, date(2024, 1, 1), date(2024, 12, 31)).tz))


class TradingCalendar:
    """The trading days of one exchange between explicit bounds."""

    def __init__(self, name: str, hours: Hours, grace_s: int, start: date, end: date) -> None:
        self.name = name
        self.hours = hours
        self.grace_s = grace_s
        try:
            low, high = start - _MARGIN, end + _MARGIN
        except OverflowError as error:
            raise RangeError(f"no calendar covers {start} to {end}") from error
        if hours is Hours.EXTENDED and exchange_calendars.resolve_alias(name) != _US:
            raise RequestError(
                f"hours 'extended' are known for US exchanges only, not for {name}; "
                "use 'regular' or 'all'"
            )
        # Whole years, so that a handful of calendars serves every session.
        self._exchange = _exchange(name, date(low.year, 1, 1), date(high.year, 12, 31))
        self._years = high.year - low.year + 1
        self.zone = ZoneInfo(str(self._exchange.tz))
        exchange = self._exchange
        self._dates: list[date] = exchange.sessions.date.tolist()
        self._numbers = np.array(self._dates, "datetime64[D]")
        self._early = set(exchange.early_closes.date.tolist())
        self._opens, self._closes = exchange.opens_nanos.tolist(), exchange.closes_nanos.tolist()
        starts, ends = exchange.break_starts_nanos.tolist(), exchange.break_ends_nanos.tolist()
        self._all_breaks = list(zip(starts, ends, strict=True))

    @property
    def sessions_a_year(self) -> float:
        """Its sessions in a year, on average over the whole years that its bounds touch."""
        return len(self._dates) / self._years

    def index_from(self, day: date) -> int:
        """Number of the first session on or after ``day``."""
        return int(self._numbers.searchsorted(np.datetime64(day)))

    def range(self, start: date, end: date, history: int = 0) -> tuple[list[TradingDay], int]:
        """Sessions of [start, end] after up to ``history`` earlier ones, and how many those are."""
        if end < start:
            raise RangeError(f"end {end} is before start {start}")
        low = self.index_from(start)
        high = self.index_from(end + timedelta(days=1))
        if low >= high:
            raise RangeError(f"no trading day of {self.name} from {start} to {end}")
        before = min(history, low)
        return [self.day(i) for i in range(low - before, high)], before

    def day(self, index: int) -> TradingDay:
        """The session with this number."""
        if not 0 <= index < len(self._dates):
            raise RangeError(f"calendar {self.name} has no session number {index}")
        # Only a day of all hours begins where the last one ends.
        follows = index > 0 and self.hours is Hours.ALL
        return self._day(index, self._close_end(index - 1) if follows else None)

    def end_before(self, day: date) -> int:
        """Where the session before a day ends; items released by then are that session's."""
        index = self.index_from(day)
        return self._close_end(index - 1) if index else 0

    def next_open_ns(self, now_ns: int) -> int | None:
        """The next start of regular hours, after a break too; None beyond the bounds."""
        opens = self._exchange.opens_nanos
        resumed = self._exchange.break_ends_nanos
        starts = np.sort(np.concatenate([opens, resumed[resumed > 0]]))
        at = int(starts.searchsorted(now_ns, "right"))
        return int(starts[at]) if at < len(starts) else None

    def local_date(self, ns: int) -> date:
        """The exchange's date at a time."""
        return datetime.fromtimestamp(ns // SECOND_NS, UTC).astimezone(self.zone).date()

    def _local_ns(self, day: date, at: time) -> int:
        return datetime_to_ns(datetime.combine(day, at, self.zone))

    def _hours_of(self, index: int) -> tuple[int, int]:
        """First instant and end of the hours, before neighbours and grace are looked at."""
        day = self._dates[index]
        if self.hours is Hours.EXTENDED:
            last = _EXTENDED_HALF_CLOSE if day in self._early else _EXTENDED_CLOSE
            return self._local_ns(day, _EXTENDED_OPEN), self._local_ns(day, last)
        return self._opens[index], self._closes[index]

    def _close_end(self, index: int) -> int:
        """End of a day: its hours and the grace, but not into the next day's hours."""
        end = self._hours_of(index)[1] + self.grace_s * SECOND_NS
        if index + 1 < len(self._dates):
            end = min(end, self._hours_of(index + 1)[0])
        return end

    def _day(self, index: int, previous_end_ns: int | None) -> TradingDay:
        day = self._dates[index]
        open_ns, close_ns = self._opens[index], self._closes[index]
        first_ns, hours_end_ns = self._hours_of(index)
        midnight_ns = self._local_ns(day + timedelta(days=1), time(0))
        if previous_end_ns is not None:
            first_ns = previous_end_ns
        breaks = self._breaks(index)
        edges = [open_ns, *(t for pair in breaks for t in pair), close_ns]
        names = ["morning", "afternoon"] if breaks else ["regular"]
        pre_ns = -(-first_ns // MINUTE_NS) * MINUTE_NS  # a grace may end within a minute
        parts = [Part("pre", pre_ns, open_ns)] if pre_ns < open_ns else []
        parts += [Part(n, edges[2 * i], edges[2 * i + 1]) for i, n in enumerate(names)]
        if hours_end_ns > close_ns:
            parts.append(Part("post", close_ns, hours_end_ns))
        return TradingDay(
            day, first_ns, open_ns, close_ns, hours_end_ns, self._close_end(index),
            midnight_ns, day in self._early, breaks, tuple(parts),
        )  # fmt: skip

    def _breaks(self, index: int) -> tuple[tuple[int, int], ...]:
        start, end = self._all_breaks[index]
        return ((start, end),) if start > 0 and end > 0 else ()
