"""Invented trades and quotes that add up to given bars."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from app.calendar import TradingDay
from app.model import Floats, Ints
from app.times import MINUTE_NS, SECOND_NS

_EXCHANGES = np.array(["N", "P", "Q", "Z"])
_LEAST_TRADES = 4
_MOST_MORE = 4
_ODD_LOT = 100


class BarColumns(Protocol):
    """Bars of one symbol and day; prices in cents."""

    @property
    def ts(self) -> Ints: ...
    @property
    def open(self) -> Ints: ...
    @property
    def high(self) -> Ints: ...
    @property
    def low(self) -> Ints: ...
    @property
    def close(self) -> Ints: ...
    @property
    def volume(self) -> Ints: ...


def invent_trades(
    bars: BarColumns, day: TradingDay, rng: np.random.Generator
) -> tuple[pa.Table, Floats]:
    """Trades of which exactly ``bars`` come about, and the bars' vwap in cents.

    Per bar: the first trade is the open, the last the close, high and low in between,
    then some odd lots that may not set prices. A suspicious trade far off the market
    counts for nothing.
    """
    count = len(bars.ts)
    auction = bars.ts == day.close_ns
    numbers = np.where(auction, 1, _LEAST_TRADES + rng.integers(0, _MOST_MORE + 1, count))
    starts = np.cumsum(numbers) - numbers
    bar = np.repeat(np.arange(count), numbers)
    place = np.arange(len(bar)) - starts[bar]
    prices = _prices(bars, bar, place, numbers[bar], rng)
    sizes = _sizes(bars.volume, numbers, bar, place, rng)
    ts = _times(bars.ts, numbers, bar, rng)
    odd = (sizes < _ODD_LOT) & (place > 2) & (place < numbers[bar] - 1)
    outside = (ts < day.open_ns) | (ts >= day.close_ns + MINUTE_NS)
    marks = np.full(len(bar), None, object)
    marks[np.flatnonzero(ts >= day.open_ns)[0]] = "open"
    marks[auction[bar]] = "close"
    conditions = np.where(odd, "I", np.where(outside, "T", "@")).astype(object)
    conditions[marks == "open"], conditions[marks == "close"] = "O", "6"
    vwap = np.add.reduceat(prices * sizes, starts) / bars.volume
    columns = {
        "ts": ts, "price": prices / 100, "size": sizes,
        "exchange": _EXCHANGES[rng.integers(0, len(_EXCHANGES), len(bar))],
        "conditions": conditions, "suspicious": np.zeros(len(bar), bool),
        "updates_last": ~odd, "updates_high_low": ~odd, "updates_volume": np.ones(len(bar), bool),
        "auction": marks,
    }  # fmt: skip
    return _with_suspicious(columns, int(np.flatnonzero(odd | ~outside)[100])), vwap


def _prices(
    bars: BarColumns, bar: Ints, place: Ints, number: Ints, rng: np.random.Generator
) -> Ints:
    """Cents: open, low and high in either order, others between, close."""
    low, high = bars.low[bar], bars.high[bar]
    up_first = bars.close[bar] < bars.open[bar]
    prices = low + rng.integers(0, high - low + 1)
    prices = np.where(place == 1, np.where(up_first, high, low), prices)
    prices = np.where(place == 2, np.where(up_first, low, high), prices)
    prices = np.where(place == 0, bars.open[bar], prices)
    last: Ints = np.where(place == number - 1, bars.close[bar], prices)
    return last


def _sizes(volume: Ints, numbers: Ints, bar: Ints, place: Ints, rng: np.random.Generator) -> Ints:
    """Shares that add up to each bar's volume; the close has what is left."""
    part = volume[bar] // (2 * numbers[bar])
    sizes = 1 + np.floor(rng.random(len(bar)) * part).astype(np.int64)
    small = rng.random(len(bar)) < 0.2
    sizes = np.where(small, np.minimum(sizes, _ODD_LOT - 1), sizes)
    last = place == numbers[bar] - 1
    sizes[last] = 0
    sums = np.add.reduceat(sizes, np.flatnonzero(place == 0))
    sizes[last] = volume - sums
    return sizes


def _times(starts: Ints, numbers: Ints, bar: Ints, rng: np.random.Generator) -> Ints:
    """Rising within each minute; about one in ten has the time of the one before it."""
    offsets = rng.integers(0, MINUTE_NS - SECOND_NS, len(bar))
    ts = np.sort(starts[bar] + offsets)  # each stays in its own minute, minutes are sorted
    same = rng.random(len(bar)) < 0.1
    same[0] = False
    same[1:] &= bar[1:] == bar[:-1]
    ts[same] = ts[np.flatnonzero(same) - 1]
    return np.maximum.accumulate(ts)


def _with_suspicious(columns: dict[str, Any], place: int) -> pa.Table:
    """One more trade after ``place``, at a tenth of the price, that updates nothing."""
    made = {}
    for name, values in columns.items():
        more = values[place]
        if name == "price":
            more = round(more / 10, 2)
        elif name.startswith("updates_"):
            more = False
        elif name == "suspicious":
            more = True
        elif name == "auction":
            more = None
        made[name] = np.insert(values, place + 1, more)
    ts = pa.array(made.pop("ts"), pa.int64()).cast(pa.timestamp("ns", "UTC"))
    texts = {n: pa.array(made[n].tolist(), pa.string()) for n in ("conditions", "auction")}
    return pa.table({"ts": ts, **made, **texts})


def invent_quotes(trades: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Two quotes before or at each sound trade, that lies on or between them.

    Each row changes one side; the first has only that one.
    """
    sound = ~trades.column("suspicious").to_numpy()
    ts = np.repeat(trades.column("ts").cast(pa.int64()).to_numpy()[sound], 2)
    cents = np.rint(trades.column("price").to_numpy()[sound] * 100).astype(np.int64)
    bid = cents - rng.integers(0, 3, len(cents))
    ask = np.maximum(cents + rng.integers(0, 3, len(cents)), bid + 1)
    rising = np.diff(bid, prepend=bid[0]) > 0
    # The side that gives way moves first, so that bid and ask never cross.
    is_ask = np.stack([rising, ~rising], axis=1).ravel()
    values = {}
    for name, side, changed in (("bid", bid, ~is_ask), ("ask", ask, is_ask)):
        row = np.arange(len(ts))
        latest = np.maximum.accumulate(np.where(changed, row, -1))
        absent = latest < 0
        size = 100 * rng.integers(1, 30, len(side))
        values[name] = pa.array(side[latest // 2] / 100, mask=absent)
        values[f"{name}_size"] = pa.array(size[latest // 2], pa.int64(), mask=absent)
    gaps = rng.integers(0, 2, len(ts)) * rng.integers(0, SECOND_NS, len(ts))
    before = np.minimum.accumulate((ts - gaps)[::-1])[::-1]
    exchange = _EXCHANGES[rng.integers(0, len(_EXCHANGES), len(ts))]
    return pa.table(
        {
            "ts": pa.array(before, pa.int64()).cast(pa.timestamp("ns", "UTC")),
            **values,
            "exchange": pa.array(exchange.tolist(), pa.string()),
            "side": pa.array(np.where(is_ask, "A", "B").tolist(), pa.string()),
        }
    )
