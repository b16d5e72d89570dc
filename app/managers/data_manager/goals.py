"""Where a run at speed 0 is to stop: at a time, or where something happens.

A goal is aimed when its command is applied, on the merge thread; then it looks into each merged
chunk, ahead of the clock, for the place to stop at. So windows are as long as they may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.calendar import TradingDay
from app.errors import RequestError
from app.managers.data_manager.merge import Chunk
from app.managers.data_manager.session_data import SessionData
from app.managers.time_manager import View
from app.model import TRADE_CODE, Flag, Ints, Items, Stream, StreamType
from app.times import MINUTE_NS, format_time

_BAR_CODE = 1


class Place(NamedTuple):
    """A place in a session, rising: a day, a time of it, and whether the day has ended there."""

    day: int  # index of the trading day
    now_ns: int
    over: bool = False


class BehindError(RequestError):
    """The place to go to lies in the past."""


def place_of(days: Sequence[TradingDay], first_day: int, begin_ns: int, time_ns: int) -> Place:
    """Where the clock stands once everything up to ``time_ns`` is shown.

    Between two days that is the end of the earlier one. RequestError outside of the session,
    which begins on ``begin_ns``.
    """
    last_ns = days[-1].end_ns
    if not begin_ns <= time_ns <= last_ns:
        raise RequestError(
            f"time {format_time(time_ns)} lies outside of the session; allowed: "
            f"{format_time(begin_ns)} to {format_time(last_ns)}"
        )
    day = first_day
    for number in range(first_day + 1, len(days)):
        if time_ns > days[number - 1].end_ns and time_ns >= days[number].first_ns - 1:
            day = number
    end_ns = days[day].end_ns
    return Place(day, min(time_ns, end_ns), time_ns >= end_ns)


class Goal:
    """A place that is known from the beginning."""

    single = False  # slices come one by one, for what each brings is known only afterwards

    def __init__(self, place: Place | None = None) -> None:
        self.place = place  # None: not found yet

    def described(self) -> dict[str, Any]:
        """As a caller would say it."""
        return {} if self.place is None else {"time": format_time(self.place.now_ns)}

    def aim(self, here: Place, days: Sequence[TradingDay]) -> None:
        """It begins ``here``. RequestError where it cannot be reached."""

    def look(self, chunk: Chunk, view: View, known_ns: int) -> None:
        """Find the place in what is merged: everything up to ``known_ns``."""

    def reached(self, here: Place) -> bool:
        return self.place is not None and here >= self.place


class CloseGoal(Goal):
    """The next regular close."""

    def described(self) -> dict[str, Any]:
        return {"until": "close"}

    def aim(self, here: Place, days: Sequence[TradingDay]) -> None:
        for number in range(here.day, len(days)):
            close_ns, end_ns = days[number].close_ns, days[number].end_ns
            if here.now_ns < close_ns <= end_ns:
                self.place = Place(number, close_ns, close_ns == end_ns)
                return
        raise RequestError("no close lies ahead in this session")


class FillGoal(Goal):
    """The next fill of an order; ``count`` says how many there were."""

    single = True

    def __init__(self, count: Callable[[], int]) -> None:
        super().__init__()
        self._count, self._before = count, 0

    def described(self) -> dict[str, Any]:
        return {"until": "fill"}

    def aim(self, here: Place, days: Sequence[TradingDay]) -> None:
        self._before = self._count()

    def reached(self, here: Place) -> bool:
        return self._count() > self._before


class _FoundGoal(Goal):
    """Looks once into every chunk, for each day that it touches."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: tuple[Chunk, int] | None = None

    def look(self, chunk: Chunk, view: View, known_ns: int) -> None:
        seen = self._seen
        if self.place is not None or (seen and seen[0] is chunk and seen[1] == view.day):
            return
        self._seen = chunk, view.day
        found_ns = self._find(chunk.waiting, view, known_ns)
        if found_ns is not None:
            self.place = Place(view.day, found_ns)

    def _find(self, items: Items, view: View, known_ns: int) -> int | None:
        """The first such time of the day, None where there is none in what is known."""
        raise NotImplementedError


class PriceGoal(_FoundGoal):
    """The next 1m bar that closes, or eligible trade, above or below a price; both may be set."""

    def __init__(
        self, symbol: int, above: float | None, below: float | None, days: Sequence[TradingDay],
        name: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self._name = name
        self._symbol, self._above, self._below = symbol, above, below
        self._days = days

    def described(self) -> dict[str, Any]:
        limits = {"above": self._above, "below": self._below}
        price = {"symbol": self._name} | {n: v for n, v in limits.items() if v is not None}
        return {"until": price}

    def _find(self, items: Items, view: View, known_ns: int) -> int | None:
        items = items[: int(items["release_ns"].searchsorted(self._days[view.day].end_ns, "right"))]
        own = items[items["symbol"] == self._symbol]
        bars, trades = own["stream"] == _BAR_CODE, own["stream"] == TRADE_CODE
        trades &= own["flags"] & Flag.LAST != 0
        prices = np.where(bars, own["v"][:, 3], own["v"][:, 0])
        hits = np.zeros(len(own), bool)
        if self._above is not None:
            hits |= prices > self._above
        if self._below is not None:
            hits |= prices < self._below
        places = np.flatnonzero(hits & (bars | trades))
        return int(own["release_ns"][places[0]]) if len(places) else None


class GapGoal(_FoundGoal):
    """The end of the next regular minute with which a gap in a symbol's 1m bars begins."""

    def __init__(self, data: SessionData, days: Sequence[TradingDay]) -> None:
        super().__init__()
        self._data, self._days = data, days

    def described(self) -> dict[str, Any]:
        return {"until": "gap"}

    def _find(self, items: Items, view: View, known_ns: int) -> int | None:
        day = self._days[view.day]
        starts = day.regular_minutes()
        ends = starts + MINUTE_NS
        until_ns = min(known_ns, day.end_ns)  # a session may end within the day
        low, high = ends.searchsorted((view.now_ns, until_ns), "right").tolist()
        if low >= high:
            return None
        there = self._there(items, ends[low:high])
        with_bars = [self._has_bars(symbol) for symbol in self._data.symbols]
        before = np.concatenate((self._there_at(ends, low, view)[:, None], there[:, :-1]), axis=1)
        firsts = np.concatenate(([True], starts[1:] != ends[:-1]))[low:high]
        begins = ~there & (before | firsts)
        begins[~np.array(with_bars)] = False
        places = np.flatnonzero(begins.any(axis=0))
        return int(ends[low + int(places[0])]) if len(places) else None

    def _has_bars(self, symbol: str) -> bool:
        return self._data.has(Stream(symbol, StreamType.BAR, 1))

    def _there(self, items: Items, ends: Ints) -> np.ndarray:
        """By symbol and minute, whether there is a bar."""
        bars = items[items["stream"] == _BAR_CODE]
        place = ends.searchsorted(bars["release_ns"])
        fits = place < len(ends)
        fits[fits] = ends[place[fits]] == bars["release_ns"][fits]
        there = np.zeros((len(self._data.symbols), len(ends)), bool)
        there[bars["symbol"][fits], place[fits]] = True
        return there

    def _there_at(self, ends: Ints, low: int, view: View) -> np.ndarray:
        """By symbol, whether the minute before ``ends[low]`` has a bar."""
        there = np.zeros(len(self._data.symbols), bool)
        if low:
            for number, symbol in enumerate(self._data.symbols):
                bars = self._data.today(Stream(symbol, StreamType.BAR, 1), view)
                place = int(bars["release_ns"].searchsorted(ends[low - 1]))
                there[number] = place < len(bars) and bars["release_ns"][place] == ends[low - 1]
        return there
