"""Longer bars against a plain reference, whatever the grid, the gaps and the cuts."""

from __future__ import annotations

import asyncio
import math
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calendar import Hours, TradingCalendar, TradingDay
from app.day_table import Grid
from app.errors import FeedError
from app.feed.resample import ResampleIter, Resampler
from app.feed.sources import END_NS
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.gap_detection import Gap
from app.model import Flag, Items, Stream, StreamType, make_items
from app.times import MINUTE_NS, parse_time_ns
from tests.feed.fakes import ListSource, bar_items, collect, quote_items, trade_items


class Case(NamedTuple):
    """Some trading days that are hard to cut."""

    calendar: str
    hours: Hours
    start: date
    end: date


CASES = {
    "regular, half day": Case("XNYS", Hours.REGULAR, date(2024, 11, 27), date(2024, 12, 2)),
    "extended, half day": Case("XNYS", Hours.EXTENDED, date(2024, 11, 27), date(2024, 11, 29)),
    "extended, spring": Case("XNYS", Hours.EXTENDED, date(2011, 3, 11), date(2011, 3, 14)),
    "extended, autumn": Case("XNYS", Hours.EXTENDED, date(2024, 11, 1), date(2024, 11, 4)),
    "lunch, morning only": Case("XHKG", Hours.REGULAR, date(2024, 2, 8), date(2024, 2, 14)),
    "lunch, all hours": Case("XHKG", Hours.ALL, date(2024, 2, 8), date(2024, 2, 9)),
    "all hours": Case("XLON", Hours.ALL, date(2024, 3, 28), date(2024, 4, 2)),
    "round the clock": Case("24/7", Hours.REGULAR, date(2024, 3, 9), date(2024, 3, 11)),
}


@lru_cache(maxsize=32)
def _days(case: str) -> tuple[TradingDay, ...]:
    name, hours, start, end = CASES[case]
    return tuple(TradingCalendar(name, hours, 60, start, end).range(start, end)[0])


class Bucket(NamedTuple):
    """Where a bar of the longer interval lies, found by counting from its part's start."""

    start_ns: int
    end_ns: int
    short: bool


def _bucket(days: tuple[TradingDay, ...], start_ns: int, interval_min: int) -> Bucket | None:
    for day in days:
        for part in day.parts:
            if part.start_ns <= start_ns < part.end_ns:
                width = interval_min * MINUTE_NS
                low = part.start_ns
                while low + width <= start_ns:
                    low += width
                return Bucket(low, min(low + width, part.end_ns), low + width > part.end_ns)
    return None


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom > 0 and not math.isnan(top) else None


def _bar(release: int, bucket: Bucket, minutes: int, values: list[Any]) -> tuple[Any, ...]:
    whole = (bucket.end_ns - bucket.start_ns) // MINUTE_NS
    flags = (Flag.COMPLETE if minutes == whole else 0) | (Flag.PARTIAL if bucket.short else 0)
    return (release, int(flags), *values, float(minutes))


def _reference_bars(days: Any, rows: Items, interval_min: int) -> list[tuple[Any, ...]]:
    groups: dict[Bucket, list[Any]] = {}
    for row in rows:
        bucket = _bucket(days, int(row["release_ns"]) - MINUTE_NS, interval_min)
        if bucket is not None and not int(row["flags"]) & Flag.POST_CLOSE:
            groups.setdefault(bucket, []).append([float(v) for v in row["v"]])
    made = []
    for bucket, bars in groups.items():
        volume = money = 0.0
        for bar in bars:
            volume += bar[4]
            money += bar[5] * bar[4] if bar[4] > 0 else 0.0
        values = [bars[0][0], max(b[1] for b in bars), min(b[2] for b in bars), bars[-1][3],
                  volume, _ratio(money, volume)]  # fmt: skip
        made.append(_bar(bucket.end_ns, bucket, len(bars), values))
    return made


def _reference_trades(days: Any, rows: Items) -> list[tuple[Any, ...]]:
    groups: dict[Bucket, list[Any]] = {}
    for row in rows:
        bucket = _bucket(days, int(row["release_ns"]), 1)
        if bucket is not None and not int(row["flags"]) & Flag.POST_CLOSE:
            groups.setdefault(bucket, []).append(
                (float(row["v"][0]), float(row["v"][1]), int(row["flags"]))
            )
    made = []
    for bucket, trades in groups.items():
        lasts = [price for price, _, flags in trades if flags & Flag.LAST]
        if not lasts:
            continue
        ranged = [p for p, _, flags in trades if flags & Flag.HIGH_LOW] + [lasts[0], lasts[-1]]
        volume = money = 0.0
        for price, size, flags in trades:
            if flags & Flag.VOLUME:
                volume += size
                money += price * size
        values = [lasts[0], max(ranged), min(ranged), lasts[-1], volume, _ratio(money, volume)]
        made.append(_bar(bucket.end_ns, bucket, 1, values))
    return made


def _plain(items: Items) -> list[tuple[Any, ...]]:
    return [
        (int(row["release_ns"]), int(row["flags"]),
         *(None if math.isnan(v) else float(v) for v in row["v"]))
        for row in items
    ]  # fmt: skip


def _push_in_cuts(
    resampler: Resampler, rows: Items, cuts: list[int], slack: list[int], full: bool
) -> list[Items]:
    """Feed rows cut anywhere, each time declaring any honest completeness."""
    edges = [0, *sorted({min(c, len(rows)) for c in cuts}), len(rows)]
    release = rows["release_ns"].tolist()
    made, through = [], -(2**62)
    for number, (low, high) in enumerate(pairwise(edges)):
        following = release[high] if high < len(rows) else (release[-1] if release else 0) + 10**15
        reached = release[high - 1] - 1 if high else -(2**62)
        honest = following - 1 if full else reached + slack[number % len(slack)] * MINUTE_NS
        through = max(through, min(honest, following - 1))
        made += resampler.push(rows[low:high], through)
        for bar in made[-1]:
            assert int(bar["release_ns"]) <= through
    made += resampler.push(rows[:0], END_NS)
    return made


@st.composite
def _minute_rows(draw: st.DrawFn, case: str) -> Items:
    """1m bars around a few edges of the days: gaps, volumes of zero, vwap here and there."""
    days = _days(case)
    edges = sorted({t for d in days for p in d.parts for t in (p.start_ns, p.end_ns)})
    chosen = draw(st.lists(st.tuples(st.sampled_from(edges), st.integers(-25, 45)), max_size=60))
    starts = sorted({edge + offset * MINUTE_NS for edge, offset in chosen})
    count = len(starts)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    close = np.round(50 + rng.normal(0, 1, count), 2)
    volume = np.where(rng.random(count) < 0.3, 0.0, rng.integers(1, 1000, count) / 8)
    vwap = np.where(rng.random(count) < 0.2, np.nan, close)
    flags = np.where(rng.random(count) < 0.1, Flag.COMPLETE | Flag.POST_CLOSE, Flag.COMPLETE)
    first = np.round(close + rng.normal(0, 0.2, count), 2)
    high, low = np.maximum(first, close) + 0.25, np.minimum(first, close) - 0.25
    release = np.array(starts, np.int64) + MINUTE_NS
    return make_items(1, release, flags, first, high, low, close, volume, vwap, 1.0)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(list(CASES)), st.sampled_from([2, 5, 7, 15, 60, 240, 1440]))
def test_bars_from_minutes(data: st.DataObject, case: str, interval_min: int) -> None:
    days = _days(case)
    rows = data.draw(_minute_rows(case))
    cuts = data.draw(st.lists(st.integers(0, 60), max_size=8))
    slack = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
    resampler = Resampler(Grid(days), StreamType.BAR, interval_min)
    made = np.concatenate(_push_in_cuts(resampler, rows, cuts, slack, data.draw(st.booleans())))
    assert _plain(made) == _reference_bars(days, rows, interval_min)
    assert (made["stream"] == interval_min).all()


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(list(CASES)))
def test_minutes_from_trades(data: st.DataObject, case: str) -> None:
    days = _days(case)
    edges = sorted({t for d in days for p in d.parts for t in (p.start_ns, p.end_ns)})
    offsets = st.tuples(st.sampled_from(edges), st.integers(-150, 150))
    times = sorted(edge + s * 10**9 for edge, s in data.draw(st.lists(offsets, max_size=60)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows = trade_items(times, np.round(50 + rng.normal(0, 1, len(times)), 2).tolist())
    rows["v"][:, 1] = rng.integers(0, 100, len(times)) / 4
    bits = [Flag.LAST, Flag.HIGH_LOW, Flag.VOLUME, Flag.POST_CLOSE, Flag.SUSPICIOUS]
    rows["flags"] = sum(
        np.where(rng.random(len(times)) < share, int(bit), 0)
        for bit, share in zip(bits, (0.6, 0.7, 0.8, 0.1, 0.2), strict=True)
    )
    cuts = data.draw(st.lists(st.integers(0, 60), max_size=8))
    resampler = Resampler(Grid(days), StreamType.TRADE, 1)
    made = np.concatenate(_push_in_cuts(resampler, rows, cuts, [0, 1, 3], True))
    assert _plain(made) == _reference_trades(days, rows)


def _reference_day(days: Any, number: int, rows: Items) -> list[float] | None:
    """OHLCV of a day's regular minutes, then the minutes that are there."""
    parts = days[number].regular_parts
    bars, minutes = [], []
    for row in rows:
        start = int(row["release_ns"]) - MINUTE_NS
        within = [p.start_ns <= start < p.end_ns for p in parts]
        if any(within) and not int(row["flags"]) & Flag.POST_CLOSE:
            earlier = sum(p.end_ns - p.start_ns for p in parts[: within.index(True)])
            minutes.append((earlier + start - parts[within.index(True)].start_ns) // MINUTE_NS)
            bars.append([float(v) for v in row["v"]])
    if not bars:
        return None
    volume = 0.0
    for bar in bars:
        volume += bar[4]
    return [
        bars[0][0], max(b[1] for b in bars), min(b[2] for b in bars), bars[-1][3], volume, *minutes
    ]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(list(CASES)))
def test_many_symbols_days_and_intervals_in_one_pass(data: st.DataObject, case: str) -> None:
    """However they are cut, and whoever is in the same pass: bars, and the days' records."""
    days = _days(case)
    names = ("A", "B", "C")
    rows = {name: data.draw(_minute_rows(case)) for name in names}
    for number, name in enumerate(names):
        rows[name]["symbol"] = number
    intervals = data.draw(st.sampled_from([(), (5,), (5, 15), (7, 60, 240)]))
    book = DayBook(days, names, {}, [True] * len(names))
    resampler = Resampler(book.grid, StreamType.BAR, *intervals)
    made: dict[tuple[str, int], list[Items]] = {(n, i): [] for n in names for i in intervals}
    at = dict.fromkeys(names, 0)
    while any(at[name] < len(rows[name]) for name in names):
        who = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
        taken = {name: rows[name][at[name] :][: data.draw(st.integers(0, 60))] for name in who}
        at |= {name: at[name] + len(taken[name]) for name in who}
        _push(resampler, book, taken, {n: _complete_through(rows[n], at[n]) for n in who}, made)
    _push(resampler, book, {n: rows[n][:0] for n in names}, dict.fromkeys(names, END_NS), made)
    for (name, interval), bars in made.items():
        found = np.concatenate(bars)
        assert _plain(found) == _reference_bars(days, rows[name], interval)
        assert (found["symbol"] == names.index(name)).all()
    for day in range(len(days)):
        book.close_day(day)
        for number, name in enumerate(names):
            record, wanted = book.symbol_day(day, number), _reference_day(days, day, rows[name])
            assert record[:5] == (tuple(wanted[:5]) if wanted else (None,) * 5)
            assert record.coverage is not None
            due = (days[day].regular_minutes() - days[day].open_ns) // MINUTE_NS
            missing = {m for g in record.coverage.gaps for m in _minutes(g, days[day].open_ns)}
            there = [i for i, minute in enumerate(due.tolist()) if minute not in missing]
            assert there == (wanted[5:] if wanted else [])


def _minutes(gap: Gap, open_ns: int) -> range:
    return range((gap.start_ns - open_ns) // MINUTE_NS, (gap.end_ns - open_ns) // MINUTE_NS)


def _complete_through(rows: Items, at: int) -> int:
    return int(rows["release_ns"][at]) - 1 if at < len(rows) else END_NS


def _push(
    resampler: Resampler, book: DayBook, rows: dict[str, Items], through: dict[str, int],
    made: dict[tuple[str, int], list[Items]],
) -> None:  # fmt: skip
    laid, bars = resampler.push_all([(name, rows[name], through[name]) for name in rows])
    book.add_bars(laid)
    for interval, by_symbol in zip(resampler.intervals_min, bars, strict=True):
        for name, items in zip(rows, by_symbol, strict=True):
            made[name, interval].append(items)


def _at(text: str) -> int:
    return parse_time_ns(text)


def test_the_last_bucket_of_a_morning_is_short_and_lunch_is_not_crossed() -> None:
    days = _days("lunch, morning only")
    morning = days[0].parts[0]
    starts = np.arange(morning.start_ns, morning.end_ns, MINUTE_NS)
    resampler = Resampler(Grid(days), StreamType.BAR, 40)
    (made,) = resampler.push(bar_items((starts + MINUTE_NS).tolist()), END_NS)
    assert (morning.end_ns - morning.start_ns) // MINUTE_NS == 150
    assert made["v"][:, 6].tolist() == [40, 40, 40, 30]
    short = Flag.COMPLETE | Flag.PARTIAL
    assert made["flags"].tolist() == [Flag.COMPLETE] * 3 + [short]
    assert int(made["release_ns"][-1]) == morning.end_ns == _at("2024-02-08T04:00:00Z")


def test_a_bucket_waits_until_its_stream_is_complete_through_its_end() -> None:
    days = _days("regular, half day")
    open_ns = days[0].open_ns
    resampler = Resampler(Grid(days), StreamType.BAR, 5)
    rows = bar_items([open_ns + (i + 1) * MINUTE_NS for i in range(5)])
    (made,) = resampler.push(rows, open_ns + 5 * MINUTE_NS - 1)
    assert not len(made)
    ((bar,),) = resampler.push(rows[:0], open_ns + 5 * MINUTE_NS)
    assert bar["v"][6] == 5.0
    (made,) = resampler.push(rows[:0], END_NS)
    assert not len(made)


# -- as an async source --------------------------------------------------------------------

ONE, FIVE = Stream("A", StreamType.BAR, 1), Stream("A", StreamType.BAR, 5)
DAYS = _days("regular, half day")
OPEN_NS = DAYS[0].open_ns


@pytest.mark.parametrize("says_end", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_source_that_ends_leaves_no_bucket_open(rows: int, says_end: bool) -> None:
    items = bar_items([OPEN_NS + (i + 1) * MINUTE_NS for i in range(12)])
    source = ListSource(ONE, items, rows, says_end=says_end)
    batches = asyncio.run(collect(ResampleIter(source, FIVE, DAYS)))
    made = np.concatenate([b.items for b in batches])
    assert made["v"][:, 6].tolist() == [5.0, 5.0, 2.0]
    assert made["flags"].tolist() == [Flag.COMPLETE, Flag.COMPLETE, 0]
    assert batches[-1].complete_through_ns == END_NS
    assert {b.stream for b in batches} == {FIVE}
    through = [b.complete_through_ns for b in batches]
    assert through == sorted(through)


def test_rows_that_cannot_be_taken_are_left_out_and_counted() -> None:
    minutes = [1, 2, 2, 1, 3]
    items = bar_items([OPEN_NS + m * MINUTE_NS for m in minutes], [1, 2, 3, 4, math.nan])
    bars = ResampleIter(ListSource(ONE, items, 2), FIVE, DAYS)
    made = np.concatenate([b.items for b in asyncio.run(collect(bars))])
    assert made["v"][:, 4].tolist() == [20.0]
    assert bars.discarded == {"late": 1, "duplicate": 1, "invalid": 1}


def test_bars_of_minutes_from_trades_go_on_to_longer_bars() -> None:
    trades = trade_items([OPEN_NS + i * 20 * 10**9 for i in range(30)])
    source = ListSource(Stream("A", StreamType.TRADE), trades, 4)
    minutes = ResampleIter(source, ONE, DAYS)
    made = np.concatenate(
        [b.items for b in asyncio.run(collect(ResampleIter(minutes, FIVE, DAYS)))]
    )
    assert made["v"][:, 0].tolist() == [1.0, 16.0]
    assert made["v"][:, 3].tolist() == [15.0, 30.0]
    assert made["v"][:, 4].tolist() == [75.0, 75.0]
    assert made["v"][:, 6].tolist() == [5.0, 5.0]


@pytest.mark.parametrize(
    ("source", "stream"),
    [
        (Stream("A", StreamType.QUOTE), ONE),
        (Stream("A", StreamType.TRADE), FIVE),
        (ONE, ONE),
        (FIVE, Stream("A", StreamType.BAR, 15)),
        (ONE, Stream("A", StreamType.TRADE)),
        (ONE, Stream("B", StreamType.BAR, 5)),
    ],
)
def test_bars_that_cannot_be_made_are_refused(source: Stream, stream: Stream) -> None:
    with pytest.raises(FeedError, match="cannot be made from"):
        ResampleIter(ListSource(source, quote_items([])), stream, DAYS)
