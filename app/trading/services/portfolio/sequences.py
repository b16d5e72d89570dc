"""What changed the value of positions in a window: marks and steps, in one sequence a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.trading.services.portfolio.rows import MarkRows
from app.trading.values import market_values

CASH_ONLY = -1


class Step(NamedTuple):
    """From ``at_ns`` on the account has this cash, and this quantity (and mark) of a symbol."""

    at_ns: int
    symbol: int  # CASH_ONLY: no position changed
    quantity: float
    price: float  # NaN: the mark stays
    cash: int  # millionths


class Rows(NamedTuple):
    """By symbol, rising in time; NaN is as before. ``at`` is the number of the time."""

    symbol: Ints
    at: Ints
    quantity: Floats
    price: Floats

    def value_changes(self, quantities: Floats, prices: Floats) -> tuple[Ints, Ints]:
        """By how much each row changes its symbol's market value, and the size of that value.

        ``quantities`` and ``prices`` are those before the first row, by symbol.
        """
        first = np.empty(len(self.symbol), np.bool_)
        first[:1] = True
        np.not_equal(self.symbol[1:], self.symbol[:-1], out=first[1:])
        quantity = _carried(self.quantity, first, quantities[self.symbol])
        price = _carried(self.price, first, prices[self.symbol])
        value = market_values(quantity, price)
        before = np.empty_like(value)
        before[1:] = value[:-1]
        own = self.symbol[first]
        before[first] = market_values(quantities[own], prices[own])
        return value - before, np.abs(value) - np.abs(before)


def _carried(values: Floats, first: Any, at_start: Floats) -> Floats:
    """Each NaN as the value before it of the same symbol; ``at_start`` before the first."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    if missing.all():
        return at_start
    number = np.arange(len(values))
    known = np.maximum.accumulate(np.where(missing, -1, number))
    begin = np.maximum.accumulate(np.where(first, number, 0))
    return np.where(known >= begin, values[known], at_start)


def rows_of_marks(marks: MarkRows | None, slices: range, held: Any, place: Ints) -> Rows:
    """The marks of held symbols in these slices; ``place`` is the number of each slice's time."""
    if marks is None:
        nothing = np.empty(0)
        return Rows(nothing.astype(np.int64), nothing.astype(np.int64), nothing, nothing)
    wanted = held[marks.symbol]
    if len(slices) < len(marks.times_ns):
        wanted &= (marks.slice >= slices.start) & (marks.slice < slices.stop)
    row = np.flatnonzero(wanted)
    at = place[marks.slice[row] - slices.start]
    return Rows(marks.symbol[row], at, np.full(len(row), np.nan), marks.price[row])


def with_steps(rows: Rows, steps: Sequence[Step], at: Ints) -> Rows:
    """Steps put in before the marks of their time; ``at`` is the number of each one's time."""
    symbol = np.array([s.symbol for s in steps], np.int64)
    some = np.flatnonzero(symbol != CASH_ONLY)
    times = int(max(rows.at.max(initial=0), at.max(initial=0))) + 1
    key = symbol * times + at
    some = some[np.argsort(key[some], kind="stable")]
    before = (rows.symbol * times + rows.at).searchsorted(key[some])
    quantity = np.array([s.quantity for s in steps])
    price = np.array([s.price for s in steps])
    return Rows(
        np.insert(rows.symbol, before, symbol[some]),
        np.insert(rows.at, before, at[some]),
        np.insert(rows.quantity, before, quantity[some]),
        np.insert(rows.price, before, price[some]),
    )
