"""What a session is asked to replay, and what that means on a catalog and a calendar."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from app.calendar import Hours, TradingCalendar, TradingDay
from app.catalog.schema import DATASET_TYPES
from app.catalog.store import Catalog
from app.errors import NotFoundError, RangeError, RequestError
from app.managers.time_manager.time_manager import MAX_SPEED
from app.model import Stream, StreamType, parse_channel
from app.times import MINUTE_NS, datetime_to_ns, format_time, parse_date, parse_time_ns

log = logging.getLogger(__name__)

MAX_HISTORY_DAYS = 250


@dataclass(frozen=True)
class SessionConfig:
    """A wish for a session; None takes the default of the settings."""

    symbols: Sequence[str]
    start: str
    end: str
    streams: Sequence[str] | None = None
    speed: float | None = None
    calendar: str | None = None
    hours: str | None = None
    derived_intervals: Sequence[int] | None = None
    history_days: int | None = None
    start_paused: bool = False
    allow_missing: bool = False


@dataclass(frozen=True)
class SessionDefaults:
    """What the settings say of sessions."""

    speed: float = 60.0
    calendar: str = "XNYS"
    hours: str = "regular"
    derived_intervals: tuple[int, ...] = (5, 15)
    history_days: int = 5
    grace_s: int = 60
    buffer_rows: int = 1_000_000
    read_rows: int = 16_384
    tick_rows: int = 1_000_000
    max_symbols: int = 100_000
    from_cache: bool = True  # where a prepared one fits


class ResolvedConfig(NamedTuple):
    """A session as it will be run."""

    symbols: tuple[str, ...]  # by code point
    streams: tuple[Stream, ...]  # what is read
    start: str
    end: str
    speed: float
    calendar: TradingCalendar
    hours: str
    derived_intervals: tuple[int, ...]
    history_days: int
    start_paused: bool
    days: tuple[TradingDay, ...]  # look-back, then the session's own
    first_day: int  # index of the session's first day
    look_back_ns: int  # what is released until then is look-back
    counted_from_ns: int  # discards that start before it are look-back's
    until_ns: int  # no tick at or after it is read

    def from_ns(self, stream: Stream) -> int:
        """Where reading begins: ticks have no look-back, but where bars are made of them."""
        bars = Stream(stream.symbol, StreamType.BAR, 1)
        made = stream.type is StreamType.TRADE and bars not in self.streams
        day = self.days[0 if made or stream.type is StreamType.BAR else self.first_day]
        return min(day.first_ns, midnight_ns(self.calendar, day.date))

    def reads_until_ns(self, stream: Stream) -> int:
        """Where reading ends: a bar that is released after the end is none of the session's."""
        cut = self.until_ns <= self.days[-1].end_ns + 1
        return self.until_ns - stream.interval_min * MINUTE_NS if cut else self.until_ns


def midnight_ns(calendar: TradingCalendar, day: date) -> int:
    """The local midnight that begins a date."""
    return datetime_to_ns(datetime.combine(day, time(0), calendar.zone))


class SessionDays(NamedTuple):
    """The trading days of a session; members as of ``ResolvedConfig``."""

    calendar: TradingCalendar
    days: tuple[TradingDay, ...]
    first_day: int
    look_back_ns: int
    counted_from_ns: int
    until_ns: int


def resolve(wish: SessionConfig, defaults: SessionDefaults, catalog: Catalog) -> ResolvedConfig:
    """Check a wish against catalog and calendar; the errors say what is allowed."""
    speed = check_speed(defaults.speed if wish.speed is None else wish.speed)
    intervals = _intervals(
        defaults.derived_intervals if wish.derived_intervals is None else wish.derived_intervals
    )
    span = resolve_days(wish, defaults)
    symbols, streams = _streams(wish, catalog, span.days, span.counted_from_ns, span.until_ns)
    if len(symbols) > defaults.max_symbols:
        raise RequestError(
            f"the session would have {len(symbols)} symbols; allowed: up to "
            f"{defaults.max_symbols} (SESSION_MAX_SYMBOLS)"
        )
    return ResolvedConfig(
        symbols, streams, wish.start, wish.end, speed, span.calendar, span.calendar.hours.value,
        intervals, _history_days(wish, defaults), wish.start_paused, span.days, span.first_day,
        span.look_back_ns, span.counted_from_ns, span.until_ns,
    )  # fmt: skip


def resolve_days(wish: SessionConfig, defaults: SessionDefaults) -> SessionDays:
    """The days that a wish is for, with the look-back before them; needs no catalog."""
    hours = _hours(defaults.hours if wish.hours is None else wish.hours)
    history = _history_days(wish, defaults)
    start, end = _moment("start", wish.start), _moment("end", wish.end)
    calendar = TradingCalendar(
        defaults.calendar if wish.calendar is None else wish.calendar,
        hours,
        defaults.grace_s,
        _date_of(start),
        _date_of(end),
    )
    days, first_day = _days(calendar, start, end, history)
    first_ns = days[first_day].first_ns
    look_back_ns = max(first_ns - 1, calendar.end_before(days[first_day].date))
    counted_from_ns = min(first_ns, midnight_ns(calendar, days[first_day].date))
    if isinstance(start, int) and start > first_ns:
        look_back_ns, counted_from_ns = start - 1, start
    within_day = isinstance(end, int) and end < days[-1].end_ns
    if within_day and isinstance(end, int):
        days[-1] = days[-1]._replace(end_ns=end)
    until_ns = days[-1].end_ns + 1
    if not within_day:
        until_ns = max(until_ns, days[-1].midnight_ns)
    return SessionDays(calendar, tuple(days), first_day, look_back_ns, counted_from_ns, until_ns)


def _history_days(wish: SessionConfig, defaults: SessionDefaults) -> int:
    history = defaults.history_days if wish.history_days is None else wish.history_days
    if not 0 <= history <= MAX_HISTORY_DAYS:
        raise RequestError(f"history_days is {history}; allowed: 0 to {MAX_HISTORY_DAYS}")
    return history


def check_speed(speed: float) -> float:
    """The speed as it is; RequestError where it is none."""
    if not (math.isfinite(speed) and 0 <= speed <= MAX_SPEED):
        raise RequestError(
            f"speed is {speed}; allowed: 0 (as fast as possible) to {MAX_SPEED:.0f} times real time"
        )
    return float(speed)


def _hours(text: str) -> Hours:
    if text not in list(Hours):
        raise RequestError(f"hours is {text!r}; allowed: {', '.join(Hours)}")
    return Hours(text)


def _intervals(minutes: Sequence[int]) -> tuple[int, ...]:
    for minute in minutes:
        if not 2 <= minute <= 1440:
            raise RequestError(f"derived_intervals has {minute}; allowed: whole minutes 2 to 1440")
    if len(set(minutes)) != len(minutes):
        raise RequestError(f"derived_intervals {list(minutes)} names an interval twice")
    return tuple(sorted(minutes))


def _moment(name: str, text: str) -> date | int:
    try:
        day = parse_date(text)
        return parse_time_ns(text) if day is None else day
    except RequestError as error:
        raise type(error)(f"{name}: {error}") from error


def _text(moment: date | int) -> str:
    return moment.isoformat() if isinstance(moment, date) else format_time(moment)


def _date_of(moment: date | int) -> date:
    if isinstance(moment, date):
        return moment
    return date(1970, 1, 1) + timedelta(days=moment // (86_400 * 10**9))


def _days(
    calendar: TradingCalendar, start: date | int, end: date | int, history: int
) -> tuple[list[TradingDay], int]:
    """The days of the range with their look-back before them, and how many those are."""
    if isinstance(start, int) and isinstance(end, int) and end <= start:
        raise RangeError(f"end {_text(end)} is not after start {_text(start)}")
    low = start if isinstance(start, date) else calendar.local_date(start)
    high = end if isinstance(end, date) else calendar.local_date(end)
    # A time may lie in the hours of the next date's session, or after its own date's.
    slack = timedelta(days=1)
    days, before = calendar.range(
        low, high + (slack if isinstance(end, int) else slack * 0), history
    )
    while isinstance(end, int) and len(days) > before and days[-1].first_ns >= end:
        days.pop()
    while isinstance(start, int) and len(days) > before and days[before].end_ns < start:
        before += 1
    if len(days) == before:
        raise RangeError(f"no trading day of {calendar.name} from {_text(start)} to {_text(end)}")
    return days[max(0, before - history) :], min(before, history)


def _streams(
    wish: SessionConfig,
    catalog: Catalog,
    days: Sequence[TradingDay],
    from_ns: int,
    until_ns: int,
) -> tuple[tuple[str, ...], tuple[Stream, ...]]:
    named = None if wish.streams is None else [_source_channel(s) for s in wish.streams]
    if named is not None and not named:
        raise RequestError(f"streams is empty; allowed: {', '.join(DATASET_TYPES)}")
    everything = list(wish.symbols) == ["*"]
    if "*" in wish.symbols and not everything:
        raise RequestError(f"symbols is {list(wish.symbols[:5])}: '*' stands alone")
    if not wish.symbols:
        raise RequestError('symbols is empty; name symbols of the catalog, or ["*"] for all')
    if not everything:
        catalog.check_symbols(wish.symbols)
    symbols = sorted(set(catalog.symbols if everything else wish.symbols))
    listed = None if everything else symbols
    catalog.check_files(named or DATASET_TYPES, listed, days[0].date, days[-1].date)
    found: list[Stream] = []
    missing: list[str] = []
    for symbol in symbols:
        has = [d for d in DATASET_TYPES if _overlaps(catalog, d, symbol, from_ns, until_ns)]
        wanted = has if named is None else [d for d in DATASET_TYPES if d in named]
        missing += [f"{symbol} {d}" for d in wanted if d not in has]
        if not has and named is None:
            missing.append(f"{symbol} (any stream)")
        found += [_stream(symbol, d) for d in wanted if d in has]
    if missing and not wish.allow_missing and not everything:
        raise RequestError(
            f"the catalog has nothing from {wish.start} to {wish.end} of: {', '.join(missing[:20])}"
            f"{' ...' if len(missing) > 20 else ''}; leave them out, or say allow_missing"
        )
    if missing:
        log.info("left out, the catalog lacks them in the range: %s", ", ".join(missing))
    if not found:
        raise NotFoundError(f"the catalog has no data from {wish.start} to {wish.end} of these")
    return tuple(sorted({s.symbol for s in found})), tuple(found)


def _source_channel(channel: str) -> str:
    _, interval = parse_channel(channel)
    if channel not in DATASET_TYPES:
        raise RequestError(
            f"stream {channel!r} is no input: only {', '.join(DATASET_TYPES)} are replayed; bars "
            f"of {interval} minutes are derived from 1m bars (derived_intervals)"
        )
    return channel


def _stream(symbol: str, dataset: str) -> Stream:
    kind = DATASET_TYPES[dataset]
    return Stream(symbol, kind, 1 if kind is StreamType.BAR else 0)


def _overlaps(catalog: Catalog, dataset: str, symbol: str, from_ns: int, until_ns: int) -> bool:
    pieces = catalog.pieces(dataset, symbol)
    return any(p.last_ns >= from_ns and p.first_ns < until_ns for p in pieces)
