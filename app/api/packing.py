"""Columns as msgpack arrays straight from numpy: an object a value costs many times its bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

FEW_VALUES = 16  # below it a list is as quick, and as short as msgpack can be
_NIL, _FALSE, _FLOAT64 = 0xC0, 0xC2, 0xCB
_UNSIGNED = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))  # tag, and bytes of a value
_SIGNED = ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8))
_MOST_BELOW_TAG = 0x7F  # small ones are their own tag

_pack = msgspec.msgpack.Encoder().encode


def plain_list(column: NDArray[Any]) -> list[Any]:
    """Without numpy, and with None for NaN as JSON has null."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f" and np.isnan(column).any():
        return [None if v != v else v for v in values]
    return values


def pack_column(column: NDArray[Any]) -> bytes:
    """One column of floats, integers or booleans; NaN is nil. All values of many are as wide as the
    widest."""
    if len(column) < FEW_VALUES or column.dtype.kind not in "fiub":
        return _pack(plain_list(column))
    return _head(len(column)) + _body(column)


def map_head(length: int) -> bytes:
    """What stands before the members of a map, as short as it can be."""
    return bytes([0x80 | length]) if length < 16 else b"\xde" + length.to_bytes(2, "big")


def _head(length: int) -> bytes:
    if length < 1 << 16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


def _body(column: NDArray[Any]) -> bytes:
    if column.dtype.kind == "f":
        return _floats(column)
    if column.dtype.kind == "b":
        return (column.view(np.uint8) + np.uint8(_FALSE)).tobytes()
    low, high = int(column.min()), int(column.max())
    if low >= 0 and high <= _MOST_BELOW_TAG:
        return column.astype(np.uint8).tobytes()
    if low >= 0:
        tag, width = next(t for t in _UNSIGNED if high < 1 << 8 * t[1])
        return _tagged(column, tag, f">u{width}").tobytes()
    most = max(high, -low - 1)
    tag, width = next(t for t in _SIGNED if most < 1 << 8 * t[1] - 1)
    return _tagged(column, tag, f">i{width}").tobytes()


def _floats(column: NDArray[Any]) -> bytes:
    missing = np.isnan(column)
    if missing.all():
        return bytes([_NIL]) * len(column)
    packed = _tagged(column, _FLOAT64, ">f8")
    if not missing.any():
        return packed.tobytes()
    packed["tag"][missing] = _NIL
    plain = packed.view(np.uint8).reshape(len(column), -1)
    kept = np.ones(plain.shape, np.bool_)
    kept[missing, 1:] = False
    return plain[kept].tobytes()


def _tagged(column: NDArray[Any], tag: int, dtype: str) -> NDArray[Any]:
    packed = np.empty(len(column), np.dtype([("tag", "u1"), ("value", dtype)]))
    packed["tag"] = tag
    packed["value"] = column
    return packed
