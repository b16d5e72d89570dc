"""What changed the value of positions in a stretch: marks and steps, in order of time a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.trading.services.portfolio.rows import MarkRows
from app.trading.values import market_values

CASH_ONLY = -1


class Step(NamedTuple):
    """From ``at_ns`` on the account has this cash, and this quantity (and mark) of a symbol."""

    at_ns: int
    slices: int  # of the running stretch that were before it
    symbol: int  # CASH_ONLY: no position changed
    quantity: float
    price: float  # NaN: the mark stays
    cash: int  # millionths


class Changes(NamedTuple):
    """By how much steps changed their symbol's value, and its size, in millionths."""

    steps: Ints  # their numbers
    net: Ints
    gross: Ints


class Sequences:
    """The marks of a stretch by symbol, with the quantities that are held at each.

    ``quantities`` and ``prices`` are those before the first row, by symbol.
    """

    def __init__(self, marks: MarkRows, quantities: Floats, prices: Floats) -> None:
        self._marks, self._quantities, self._prices = marks, quantities, prices
        self._held = np.repeat(quantities, marks.bounds[1:] - marks.bounds[:-1])
        self._rows: Ints = np.zeros(0, np.int64)  # before which a step came, and the value then
        self._anew: Ints = self._rows

    def take(self, steps: Sequence[Step], slices: Sequence[int]) -> Changes:
        """Put in all steps, each before the marks of its slice; by how much they change values."""
        moves = [
            (step.symbol, number, step.quantity, step.price, before)
            for number, (step, before) in enumerate(zip(steps, slices, strict=True))
            if step.symbol != CASH_ONLY
        ]
        if not moves:
            return Changes(self._rows, self._rows, self._rows)
        moves.sort()  # by symbol, each one's in order of time
        symbols, numbers, quantities, given, befores = zip(*moves, strict=True)
        symbol, quantity = np.array(symbols), np.array(quantities)
        row = np.array(self._marks.first_rows_of(symbols, befores))
        first = np.append(True, symbol[1:] != symbol[:-1])
        held = np.append(np.nan, quantity[:-1])
        held[first] = self._quantities[symbol[first]]
        price, anew = self._prices_at(symbol, row, np.array(given))
        value, after = market_values(held, price), market_values(quantity, anew)
        self._hold(symbol, row, quantity)
        last = np.append(row[1:] != row[:-1], True) & (row < self._marks.bounds[symbol + 1])
        self._rows, self._anew = row[last], after[last]
        return Changes(np.array(numbers), after - value, np.abs(after) - np.abs(value))

    def _prices_at(self, symbol: Ints, row: Ints, given: Floats) -> tuple[Floats, Floats]:
        """The prices before and after these steps: what is given holds until the next row."""
        price = self._prices[symbol]
        marked = row > self._marks.bounds[symbol]
        price[marked] = self._marks.price[row[marked] - 1]
        for at in np.flatnonzero(~np.isnan(given)).tolist():
            same = (symbol == symbol[at]) & (row == row[at])
            same[: at + 1] = False
            price[same] = given[at]
        return price, np.where(np.isnan(given), price, given)

    def _hold(self, symbol: Ints, row: Ints, quantity: Floats) -> None:
        """Each symbol's quantity from its first row on, and those of its steps from theirs."""
        bounds = self._marks.bounds
        order = np.append(np.arange(len(bounds) - 1), symbol).argsort(kind="stable")
        begin = np.append(bounds[:-1], row)[order]
        widths = np.append(begin[1:], bounds[-1]) - begin
        self._held = np.append(self._quantities, quantity)[order].repeat(widths)

    def value_changes(self) -> tuple[Ints, Ints]:
        """By how much each row changes its symbol's market value, and the size of that value."""
        value = market_values(self._held, self._marks.price)
        before = np.empty(len(value) + 1, np.int64)
        before[1:] = value
        # A symbol without rows begins where the next one does, which is written after it.
        before[self._marks.bounds[:-1]] = market_values(self._quantities, self._prices)
        before[self._rows] = self._anew
        before = before[:-1]
        return value - before, np.abs(value) - np.abs(before)
