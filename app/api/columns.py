"""Items as columns: for JSON, msgpack and Arrow, straight from the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.api.packing import plain_list
from app.model import FIELDS, SIZES, TEXTS, Dictionary, Flag, Floats, Ints, Items, StreamType
from app.times import format_time, format_times

Column = NDArray[Any] | list[Any]
Integral = bool | NDArray[np.bool_]  # of all rows, or row by row

# Members of an item in the answers of polls; streams add what the catalog has more.
ROWS: dict[StreamType, tuple[str, ...]] = {
    StreamType.BAR: (
        "ts", "open", "high", "low", "close", "volume", "vwap", "minutes",
        "complete", "partial", "post_close",
    ),
    StreamType.TRADE: ("ts", "price", "size", "exchange", "conditions"),
    StreamType.QUOTE: ("ts", "bid", "bid_size", "ask", "ask_size"),
}  # fmt: skip
_BAR_FLAGS = {
    "complete": Flag.COMPLETE, "partial": Flag.PARTIAL, "post_close": Flag.POST_CLOSE,
}  # fmt: skip


def value_columns(
    kind: StreamType, items: Items, words: Dictionary, integral: Integral
) -> dict[str, Column]:
    """Everything but ``ts``, in the order of the contract.

    Sizes are ints where ``integral``, a missing number is NaN or None, a missing text None.
    """
    values = items["v"]
    columns: dict[str, Column] = {}
    for place, name in enumerate(FIELDS[kind]):
        column = np.ascontiguousarray(values[:, place])
        if name in SIZES:
            columns[name] = whole_sizes(column, integral)
        elif name in TEXTS:
            columns[name] = words.look_up(column)
        elif name == "minutes":
            columns[name] = column.astype(np.int64)
        else:
            columns[name] = column
    if kind is StreamType.BAR:
        flags = items["flags"]
        columns |= {name: (flags & flag) != 0 for name, flag in _BAR_FLAGS.items()}
    return columns


def tick_flags(kind: StreamType, items: Items) -> dict[str, Column]:
    """What a replay knows of ticks beside their values: a program behind a stream needs it too."""
    flags = items["flags"]
    if kind is StreamType.BAR:
        return {}
    found: dict[str, Column] = {"post_close": (flags & Flag.POST_CLOSE) != 0}
    if kind is StreamType.TRADE:
        found["eligible"] = (flags & Flag.LAST) != 0
        found["auction"] = _auctions(flags)
    return found


def _auctions(flags: NDArray[np.uint16]) -> list[str | None]:
    """Of each trade the auction that it is, ``open`` or ``close``; None of most."""
    found: list[str | None] = [None] * len(flags)
    for name, flag in (("open", Flag.AUCTION_OPEN), ("close", Flag.AUCTION_CLOSE)):
        for row in np.flatnonzero(flags & flag).tolist():
            found[row] = name
    return found


def whole_sizes(column: Floats, integral: Integral) -> Column:
    """Sizes as ints where the source has ints; None for a missing one."""
    whole = np.broadcast_to(np.asarray(integral), column.shape)
    if not whole.any():
        return column
    missing = np.isnan(column)
    if whole.all() and not missing.any():
        return column.astype(np.int64)
    return [
        None if gone else int(value) if is_whole else value
        for value, is_whole, gone in zip(
            column.tolist(), whole.tolist(), missing.tolist(), strict=True
        )
    ]


def item_rows(
    kind: StreamType, items: Items, starts_ns: Ints, words: Dictionary, integral: Integral,
    moment: Callable[[int], Any] = format_time,
) -> list[dict[str, Any]]:  # fmt: skip
    """The items of a poll as plain rows; ``moment`` writes their ``ts``."""
    same = moment is format_time
    times = format_times(starts_ns) if same else [moment(ns) for ns in starts_ns.tolist()]
    columns: dict[str, Column] = {"ts": times}
    columns |= value_columns(kind, items, words, integral)
    names = ROWS[kind]
    lists = [c if isinstance(c, list) else plain_list(c) for c in (columns[n] for n in names)]
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


def item_table(
    kind: StreamType, items: Items, starts_ns: Ints, words: Dictionary, integral: bool
) -> pa.Table:
    """The catalog's columns, and for bars what the replay knows of them besides."""
    arrays = {"ts": pa.array(starts_ns.view("datetime64[ns]"), pa.timestamp("ns", "UTC"))}
    for name, column in value_columns(kind, items, words, integral).items():
        if name in TEXTS:
            arrays[name] = pa.array(column, pa.string())
        elif name in SIZES:
            arrays[name] = pa.array(
                column, pa.int64() if integral else pa.float64(), from_pandas=True
            )
        else:
            arrays[name] = pa.array(column, from_pandas=name == "vwap" or kind is StreamType.QUOTE)
    if kind is StreamType.TRADE:
        arrays["suspicious"] = pa.array((items["flags"] & Flag.SUSPICIOUS) != 0)
    return pa.table(arrays)


def arrow_stream(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """The table as an Arrow IPC stream; ``metadata`` stands in its schema."""
    table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
