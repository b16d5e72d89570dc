"""Money that is kept: Decimal at 1e-8, rounded half to even; marks stay floats."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

UNIT = Decimal("0.00000001")
ZERO = Decimal(0)


def money(value: float | int | str | Decimal) -> Decimal:
    """An exact amount at 1e-8; a float is taken as the shortest text that names it."""
    if isinstance(value, float):
        return _of_text(repr(value))
    return Decimal(value).quantize(UNIT, ROUND_HALF_EVEN)


@lru_cache(maxsize=4096)  # quantities and costs of orders are the same few ones
def _of_text(number: str) -> Decimal:
    return Decimal(number).quantize(UNIT, ROUND_HALF_EVEN)


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
