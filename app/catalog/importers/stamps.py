"""A column of times, however written, to nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from app.catalog.importers.cast import Mask, tolerant_cast
from app.errors import RequestError
from app.model import Ints
from app.times import datetime_to_ns

EPOCH_UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_TEXT_FORMATS = ("rfc3339", "iso")
_INT64_MAX = 2**63 - 1


class Stamps(NamedTuple):
    """Times of a column: nanoseconds (0 where bad), wall times or UTC, null and unreadable."""

    ns: Ints
    is_wall: bool  # still to be resolved in a zone
    null: Mask
    unreadable: Mask


def check_time_format(time_format: str) -> None:
    """RequestError where it is none of the formats that are known."""
    if time_format in _TEXT_FORMATS or time_format in EPOCH_UNITS_NS:
        return
    if "%" not in time_format:
        raise RequestError(
            f"unknown time format {time_format!r}; allowed: rfc3339, iso (no zone in the text), "
            "s, ms, us, ns (since 1970), or a strptime format such as %d/%m/%Y %H:%M"
        )
    try:
        sample = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(time_format)
        datetime.strptime(sample, time_format)  # noqa: DTZ007 - only tried
    except ValueError as error:
        raise RequestError(f"time format {time_format!r} cannot be used: {error}") from error


def read_stamps(column: pa.Array, time_format: str) -> Stamps:
    """Read a column of times. One that is typed as a timestamp says itself what it is."""
    if pt.is_timestamp(column.type):
        cast = tolerant_cast(column, pa.timestamp("ns", column.type.tz))
        return _stamps(column, cast, is_wall=column.type.tz is None)
    if pt.is_date(column.type):
        return _stamps(column, tolerant_cast(column, pa.timestamp("ns")), is_wall=True)
    if time_format in EPOCH_UNITS_NS:
        return _from_epoch(column, EPOCH_UNITS_NS[time_format])
    text = tolerant_cast(column, pa.string())
    if time_format == "rfc3339":
        upper = pc.utf8_upper(text)
        return _stamps(column, tolerant_cast(upper, pa.timestamp("ns", "UTC")), is_wall=False)
    if time_format == "iso":
        return _stamps(column, tolerant_cast(text, pa.timestamp("ns")), is_wall=True)
    return _from_pattern(text, time_format)


def _stamps(column: pa.Array, cast: pa.Array, *, is_wall: bool) -> Stamps:
    null: Mask = column.is_null().to_numpy(zero_copy_only=False)
    lost: Mask = cast.is_null().to_numpy(zero_copy_only=False)
    ns: Ints = pc.fill_null(cast.cast(pa.int64()), 0).to_numpy()
    return Stamps(ns.copy(), is_wall, null, lost & ~null)


def _from_epoch(column: pa.Array, unit_ns: int) -> Stamps:
    """Whole numbers exactly; a fraction (seconds with decimals) to the nearest microsecond."""
    null: Mask = column.is_null().to_numpy(zero_copy_only=False)
    whole = tolerant_cast(column, pa.int64())
    values: Ints = pc.fill_null(whole, 0).to_numpy().copy()
    bad: Mask = whole.is_null().to_numpy(zero_copy_only=False) & ~null
    bad |= np.abs(values.astype(np.float64)) > _INT64_MAX // unit_ns
    ns = np.where(bad, 0, values) * unit_ns
    rows = np.flatnonzero(whole.is_null().to_numpy(zero_copy_only=False) & ~null)
    if len(rows):
        cast = tolerant_cast(column.take(rows), pa.float64())
        parts: Any = pc.fill_null(cast, np.nan).to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            fits = np.abs(parts) < _INT64_MAX // unit_ns
        micros = np.round(np.where(fits, parts, 0.0) * (unit_ns / 1000))
        ns[rows] = micros.astype(np.int64) * 1000
        bad[rows] = ~fits
    return Stamps(ns, False, null, bad)


def _from_pattern(text: pa.Array, pattern: str) -> Stamps:
    """By ``strptime``; the zone is in the text where the pattern has ``%z``."""
    null: Mask = text.is_null().to_numpy(zero_copy_only=False)
    encoded = text.dictionary_encode()
    known = [_parse(word, pattern) for word in encoded.dictionary.to_pylist()]
    table = np.array([0 if k is None else k for k in known] + [0], np.int64)
    failed = np.array([k is None for k in known] + [False])
    places = pc.fill_null(encoded.indices, len(known)).to_numpy()
    return Stamps(table[places], "%z" not in pattern, null, failed[places])


@lru_cache(maxsize=65_536)
def _parse(word: str, pattern: str) -> int | None:
    try:
        moment = datetime.strptime(word, pattern)  # noqa: DTZ007 - the zone comes after
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    ns = datetime_to_ns(aware)
    return ns if abs(ns) <= _INT64_MAX else None
