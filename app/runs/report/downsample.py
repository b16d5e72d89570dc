"""Long columns made short enough to draw, without losing a peak or a trough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.runs.report.facts import PriceColumns

MAX_POINTS = 4_000
MAX_CANDLES = 800


def extremes(values: Floats, most: int = MAX_POINTS) -> Ints:
    """Rows to draw: of each of equally long stretches its first, lowest, highest and last."""
    rows = len(values)
    if rows <= most:
        return np.arange(rows)
    width = -(-rows // (most // 4))
    padded = np.append(values, np.full(-rows % width, values[-1])).reshape(-1, width)
    first = np.arange(len(padded)) * width
    picks = (first, first + padded.argmin(1), first + padded.argmax(1), first + width - 1)
    return np.unique(np.minimum(np.concatenate(picks), rows - 1))


class Candles(NamedTuple):
    """Bars made of bars; ``ts_ns`` is the start of the first, ``bars`` how many one holds."""

    ts_ns: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    bars: int
    days: int  # how many trading days one holds; 0 where it is a part of one


def candles(prices: PriceColumns, opens_ns: Ints, most: int = MAX_CANDLES) -> Candles:
    """At most about ``most`` candles: equal parts of trading days, or else whole days."""
    rows = len(prices.ts_ns)
    if rows <= most:
        return Candles(prices.ts_ns, prices.open, prices.high, prices.low, prices.close, 1, 0)
    day = opens_ns.searchsorted(prices.ts_ns, "right")
    starts = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    number = np.cumsum(np.diff(day, prepend=day[0]) != 0)  # of the days that have bars, from 0
    count, a_day = len(starts), most // len(starts)
    if a_day >= 2:
        longest = int(np.diff(np.append(starts, rows)).max())
        width, days = -(-longest // a_day), 0
        group = number * (longest + 1) + (np.arange(rows) - starts[number]) // width
    else:
        width, days = 0, -(-count // most)
        group = number // days
    first = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    return _joined(prices, first, width, days)


def _joined(prices: PriceColumns, first: Ints, bars: int, days: int) -> Candles:
    last = np.append(first[1:], len(prices.ts_ns)) - 1
    return Candles(
        prices.ts_ns[first], prices.open[first], np.maximum.reduceat(prices.high, first),
        np.minimum.reduceat(prices.low, first), prices.close[last], bars, days,
    )  # fmt: skip
