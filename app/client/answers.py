"""Answers of the server, typed.

Every time comes twice: ``time_ns`` is exact, ``time`` an aware datetime in UTC (which
holds microseconds only). Fields that a later server adds are passed over.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from app.notebook import fields_html
from app.times import format_time, parse_time_ns

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Nanoseconds(int):
    """A time, in nanoseconds since the epoch, UTC."""


def read_hook(kind: type, value: Any) -> Any:
    """RFC 3339 text or integer nanoseconds to ``Nanoseconds``, for msgspec."""
    if kind is not Nanoseconds:
        raise NotImplementedError(kind)
    return Nanoseconds(parse_time_ns(value) if isinstance(value, str) else value)


def convert(value: Any, kind: type[T]) -> T:
    """Plain decoded data as ``kind``; raises msgspec.ValidationError."""
    return msgspec.convert(value, kind, dec_hook=read_hook)


def to_plain(answer: Any) -> Any:
    """An answer as plain data under the contract's names, times as RFC 3339."""
    return msgspec.to_builtins(answer, enc_hook=format_time)


def to_datetime(ns: int) -> datetime:
    """The aware datetime of a time; what is below a microsecond is cut off."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


class _Moment:
    """The datetime beside a field in nanoseconds."""

    def __init__(self, field: str) -> None:
        self._field = field

    def __get__(self, answer: object, owner: type | None = None) -> datetime:
        return to_datetime(getattr(answer, self._field))


class _MaybeMoment(_Moment):
    """As ``_Moment``, None where the field is."""

    def __get__(  # type: ignore[override]  # None as well
        self, answer: object, owner: type | None = None
    ) -> datetime | None:
        ns = getattr(answer, self._field)
        return None if ns is None else to_datetime(ns)


class Answer(msgspec.Struct, frozen=True, rename=lambda name: name.removesuffix("_ns")):
    """Base of all answers."""


class Progress(Answer, frozen=True):
    """How far a session or a run is. ``fraction`` is from 0 to 1, ``eta_s`` in wall seconds."""

    days_done: int = 0
    days_total: int = 0
    items_delivered: int = 0
    fraction: float | None = None
    eta_s: float | None = None


class Command(Answer, frozen=True):
    """When a command took effect; ``seq`` is the last slice before it."""

    number: int
    time_ns: Nanoseconds
    seq: int

    time = _Moment("time_ns")


class Session(Answer, frozen=True):
    """A replay session; all but ``state`` is None where there is none.

    ``speed`` is market seconds a wall second (0: no waiting), ``lag_ms`` wall milliseconds
    behind that schedule, ``seq`` counts the slices of its ``epoch``. ``command`` is there after
    a command, ``interrupted`` after a step, seek or run-to: whether a pause, stop or seek ended
    it early.
    """

    state: str
    id: str | None = None
    time_ns: Nanoseconds | None = None
    epoch: int | None = None
    seq: int | None = None
    speed: float | None = None
    lag_ms: float | None = None
    trading_day: date | None = None
    progress: Progress | None = None
    digest: str | None = None
    discarded: dict[str, int] | None = None
    error: str | None = None
    command: Command | None = None
    interrupted: bool | None = None
    run: str | None = None  # the id of its record, where it leaves one

    time = _MaybeMoment("time_ns")

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("COMPLETED", "FAILED", "STOPPED")

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        if self.id is None:
            return fields_html("No session", ())
        done = self.progress or Progress()
        lost = {reason: count for reason, count in (self.discarded or {}).items() if count}
        return fields_html(
            f"Session {self.id}: {self.state}",
            [
                ("time", _shown(self.time_ns)), ("trading day", self.trading_day),
                ("speed", self.speed), ("lag (ms)", self.lag_ms or None),
                ("days", f"{done.days_done} of {done.days_total}"),
                ("items", done.items_delivered), ("discarded", lost or None),
                ("run", self.run), ("digest", self.digest), ("error", self.error),
            ],
        )  # fmt: skip


class Bar(Answer, frozen=True):
    """A bar; ``ts`` is its start. ``minutes``, ``complete`` and ``partial`` are of derived bars:
    how many 1m bars it was made of, whether of all, and whether it is cut short by the hours.
    """

    ts_ns: Nanoseconds
    open: float
    high: float
    low: float
    close: float
    volume: int | float | None = None
    vwap: float | None = None
    minutes: int | None = None
    complete: bool | None = None
    partial: bool | None = None
    post_close: bool | None = None

    ts = _Moment("ts_ns")


class Trade(Answer, frozen=True):
    """A trade: price in currency, size in shares."""

    ts_ns: Nanoseconds
    price: float
    size: int | float | None = None
    exchange: str | None = None
    conditions: str | None = None

    ts = _Moment("ts_ns")


class Quote(Answer, frozen=True):
    """A side that is missing has neither price nor size."""

    ts_ns: Nanoseconds
    bid: float | None = None
    bid_size: int | float | None = None
    ask: float | None = None
    ask_size: int | float | None = None

    ts = _Moment("ts_ns")


class SymbolData(Answer, frozen=True):
    """A symbol in one committed view; None before the first item of the day."""

    last: float | None = None
    bar: Bar | None = None
    trade: Trade | None = None
    quote: Quote | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: int | float | None = None
    bars: int | None = None
    quality: float | None = None
    prev_close: float | None = None


class Data(Answer, frozen=True):
    """One committed view of the session's data."""

    time_ns: Nanoseconds | None
    epoch: int
    seq: int
    trading_day: date | None
    symbols: dict[str, SymbolData]

    time = _MaybeMoment("time_ns")


class Gap(Answer, frozen=True):
    """A run of missing minutes."""

    start_ns: Nanoseconds
    end_ns: Nanoseconds
    minutes: int

    start = _Moment("start_ns")
    end = _Moment("end_ns")


class Quality(Answer, frozen=True):
    """Coverage in per cent of the minutes expected so far; None while none are."""

    symbol: str
    day: date | None
    quality: float | None
    received: int
    expected: int
    gaps: list[Gap]


class DayRecord(Answer, frozen=True):
    """A symbol's trading day: prices and volume of its regular minutes."""

    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | float | None = None
    bars: int | None = None
    expected: int | None = None
    quality: float | None = None
    gaps: list[Gap] = []
    official_close: float | None = None
    close_source: str | None = None


class Day(Answer, frozen=True):
    """A trading day: its regular hours, and the record of each symbol."""

    day: date
    open_ns: Nanoseconds
    close_ns: Nanoseconds
    half_day: bool
    symbols: dict[str, DayRecord]

    open = _Moment("open_ns")
    close = _Moment("close_ns")


class Days(Answer, frozen=True):
    """Oldest first; the last may be running."""

    days: list[Day]


class Clock(Answer, frozen=True):
    """The market's time."""

    state: str
    time_ns: Nanoseconds | None = None
    trading_day: date | None = None
    is_open: bool | None = None
    open_ns: Nanoseconds | None = None
    close_ns: Nanoseconds | None = None
    next_open_ns: Nanoseconds | None = None
    speed: float | None = None

    time = _MaybeMoment("time_ns")
    open = _MaybeMoment("open_ns")
    close = _MaybeMoment("close_ns")
    next_open = _MaybeMoment("next_open_ns")


class StreamInfo(Answer, frozen=True):
    """A stream on its way through the server; ``queued`` and ``delivered`` in rows.

    ``days`` are runs of the session's days that the catalog has rows of: first and last.
    """

    symbol: str
    stream: str
    queued: int
    delivered: int
    ended: bool
    oldest_ns: Nanoseconds | None = None
    newest_ns: Nanoseconds | None = None
    complete_through_ns: Nanoseconds | None = None
    days: list[tuple[date, date]] = []

    oldest = _MaybeMoment("oldest_ns")
    newest = _MaybeMoment("newest_ns")
    complete_through = _MaybeMoment("complete_through_ns")


class Streams(Answer, frozen=True):
    """Of all symbols, derived ones too."""

    streams: list[StreamInfo]


class PlannedDay(Answer, frozen=True):
    """A trading day of a session, from its open to its close."""

    day: date
    open_ns: Nanoseconds
    close_ns: Nanoseconds
    half_day: bool

    open = _Moment("open_ns")
    close = _Moment("close_ns")


class Plan(Answer, frozen=True):
    """What a session was asked to replay, all defaults filled in.

    ``start`` and ``end`` are as they were asked for, ``intervals`` those of its bars ("5m"),
    ``time_zone`` the exchange's; ``days`` has no look-back. ``trades`` is whether it has an engine.
    """

    id: str
    symbols: list[str]
    streams: list[str]
    intervals: list[str]
    start: str
    end: str
    calendar: str
    time_zone: str
    hours: str
    history_days: int
    trades: bool
    days: list[PlannedDay]


class Extent(Answer, frozen=True):
    """What the catalog has of one symbol and dataset."""

    first_ns: Nanoseconds | None
    last_ns: Nanoseconds | None
    days: int
    rows: int

    first = _MaybeMoment("first_ns")
    last = _MaybeMoment("last_ns")


class Catalog(Answer, frozen=True):
    """Extents by symbol and dataset."""

    symbols: dict[str, dict[str, Extent]]
    broken: list[str] = []  # a sentence for each file that cannot be used


def _shown(time_ns: int | None) -> str | None:
    return None if time_ns is None else format_time(time_ns)
