"""Numbers of a report: each is a value, or missing for a reason that is told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

MIN_DAYS = 20  # of daily returns, for what is annualised from their spread
MIN_DAYS_CAGR = 60
NO_SPREAD = 1e-13  # deviations of daily returns below it are rounding, not risk


class Missing(NamedTuple):
    """A number that is not defined here, and why."""

    why: str


Value = float | int | str | Missing
Statistics = dict[str, Value]


def divide(top: Value, bottom: Value, why: str) -> float | Missing:
    """A quotient; missing where either is, or (``why``) where the divisor is zero."""
    if isinstance(top, Missing):
        return top
    if isinstance(bottom, Missing):
        return bottom
    below = float(bottom)
    return float(top) / below if below else Missing(why)


def all_missing(names: Iterable[str], why: str) -> Statistics:
    """Every one of these is missing, for one reason."""
    return {name: Missing(why) for name in names}


def total(amounts: Any) -> float:
    """A sum of money, correctly rounded and then without the dust of floats."""
    return tidy(math.fsum(np.asarray(amounts).tolist()))


def tidy(amount: float) -> float:
    """Money at 1e-8, as it is kept; never a negative zero."""
    return round(amount, 8) + 0.0


def split(statistics: Mapping[str, Value]) -> tuple[dict[str, Any], dict[str, str]]:
    """Values with None for what is missing, and the reasons; nothing that JSON cannot hold."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, value in statistics.items():
        if isinstance(value, float) and not math.isfinite(value):
            value = Missing("too large to be told")
        if isinstance(value, Missing):
            values[name], reasons[name] = None, value.why
        else:
            values[name] = value
    return values, reasons
