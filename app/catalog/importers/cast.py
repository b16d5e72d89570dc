"""Columns of text to numbers and times, one bad value not spoiling the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from app.model import Floats

Mask = NDArray[np.bool_]


def tolerant_cast(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Cast value by value; what cannot be cast is null.

    The whole is tried first and halved where it fails, so a few bad values among
    many cost little.
    """
    try:
        return column.cast(to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(column) <= 1:
            return pa.nulls(len(column), to)
    middle = len(column) // 2
    halves = (tolerant_cast(column[:middle], to), tolerant_cast(column[middle:], to))
    return pa.concat_arrays(halves)


def as_array(column: pa.Array) -> pa.Array:
    """A column with dictionaries decoded, text trimmed, and empty text null."""
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pt.is_null(column.type):
        return column.cast(pa.string())
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
        return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    return column


def to_floats(column: pa.Array) -> tuple[Floats, Mask, Mask]:
    """Values (NaN where there is none), where it was null, and where it was no number."""
    null = _to_mask(column.is_null())
    cast = tolerant_cast(column, pa.float64())
    unreadable = _to_mask(cast.is_null()) & ~null
    values: Floats = pc.fill_null(cast, np.nan).to_numpy(zero_copy_only=False)
    return values, null, unreadable


def to_texts(column: pa.Array) -> pa.Array:
    """As text, null where there is none."""
    return tolerant_cast(column, pa.string())


def to_truths(column: pa.Array) -> tuple[Mask, Mask]:
    """Truth values (false where there is none), and where it was neither null nor a truth."""
    if pt.is_string(column.type):
        column = pc.utf8_lower(column)
        yes = pc.is_in(column, pa.array(["1", "true", "t", "yes", "y"]))
        known = pc.or_(yes, pc.is_in(column, pa.array(["0", "false", "f", "no", "n"])))
        return _to_mask(yes), ~_to_mask(known) & ~_to_mask(column.is_null())
    cast = tolerant_cast(column, pa.bool_())
    bad = _to_mask(cast.is_null()) & ~_to_mask(column.is_null())
    return _to_mask(pc.fill_null(cast, False)), bad


def _to_mask(column: Any) -> Mask:
    found: Mask = column.to_numpy(zero_copy_only=False).astype(bool)
    return found
