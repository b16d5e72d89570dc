"""When a strategy wants to be called: rules in exchange time, and their times on one day."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.calendar import TradingDay
from app.errors import RequestError
from app.times import MINUTE_NS, SECOND_NS, datetime_to_ns, parse_time_ns

_ANCHORED = re.compile(r"(open|close)(?:([+-])(\d{1,6})([smh]))?", re.ASCII)
_CLOCK = re.compile(r"\d{2}:\d{2}(:\d{2})?", re.ASCII)
_UNITS_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": 60 * MINUTE_NS}


class Rule(ABC):
    """Says at which times of a trading day something is due. Equal rules are one."""

    @abstractmethod
    def times_on(self, day: TradingDay) -> list[int]:
        """Rising, in ns; those outside the day's span are not due."""


@dataclass(frozen=True)
class FromSession(Rule):
    """A distance from the regular open or close of each day, half days too."""

    anchor: str
    offset_ns: int

    def times_on(self, day: TradingDay) -> list[int]:
        return [(day.open_ns if self.anchor == "open" else day.close_ns) + self.offset_ns]


@dataclass(frozen=True)
class AtClock(Rule):
    """A time of day on the exchange's clock, each day."""

    at: time
    zone: str

    def times_on(self, day: TradingDay) -> list[int]:
        """Of a session that begins the evening before, that evening counts too."""
        dates = (day.date - timedelta(days=1), day.date)
        times = [datetime_to_ns(datetime.combine(d, self.at, ZoneInfo(self.zone))) for d in dates]
        return [t for t in times if day.first_ns <= t <= day.end_ns]


@dataclass(frozen=True)
class Every(Rule):
    """Each so many minutes of regular hours, counted from the start of each part of the day."""

    step_ns: int

    def times_on(self, day: TradingDay) -> list[int]:
        return [
            at
            for part in day.regular_parts
            for at in range(part.start_ns + self.step_ns, part.end_ns + 1, self.step_ns)
        ]


@dataclass(frozen=True)
class Once(Rule):
    """One moment."""

    at_ns: int

    def times_on(self, day: TradingDay) -> list[int]:
        return [self.at_ns]


def due_on(rule: Rule, day: TradingDay, after_ns: int) -> list[int]:
    """Its times within a day's span that are still to come."""
    return [t for t in rule.times_on(day) if day.first_ns <= t <= day.end_ns and t > after_ns]


def read_when(when: str) -> Rule:
    """``open``, ``open+5m``, ``close-10m``: seconds, minutes or hours."""
    match = _ANCHORED.fullmatch(when) if isinstance(when, str) else None
    if match is None:
        raise RequestError(f"schedule is {when!r}; needed: as 'open+5m', 'close-10m', 'close-1h'")
    anchor, sign, count, unit = match.groups()
    offset_ns = int(count) * _UNITS_NS[unit] if count else 0
    return FromSession(anchor, -offset_ns if sign == "-" else offset_ns)


def read_at(at: str | time | datetime, zone: str) -> Rule:
    """A time of day, each day; or one moment, with its zone."""
    if isinstance(at, datetime):
        return Once(datetime_to_ns(at))
    if isinstance(at, str) and _CLOCK.fullmatch(at):
        try:
            at = time.fromisoformat(at)
        except ValueError as error:
            raise RequestError(f"at is {at!r}: {error}") from error
    if isinstance(at, time) and at.tzinfo is None:
        return AtClock(at, zone)
    if isinstance(at, str):
        return Once(parse_time_ns(at))
    raise RequestError(
        f"at is {at!r}; needed: exchange time as '10:30' or time(10, 30), or an aware datetime"
    )


def read_every(minutes: float) -> Rule:
    known = isinstance(minutes, int | float) and math.isfinite(minutes)
    step_ns = round(minutes * MINUTE_NS) if known else 0
    if not SECOND_NS <= step_ns <= 1440 * MINUTE_NS:
        raise RequestError(f"every {minutes!r} minutes; needed: a number from 1/60 to 1440")
    return Every(step_ns)
