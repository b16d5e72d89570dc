"""What a session answers: typed, and each from one committed view."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from app.managers.data_manager.day_book import OfficialClose, SymbolDay
from app.managers.data_manager.gap_detection import Gap
from app.managers.lifecycle import State
from app.managers.time_manager import View
from app.model import Dictionary, Ints, Items, Stream


class Progress(NamedTuple):
    """How far a session is; ``fraction`` 0 to 1, ``eta_s`` None while nobody can say."""

    days_done: int
    days_total: int
    items_delivered: int
    fraction: float
    eta_s: float | None


class SessionStatus(NamedTuple):
    """What ``GET /session`` says."""

    id: str
    state: State
    time_ns: int
    epoch: int
    seq: int
    speed: float
    lag_ns: int
    trading_day: date
    progress: Progress
    digest: str
    discarded: dict[str, int]
    error: str | None
    run: str | None = None  # the id of its record, where it trades and leaves one


class ClockInfo(NamedTuple):
    """What ``GET /time`` says."""

    time_ns: int
    trading_day: date
    is_open: bool
    open_ns: int
    close_ns: int
    next_open_ns: int | None
    speed: float
    state: State


class SymbolSummary(NamedTuple):
    """The newest of one symbol; prices of the day's regular 1m bars, None before the first."""

    last: float | None
    bar: Items | None  # one row each
    trade: Items | None
    quote: Items | None
    open: float | None
    high: float | None
    low: float | None
    volume: float | None
    bars: int
    quality: float | None
    prev_close: float | None


class Summary(NamedTuple):
    """The newest of many symbols at one view; ``words`` are those of its ticks."""

    view: View
    symbols: dict[str, SymbolSummary]
    words: Dictionary


class Answer(NamedTuple):
    """Rows of one stream at one view, oldest first."""

    view: View
    stream: Stream
    items: Items
    starts_ns: Ints
    words: Dictionary
    integral: bool  # sizes are whole numbers at the source


class Quality(NamedTuple):
    """Coverage of the running day; ``quality`` None while nothing is expected."""

    view: View
    day: date
    quality: float | None
    received: int
    expected: int
    gaps: list[Gap]


class SymbolDayRecord(NamedTuple):
    """One symbol's day as far as the view knows it."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    bars: int
    expected: int
    quality: float | None
    gaps: list[Gap]
    official_close: float | None
    close_source: str | None

    @classmethod
    def of(cls, day: SymbolDay, official: OfficialClose | None) -> SymbolDayRecord:
        """A day with its official close, where that is known."""
        cover = day.coverage
        return cls(
            day.open, day.high, day.low, day.close, day.volume,
            cover.received if cover else 0,
            cover.expected if cover else 0,
            cover.quality if cover else None,
            list(cover.gaps) if cover else [],
            official.price if official else None,
            official.source if official else None,
        )  # fmt: skip


class DayRecord(NamedTuple):
    """One trading day of the session, finished or running."""

    day: date
    open_ns: int
    close_ns: int
    half_day: bool
    symbols: dict[str, SymbolDayRecord]
