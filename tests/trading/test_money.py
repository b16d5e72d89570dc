"""Whole numbers of 1e-8 against the same in decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from app.trading.money import UNIT, UNITS, amount_of, half_even, notional, units, units_of
from app.trading.values import micros

EXACT = Context(prec=80)
numbers = st.one_of(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**12), 10**12).map(lambda n: n / 100),
    st.integers(-(10**15), 10**15).map(lambda n: n / 10**6),
    st.floats(-1e9, 1e9),
)
wholes = st.integers(-(10**24), 10**24)


def rounded(exact: Decimal) -> int:
    """In whole 1e-8, half to even."""
    return int(exact.quantize(UNIT, ROUND_HALF_EVEN, EXACT).scaleb(8, EXACT))


def text(number: float) -> Decimal:
    return Decimal(repr(float(number)))


@given(numbers)
@example(0.1 + 0.2)
@example(1e13 / 100)
@example(99_999_999_999_999.98)
@example(5e-9)
@example(1.5e-8)
def test_a_number_is_its_shortest_text(number: float) -> None:
    assert units(number) == rounded(text(number))


@given(numbers, numbers)
@example(0.0000005, 0.05)
@example(0.0000015, 0.05)
@example(93.7153125, 100.0)
def test_what_a_quantity_comes_to(price: float, quantity: float) -> None:
    exact = EXACT.multiply(text(price), Decimal(units(quantity)).scaleb(-8))
    assert notional(price, units(quantity)) == rounded(exact)


@given(wholes, st.integers(1, 10**9))
@example(5, 10)
@example(15, 10)
@example(-5, 10)
@example(-15, 10)
def test_halves_go_to_even(number: int, by: int) -> None:
    exact = Context(prec=80, rounding=ROUND_HALF_EVEN).divide(Decimal(number), by)
    assert half_even(number, by) == int(exact.to_integral_value(ROUND_HALF_EVEN))


@given(st.integers(-(10**26), 10**26))
def test_amounts_there_and_back(whole: int) -> None:
    amount = amount_of(whole)
    assert (units_of(amount), amount.as_tuple().exponent) == (whole, -8)
    assert whole / UNITS == float(amount)
    assert micros(whole) == round(amount * 10**6)
