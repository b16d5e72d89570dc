"""Lots in exact money, where numbers do not divide."""

from __future__ import annotations

from decimal import Decimal

from app.trading.money import ZERO, money
from app.trading.services.portfolio.lots import Book, Deal


def test_a_deal_gives_its_last_part_what_is_left() -> None:
    deal = Deal(money(3), money(10), money(1))
    assert [deal.take(money(1)) for _ in range(3)] == [
        (Decimal("3.33333333"), Decimal("0.33333333")),
        (Decimal("3.33333334"), Decimal("0.33333334")),  # 6.66666667 / 2 is halfway: to the even
        (Decimal("3.33333333"), Decimal("0.33333333")),
    ]
    assert deal.take(ZERO) == (ZERO, ZERO)


def test_a_lot_that_a_split_left_nothing_of_goes_with_the_next_close() -> None:
    """One share, then 1e9, at 1.00; a split of 1e-9 leaves 0 and 1. One is sold for 2e9."""
    book = Book("one", 0)
    book.trade(1, money(1), 1.0, money(-1), ZERO)
    book.trade(2, money(1e9), 1.0, money(-1e9), ZERO)
    book.split(1e-9)
    assert [int(lot.quantity) for lot in book.lots] == [0, 1]
    closed = book.trade(3, money(-1), 2e9, money(2e9), ZERO)
    assert [(int(c.quantity), int(c.realised)) for c in closed] == [(0, -1), (1, 10**9)]
    assert (book.quantity, book.cost) == (ZERO, ZERO)
    assert not book.lots


def test_such_a_lot_goes_with_the_close_of_the_lot_before_it() -> None:
    book = Book("one", 0)
    book.trade(1, money(1e9), 1.0, money(-1e9), ZERO)
    book.trade(2, money(1), 1.0, money(-1), ZERO)
    book.split(1e-9)
    closed = book.trade(3, money(-3), 2e9, money(6e9), money(3))
    found = [(int(c.quantity), int(c.realised), int(c.costs)) for c in closed]
    assert found == [(1, 10**9, 1), (0, -1, 0)]
    assert (book.quantity, book.cost) == (money(-2), money(-4e9))
    assert book.lots[0].costs == 2
