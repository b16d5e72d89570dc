"""What every service of a run may know beforehand: symbols, days, instruments, recorded data.

Reading recorded data always names the time that bounds it: nothing released later is given.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import NamedTuple, Protocol

from app.calendar import TradingDay
from app.model import Dictionary, Items, StreamType


class CorporateAction(NamedTuple):
    """A split (``ratio`` new shares for one) or a cash dividend (``amount`` a share)."""

    symbol: str
    ex_date: date
    kind: str  # split or dividend
    ratio: float = 1.0
    amount: float = 0.0


class Close(NamedTuple):
    """An official close, where it came from (daily, auction, last_minute) and since when known."""

    price: float
    source: str
    known_ns: int


@dataclass(frozen=True)
class Instrument:
    """The terms of one symbol."""

    symbol: str
    tick: float = 0.01
    lot: float = 1.0
    min_quantity: float = 0.0
    max_quantity: float | None = None
    min_notional: float = 0.0
    shortable: bool = True
    borrow_bps: float = 0.0  # a year, of the market value of a short position


class MarketReader(Protocol):
    """Recorded data of the run's symbols, from any thread; symbols by index in ``symbols``.

    Prices are as recorded (never adjusted); ``actions`` says how to compare across a split.
    """

    words: Dictionary  # texts of delivered trades and quotes

    def bars(self, symbol: int, interval_min: int, now_ns: int, count: int | None = None) -> Items:
        """The newest ``count`` bars released by ``now_ns``, oldest first; of the days kept."""

    def ticks(self, symbol: int, kind: StreamType, now_ns: int) -> Items:
        """Trades or quotes of the day of ``now_ns``, released by then, oldest first."""

    def history(self, symbol: int, interval_min: int, before_ns: int, bars: int) -> Items:
        """Up to ``bars`` regular bars released by ``before_ns`` from the catalog, for warm-up."""

    def history_days(self, symbol: int, interval_min: int, day: int, days: int) -> Items:
        """Regular bars of up to ``days`` trading days before day number ``day``."""

    def has(self, symbol: int, kind: StreamType, day: int) -> bool:
        """Whether the session delivers such items of this symbol on that day."""

    def official_close(self, symbol: int, day: int, now_ns: int) -> Close | None:
        """The close of a day as far as it is known at ``now_ns``; None before it is."""

    def ends(self, symbol: int) -> int | None:
        """The release of the symbol's very last item in the catalog; None where it has none."""


@dataclass(frozen=True)
class RunContext:
    """Facts of one run; they never change. ``days`` holds look-back days before ``first_day``."""

    run_id: str
    symbols: tuple[str, ...]  # by code point; items name them by index
    days: tuple[TradingDay, ...]
    first_day: int
    market: MarketReader
    seed: int = 0
    currency: str = "USD"
    minor_digits: int = 2
    zone: str = "America/New_York"
    actions: tuple[CorporateAction, ...] = ()
    halts: tuple[tuple[str, int, int], ...] = ()  # symbol, from_ns, until_ns
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    optimistic: bool = False
    intervals: tuple[int, ...] = ()  # of delivered bars, in minutes; empty: not known

    def index(self, symbol: str) -> int:
        """The number that items name a symbol by."""
        return self.symbols.index(symbol)

    def instrument(self, symbol: str) -> Instrument:
        return self.instruments.get(symbol) or Instrument(symbol)

    def day_at(self, now_ns: int) -> int:
        """The number of the day that ``now_ns`` belongs to (between two days: the later one)."""
        for number in range(self.first_day, len(self.days)):
            if now_ns <= self.days[number].end_ns:
                return number
        return len(self.days) - 1

    def actions_on(self, day: int) -> Sequence[CorporateAction]:
        """Those whose ex-date is this day, or a date since the day before that had no session.

        In order of ex-dates. Before the first of ``days`` nothing is known of sessions.
        """
        return self._actions.get(day, ())

    @cached_property
    def _actions(self) -> dict[int, list[CorporateAction]]:
        """By the first day on or after their ex-date."""
        dates = [day.date for day in self.days]
        found: dict[int, list[CorporateAction]] = {}
        for action in sorted(self.actions, key=lambda a: a.ex_date):
            if dates[0] <= action.ex_date <= dates[-1]:
                found.setdefault(bisect_left(dates, action.ex_date), []).append(action)
        return found
