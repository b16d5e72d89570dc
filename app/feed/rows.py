"""Rows as a program has them, mappings, to items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from app.errors import FeedError
from app.model import (
    FIELDS,
    ITEM,
    TEXTS,
    Dictionary,
    Flag,
    Items,
    StreamType,
    empty_items,
    make_items,
    stream_code,
)
from app.times import DAY_NS, MINUTE_NS, datetime_to_ns

_OPTIONAL = {"vwap": np.nan, "minutes": 1.0, "exchange": None, "conditions": None, "side": None}
_FLAGS = {
    "suspicious": Flag.SUSPICIOUS,
    "updates_last": Flag.LAST,
    "updates_high_low": Flag.HIGH_LOW,
    "updates_volume": Flag.VOLUME,
}
_LAST_NS = 2**63 - DAY_NS
_EXACT = 2**53
_AUCTIONS = {"open": Flag.AUCTION_OPEN, "close": Flag.AUCTION_CLOSE}


def rows_to_items(
    kind: StreamType, rows: Items | Sequence[Mapping[str, Any]], words: Dictionary
) -> Items:
    """Items of 1m bars, trades or quotes; FeedError names the row (1-based) and the field.

    An ``ITEM`` array is copied as it is. None stands for a missing number or text.
    """
    if isinstance(rows, np.ndarray):
        if rows.dtype != ITEM:
            raise FeedError(f"an array of {rows.dtype} was fed; give mappings or ITEM records")
        _check_records(kind, rows, words)
        copied: Items = rows.copy()
        return copied
    if not len(rows):
        return empty_items()
    interval = 1 if kind is StreamType.BAR else 0
    release = [_time(row, n) + interval * MINUTE_NS for n, row in enumerate(rows, 1)]
    columns = [[_value(row, f, n, words) for n, row in enumerate(rows, 1)] for f in FIELDS[kind]]
    flags: Any = Flag.COMPLETE if kind is StreamType.BAR else 0
    if kind is StreamType.TRADE:
        flags = [_trade_flags(row) for row in rows]
    return make_items(stream_code(kind, interval), release, flags, *columns)


def _check_records(kind: StreamType, rows: Items, words: Dictionary) -> None:
    code = stream_code(kind, 1 if kind is StreamType.BAR else 0)
    if (rows["stream"] != code).any():
        raise FeedError(f"records of another stream were fed as {kind}: their code must be {code}")
    for place, field in enumerate(FIELDS[kind]):
        numbers = rows["v"][:, place]
        if field in TEXTS and not ((numbers >= -1) & (numbers < len(words))).all():
            raise FeedError(f"{field!r} has a number beyond the {len(words)} known words")


def _time(row: Mapping[str, Any], number: int) -> int:
    stamp = row.get("ts")
    if isinstance(stamp, datetime):
        return datetime_to_ns(stamp)
    if isinstance(stamp, (int, np.integer)) and not isinstance(stamp, bool):
        if not -_LAST_NS < stamp < _LAST_NS:
            raise FeedError(f"row {number}: 'ts' is {stamp} ns; years 1678 to 2261 can be held")
        return int(stamp)
    raise FeedError(f"row {number}: 'ts' is {stamp!r}; give an aware datetime or int nanoseconds")


def _value(row: Mapping[str, Any], field: str, number: int, words: Dictionary) -> float:
    if field not in row and field not in _OPTIONAL:
        raise FeedError(f"row {number}: no field {field!r}; it has {sorted(row)}")
    value = row.get(field, _OPTIONAL.get(field))
    if field in TEXTS:
        if value is not None and not isinstance(value, str):
            raise FeedError(f"row {number}: {field!r} is {value!r}; give text or None")
        return -1.0 if value is None else float(words.add(value))
    if value is None:
        return float("nan")
    if isinstance(value, (int, np.integer)) and abs(int(value)) >= _EXACT:
        raise FeedError(f"row {number}: {field!r} is {value}; whole numbers below 2**53 are exact")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise FeedError(f"row {number}: {field!r} is {value!r}; give a number") from error


def _trade_flags(row: Mapping[str, Any]) -> int:
    suspicious = bool(row.get("suspicious", False))
    flags = int(_AUCTIONS.get(str(row.get("auction")), 0))
    for name, flag in _FLAGS.items():
        default = suspicious if name == "suspicious" else not suspicious
        flags |= int(flag) if row.get(name, default) else 0
    return flags
