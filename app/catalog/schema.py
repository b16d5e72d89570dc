"""What columns a stream dataset must have, and how its rows become items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from app.errors import CatalogError
from app.model import (
    QUOTE_CODE,
    TRADE_CODE,
    Dictionary,
    Flag,
    Floats,
    Ints,
    Items,
    StreamType,
    empty_items,
)
from app.times import MINUTE_NS

DATASET_TYPES = {
    "bars_1m": StreamType.BAR,
    "trades": StreamType.TRADE,
    "quotes": StreamType.QUOTE,
}
NO_TIME_NS = np.iinfo(np.int64).min  # of a row without a time; the intake counts it as invalid
_EXACT = 2.0**53

_Check = Callable[[pa.DataType], bool]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pt.is_dictionary(kind) else kind
    return bool(pt.is_string(inner) or pt.is_large_string(inner) or pt.is_null(inner))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pt.is_timestamp(kind)) and kind.tz is not None


def _is_bool(kind: pa.DataType) -> bool:
    return bool(pt.is_boolean(kind))


class Column(NamedTuple):
    """One column: what its type must be, that in words, and whether it must be there."""

    check: _Check
    words: str
    needed: bool = True


_TIME = Column(_is_time, "timestamp with a zone")
_NUMBER = Column(_is_number, "a number")
_TEXT = Column(_is_text, "string", needed=False)
_BOOL = Column(_is_bool, "bool", needed=False)
_WHOLE = Column(pt.is_integer, "integer", needed=False)

COLUMNS: dict[str, dict[str, Column]] = {
    "bars_1m": {
        "ts": _TIME,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), _NUMBER),
        "vwap": _NUMBER._replace(needed=False),
    },
    "trades": {
        "ts": _TIME,
        **dict.fromkeys(("price", "size"), _NUMBER),
        **dict.fromkeys(("exchange", "conditions", "auction"), _TEXT),
        **dict.fromkeys(
            ("suspicious", "updates_last", "updates_high_low", "updates_volume"), _BOOL
        ),
        "sequence": _WHOLE,
    },
    "quotes": {
        "ts": _TIME,
        **dict.fromkeys(("bid", "bid_size", "ask", "ask_size"), _NUMBER),
        **dict.fromkeys(("exchange", "side"), _TEXT),
        "sequence": _WHOLE,
    },
}
_SIZE_COLUMNS = {"bars_1m": ("volume",), "trades": ("size",), "quotes": ("bid_size", "ask_size")}


def check_schema(dataset: str, schema: pa.Schema, file: str) -> None:
    """Raise CatalogError where a needed column is absent or one has a wrong type."""
    for name, column in COLUMNS[dataset].items():
        at = schema.get_field_index(name)
        if at < 0:
            if column.needed:
                raise CatalogError(
                    f"{file}: no column {name!r} ({column.words}); it has {schema.names}"
                )
            continue
        kind = schema.field(at).type
        if not column.check(kind):
            raise CatalogError(f"{file}: column {name!r} is {kind}; needed: {column.words}")


def known_columns(dataset: str, schema: pa.Schema) -> list[str]:
    """The columns that are read of a file."""
    return [name for name in COLUMNS[dataset] if name in schema.names]


def is_integral(dataset: str, schema: pa.Schema) -> bool:
    """Whether the sizes of a file are whole numbers by their type."""
    return all(pt.is_integer(schema.field(name).type) for name in _SIZE_COLUMNS[dataset])


def table_items(dataset: str, table: pa.Table, words: Dictionary) -> tuple[Items, Ints | None]:
    """Rows of a checked table as items in source order, and their source sequence if they have one.

    Rows that cannot be right are kept and marked (no time, NaN): the intake counts them.
    """
    items = empty_items(table.num_rows)
    values: Any = items["v"]
    items["release_ns"] = _times(table.column("ts"))
    if dataset == "bars_1m":
        _fill_bars(table, items, values)
    elif dataset == "trades":
        _fill_trades(table, items, values, words)
    else:
        _fill_quotes(table, items, values, words)
    sequence = table.column("sequence") if "sequence" in table.column_names else None
    return items, None if sequence is None else _sequence(sequence)


def _fill_bars(table: pa.Table, items: Items, values: Any) -> None:
    items["stream"] = 1
    items["flags"] = Flag.COMPLETE
    for place, name in enumerate(("open", "high", "low", "close", "volume")):
        values[:, place] = _numbers(table.column(name))
    values[:, 5] = _numbers(table.column("vwap")) if "vwap" in table.column_names else np.nan
    values[:, 6] = 1.0
    release: Any = items["release_ns"]
    release[release != NO_TIME_NS] += MINUTE_NS


def _fill_trades(table: pa.Table, items: Items, values: Any, words: Dictionary) -> None:
    items["stream"] = TRADE_CODE
    values[:, 0] = _numbers(table.column("price"))
    values[:, 1] = _numbers(table.column("size"))
    values[:, 2] = _codes(table, "exchange", words)
    values[:, 3] = _codes(table, "conditions", words)
    names = table.column_names
    bad = np.zeros(len(items), bool)
    suspicious = np.zeros(len(items), bool)
    if "suspicious" in names:
        suspicious = _truths(table.column("suspicious"), bad)
    flags = np.where(suspicious, np.uint16(Flag.SUSPICIOUS), np.uint16(0))
    for name, flag in (
        ("updates_last", Flag.LAST),
        ("updates_high_low", Flag.HIGH_LOW),
        ("updates_volume", Flag.VOLUME),
    ):
        eligible = _truths(table.column(name), bad) if name in names else ~suspicious
        flags |= np.where(eligible, np.uint16(flag), np.uint16(0))
    if "auction" in names:
        auction = table.column("auction")
        for text, flag in (("open", Flag.AUCTION_OPEN), ("close", Flag.AUCTION_CLOSE)):
            is_it = pc.fill_null(pc.equal(auction, text), False).to_numpy()
            flags |= np.where(is_it, np.uint16(flag), np.uint16(0))
    items["flags"] = flags
    values[bad, 0] = np.nan


def _fill_quotes(table: pa.Table, items: Items, values: Any, words: Dictionary) -> None:
    items["stream"] = QUOTE_CODE
    for place, name in enumerate(("bid", "bid_size", "ask", "ask_size")):
        values[:, place] = _numbers(table.column(name))
    values[:, 4] = _codes(table, "exchange", words)
    values[:, 5] = _codes(table, "side", words)


def _times(column: pa.ChunkedArray) -> Ints:
    stamps = column.cast(pa.timestamp("ns", "UTC")) if column.type.unit != "ns" else column
    whole = stamps.cast(pa.int64())
    if whole.null_count:
        whole = pc.fill_null(whole, NO_TIME_NS)
    found: Ints = whole.to_numpy()
    return found


def _numbers(column: pa.ChunkedArray) -> Floats:
    found: Floats = column.to_numpy().astype(np.float64)
    if pt.is_integer(column.type) and len(found) and np.nanmax(np.abs(found), initial=0) > _EXACT:
        found[np.abs(found) > _EXACT] = np.nan  # cannot be held exactly: counted as invalid
    return found


def _truths(column: pa.ChunkedArray, bad: Any) -> Any:
    if column.null_count:
        bad |= column.is_null().to_numpy()
        column = pc.fill_null(column, False)
    return column.to_numpy()


def _codes(table: pa.Table, name: str, words: Dictionary) -> Floats | float:
    if name not in table.column_names:
        return -1.0
    column = table.column(name)
    if not pt.is_dictionary(column.type):
        column = column.dictionary_encode()
    pieces = [np.empty(0)]
    for chunk in column.chunks:
        known = [-1.0 if w is None else float(words.add(w)) for w in chunk.dictionary.to_pylist()]
        look_up = np.array([*known, -1.0])
        pieces.append(look_up[pc.fill_null(chunk.indices, len(known)).to_numpy()])
    return np.concatenate(pieces)


def _sequence(column: pa.ChunkedArray) -> Ints:
    found: Ints = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    return found
