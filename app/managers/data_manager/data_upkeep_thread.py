"""The upkeep thread: derives bars ahead of the clock, keeps the days' records, asks for the roll.

It sees the coordinator's filtered intake, so what it derives is known long
before its time comes; the derived bars are merged like any stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Condition, Thread
from typing import NamedTuple, Protocol

import numpy as np

from app.calendar import TradingDay
from app.day_table import Grid
from app.feed.queues import BEFORE_ALL_NS
from app.feed.resample import Resampler
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.intake import AUCTION_GRACE_NS
from app.model import Batch, Items, Stream, StreamType


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
        trades = [s.type is StreamType.TRADE for s in sources]
        self._wait_ns = np.where(trades, AUCTION_GRACE_NS, 0)  # an auction may print late
        self._chains = plan_chains(sources, intervals, Grid(days))

    @property
    def derived_streams(self) -> list[Stream]:
        """The streams it feeds; to be registered before any source is fed."""
        return [stream for chain in self._chains.values() for stream, _ in chain]

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
        made: list[Batch] = []
        for work in inbox:
            if self._before_work is not None:
                self._before_work()
            made += self._do(work)
        self._target.offer_derived(made)
        self._close_days()

    def _do(self, work: Work) -> list[Batch]:
        """The bars that follow from it."""
        number = self._number[work.stream.symbol]
        if len(work.auctions):
            self._book.add_auctions(number, work.auctions, AUCTION_GRACE_NS)
        items, through = work.items, work.through_ns
        if work.stream.type is StreamType.BAR:
            self._book.add_bars(number, items)
        made: list[Batch] = []
        for stream, resampler in self._chains.get(work.stream, ()):
            bars = resampler.push(items, through)
            if stream.interval_min == 1:
                self._book.add_bars(number, bars)
                items = bars  # the longer ones are made of these
            made.append(Batch(stream, bars, through))
        self._through[self._place[work.stream]] = through
        return made

    def _close_days(self) -> None:
        while self._day < len(self._days):
            day = self._days[self._day]
            needed = np.maximum(day.end_ns, day.close_ns + self._wait_ns)
            if (self._through < needed).any():
                return
            self._book.close_day(self._day)
            self._target.request_roll(self._day)
            self._day += 1


def plan_chains(
    sources: Sequence[Stream], intervals: Sequence[int], grid: Grid
) -> dict[Stream, list[tuple[Stream, Resampler]]]:
    """The bars made of each source: longer ones of 1m bars; of trades where there are none."""
    chains: dict[Stream, list[tuple[Stream, Resampler]]] = {}
    with_bars = {s.symbol for s in sources if s.type is StreamType.BAR}
    for source in sources:
        made: list[tuple[Stream, Resampler]] = []
        if source.type is StreamType.TRADE and source.symbol not in with_bars:
            one = Stream(source.symbol, StreamType.BAR, 1)
            made.append((one, Resampler(grid, 1, StreamType.TRADE)))
        elif source.type is not StreamType.BAR:
            continue
        for interval in sorted(intervals):
            stream = Stream(source.symbol, StreamType.BAR, interval)
            made.append((stream, Resampler(grid, interval, StreamType.BAR)))
        chains[source] = made
    return chains
