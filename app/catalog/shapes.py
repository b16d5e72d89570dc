"""The Arrow columns of the files that Tapedeck writes itself."""

from __future__ import annotations

import pyarrow as pa

TS = pa.timestamp("ns", "UTC")
PRICES = {
    "bars_1m": ("open", "high", "low", "close"),
    "trades": ("price",),
    "quotes": ("bid", "ask"),
}
SIZES = {"bars_1m": ("volume",), "trades": ("size",), "quotes": ("bid_size", "ask_size")}
ELIGIBILITY = ("updates_last", "updates_high_low", "updates_volume")

# Sizes are doubles until it is known whether all of them are whole.
_COLUMNS: dict[str, list[tuple[str, pa.DataType]]] = {
    "bars_1m": [
        ("ts", TS), ("open", pa.float64()), ("high", pa.float64()), ("low", pa.float64()),
        ("close", pa.float64()), ("volume", pa.float64()), ("vwap", pa.float64()),
    ],
    "trades": [
        ("ts", TS), ("price", pa.float64()), ("size", pa.float64()), ("exchange", pa.string()),
        ("conditions", pa.string()), ("suspicious", pa.bool_()), ("updates_last", pa.bool_()),
        ("updates_high_low", pa.bool_()), ("updates_volume", pa.bool_()),
        ("auction", pa.string()), ("sequence", pa.int64()),
    ],
    "quotes": [
        ("ts", TS), ("bid", pa.float64()), ("bid_size", pa.float64()), ("ask", pa.float64()),
        ("ask_size", pa.float64()), ("exchange", pa.string()), ("side", pa.string()),
        ("sequence", pa.int64()),
    ],
}  # fmt: skip
NEEDED = {
    "bars_1m": ("ts", "open", "high", "low", "close", "volume"),
    "trades": ("ts", "price", "size"),
    "quotes": ("ts", "bid", "bid_size", "ask", "ask_size"),
}

DAILY = pa.schema(
    [
        ("date", pa.date32()), ("open", pa.float64()), ("high", pa.float64()),
        ("low", pa.float64()), ("close", pa.float64()), ("volume", pa.float64()),
    ]
)  # fmt: skip
ACTIONS = pa.schema(
    [
        ("date", pa.date32()),
        ("type", pa.string()),
        ("ratio", pa.float64()),
        ("amount", pa.float64()),
    ]
)


def column_types(dataset: str) -> dict[str, pa.DataType]:
    """All columns that a stream dataset may have, in file order, with their types."""
    return dict(_COLUMNS[dataset])


def whole_sizes(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """The size columns as int64; all their values must be whole."""
    for name in names:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(at).cast(pa.int64()))
    return table
