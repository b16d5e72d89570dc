"""What hangs on marks, in whole millionths of the currency.

A position is worth round(quantity x mark x 1e6), half to even. Sums of whole numbers are the same
in whatever order, and wherever they are cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isnan

import numpy as np

from app.errors import TapedeckError
from app.model import Floats, Ints
from app.trading.money import UNITS, half_even

MICRO = 1_000_000
_UNITS = UNITS // MICRO  # in a millionth
_MICROTH = Decimal(1).scaleb(-6)
_MOST = 9e17  # of one position, so that sums fit into 64 bits
_EXACT = 2.0**53  # floats are whole numbers up to here


def market_values(quantities: Floats, prices: Floats) -> Ints:
    """Signed market values in millionths; 0 where there is no position, or no price."""
    if len(quantities) == len(prices) == 1:  # scalars: ten times as fast
        return np.array([net_value(quantities.item(), prices.item())], np.int64)
    exact = np.rint(quantities * prices * MICRO)
    most = np.maximum.reduce(np.abs(exact), initial=0.0)
    if not most <= _MOST:  # or there is a NaN
        exact[np.isnan(exact)] = 0.0
        most = np.abs(exact).max()
        if most > _MOST:
            raise _too_large(most)
    return exact.astype(np.int64)


def market_value(quantity: float, price: float) -> int:
    """Of one strategy's position that has a price; of any size."""
    return round(quantity * price * MICRO)


def net_value(quantity: float, price: float) -> int:
    """As ``market_values``, of one symbol."""
    exact = quantity * price * MICRO
    if abs(exact) <= _MOST:
        return round(exact)
    if isnan(exact):
        return 0
    raise _too_large(abs(exact))


def total_values(quantities: Mapping[int, float], prices: Floats) -> tuple[int, int]:
    """The sum of the market values of these quantities by symbol, and that of their sizes."""
    price = prices.item
    net = gross = 0
    for symbol, quantity in quantities.items():
        exact = quantity * price(symbol) * MICRO
        value = round(exact) if -_MOST <= exact <= _MOST else net_value(quantity, price(symbol))
        net += value
        gross += abs(value)
    return net, gross


def total_values_of_all(quantities: Floats, prices: Floats) -> tuple[int, int]:
    """As ``total_values``, of columns by symbol: a third of the time where many are held."""
    exact = np.rint(quantities * prices * MICRO)
    gross = np.add.reduce(np.abs(exact)).item()
    if gross <= _EXACT:  # no sum on the way to it was rounded; and there is no NaN
        return int(np.add.reduce(exact)), int(gross)
    values = market_values(quantities, prices)
    return int(np.add.reduce(values)), int(np.add.reduce(np.abs(values)))


def _too_large(value: float) -> TapedeckError:
    return TapedeckError(
        f"a position is worth {value / MICRO:g}; an account can value up to {_MOST / MICRO:g} "
        "in one symbol: is a price or a quantity wrong?"
    )


def micros(units: int) -> int:
    """An amount of whole 1e-8 in millionths, half to even."""
    return half_even(units, _UNITS)


def from_micros(value: int) -> Decimal:
    """The amount that ``value`` millionths are."""
    return value * _MICROTH
