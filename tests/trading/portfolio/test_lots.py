"""Lots in exact money, where numbers do not divide."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.trading.money import UNITS, money, units
from app.trading.services.portfolio.lots import Book, Deal


def test_a_deal_gives_its_last_part_what_is_left() -> None:
    deal = Deal(units(3), units(10), units(1))
    assert [deal.take(units(1)) for _ in range(3)] == [
        (333_333_333, 33_333_333),
        (333_333_334, 33_333_334),  # 6.66666667 / 2 is halfway: to the even
        (333_333_333, 33_333_333),
    ]
    assert deal.take(0) == (0, 0)


amounts = st.integers(-(10**18), 10**18)


@given(amounts, amounts, st.lists(st.integers(1, 10**14), min_size=1, max_size=6))
def test_a_deal_is_dealt_out_as_decimals_are(first: int, second: int, parts: list[int]) -> None:
    deal, left = Deal(sum(parts), first, second), Decimal(sum(parts)) / UNITS
    amounts = [Decimal(first) / UNITS, Decimal(second) / UNITS]
    for part in parts:
        exact = Decimal(part) / UNITS
        dealt = [a if exact == left else money(a * exact / left) for a in amounts]
        left -= exact
        amounts = [a - d for a, d in zip(amounts, dealt, strict=True)]
        assert [Decimal(a) / UNITS for a in deal.take(part)] == dealt


def test_a_lot_that_a_split_left_nothing_of_goes_with_the_next_close() -> None:
    """One share, then 1e9, at 1.00; a split of 1e-9 leaves 0 and 1. One is sold for 2e9."""
    book = Book("one", 0)
    book.trade(1, units(1), 1.0, units(-1), 0)
    book.trade(2, units(1e9), 1.0, units(-1e9), 0)
    book.split(1e-9)
    assert [lot.quantity for lot in book.lots] == [0, UNITS]
    closed = book.trade(3, units(-1), 2e9, units(2e9), 0)
    found = [(c.quantity, c.realised) for c in closed]
    assert found == [(0, units(-1)), (units(1), units(1e9))]
    assert (book.quantity, book.cost) == (0, 0)
    assert not book.lots


def test_such_a_lot_goes_with_the_close_of_the_lot_before_it() -> None:
    book = Book("one", 0)
    book.trade(1, units(1e9), 1.0, units(-1e9), 0)
    book.trade(2, units(1), 1.0, units(-1), 0)
    book.split(1e-9)
    closed = book.trade(3, units(-3), 2e9, units(6e9), units(3))
    found = [(c.quantity, c.realised, c.costs) for c in closed]
    assert found == [(units(1), units(1e9), units(1)), (0, units(-1), 0)]
    assert (book.quantity, book.cost) == (units(-2), units(-4e9))
    assert book.lots[0].costs == units(2)
