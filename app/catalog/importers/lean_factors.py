"""Lean's factor files to splits and dividends.

A row of a factor file is ``date, price factor, split factor, reference price``; its
factors hold for all days up to and including its date. Between one row (p1, s1, with
the unadjusted close c of its date) and the next (p2, s2) something happened on the
first trading day after the row's date, the ex-date:

    split:     ratio = s2 / s1 new shares for an old one
    dividend:  p1 / p2 = (c - amount) / c, so amount = c x (1 - p1 / p2)

The factors are rounded (price factors to seven decimals, split factors often to six
digits: 0.0178571 for 1/56), so ratio and amount are known only within a bound; the
simplest number within it is taken: for a ratio the fraction of least denominator up to
100, else, and for an amount, the number of fewest decimals.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from math import floor, log10
from typing import Any, NamedTuple

import pyarrow as pa

from app.catalog.importers.report import Example, ImportReport
from app.catalog.shapes import ACTIONS

NextTradingDay = Callable[[date], date]
_PRICE_DECIMALS = 7
_SPLIT_DIGITS = 6
_MOST_DECIMALS = 8
_MOST_DENOMINATOR = 100


class FactorRow(NamedTuple):
    """One row of a factor file, with how exactly its factors are written."""

    row: int
    day: date
    price: float
    split: float
    reference: float
    price_error: float
    split_error: float


def read_factor_rows(text: str, file: str, report: ImportReport) -> list[FactorRow]:
    """The rows that can be read, by date."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(_read_row(number, line.split(",")))
        except (ValueError, IndexError):
            example = Example(file, number, line[:80])
            report.notes.add("factor row that cannot be read, left out", 1, [example])
    return sorted(found, key=lambda r: (r.day, r.row))


def _read_row(number: int, cells: list[str]) -> FactorRow:
    day = datetime.strptime(cells[0].strip(), "%Y%m%d").date()  # noqa: DTZ007 - a date
    price, split = float(cells[1]), float(cells[2])
    reference = float(cells[3]) if len(cells) > 3 else 0.0
    if not (0 < price < float("inf") and 0 < split < float("inf") and reference >= 0):
        raise ValueError(cells)
    return FactorRow(
        number, day, price, split, reference, _price_error(cells[1]), _split_error(cells[2])
    )


def _price_error(text: str) -> float:
    """Half a unit of the last decimal; zeros at the end may not be written."""
    return 0.5 * 10.0 ** -max(_decimals(text), _PRICE_DECIMALS)


def _split_error(text: str) -> float:
    """Half a unit of the last decimal, or of the sixth digit where there are so many."""
    half_unit = 0.5 * 10.0 ** -max(_decimals(text), _PRICE_DECIMALS)
    digits = len(text.strip().replace(".", "").strip("0"))
    if digits < _SPLIT_DIGITS:
        return half_unit
    return max(half_unit, 0.5 * 10.0 ** (floor(log10(float(text))) + 1 - _SPLIT_DIGITS))


def _decimals(text: str) -> int:
    return len(text.strip().partition(".")[2].rstrip("0"))


def corporate_actions(
    rows: list[FactorRow], next_day: NextTradingDay, file: str, report: ImportReport
) -> pa.Table:
    """Table of ``corporate_actions`` by ex-date; a split comes before a dividend of its day."""
    actions: list[dict[str, Any]] = []
    for row, after in pairwise(rows):
        ratio, amount = _split_ratio(row, after), _dividend(row, after)
        if amount is not None and amount < 0:
            example = Example(file, row.row, f"amount = {amount:.6f}")
            report.notes.add("factor step that is no dividend, left out", 1, [example])
            amount = None
        if ratio is None and amount is None:
            continue
        day = next_day(row.day)
        if ratio is not None:
            actions.append({"date": day, "type": "split", "ratio": ratio, "amount": None})
        if amount is not None:
            actions.append({"date": day, "type": "dividend", "ratio": None, "amount": amount})
    return pa.Table.from_pylist(actions, ACTIONS)


def _split_ratio(row: FactorRow, after: FactorRow) -> float | None:
    ratio = after.split / row.split
    bound = ratio * (row.split_error / row.split + after.split_error / after.split)
    if abs(ratio - 1) <= bound:
        return None
    exact = Fraction(ratio)
    for most in range(1, _MOST_DENOMINATOR + 1):
        simple = float(exact.limit_denominator(most))
        if abs(simple - ratio) <= bound:
            return simple
    return _fewest_decimals(ratio, bound)


def _dividend(row: FactorRow, after: FactorRow) -> float | None:
    share = row.price / after.price
    bound = row.reference * share * (row.price_error / row.price + after.price_error / after.price)
    amount = row.reference * (1 - share)
    if abs(amount) <= bound:
        return None
    return _fewest_decimals(amount, bound)


def _fewest_decimals(value: float, bound: float) -> float:
    for decimals in range(_MOST_DECIMALS):
        if abs(round(value, decimals) - value) <= bound:
            return round(value, decimals)
    return value
