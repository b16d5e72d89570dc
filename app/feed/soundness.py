"""Which rows cannot be right, whatever stands around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.catalog.schema import NO_TIME_NS
from app.model import Floats, Items, StreamType


def all_sound(kind: StreamType, columns: Floats) -> bool:
    """Whether no row is invalid and none lacks a side: what nearly all data is, told quickly.

    ``columns`` are the rows' values, one after the other: (VALUES, rows), one row at least.
    """
    required = columns[: _REQUIRED[kind]]
    # A NaN is the least and the greatest of what it is among: it fails both.
    if not (required.min() >= 0 and required.max() < np.inf):
        return False
    vwap = columns[5]
    bars = kind is StreamType.BAR
    return not bars or not (np.fmin.reduce(vwap) < 0 or np.fmax.reduce(vwap) == np.inf)


_REQUIRED = {StreamType.BAR: 5, StreamType.TRADE: 2, StreamType.QUOTE: 4}


def invalid_rows(kind: StreamType, items: Items) -> Any:
    """No time, or a null, NaN, infinity or negative number where there may be none.

    A quote may lack a whole side, and a bar's vwap may be null.
    """
    values: Any = items["v"]
    no_time = items["release_ns"] == NO_TIME_NS
    if kind is StreamType.BAR:
        vwap = values[:, 5]
        wrong_vwap = ~(np.isnan(vwap) | (np.isfinite(vwap) & (vwap >= 0)))
        return no_time | wrong_vwap | ~_sound(values[:, :5]).all(axis=1)
    if kind is StreamType.TRADE:
        return no_time | ~_sound(values[:, :2]).all(axis=1)
    sides = values[:, :4].reshape(-1, 2, 2)  # bid, ask; price, size
    absent = np.isnan(sides).all(axis=2)
    whole = _sound(sides).all(axis=2)
    return no_time | ~(absent | whole).all(axis=1) | absent.all(axis=1)


def _sound(values: Any) -> Any:
    return np.isfinite(values) & (values >= 0)
