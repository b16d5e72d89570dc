"""The oracle's trading days, from exchange_calendars and pandas alone."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import exchange_calendars
import pandas as pd

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class Part(NamedTuple):
    """A continuous part of a day; its derived bars count from ``start``."""

    name: str
    start: int
    end: int


class Day(NamedTuple):
    """One trading day; all times are nanoseconds, UTC."""

    date: date
    first: int  # nothing that starts earlier is delivered
    open: int
    close: int
    hours_end: int  # what starts later is post-close
    end: int  # nothing released later is delivered
    midnight: int  # local midnight after the date
    break_start: int | None
    break_end: int | None
    half_day: bool
    parts: list[Part]

    def regular_parts(self) -> list[Part]:
        return [part for part in self.parts if part.name not in ("pre", "post")]

    def part_at(self, start: int) -> Part | None:
        return next((part for part in self.parts if part.start <= start < part.end), None)


class Span(NamedTuple):
    """The days of a session, and what belongs to it: rows that start in [low, high)."""

    days: list[Day]
    low: int
    high: int
    first_date: date  # of the first file that can hold such rows


def trading_days(first: date, last: date, hours: str, calendar: str, grace_s: int) -> Span:
    """The trading days of [first, last]."""
    margin = pd.Timedelta(days=40)
    exchange = exchange_calendars.get_calendar(
        calendar, start=pd.Timestamp(first) - margin, end=pd.Timestamp(last) + margin
    )
    sessions = list(exchange.sessions)
    wanted = [i for i, s in enumerate(sessions) if first <= s.date() <= last]
    days = [_day(exchange, sessions, i, hours, grace_s * SECOND) for i in wanted]
    low = min(_local(exchange, sessions[wanted[0]], 0), days[0].first)
    earliest = pd.Timestamp(low, tz="UTC").tz_convert(exchange.tz).date()
    return Span(days, low, max(days[-1].midnight, days[-1].end), earliest)


def _local(exchange: Any, session: pd.Timestamp, hour: int) -> int:
    wall = session + pd.Timedelta(hours=hour)
    return int(wall.tz_localize(exchange.tz).as_unit("ns").value)


def _ns(moment: pd.Timestamp) -> int | None:
    return None if pd.isna(moment) else int(moment.as_unit("ns").value)


def _hours(exchange: Any, session: pd.Timestamp, hours: str) -> tuple[int, int]:
    if hours == "extended":
        half = session in exchange.early_closes
        return _local(exchange, session, 4), _local(exchange, session, 17 if half else 20)
    opens, closes = exchange.session_open_close(session)
    return _ns(opens) or 0, _ns(closes) or 0


def _end(exchange: Any, sessions: list[Any], i: int, hours: str, grace: int) -> int:
    """End of the grace, which never reaches into the next day."""
    _, end = _hours(exchange, sessions[i], hours)
    following, _ = _hours(exchange, sessions[i + 1], hours)
    return min(end + grace, following)


def _day(exchange: Any, sessions: list[Any], i: int, hours: str, grace: int) -> Day:
    session = sessions[i]
    first, hours_end = _hours(exchange, session, hours)
    opened, closed = _hours(exchange, session, "regular")
    if hours == "all":
        first = _end(exchange, sessions, i - 1, hours, grace)
    pause, resume = (_ns(moment) for moment in exchange.session_break_start_end(session))
    if pause is None or resume is None:
        parts = [Part("regular", opened, closed)]
    else:
        parts = [Part("morning", opened, pause), Part("afternoon", resume, closed)]
    if first < opened:
        parts.insert(0, Part("pre", first, opened))
    if hours_end > closed:
        parts.append(Part("post", closed, hours_end))
    return Day(
        session.date(), first, opened, closed, hours_end,
        _end(exchange, sessions, i, hours, grace), _local(exchange, session, 24),
        pause, resume, session in exchange.early_closes, parts,
    )  # fmt: skip
