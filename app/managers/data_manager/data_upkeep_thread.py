"""The upkeep thread: derives bars ahead of the clock, keeps the days' records, asks for the roll.

It sees the coordinator's filtered intake, so what it derives is known long
before its time comes; the derived bars are merged like any stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Condition, Thread
from typing import NamedTuple, Protocol

import numpy as np

from app.calendar import TradingDay
from app.feed.queues import BEFORE_ALL_NS
from app.feed.resample import Resampler, SymbolRows
from app.feed.sources import END_NS
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.intake import AUCTION_GRACE_NS
from app.model import Batch, Items, Stream, StreamType

_AT_ONCE_ROWS = 16_384  # what a processor's cache holds of their columns


class UpkeepTarget(Protocol):
    """Where the upkeep thread's work goes: the coordinator."""

    def offer_derived(self, made: Iterable[Batch]) -> None: ...

    def request_roll(self, day: int) -> None: ...

    def fail(self, error: BaseException) -> None: ...


class Work(NamedTuple):
    """Filtered rows of a source stream, and how far it is complete after them."""

    stream: Stream
    items: Items
    auctions: Items
    through_ns: int


class DataUpkeepThread(Thread):
    """Its own scratch is all that it writes; everything else it sends."""

    def __init__(
        self,
        target: UpkeepTarget,
        days: Sequence[TradingDay],
        sources: Sequence[Stream],
        intervals: Sequence[int],
        book: DayBook,
        symbols: Sequence[str],
        before_work: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name="DataUpkeepThread", daemon=True)
        self._target = target
        self._days = tuple(days)
        self._book = book
        self._number = {symbol: i for i, symbol in enumerate(symbols)}
        self._before_work = before_work
        self._inbox: deque[Work] = deque()
        self._ready = Condition()
        self._stopping = False
        self._day = 0
        self._place = {stream: i for i, stream in enumerate(sources)}
        self._through = np.full(len(sources), BEFORE_ALL_NS, np.int64)
        self._are_trades = np.array([s.type is StreamType.TRADE for s in sources], bool)
        self._without_bars = _without_bars(sources)
        self.derived_streams = derived_streams(sources, intervals)  # to be registered first
        self._minutes = Resampler(book.grid, StreamType.TRADE, 1)
        self._longer = Resampler(book.grid, StreamType.BAR, *sorted(intervals))

    def offer(self, work: Iterable[Work]) -> None:
        """Hand over what there is to do; any thread, in order for each stream."""
        with self._ready:
            self._inbox.extend(work)
            self._ready.notify()

    def stop(self) -> None:
        """End soon; any thread, any number of times."""
        with self._ready:
            self._stopping = True
            self._ready.notify()

    def run(self) -> None:
        try:
            while inbox := self._next():
                self._do_all(inbox)
        except BaseException as error:
            self._target.fail(error)

    def _next(self) -> list[Work]:
        """All that has come; nothing once it is to stop."""
        with self._ready:
            self._ready.wait_for(lambda: self._inbox or self._stopping)
            inbox = [] if self._stopping else list(self._inbox)
            self._inbox.clear()
            return inbox

    def _do_all(self, inbox: Sequence[Work]) -> None:
        """Each stream's rows in order; those of different streams at once."""
        together: dict[Stream, Work] = {}
        rows = 0
        for work in inbox:
            if self._before_work is not None:
                self._before_work()
            if together and (work.stream in together or rows + len(work.items) > _AT_ONCE_ROWS):
                self._do(list(together.values()))
                together, rows = {}, 0
            together[work.stream] = work
            rows += len(work.items)
        self._do(list(together.values()))
        self._close_days()

    def _do(self, works: Sequence[Work]) -> None:
        bars: list[SymbolRows] = []
        trades: list[SymbolRows] = []
        for stream, items, auctions, through_ns in works:
            if len(auctions):
                number = self._number[stream.symbol]
                self._book.add_auctions(number, auctions, AUCTION_GRACE_NS)
            if stream.type is StreamType.BAR:
                bars.append((stream.symbol, items, through_ns))
            elif stream.type is StreamType.TRADE and stream.symbol in self._without_bars:
                trades.append((stream.symbol, items, through_ns))
        made: list[Batch] = []
        if trades:
            _, minutes = self._minutes.push_all(trades)
            made += _batches(trades, self._minutes, minutes)
            bars += [(one.stream.symbol, one.items, one.complete_through_ns) for one in made]
        if bars:
            rows, longer = self._longer.push_all(bars)
            self._book.add_bars(rows)
            made += _batches(bars, self._longer, longer)
        self._target.offer_derived(made)
        for work in works:
            self._through[self._place[work.stream]] = work.through_ns

    def _close_days(self) -> None:
        before, known_ns = self._day, int(self._through.min(initial=END_NS))
        trades_ns = int(self._through[self._are_trades].min(initial=END_NS))
        for day in self._days[before:]:
            late_ns = day.close_ns + AUCTION_GRACE_NS  # an auction may print late
            if known_ns < max(day.end_ns, day.close_ns) or trades_ns < max(day.end_ns, late_ns):
                break
            self._book.close_day(self._day)
            self._day += 1
        if self._day > before:
            self._target.request_roll(self._day - 1)


def derived_streams(sources: Sequence[Stream], intervals: Sequence[int]) -> list[Stream]:
    """The streams of bars that are made of these."""
    made = _without_bars(sources)
    with_any = sorted({s.symbol for s in sources if s.type is StreamType.BAR} | made)
    return [Stream(symbol, StreamType.BAR, 1) for symbol in sorted(made)] + [
        Stream(symbol, StreamType.BAR, interval)
        for symbol in with_any
        for interval in sorted(intervals)
    ]


def _without_bars(sources: Sequence[Stream]) -> set[str]:
    """The symbols whose 1m bars are made of their trades."""
    with_bars = {s.symbol for s in sources if s.type is StreamType.BAR}
    return {s.symbol for s in sources if s.type is StreamType.TRADE} - with_bars


def _batches(
    rows: Sequence[SymbolRows], resampler: Resampler, made: Sequence[Sequence[Items]]
) -> Iterator[Batch]:
    """The bars made of each symbol's rows, by interval, and how far they are complete."""
    for minutes, bars in zip(resampler.intervals_min, made, strict=True):
        for (symbol, _, through_ns), items in zip(rows, bars, strict=True):
            yield Batch(Stream(symbol, StreamType.BAR, minutes), items, through_ns)
