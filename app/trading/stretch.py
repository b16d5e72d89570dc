"""Stretches of merged rows that are looked at together, whatever windows they come in.

Windows are cut at days, steps and commands, and a call of numpy's costs as much for a few rows as
for hundreds. So what follows from rows alone is worked out for a stretch of them, once for all
services of a thread, and kept while windows of it come.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from app.model import TRADE_CODE, Block, Flag, Floats, Ints, Window
from app.trading.adjust import late_prints, spans_split

_LAST, _POST_CLOSE = int(Flag.LAST), int(Flag.POST_CLOSE)  # numpy takes long over an enum's
_ROWS = 8_192  # or as many as the window has that begins it


class Prices(NamedTuple):
    """The eligible rows of some slices, in delivered order; not to be written to."""

    times_ns: Ints  # of the slices
    release_ns: Ints
    symbol: Ints
    price: Floats
    edges: Ints  # slice i has the rows edges[i] to edges[i + 1]

    def part(self, low: int, high: int) -> Prices:
        """Those of the slices ``low`` to ``high``."""
        edges = self.edges[low : high + 1]
        first, last = edges.item(0), edges.item(-1)
        return Prices(
            self.times_ns[low:high], self.release_ns[first:last], self.symbol[first:last],
            self.price[first:last], edges - first,
        )  # fmt: skip


class Stretch:
    """The slices ``low`` to ``high`` of a block."""

    def __init__(self, block: Block, low: int, high: int) -> None:
        bounds = block.bounds
        first = bounds.item(low)
        self.block, self.low, self.high = block, low, high
        self.times_ns = block.times_ns[low:high]
        self.bounds = bounds[low : high + 1] - first
        self.items = block.items[first : bounds.item(high)]

    def place_of(self, window: Window) -> int:
        """The number here of the first slice of a window that lies in it."""
        return window.at - self.low if window.block is self.block else 0

    @cached_property
    def prices(self) -> Prices:
        """Its eligible rows, on days without splits."""
        return eligible_prices(self)


def eligible_prices(
    stretch: Stretch, ratios: Mapping[int, float] | None = None,
    old: Mapping[int, float] | None = None,
) -> Prices:  # fmt: skip
    """Rows that may mark a position, with their symbols and prices.

    ``ratios``: the splits of the day by symbol index; bars that span one are left out. ``old``:
    marks of the shares before them; late prints of such shares are left out too.
    """
    items, bounds = stretch.items, stretch.bounds
    stream, flags = np.ascontiguousarray(items["stream"]), np.ascontiguousarray(items["flags"])
    values: Any = items["v"]
    price = values[:, 3]
    fits = bars = stream == 1
    trades = stream == TRADE_CODE
    if trades.any():
        fits = bars | (trades & (flags & _LAST != 0))
        price = np.where(bars, price, values[:, 0])
    fits = fits & (flags & _POST_CLOSE == 0)
    if ratios:
        fits &= ~spans_split(items, ratios)
        if old:
            fits &= ~late_prints(items["symbol"], price, ratios, old)
    # Picking from a column that lies together takes a fifth of the time.
    release_ns, price = np.ascontiguousarray(items["release_ns"]), np.ascontiguousarray(price)
    symbol = items["symbol"].astype(np.int64)
    before = np.zeros(len(items) + 1, np.int64)
    np.cumsum(fits, out=before[1:])
    row = fits.nonzero()[0]
    return Prices(stretch.times_ns, release_ns[row], symbol[row], price[row], before[bounds])


def stretch_of(window: Window) -> Stretch:
    """The one that the thread's windows are in, or the next."""
    if _newest.window is not window:
        low, high, known = window.at, window.at + len(window.times_ns), _newest.stretch
        inside = known is not None and known.block is window.block
        if known is None or not inside or low < known.low or high > known.high:
            known = alone(window) if window.block is None else _from(window.block, low, high)
        _newest.window, _newest.stretch = window, known
    assert _newest.stretch is not None  # of this window or one before it
    return _newest.stretch


def alone(window: Window) -> Stretch:
    """Of this window only."""
    count = len(window.times_ns)
    if window.block is None:
        return Stretch(Block(window.times_ns, window.bounds, window.items), 0, count)
    return Stretch(window.block, window.at, window.at + count)


def _from(block: Block, low: int, high: int) -> Stretch:
    """From slice ``low`` on, up to ``high`` and on to ``_ROWS`` rows, where the block has them."""
    rows = block.bounds.item(low) + _ROWS
    # numpy's own would give the interpreter lock away
    return Stretch(block, low, max(high, bisect_right(block.bounds.data, rows, low) - 1))


class _Newest(threading.local):
    """Of each thread: the services of a run are sent the same windows."""

    window: Window | None = None
    stretch: Stretch | None = None


_newest = _Newest()
