"""What changed the value of positions in a window: marks and steps, in order of time a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.trading.services.portfolio.rows import MarkRows
from app.trading.values import market_values, net_value

CASH_ONLY = -1


class Step(NamedTuple):
    """From ``at_ns`` on the account has this cash, and this quantity (and mark) of a symbol."""

    at_ns: int
    slices: int  # of the running window that were before it
    symbol: int  # CASH_ONLY: no position changed
    quantity: float
    price: float  # NaN: the mark stays
    cash: int  # millionths


class Changes(NamedTuple):
    """By how much steps changed their symbol's value, and its size, in millionths."""

    steps: list[int]  # their numbers
    net: list[int]
    gross: list[int]


class Sequences:
    """The marks of a window by symbol, with the quantities that are held at each.

    ``quantities`` and ``prices`` are those before the first row, by symbol.
    """

    def __init__(self, marks: MarkRows, quantities: Floats, prices: Floats) -> None:
        self._marks, self._quantities, self._prices = marks, quantities, prices
        self._held = np.repeat(quantities, marks.bounds[1:] - marks.bounds[:-1])
        self._anew: dict[int, int] = {}  # value before a row, where a step came since the last

    def take(self, steps: Sequence[Step], slices: Sequence[int]) -> Changes:
        """Put in all steps, each before the marks of its slice; by how much they change values."""
        marks = self._marks
        bounds, prices = marks.bounds.data, marks.price.data  # an element in half of the time
        newest: dict[int, tuple[int, float, float]] = {}  # by symbol: next row, quantity, price
        changes = Changes([], [], [])
        for number, (step, before) in enumerate(zip(steps, slices, strict=True)):
            symbol = step.symbol
            if symbol == CASH_ONLY:
                continue
            begin, end = bounds[symbol], bounds[symbol + 1]
            row = marks.first_row(symbol, before)
            since, quantity, price = newest.get(symbol) or (
                begin, self._quantities.item(symbol), self._prices.item(symbol)
            )  # fmt: skip
            if row > since:
                price = prices[row - 1]
            value = net_value(quantity, price) if quantity else 0
            if step.price == step.price:
                price = step.price
            after = net_value(step.quantity, price) if step.quantity else 0
            changes.steps.append(number)
            changes.net.append(after - value)
            changes.gross.append(abs(after) - abs(value))
            newest[symbol] = row, step.quantity, price
            if row < end:
                self._held[row:end] = step.quantity
                self._anew[row] = after
        return changes

    def value_changes(self) -> tuple[Ints, Ints]:
        """By how much each row changes its symbol's market value, and the size of that value."""
        value = market_values(self._held, self._marks.price)
        before = np.empty(len(value) + 1, np.int64)
        before[1:] = value
        # A symbol without rows begins where the next one does, which is written after it.
        before[self._marks.bounds[:-1]] = market_values(self._quantities, self._prices)
        for row, anew in self._anew.items():
            before[row] = anew
        before = before[:-1]
        return value - before, np.abs(value) - np.abs(before)
