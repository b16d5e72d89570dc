"""The running day of many symbols at one view, as columns over the symbols.

What was released since the last look is added to what is known, for all symbols at once: a look
costs two searches a symbol, however long the day is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.managers.data_manager.day_book import add_prices
from app.managers.data_manager.gap_detection import minutes_due
from app.managers.data_manager.session_data import SessionData, StreamColumns
from app.managers.time_manager import TimeManager, View
from app.model import (
    Floats,
    Ints,
    Items,
    Stream,
    StreamType,
    copy_items,
    empty_items,
    join_items,
    lengths_of,
    pick_items,
)
from app.times import MINUTE_NS


class Newest(NamedTuple):
    """By symbol; arrays are the reader's own."""

    bars: Items  # the newest visible 1m bar
    there: list[bool]  # whether it has one
    ohlcv: Floats  # of the day's regular 1m bars; NaN before the first
    counts: Ints  # and how many they are
    qualities: list[float | None]


class DayBoard:
    """The 1m bars of some symbols. Not thread-safe: one look at a time."""

    def __init__(
        self, time_manager: TimeManager, data: SessionData, symbols: Sequence[str]
    ) -> None:
        self._time, self._data = time_manager, data
        self._symbols = tuple(symbols)
        self._streams = [Stream(symbol, StreamType.BAR, 1) for symbol in symbols]
        self._state: tuple[int, int, int] | None = None  # epoch, day, edits: of what is added
        self._seen_ns = 0
        self._columns: list[StreamColumns | None] = []
        self._bars = empty_items()
        self._there = np.empty(0, bool)
        self._looked_back = False
        self._ohlcv = np.empty((0, 5))
        self._counts = np.empty(0, np.int64)
        self._off_grid: set[int] = set()

    def look(self, view: View) -> Newest:
        """What this view shows."""
        state = (view.epoch, view.day, self._data.edits)
        if state != self._state or view.now_ns < self._seen_ns:
            self._begin(view)
        self._state = None  # until all of it is added
        self._add(view)
        self._look_back(view)
        # Before the first view look-back is still being loaded: it is looked at again.
        self._state, self._seen_ns = (state if view.begun else None), view.now_ns
        return Newest(
            self._bars.copy(), self._there.tolist(), self._ohlcv.copy(), self._counts.copy(),
            self._qualities(view),
        )  # fmt: skip

    def _begin(self, view: View) -> None:
        count = len(self._symbols)
        self._columns = [self._data.columns(stream) for stream in self._streams]
        self._bars, self._there = empty_items(count), np.zeros(count, bool)
        self._looked_back = False
        self._ohlcv = np.full((count, 5), np.nan)
        self._counts = np.zeros(count, np.int64)
        self._off_grid = set()
        self._seen_ns = self._time.span_ns(view.day)[0]

    def _look_back(self, view: View) -> None:
        """The bars of earlier days, once a day: of symbols that have none of it."""
        if self._looked_back:
            return
        for number in np.flatnonzero(~self._there).tolist():
            bar = self._data.newest(self._streams[number], view)
            if bar is not None:
                copy_items(self._bars[number : number + 1], bar)
                self._there[number] = True
        self._looked_back = True

    def _add(self, view: View) -> None:
        parts: list[Items] = []
        numbers_of_parts: list[int] = []
        for number, columns in enumerate(self._columns):
            if columns is not None:
                for items in columns.released(self._seen_ns, view.now_ns):
                    parts.append(items)
                    numbers_of_parts.append(number)
        if not parts:
            return
        items, with_any = join_items(parts), np.array(numbers_of_parts)
        lengths = np.array([len(part) for part in parts])
        self._bars[with_any] = items[lengths.cumsum() - 1]
        self._there[with_any] = True
        numbers = np.repeat(with_any, lengths)
        day = self._time.days[view.day]
        starts = items["release_ns"] - MINUTE_NS
        regular = (starts >= day.open_ns) & (starts < day.close_ns)
        if not regular.all():
            items, numbers, starts = pick_items(items, regular), numbers[regular], starts[regular]
        if not len(items):
            return
        begins = np.ones(len(items), bool)
        begins[1:] = numbers[1:] != numbers[:-1]
        firsts = np.flatnonzero(begins)
        which = numbers[firsts]
        values = np.ascontiguousarray(items["v"][:, :5].T)
        self._ohlcv[which] = add_prices(self._ohlcv[which], values, firsts)
        self._counts[which] += lengths_of(firsts, len(items))
        self._off_grid.update(numbers[starts % MINUTE_NS != 0].tolist())

    def _qualities(self, view: View) -> list[float | None]:
        due = minutes_due(self._time.days[view.day], view.now_ns)
        if not due:
            return [None] * len(self._symbols)
        found: list[float | None] = (100.0 * self._counts / due).tolist()
        for number, stream in enumerate(self._streams):
            if number in self._off_grid:  # several may lie in one minute
                found[number] = self._data.get_session_metrics(stream.symbol, view).quality
            elif self._columns[number] is None:
                found[number] = None
        return found
