"""What positions are worth in millionths: one of them, and many at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TapedeckError
from app.trading.values import (
    from_micros,
    market_value,
    market_values,
    net_value,
    total_values,
    total_values_of_all,
)

quantities = st.one_of(
    st.just(0.0), st.integers(-9999, 9999).map(float), st.floats(-1e5, 1e5)
)  # fmt: skip
prices = st.one_of(
    st.just(math.nan), st.integers(0, 10**6).map(lambda n: n / 128), st.floats(0, 1e5)
)


@given(st.lists(st.tuples(quantities, prices), max_size=5))
def test_one_is_valued_as_many_are(held: list[tuple[float, float]]) -> None:
    each = [net_value(quantity, price) for quantity, price in held]
    quantity, price = np.array(held).reshape(-1, 2).T
    totals = sum(each), sum(map(abs, each))
    assert total_values(dict(enumerate(quantity.tolist())), price) == totals
    assert total_values_of_all(quantity, price) == totals
    assert market_values(quantity, price).tolist() == each
    assert [market_values(np.array([q]), np.array([p])).item() for q, p in held] == each
    assert [market_value(q, p) for q, p in held if p == p] == [
        value for value, (_, p) in zip(each, held, strict=True) if p == p
    ]


def test_halves_go_to_even() -> None:
    assert [net_value(n / 2, 1e-6) for n in (1, 3, -1, -3)] == [0, 2, 0, -2]
    assert market_values(np.array([0.5, 1.5, -1.5]), np.full(3, 1e-6)).tolist() == [0, 2, -2]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("quantity", [1e6, -1e6])
def test_a_value_that_cannot_be_summed_is_refused(quantity: float, count: int) -> None:
    with pytest.raises(TapedeckError, match=r"a position is worth 1e\+12; .* up to 9e\+11"):
        market_values(np.array([1.0, quantity])[-count:], np.array([np.nan, 1e6])[-count:])
    with pytest.raises(TapedeckError, match=r"a position is worth 1e\+12; .* up to 9e\+11"):
        total_values(dict(enumerate([1.0, quantity][-count:])), np.array([np.nan, 1e6])[-count:])
    with pytest.raises(TapedeckError, match=r"a position is worth 1e\+12; .* up to 9e\+11"):
        total_values_of_all(np.array([1.0, quantity])[-count:], np.array([np.nan, 1e6])[-count:])


def test_totals_that_floats_do_not_hold_are_exact_too() -> None:
    quantities, prices = np.array([8e9, 3.0, -8e9]), np.array([1.0, 1e-6, 1.0])
    assert total_values_of_all(quantities, prices) == (3, 16 * 10**15 + 3)


@given(st.integers(-(10**20), 10**20))
def test_an_amount_of_millionths_is_exact(value: int) -> None:
    assert from_micros(value) * 10**6 == value
    assert float(from_micros(value)) == value / 10**6
