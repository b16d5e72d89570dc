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
    window = prices.window
    order = np.argsort(prices.symbol.astype(_small(symbols)), kind="stable")
    count = np.bincount(prices.symbol, minlength=symbols)
    in_slice = window.slice_of_rows()[prices.row]
    return MarkRows(
        window.times_ns,
        np.concatenate([[0], np.cumsum(count)]),
        prices.symbol[order],
        in_slice[order],
        prices.price[order],
    )


def _small(symbols: int) -> type[np.unsignedinteger]:
    """Numbers that numpy sorts by radix, where they are small enough."""
    return np.uint16 if symbols <= 1 << 16 else np.uint32
