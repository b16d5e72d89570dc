"""The rows of one chunk of a source file, and which of them cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from app.catalog.importers.cast import Mask, to_floats
from app.catalog.importers.report import KEPT_EXAMPLES, Counts, Example
from app.model import Floats, Ints

_MOST_TEXT = 80
EXACT = 2.0**53  # greater whole numbers are not exact as doubles


class Rows:
    """Rows of one chunk, each rejected at most once: by the first reason that applies."""

    def __init__(self, file: str, numbers: Ints, rejected: Counts) -> None:
        self.file = file
        self.numbers = numbers
        self.bad: Mask = np.zeros(len(numbers), bool)
        self._rejected = rejected

    def __len__(self) -> int:
        return len(self.numbers)

    def reject(self, mask: Mask, reason: str, name: str, values: Any = None) -> None:
        """Reject the rows of ``mask`` that still stand; ``values`` is shown in examples."""
        fresh = mask & ~self.bad
        count = int(fresh.sum())
        if count:
            self._rejected.add(reason, count, self.examples(fresh, name, values))
            self.bad |= fresh

    def examples(self, mask: Mask, name: str, values: Any = None) -> list[Example]:
        """The first rows of ``mask``, with the value of the named column."""
        found = []
        for place in np.flatnonzero(mask)[:KEPT_EXAMPLES].tolist():
            what = name if values is None else f"{name} = {show(values[place])}"
            found.append(Example(self.file, int(self.numbers[place]), what))
        return found

    def read_numbers(self, name: str, column: pa.Array) -> tuple[Floats, Mask]:
        """Values and where they are null; what is no number, NaN or infinite is rejected."""
        values, null, unreadable = to_floats(column)
        self.reject(unreadable, "not a number", name, column)
        self.reject(np.isnan(values) & ~null & ~unreadable, "NaN", name, column)
        self.reject(np.isinf(values), "infinite", name, column)
        return values, null

    def check_price(self, name: str, column: pa.Array) -> tuple[Floats, Mask]:
        """As ``read_numbers``, and not negative."""
        values, null = self.read_numbers(name, column)
        self.reject(values < 0, "negative", name, column)
        return values, null

    def check_size(self, name: str, column: pa.Array) -> tuple[Floats, Mask]:
        """As ``check_price``, and not beyond what can be held exactly."""
        values, null = self.check_price(name, column)
        self.reject(values > EXACT, "too large", name, column)
        return values, null


def show(value: Any) -> str:
    """A value of a column as it stands in an example."""
    plain = value.as_py() if isinstance(value, pa.Scalar) else value
    text = repr(plain) if isinstance(plain, str) else str(plain)
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 3] + "..."
