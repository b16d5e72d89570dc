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
    make_items,
)
from app.times import MINUTE_NS

DATASET_TYPES = {
    "bars_1m": StreamType.BAR,
    "trades": StreamType.TRADE,
    "quotes": StreamType.QUOTE,
}
NO_TIME_NS = np.iinfo(np.int64).min  # of a row without a time; the intake counts it as invalid
_EXACT = 2.0**53  # from here on whole numbers run together in a double

_Check = Callable[[pa.DataType], bool]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column is of text, as it is or by dictionary."""
    inner = kind.value_type if pt.is_dictionary(kind) else kind
    return bool(pt.is_string(inner) or pt.is_large_string(inner))


def _is_text_or_null(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pt.is_null(kind))  # null: no row has a text


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
_TEXT = Column(_is_text_or_null, "string", needed=False)
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
        _check_column(name, column, schema, file)


def check_symbols(schema: pa.Schema, file: str) -> None:
    """Raise CatalogError where a file whose path names no symbol has no column that does."""
    if "symbol" not in schema.names:
        raise CatalogError(
            f"{file}: neither its path (symbol=X) nor a column 'symbol' names a symbol"
        )
    _check_column("symbol", _TEXT, schema, file)


def _check_column(name: str, column: Column, schema: pa.Schema, file: str) -> None:
    places = schema.get_all_field_indices(name)
    if len(places) > 1:
        raise CatalogError(f"{file}: {len(places)} columns are named {name!r}; one is allowed")
    if not places:
        if column.needed:
            raise CatalogError(
                f"{file}: no column {name!r} ({column.words}); it has {schema.names}"
            )
        return
    kind = schema.field(places[0]).type
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
    times = column_times(table.column("ts"))
    if dataset == "bars_1m":
        items = _bars(table, times)
    elif dataset == "trades":
        items = _trades(table, times, words)
    else:
        items = _quotes(table, times, words)
    sequence = table.column("sequence") if "sequence" in table.column_names else None
    return items, None if sequence is None else _sequence(sequence)


def _bars(table: pa.Table, times: Ints) -> Items:
    release = np.where(times == NO_TIME_NS, times, times + MINUTE_NS)
    prices = [_numbers(table.column(n)) for n in ("open", "high", "low", "close", "volume")]
    vwap = _numbers(table.column("vwap")) if "vwap" in table.column_names else np.nan
    return make_items(1, release, Flag.COMPLETE, *prices, vwap, 1.0)


def _trades(table: pa.Table, times: Ints, words: Dictionary) -> Items:
    names = table.column_names
    bad = np.zeros(len(times), bool)
    suspicious = np.zeros(len(times), bool)
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
    numbers = [_numbers(table.column(name)) for name in ("price", "size")]
    texts = [_codes(table, name, words) for name in ("exchange", "conditions")]
    items = make_items(TRADE_CODE, times, flags, *numbers, *texts)
    items["v"][bad, 0] = np.nan
    return items


def _quotes(table: pa.Table, times: Ints, words: Dictionary) -> Items:
    numbers = [_numbers(table.column(name)) for name in ("bid", "bid_size", "ask", "ask_size")]
    texts = [_codes(table, name, words) for name in ("exchange", "side")]
    return make_items(QUOTE_CODE, times, 0, *numbers, *texts)


def column_times(column: pa.ChunkedArray) -> Ints:
    """A checked ``ts`` column in nanoseconds; NO_TIME_NS where it is null."""
    stamps = column if column.type.unit == "ns" else column.cast(pa.timestamp("ns", column.type.tz))
    found: Ints = stamps.to_numpy().view(np.int64)  # numpy's own null is NO_TIME_NS too
    return found


def _numbers(column: pa.ChunkedArray) -> Floats:
    raw = column.to_numpy()  # of whole numbers with nulls: floats
    found: Floats = raw.astype(np.float64, copy=False)
    if pt.is_integer(column.type) and column.type.bit_width == 64 and len(found):
        high, low = np.fmax.reduce(found), np.fmin.reduce(found)
        if high >= _EXACT or low <= -_EXACT:
            # Not held exactly, as any that was rounded to the bound: counted as invalid.
            found = np.where(np.abs(found) >= _EXACT, np.nan, found)
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
    pieces = []
    for chunk in column.chunks:
        known = [-1.0 if w is None else float(words.add(w)) for w in chunk.dictionary.to_pylist()]
        look_up = np.array([*known, -1.0])
        indices = chunk.indices
        if indices.null_count:
            indices = pc.fill_null(indices, len(known))
        pieces.append(look_up[indices.to_numpy()])
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0), *pieces])


def _sequence(column: pa.ChunkedArray) -> Ints:
    found: Ints = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    return found
