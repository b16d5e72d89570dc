"""Splits in recorded data: rows on another basis, and bars that hold both sides of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app.calendar import TradingDay
from app.model import QUOTE_CODE, TRADE_CODE, Floats, Ints, Items
from app.times import datetime_to_ns
from app.trading.context import CorporateAction, RunContext
from app.trading.money import UNIT, money

_LEAST_RATIO = 1.2  # below it an ordinary minute may reach as far
_LATE = 0.25  # how far a late print is from the old price: the split's ratio to this power
_PRICES = {TRADE_CODE: (0,), QUOTE_CODE: (0, 2)}
_SIZES = {TRADE_CODE: (1,), QUOTE_CODE: (1, 3)}
_BAR_PRICES, _BAR_SIZES = (0, 1, 2, 3, 5), (4,)
_MOST_DENOMINATOR = 1000


class Split(NamedTuple):
    """Rows of ``symbol`` (an index) that start before ``from_ns`` are on the old basis."""

    symbol: int
    from_ns: int
    ratio: float


def split_table(
    actions: Iterable[CorporateAction], symbols: Sequence[str], days: Sequence[TradingDay],
    zone: str,
) -> tuple[Split, ...]:  # fmt: skip
    """The splits of these symbols by the end of ``days``.

    Each begins with the first instant of the first day on or after its ex-date; before the
    first of ``days`` with the ex-date's midnight in ``zone``.
    """
    number = {symbol: i for i, symbol in enumerate(symbols)}
    dates = [day.date for day in days]
    found = [
        Split(number[a.symbol], _begins_ns(a.ex_date, dates, days, zone), a.ratio)
        for a in actions
        if a.kind == "split" and a.symbol in number and a.ex_date <= dates[-1]
    ]
    return tuple(sorted(found))


def _begins_ns(ex_date: date, dates: Sequence[date], days: Sequence[TradingDay], zone: str) -> int:
    if ex_date < dates[0]:
        return datetime_to_ns(datetime.combine(ex_date, time(0), ZoneInfo(zone)))
    return next(day.first_ns for day in days if day.date >= ex_date)


def split_ratios(context: RunContext, day: int) -> dict[int, float]:
    """Ratios of the splits that take effect on a day, by symbol index."""
    ratios: dict[int, float] = {}
    for action in context.actions_on(day):
        if action.kind == "split" and action.symbol in context.symbols:
            symbol = context.index(action.symbol)
            ratios[symbol] = ratios.get(symbol, 1.0) * action.ratio
    return ratios


def spans_split(items: Items, ratios: Mapping[int, float]) -> NDArray[np.bool_]:
    """Which rows are bars whose own range holds prices of both sides of a split of their day.

    ``ratios``: new shares for one, by symbol index. A bar spans where its high / low is nearer to
    the split's ratio than to 1, in logarithms: high / low >= sqrt(ratio), the ratio taken as a
    number above 1. So it may gap by that much as well. Ratios below 1.2 are not told apart from
    an ordinary minute: no bar spans them.
    """
    spans = np.zeros(len(items), np.bool_)
    for symbol, ratio in ratios.items():
        size = max(ratio, 1 / ratio)
        if size < _LEAST_RATIO:
            continue
        row = np.flatnonzero((items["symbol"] == symbol) & (items["stream"] < TRADE_CODE))
        values: Any = items["v"]
        spans[row] = values[row, 1] >= values[row, 2] * np.sqrt(size)
    return spans


def late_prints(
    symbols: NDArray[np.integer[Any]], prices: Floats, ratios: Mapping[int, float],
    old: Mapping[int, float],
) -> NDArray[np.bool_]:  # fmt: skip
    """Which prices of a split's day are of the shares that were before it.

    They lie within ratio ** 0.25 of ``old``, the last price before the split by symbol index; the
    ratio taken as a number above 1. Ratios below 1.2 are not told apart from an ordinary day.
    """
    late = np.zeros(len(prices), np.bool_)
    for symbol, price in old.items():
        size = max(ratios[symbol], 1 / ratios[symbol])
        if size >= _LEAST_RATIO:
            reach = size**_LATE
            late |= (symbols == symbol) & (prices > price / reach) & (prices < price * reach)
    return late


def adjust_splits(items: Items, starts_ns: Ints, splits: Iterable[Split], now_ns: int) -> Items:
    """Bars, trades and quotes on the basis of ``now_ns``: a copy, or ``items`` where none differs.

    A split is in effect from 1 ns before its first instant, where the clock stands when its day
    opens. Rows that start before that instant have their prices divided by its ratio (vwap too)
    and their sizes multiplied; nothing is rounded. Dividends are not adjusted. A bar that spans
    a split stays as it is (``spans_split``).
    """
    factor = _factors(items, starts_ns, splits, now_ns)
    if not (factor != 1.0).any():
        return items
    adjusted = items.copy()
    stream = items["stream"]
    values: Any = adjusted["v"]
    for code in np.unique(stream).tolist():
        row = np.flatnonzero((stream == code) & (factor != 1.0))
        for column in _PRICES.get(code, _BAR_PRICES):
            values[row, column] /= factor[row]
        for column in _SIZES.get(code, _BAR_SIZES):
            values[row, column] *= factor[row]
    return adjusted


def _factors(items: Items, starts_ns: Ints, splits: Iterable[Split], now_ns: int) -> Floats:
    """For each row the new shares that one of its shares has become."""
    factor = np.ones(len(items))
    for split in splits:
        if split.from_ns - 1 <= now_ns:
            before = (items["symbol"] == split.symbol) & (starts_ns < split.from_ns)
            factor[before] *= split.ratio
    return factor


def shares_after(quantity: Decimal, ratio: float) -> Decimal:
    """A quantity times a split's ratio, at 1e-8; 0.333... of a ratio is taken as a third."""
    exact = Fraction(ratio).limit_denominator(_MOST_DENOMINATOR)
    if float(exact) != ratio:
        exact = Fraction(repr(float(ratio)))
    return money(quantity * exact.numerator / exact.denominator)


def fraction_of(quantity: Decimal, lot: float) -> Decimal:
    """What is not a whole share, or no multiple of ``lot`` where that is less than a share."""
    return quantity % (min(Decimal(1), money(lot)) or UNIT)


def split_shares(quantity: float, ratio: float, lot: float = 1.0) -> tuple[float, float]:
    """What a position becomes by a split: the quantity that stays, and the fraction paid in cash.

    Both have the sign of ``quantity``. Whole shares stay, or multiples of ``lot`` where an
    instrument trades in smaller parts than a share.
    """
    after = shares_after(money(quantity), ratio)
    fraction = fraction_of(after, lot)
    return float(after - fraction), float(fraction)
