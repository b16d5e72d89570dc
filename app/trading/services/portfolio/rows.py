"""The rows of one window that mark positions, grouped by symbol."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.trading.marks import Prices


class MarkRows(NamedTuple):
    """Symbol s has the rows ``bounds[s]`` to ``bounds[s + 1]``, rising in time."""

    times_ns: Ints  # of the window's slices
    bounds: Ints
    symbol: Ints
    slice: Ints  # number in the window
    price: Floats


def group_by_symbol(prices: Prices, symbols: int) -> MarkRows:
    """The eligible rows of a window by symbol; ``symbols`` is how many the run has."""
    times_ns, edges = prices.window.times_ns, prices.edges
    in_slice = np.arange(len(times_ns)).repeat(edges[1:] - edges[:-1])
    if symbols == 1:
        bounds = np.array([0, len(prices.row)])
        return MarkRows(times_ns, bounds, prices.symbol, in_slice, prices.price)
    order = np.argsort(prices.symbol.astype(_small(symbols)), kind="stable")
    bounds = np.zeros(symbols + 1, np.int64)
    np.cumsum(np.bincount(prices.symbol, minlength=symbols), out=bounds[1:])
    return MarkRows(times_ns, bounds, prices.symbol[order], in_slice[order], prices.price[order])


def no_rows(symbols: int) -> MarkRows:
    """Of no window."""
    nothing = np.zeros(0, np.int64)
    return MarkRows(nothing, np.zeros(symbols + 1, np.int64), nothing, nothing, np.zeros(0))


def of_slices(rows: MarkRows, slices: range) -> MarkRows:
    """Those of some slices only, with their times."""
    if len(slices) == len(rows.times_ns):
        return rows
    kept = (rows.slice >= slices.start) & (rows.slice < slices.stop)
    before = np.zeros(len(kept) + 1, np.int64)
    np.cumsum(kept, out=before[1:])
    return MarkRows(
        rows.times_ns[slices.start : slices.stop], before[rows.bounds],
        rows.symbol[kept], rows.slice[kept] - slices.start, rows.price[kept],
    )  # fmt: skip


def _small(symbols: int) -> type[np.unsignedinteger]:
    """Numbers that numpy sorts by radix, where they are small enough."""
    return np.uint16 if symbols <= 1 << 16 else np.uint32
