"""Derived bars, bars made from trades, and the days' records: loops over plain bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from tests.oracle.days import MINUTE, SECOND, Day


class Bar(NamedTuple):
    """One bar; times in nanoseconds, the interval in minutes."""

    day: int
    start: int
    release: int
    interval: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    minutes: int = 1
    complete: bool = True
    partial: bool = False
    post_close: bool = False


class Trade(NamedTuple):
    """One delivered trade that is not post-close, and what it may do to a bar."""

    day: int
    time: int
    price: float
    size: float
    sets_last: bool
    sets_high_low: bool
    counts: bool


class DayRecord(NamedTuple):
    """A symbol's day, of its regular minutes."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    bars: int
    expected: int
    quality: float
    gaps: list[tuple[int, int, int]]  # start, end, minutes
    official_close: float | None
    close_source: str | None


def derived_bars(minutes: Iterable[Bar], interval: int, days: list[Day]) -> list[Bar]:
    """Bars of ``interval`` minutes from the 1m bars that are not post-close."""

    def bucket_of(bar: Bar) -> tuple[int, int, int]:
        part = days[bar.day].part_at(bar.start)
        assert part is not None, bar
        start = bar.start - (bar.start - part.start) % (interval * MINUTE)
        return bar.day, start, part.end

    inside = [bar for bar in minutes if not bar.post_close]
    found = []
    for (day, start, part_end), members in groupby(inside, bucket_of):
        bars = list(members)
        end = min(start + interval * MINUTE, part_end)
        found.append(
            Bar(
                day, start, end, interval,
                bars[0].open,
                max(bar.high for bar in bars),
                min(bar.low for bar in bars),
                bars[-1].close,
                _total(bar.volume for bar in bars),
                _vwap((bar.vwap, bar.volume) for bar in bars),
                minutes=len(bars),
                complete=len(bars) == (end - start) // MINUTE,
                partial=end < start + interval * MINUTE,
            )
        )  # fmt: skip
    return found


def bars_of_trades(trades: Iterable[Trade], days: list[Day]) -> Iterator[Bar]:
    """1m bars of a symbol that has no others; a minute that no trade may close has none."""

    def minute_of(trade: Trade) -> tuple[int, int]:
        part = days[trade.day].part_at(trade.time)
        assert part is not None, trade
        return trade.day, trade.time - (trade.time - part.start) % MINUTE

    for (day, start), members in groupby(trades, minute_of):
        all_of_it = list(members)
        last = [t.price for t in all_of_it if t.sets_last]
        if not last:
            continue
        range_of = [t.price for t in all_of_it if t.sets_high_low] + [last[0], last[-1]]
        counted = [t for t in all_of_it if t.counts]
        yield Bar(
            day, start, start + MINUTE, 1,
            last[0], max(range_of), min(range_of), last[-1],
            _total(t.size for t in counted),
            _vwap((t.price, t.size) for t in counted),
        )  # fmt: skip


def _total(values: Iterable[float]) -> float:
    """The sum in order, one after another (``sum`` compensates from Python 3.12 on)."""
    total = 0.0
    for value in values:
        total += value
    return total


def _vwap(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    traded = [(price, volume) for price, volume in pairs if volume > 0]
    if not traded or any(price is None for price, _ in traded):
        return None
    value = _total(price * volume for price, volume in traded if price is not None)
    return value / _total(volume for _, volume in traded)


def day_record(
    minutes: Iterable[Bar], day: Day, daily_close: float | None, auction_close: float | None
) -> DayRecord:
    """The record of one symbol's day from its delivered 1m bars of that day."""
    parts = day.regular_parts()
    bars = [b for b in minutes if any(p.start <= b.start < p.end for p in parts)]
    expected = [list(range(p.start, p.end, MINUTE)) for p in parts]
    count = sum(len(part) for part in expected)
    present = {b.start for b in bars}
    received = sum(start in present for part in expected for start in part)
    last = bars[-1].close if bars else None
    sources = {"daily": daily_close, "auction": auction_close, "last_minute": last}
    known = [name for name, close in sources.items() if close is not None]
    return DayRecord(
        bars[0].open if bars else None,
        max((b.high for b in bars), default=None),
        min((b.low for b in bars), default=None),
        last,
        _total(b.volume for b in bars) if bars else None,
        len(bars),
        count,
        100 * received / count,
        [gap for part in expected for gap in _gaps(part, present)],
        sources[known[0]] if known else None,
        known[0] if known else None,
    )


def _gaps(expected: list[int], present: set[int]) -> Iterator[tuple[int, int, int]]:
    """Runs of missing minutes of one part; a run never crosses a break."""
    for missing, run in groupby(expected, lambda start: start not in present):
        starts = list(run)
        if missing:
            yield starts[0], starts[-1] + MINUTE, len(starts)


AUCTION_WAIT = 10 * 60 * SECOND  # a closing auction counts until so long after the close
