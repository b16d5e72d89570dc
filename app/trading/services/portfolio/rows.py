"""The rows of one stretch that mark positions, grouped by symbol."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.model import Floats, Ints
from app.trading.stretch import Prices


class MarkRows:
    """Symbol s has the rows ``bounds[s]`` to ``bounds[s + 1]``, rising in time.

    ``times_ns`` are those of the stretch's slices. Of one symbol ``edges`` says which rows a slice
    has, as in ``Prices``; of several ``in_slice`` says it of each row.
    """

    __slots__ = ("_bounds", "_edges", "_in_slice", "_slices", "bounds", "price", "times_ns")

    def __init__(
        self, times_ns: Ints, bounds: Ints, price: Floats, *, edges: Ints | None = None,
        in_slice: Ints | None = None,
    ) -> None:  # fmt: skip
        self.times_ns, self.bounds, self.price = times_ns, bounds, price
        self._edges, self._in_slice = edges, in_slice

    @property
    def in_slice(self) -> Ints:
        """The number of each row's slice."""
        if self._in_slice is None:
            assert self._edges is not None  # one of the two is given
            self._in_slice = numbers_of_slices(self._edges)
        return self._in_slice

    def first_row(self, symbol: int, slices: int) -> int:
        """The symbol's first row after so many slices."""
        if self._edges is not None:
            return self._edges.item(slices)
        # Faster than searchsorted, and on a memoryview than on an array.
        low, high = self.bounds.item(symbol), self.bounds.item(symbol + 1)
        return bisect_left(self.in_slice.data, slices, low, high)

    def first_rows_of(self, symbols: Sequence[int], slices: Sequence[int]) -> list[int]:
        """The same of some symbols, each after its own number of slices."""
        if self._edges is not None:
            return [self._edges.item(before) for before in slices]
        bounds, in_slice = self.bounds.data, self.in_slice.data
        return [
            bisect_left(in_slice, before, bounds[symbol], bounds[symbol + 1])
            for symbol, before in zip(symbols, slices, strict=True)
        ]

    def first_rows(self, slices: int) -> Ints:
        """The same of each symbol."""
        if not slices:
            return self.bounds[:-1]
        if slices == len(self.times_ns):
            return self.bounds[1:]
        if self._edges is not None:
            return self._edges[slices : slices + 1]
        before = _counted(self.in_slice < slices)[self.bounds]
        return self.bounds[:-1] + before[1:] - before[:-1]

    def last_of_slices(self, symbol: int) -> tuple[Ints, Floats]:
        """The slices that mark a symbol, and the last price of each."""
        if self._edges is not None:
            ends = self._edges[1:]
            slices = (ends != self._edges[:-1]).nonzero()[0]
            some = len(slices) < len(self.price)
            return slices, self.price[ends[slices] - 1] if some else self.price
        rows = slice(self.bounds.item(symbol), self.bounds.item(symbol + 1))
        in_slice, price = self.in_slice[rows], self.price[rows]
        last = np.ones(len(in_slice), np.bool_)
        np.not_equal(in_slice[1:], in_slice[:-1], out=last[:-1])
        return in_slice[last], price[last]

    def part(self, slices: range) -> MarkRows:
        """Those of some slices only, with their times."""
        if len(slices) == len(self.times_ns):
            return self
        times_ns = self.times_ns[slices.start : slices.stop]
        if self._edges is not None:
            edges = self._edges[slices.start : slices.stop + 1]
            first, last = edges.item(0), edges.item(-1)
            bounds, price = np.array([0, last - first]), self.price[first:last]
            return MarkRows(times_ns, bounds, price, edges=edges - first)
        kept = (self.in_slice >= slices.start) & (self.in_slice < slices.stop)
        return MarkRows(
            times_ns, _counted(kept)[self.bounds], self.price[kept],
            in_slice=self.in_slice[kept] - slices.start,
        )  # fmt: skip


def group_by_symbol(prices: Prices, symbols: int) -> MarkRows:
    """The eligible rows of a stretch by symbol; ``symbols`` is how many the run has."""
    times_ns, edges = prices.times_ns, prices.edges
    if symbols == 1:
        return MarkRows(times_ns, np.array([0, len(prices.price)]), prices.price, edges=edges)
    order = np.argsort(prices.symbol.astype(_small(symbols)), kind="stable")
    bounds = np.zeros(symbols + 1, np.int64)
    np.cumsum(np.bincount(prices.symbol, minlength=symbols), out=bounds[1:])
    in_slice = numbers_of_slices(edges)[order]
    return MarkRows(times_ns, bounds, prices.price[order], in_slice=in_slice)


def no_rows(symbols: int) -> MarkRows:
    """Of no slices."""
    nothing = np.zeros(0, np.int64)
    return MarkRows(nothing, np.zeros(symbols + 1, np.int64), np.zeros(0), in_slice=nothing)


def numbers_of_slices(edges: Ints) -> Ints:
    """For each row the number of its slice; slice i has the rows edges[i] to edges[i + 1]."""
    return np.arange(len(edges) - 1).repeat(edges[1:] - edges[:-1])


def _counted(which: NDArray[np.bool_]) -> Ints:
    """How many of these there are before each place."""
    before = np.zeros(len(which) + 1, np.int64)
    np.cumsum(which, out=before[1:])
    return before


def _small(symbols: int) -> type[np.unsignedinteger]:
    """Numbers that numpy sorts by radix, where they are small enough."""
    return np.uint16 if symbols <= 1 << 16 else np.uint32
