"""What a session knows of each stream, as columns, read through one gate.

The merge thread fills columns ahead of the clock; every reader takes one
committed view and sees exactly the rows released at or before its ``now_ns``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from app.day_table import Grid
from app.errors import NotFoundError, nearest
from app.managers.data_manager.gap_detection import quality
from app.managers.time_manager import TimeManager, View
from app.model import (
    FIELDS,
    Flag,
    Floats,
    Ints,
    Items,
    Stream,
    StreamType,
    copy_items,
    empty_items,
    join_items,
    make_items,
    pick_items,
)
from app.times import MINUTE_NS

_FIRST_CAPACITY = 512
_MOST_PARTS = 64


class _Rows(NamedTuple):
    """One immutable state of a growing store: later states never change what it shows."""

    release_ns: Ints
    items: Items
    low: int
    high: int


class LateRows(NamedTuple):
    """Rows that are picked when somebody reads them: of ``items`` those at ``places``, in time."""

    items: Items
    places: Ints

    def __len__(self) -> int:
        return len(self.places)

    def since(self, from_ns: int) -> LateRows:
        """Those released at ``from_ns`` or later."""
        release = self.items["release_ns"][self.places]
        return LateRows(self.items, self.places[int(release.searchsorted(from_ns)) :])


def read_rows(rows: Items | LateRows) -> Items:
    return pick_items(*rows) if isinstance(rows, LateRows) else rows


class _Part:
    """Rows as they came."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Items | LateRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def items(self) -> Items:
        self._rows = found = read_rows(self._rows)
        return found

    @property
    def last_ns(self) -> int:
        rows = self._rows
        if isinstance(rows, LateRows):
            return int(rows.items["release_ns"][rows.places[-1]])
        return int(rows["release_ns"][-1])


class StreamColumns:
    """The rows of one stream, rising in time. One writer; any readers.

    What is appended waits as it came, and is made one array when somebody reads many: at speed 0
    most days are gone before anybody does. Rows given are never written again. Times are looked up
    without numpy, which would give the interpreter lock away at each.
    """

    def __init__(self, keep_rows: int | None = None) -> None:
        self._keep_rows = keep_rows
        self.cut_ns: int | None = None  # rows before it are gone, because there were too many
        self._rows = _Rows(np.empty(0, np.int64), empty_items(), 0, 0)
        self._fresh: deque[_Part] = deque()  # not yet in ``_rows``
        self._fresh_rows = 0
        self._kept_from = (0, 0)
        self._joining = Lock()

    def append(self, items: Items | LateRows, keep_from_ns: int, now_ns: int) -> None:
        """Add rows. Those before ``keep_from_ns``, or beyond the bound, may go."""
        with self._joining:
            self._fresh.append(_Part(items))
            self._fresh_rows += len(items)
            self._kept_from = keep_from_ns, now_ns
            while len(self._fresh) > 1 and self._fresh[0].last_ns < keep_from_ns:
                self._fresh_rows -= len(self._fresh.popleft())
            bounded = self._keep_rows is not None and self._fresh_rows > self._keep_rows
            if bounded or len(self._fresh) > _MOST_PARTS:
                self._join()

    def _joined(self) -> _Rows:
        """All rows that were appended, as one state."""
        if self._fresh:
            with self._joining:
                self._join()
        return self._rows

    def _join(self) -> None:
        """Under the lock."""
        if self._fresh:
            self._add(join_items([part.items for part in self._fresh]), *self._kept_from)
            self._fresh.clear()
            self._fresh_rows = 0

    def _parts(self) -> list[tuple[Ints, Items]]:
        """Times and rows, oldest first, not joined."""
        with self._joining:
            release, items, low, high = self._rows
            fresh = [(items["release_ns"], items) for items in (p.items for p in self._fresh)]
        return [(release[low:high], items[low:high]), *fresh] if high > low else fresh

    def _add(self, items: Items, keep_from_ns: int, now_ns: int) -> None:
        release, store, low, high = self._rows
        count = len(items)
        if high + count > len(store):
            low = self._first_kept(keep_from_ns, now_ns)
            held = high - low
            size = max(_FIRST_CAPACITY, held + count + max(held, count // 4))
            grown_release, grown = np.empty(size, np.int64), empty_items(size)
            grown_release[: high - low] = release[low:high]
            copy_items(grown[: high - low], store[low:high])
            release, store, low, high = grown_release, grown, 0, high - low
        release[high : high + count] = items["release_ns"]
        copy_items(store[high : high + count], items)
        self._rows = _Rows(release, store, low, high + count)

    def _first_kept(self, keep_from_ns: int, now_ns: int) -> int:
        release, _, low, high = self._rows
        first = low + int(release[low:high].searchsorted(keep_from_ns, "left"))
        if self._keep_rows is not None:
            seen = low + int(release[low:high].searchsorted(now_ns, "right"))
            if seen - self._keep_rows > first:
                first = seen - self._keep_rows
                self.cut_ns = int(release[first])
        return first

    def visible(self, now_ns: int, from_ns: int) -> Items:
        """Rows released in [from_ns, now_ns], oldest first; a view, never written again."""
        release, items, low, high = self._joined()
        known = release[low:high].data
        first, last = bisect_left(known, from_ns), bisect_right(known, now_ns)
        if self._keep_rows is not None:
            first = max(first, last - self._keep_rows)
        shown: Items = items[low + first : low + last]
        shown.flags.writeable = False
        return shown

    def released(self, after_ns: int, until_ns: int) -> list[Items]:
        """Rows released after one time and not after another, of a stream that keeps them; in
        parts that have some."""
        found = []
        for release, items in self._parts():
            known = release.data
            first = bisect_right(known, after_ns)
            last = bisect_right(known, until_ns, first)
            if first < last:
                found.append(items[first:last])
            if last < len(items):
                break
        return found

    def newest(self, now_ns: int, from_ns: int) -> Items | None:
        """The last row that ``visible`` shows; None for none."""
        for release, items in reversed(self._parts()):
            last = bisect_right(release.data, now_ns)
            if last:
                return items[last - 1 : last] if release[last - 1] >= from_ns else None
        return None


class SessionMetrics(NamedTuple):
    """A symbol's running day at one view: of its regular 1m bars; None before the first."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    bars: int
    quality: float | None


class SessionData:
    """All streams of a session. The coordinator writes; whoever reads passes the view's gate."""

    def __init__(
        self, time_manager: TimeManager, symbols: Sequence[str], keep_days: int, keep_ticks: int
    ) -> None:
        self._time = time_manager
        self.symbols = tuple(symbols)
        self.numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._keep_days = keep_days
        self.keep_ticks = keep_ticks
        self._columns: dict[Stream, StreamColumns] = {}
        self.edits = 0  # rows that came otherwise than in the order of time
        self._grid = Grid(time_manager.days)

    # -- written by the coordinator ------------------------------------------------

    def add_stream(self, stream: Stream) -> None:
        bound = None if stream.type is StreamType.BAR else self.keep_ticks
        self._columns.setdefault(stream, StreamColumns(bound))

    def append(self, stream: Stream, items: Items | LateRows) -> None:
        """Fill a stream's columns; rows released later than now stay unseen until then."""
        view = self._time.view
        # One day more than shown: a reader with the view before a roll still finds its rows.
        day = max(0, view.day - self._kept(stream) - 1)
        self._columns[stream].append(items, self._time.days[day].first_ns, view.now_ns)

    def add_bar(
        self, symbol: str, start_ns: int, prices: Mapping[str, float], interval_min: int = 1
    ) -> None:
        """Append one bar: open, high, low, close, volume and, if there is one, vwap."""
        values = [prices.get(f, np.nan) for f in FIELDS[StreamType.BAR][:6]]
        release = start_ns + interval_min * MINUTE_NS
        item = make_items(interval_min, [release], Flag.COMPLETE, *values, interval_min)
        item["symbol"] = self.numbers[symbol]
        stream = Stream(symbol, StreamType.BAR, interval_min)
        self.add_stream(stream)
        self.append(stream, item)
        self.edits += 1

    # -- read by anyone --------------------------------------------------------------

    def _kept(self, stream: Stream) -> int:
        return self._keep_days if stream.type is StreamType.BAR else 0

    def streams(self, symbol: str) -> list[Stream]:
        """A symbol's streams: ticks, then bars by interval."""
        return sorted((s for s in self._columns if s.symbol == symbol), key=lambda s: s.rank)

    def find(self, symbol: str, kind: StreamType, interval_min: int = 0) -> Stream:
        """The stream; NotFoundError names what there is instead."""
        if symbol not in self.numbers:
            close = ", ".join(nearest(symbol, self.symbols)) or ", ".join(self.symbols[:5])
            raise NotFoundError(f"this session has no symbol {symbol!r}; nearest: {close}")
        stream = Stream(symbol, kind, interval_min)
        if stream not in self._columns:
            there = ", ".join(s.channel for s in self.streams(symbol)) or "none"
            raise NotFoundError(f"{symbol} has no stream {stream.channel!r} here; it has {there}")
        return stream

    def holds_today(self, view: View) -> bool:
        """Whether all rows of the running day are still there."""
        begin_ns, _ = self._time.span_ns(view.day)
        columns = list(self._columns.values())
        return all(one.cut_ns is None or one.cut_ns <= begin_ns for one in columns)

    def has(self, stream: Stream) -> bool:
        return stream in self._columns

    def visible(self, stream: Stream, view: View) -> Items:
        """The rows of a stream that this view may show, of the days still kept."""
        columns = self._columns.get(stream)
        if columns is None:
            return empty_items()
        day = max(0, view.day - self._kept(stream))
        return columns.visible(view.now_ns, self._time.days[day].first_ns)

    def today(self, stream: Stream, view: View) -> Items:
        """As ``visible``, of the running day only."""
        columns = self._columns.get(stream)
        if columns is None:
            return empty_items()
        begin_ns, _ = self._time.span_ns(view.day)
        return columns.visible(view.now_ns, begin_ns + 1)

    def columns(self, stream: Stream) -> StreamColumns | None:
        """The rows of a stream, for whoever asks for many streams at one view."""
        return self._columns.get(stream)

    def newest(self, stream: Stream, view: View) -> Items | None:
        """The last row that ``visible`` shows, of ticks that ``today`` does; None for none."""
        columns = self._columns.get(stream)
        if columns is None:
            return None
        day = max(0, view.day - self._kept(stream))
        from_ns = self._time.days[day].first_ns
        if stream.type is not StreamType.BAR:
            from_ns = self._time.span_ns(view.day)[0] + 1
        return columns.newest(view.now_ns, from_ns)

    def regular_bars(self, symbol: str, view: View) -> tuple[Items, Ints]:
        """The running day's regular 1m bars and their starts."""
        bars = self.today(Stream(symbol, StreamType.BAR, 1), view)
        starts = bars["release_ns"] - MINUTE_NS
        day = self._time.days[view.day]
        low, high = starts.searchsorted((day.open_ns, day.close_ns)).tolist()
        return bars[low:high], starts[low:high]

    def get_latest_bar(self, symbol: str, interval_min: int = 1) -> Items | None:
        """The newest visible bar (one row), None where there is none."""
        bars = self.get_last_n_bars(symbol, 1, interval_min)
        return bars if len(bars) else None

    def get_last_n_bars(self, symbol: str, count: int, interval_min: int = 1) -> Items:
        """The newest ``count`` visible bars, oldest first."""
        bars = self.visible(Stream(symbol, StreamType.BAR, interval_min), self._time.view)
        return bars[max(0, len(bars) - count) :]

    def get_bars_since(self, symbol: str, since_ns: int, interval_min: int = 1) -> Items:
        """Visible bars that start after ``since_ns``, oldest first."""
        bars = self.visible(Stream(symbol, StreamType.BAR, interval_min), self._time.view)
        return bars[self._grid.bar_starts(bars).searchsorted(since_ns, "right") :]

    def get_bar_count(self, symbol: str, interval_min: int = 1) -> int:
        """How many bars are visible."""
        return len(self.visible(Stream(symbol, StreamType.BAR, interval_min), self._time.view))

    def get_active_symbols(self) -> list[str]:
        """Symbols of which anything is visible, by code point."""
        view = self._time.view
        active = {s.symbol for s in self._columns if len(self.visible(s, view))}
        return sorted(active)

    def get_session_metrics(self, symbol: str, view: View | None = None) -> SessionMetrics:
        """The running day so far, at one view."""
        view = self._time.view if view is None else view
        bars, starts = self.regular_bars(symbol, view)
        day = self._time.days[view.day]
        covered = None
        if Stream(symbol, StreamType.BAR, 1) in self._columns:
            covered = quality(day, starts, view.now_ns)
        if not len(bars):
            return SessionMetrics(None, None, None, None, None, 0, covered)
        values: Any = bars["v"]
        high: Floats = values[:, 1]
        return SessionMetrics(
            float(values[0, 0]),
            float(high.max()),
            float(values[:, 2].min()),
            float(values[-1, 3]),
            float(values[:, 4].cumsum()[-1]),
            len(bars),
            covered,
        )
