"""A book of few lines is valued one by one, of many as columns: bit for bit the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.trading.services.risk import book as books
from app.trading.services.risk.book import Book, Held

FEW = books._FEW
numbers = st.floats(-1e9, 1e9, allow_nan=False)
lines = st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 3))
prices = st.lists(st.floats(0.0001, 1e6) | st.just(np.nan), min_size=4, max_size=4)


@given(st.dictionaries(lines, numbers, max_size=min(40, FEW - 1)), prices)
def test_few_lines_are_worth_what_they_are_as_columns(
    held: dict[tuple[str, int], float], marks: list[float]
) -> None:
    book = Book()
    for (strategy, symbol), position in held.items():
        book.move(book.line(strategy, symbol), position)
    found = book.value(np.array(marks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(books, "_FEW", 1)
        columns = book.value(np.array(marks))
    assert bits(found) == bits(columns)


def bits(held: Held) -> list[str]:
    return [number.hex() for number in (held.gross, *held.of_strategy, held.net)]
