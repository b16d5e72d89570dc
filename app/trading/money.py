"""Money that is kept: Decimal at 1e-8, rounded half to even; marks stay floats.

Where much is added up, amounts and quantities are whole numbers of 1e-8: ``units``.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

UNIT = Decimal("0.00000001")
UNITS = 100_000_000  # in one of the currency, or in one share
ZERO = Decimal(0)

_DIGITS = 8
_CENT, _MICRO = 100, 1_000_000  # parts of one that most amounts and prices are whole numbers of
_MOST = 10**15  # below it a float has one name of 15 digits or fewer, which is its shortest
_EXACT = Context(prec=60)


def money(value: float | int | str | Decimal) -> Decimal:
    """An exact amount at 1e-8; a float is taken as the shortest text that names it."""
    if isinstance(value, float):
        return _of_text(repr(value))
    return Decimal(value).quantize(UNIT, ROUND_HALF_EVEN)


@lru_cache(maxsize=4096)  # quantities and costs of orders are the same few ones
def _of_text(number: str) -> Decimal:
    return Decimal(number).quantize(UNIT, ROUND_HALF_EVEN)


def units(value: float) -> int:
    """``money(value)`` in whole 1e-8."""
    cents = round(value * _CENT)
    if cents / _CENT == value and -_MOST < cents < _MOST:
        return cents * (UNITS // _CENT)
    return units_of(_of_text(repr(float(value))))


def units_of(amount: Decimal) -> int:
    """An amount at 1e-8 in whole ones."""
    return int(amount.scaleb(_DIGITS))


def amount_of(units: int) -> Decimal:
    """The amount that so many 1e-8 are."""
    return UNIT * units


def notional(price: float, quantity: int) -> int:
    """What a quantity comes to at a price; both, and what is returned, in 1e-8 but the price."""
    micros = round(price * _MICRO)
    if micros / _MICRO == price and -_MOST < micros < _MOST:
        return half_even(micros * quantity, _MICRO)
    exact = _EXACT.multiply(Decimal(repr(float(price))), quantity)
    return int(exact.to_integral_value(ROUND_HALF_EVEN))


def half_even(number: int, by: int) -> int:
    """The quotient of whole numbers (``by`` above 0), rounded half to even."""
    whole, rest = divmod(number, by)
    if rest:
        whole += 2 * rest > by or (2 * rest == by and whole % 2)
    return whole


def proportion(whole: int, part: int, of: int) -> int:
    """``whole`` x ``part`` / ``of`` in whole numbers: with Decimal's 28 digits, half to even."""
    return int((Decimal(whole) * part / of).to_integral_value(ROUND_HALF_EVEN))


def minor_unit(value: Decimal, digits: int = 2) -> Decimal:
    """Rounded to the currency's minor unit, half to even."""
    return value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)


def minus(left: float, right: float) -> float:
    """The difference of two quantities, without the dust that floats leave."""
    if left % 1 == 0 and right % 1 == 0:  # whole numbers are exact, and ten times as fast
        return float(left - right)
    return float(money(left) - money(right))


def plus(left: float, right: float) -> float:
    """The sum of two quantities, without the dust that floats leave."""
    if left % 1 == 0 and right % 1 == 0:  # whole numbers are exact, and ten times as fast
        return float(left + right)
    return float(money(left) + money(right))
