"""What each column of a dataset must hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.catalog.importers.cast import Mask, to_texts, to_truths
from app.catalog.importers.rows import Rows
from app.catalog.shapes import NEEDED, PRICES, SIZES, column_types

_ALLOWED = {"auction": ("open", "close"), "side": ("B", "A")}
_FILLED = {
    name: {*NEEDED[name], *extra}
    for name, extra in (
        ("bars_1m", ("vwap",)),
        ("trades", ("exchange", "conditions", "suspicious")),
        ("quotes", ("exchange", "side")),
    )
}


def check_columns(rows: Rows, dataset: str, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """All columns but the time as they are written; what is wrong rejects its row.

    ``columns`` has them under their names in the catalog; those that may be absent are made.
    """
    made: dict[str, pa.Array] = {}
    nulls: dict[str, Mask] = {}
    for name, kind in column_types(dataset).items():
        column = columns.get(name)
        if name == "ts" or (column is None and name not in _FILLED[dataset]):
            continue
        if column is None:
            made[name] = _filled(name, kind, len(rows))
        elif name in PRICES[dataset] or name in SIZES[dataset]:
            check = rows.check_price if name in PRICES[dataset] else rows.check_size
            values, nulls[name] = check(name, column)
            made[name] = pa.array(values, mask=nulls[name])
        elif name == "vwap":
            made[name] = _vwap(rows, column)
        else:
            made[name] = _other(rows, name, column, kind)
    _check_nulls(rows, dataset, nulls)
    return made


def _vwap(rows: Rows, column: pa.Array) -> pa.Array:
    """A vwap may be missing, however the source writes that; a NaN is taken as null."""
    values, null = rows.check_price("vwap", pc.if_else(_is_nan(column), None, column))
    return pa.array(values, mask=null)


def _check_nulls(rows: Rows, dataset: str, nulls: Mapping[str, Mask]) -> None:
    if dataset != "quotes":
        for name, null in nulls.items():
            rows.reject(null, "null", name)
        return
    rows.reject(nulls["bid"] & nulls["ask"], "quote without a side", "bid, ask")
    for side in ("bid", "ask"):
        half = nulls[side] != nulls[f"{side}_size"]
        rows.reject(half, "quote side with only a price or only a size", side)


def _filled(name: str, kind: pa.DataType, count: int) -> pa.Array:
    if name == "suspicious":
        return pa.repeat(pa.scalar(False), count)
    return pa.nulls(count, kind)


def _other(rows: Rows, name: str, column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as it is; truth values and whole numbers checked."""
    if kind == pa.string():
        texts = to_texts(column)
        if name in _ALLOWED:
            known = pc.is_in(texts, pa.array([*_ALLOWED[name], None], pa.string()))
            words = " or ".join(_ALLOWED[name])
            rows.reject(~known.to_numpy(zero_copy_only=False), f"not {words}", name, column)
        return texts
    if kind == pa.bool_():
        values, bad = to_truths(column)
        rows.reject(bad, "neither true nor false", name, column)
        return pa.array(values)
    numbers, null = rows.read_numbers(name, column)
    rows.reject(numbers != np.floor(numbers), "not a whole number", name, column)
    return pa.array(np.where(null | rows.bad, 0, numbers).astype(np.int64), mask=null)


def _is_nan(column: pa.Array) -> pa.Array:
    if column.type == pa.string():
        return pc.equal(pc.utf8_lower(column), "nan")
    if pa.types.is_floating(column.type):
        return pc.is_nan(column)
    return pa.repeat(pa.scalar(False), len(column))
