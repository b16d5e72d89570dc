"""The tables of a run: their columns and versions, and the columns of a batch of events.

Times are ``timestamp[ns, UTC]`` under the names that events give them. ``seq`` is the place of
the event that a row comes from. Name and version stand in the metadata of every file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from app.model import Ints
from app.trading.data_events import EquityEvent

TIME = pa.timestamp("ns", "UTC")
_TEXT, _NUMBER, _INT, _BOOL = pa.string(), pa.float64(), pa.int64(), pa.bool_()


def _table(name: str, version: int, /, **columns: Any) -> Any:
    about = {"tapedeck.table": name, "tapedeck.version": str(version)}
    return pa.schema(list(columns.items()), metadata=about)


EVENTS = _table(
    "events", 1, seq=_INT, day=pa.date32(), ts_event_ns=TIME, ts_created_ns=TIME, type=_TEXT,
    version=pa.int16(), payload=_TEXT,
)  # fmt: skip
ORDERS = _table(
    "orders", 1, number=_INT, order_id=_TEXT, strategy_id=_TEXT, symbol=_TEXT, side=_TEXT,
    type=_TEXT, tif=_TEXT, quantity=_NUMBER, limit_price=_NUMBER, stop_price=_NUMBER,
    trail=_NUMBER, trail_in_bps=_BOOL, reduce_only=_BOOL, post_only=_BOOL, role=_TEXT,
    group_id=_TEXT, parent_id=_TEXT, tag=_TEXT, signal_id=_TEXT, state=_TEXT, filled=_NUMBER,
    submitted_ns=TIME, approved_ns=TIME, first_fill_ns=TIME, final_ns=TIME, code=_TEXT,
    reason=_TEXT,
)  # fmt: skip
FILLS = _table(
    "fills", 1, seq=_INT, ts_event_ns=TIME, fill_id=_TEXT, order_id=_TEXT, strategy_id=_TEXT,
    symbol=_TEXT, side=_TEXT, quantity=_NUMBER, price=_NUMBER, commission=_NUMBER, fees=_NUMBER,
    slippage=_NUMBER, price_time_ns=TIME, arrival_price=_NUMBER, order_type=_TEXT, source=_TEXT,
    flags=pa.list_(_TEXT), tag=_TEXT,
)  # fmt: skip
POSITIONS = _table(
    "positions", 1, seq=_INT, ts_event_ns=TIME, strategy_id=_TEXT, symbol=_TEXT,
    quantity=_NUMBER, average_price=_NUMBER, mark=_NUMBER, market_value=_NUMBER,
    unrealised=_NUMBER, realised=_NUMBER, fees=_NUMBER, stale=_BOOL,
)  # fmt: skip
EQUITY = _table("equity", 1, ts_ns=TIME, equity=_NUMBER, cash=_NUMBER, gross=_NUMBER, net=_NUMBER)
ROUND_TRIPS = _table(
    "round_trips", 1, seq=_INT, ts_event_ns=TIME, strategy_id=_TEXT, symbol=_TEXT, side=_TEXT,
    quantity=_NUMBER, entry_ns=TIME, entry_price=_NUMBER, exit_price=_NUMBER, pnl=_NUMBER,
    costs=_NUMBER, mae=_NUMBER, mfe=_NUMBER,
)  # fmt: skip

TABLES: dict[str, Any] = {
    schema.metadata[b"tapedeck.table"].decode(): schema
    for schema in (EVENTS, ORDERS, FILLS, POSITIONS, EQUITY, ROUND_TRIPS)
}


def versions() -> dict[str, int]:
    """The version of each table's schema."""
    return {name: int(s.metadata[b"tapedeck.version"]) for name, s in TABLES.items()}


def times(values: Ints) -> Any:
    """A column of times without nulls."""
    return pa.Array.from_buffers(TIME, len(values), [None, pa.py_buffer(values)])


def every_second(text: Any, cuts: Any) -> Any:
    """Texts without nulls: the first, third and so on of the pieces of UTF-8 between ``cuts``,
    which are an even number of int32 and hold its bounds. They lie one behind the other."""
    offsets, values = pa.py_buffer(cuts), pa.py_buffer(text)
    pieces = pa.StringArray.from_buffers(len(cuts) - 1, offsets, values)
    return pieces.take(pa.array(np.arange(0, len(pieces), 2, dtype=np.int32)))


def texts(lines: memoryview, ends: Ints) -> Any:
    """A column of UTF-8 texts without nulls, from their lines and where each of these ends."""
    cuts = np.zeros(2 * len(ends), np.int32)
    cuts[1::2] = ends - 1
    cuts[2::2] = ends[:-1]
    return every_second(lines, cuts)


def batch_of_rows(schema: Any, rows: Iterable[Sequence[Any]]) -> Any:
    """A record batch of rows in the order of the schema's columns."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


class Column(NamedTuple):
    """One of a table, of objects that have its values under its name."""

    name: str
    value_of: Callable[[Any], Any]
    kind: Any

    def of(self, objects: Iterable[Any]) -> Any:
        return pa.array([*map(self.value_of, objects)], self.kind)


COLUMNS = {
    table: [Column(field.name, attrgetter(field.name), field.type) for field in schema]
    for table, schema in TABLES.items()
}


def batch_of_objects(table: str, seq: Ints, ts_event_ns: Ints, objects: Sequence[Any]) -> Any:
    """A record batch of what objects have under the names of the columns after these two."""
    columns = [column.of(objects) for column in COLUMNS[table][2:]]
    return pa.record_batch([pa.array(seq), times(ts_event_ns), *columns], schema=TABLES[table])


def batch_of_equity(events: Sequence[EquityEvent]) -> Any:
    """A record batch of the columns of equity events."""
    names = ("times_ns", *EQUITY.names[1:])
    at, *numbers = (np.concatenate([getattr(e, name) for e in events]) for name in names)
    return pa.record_batch([times(at), *map(pa.array, numbers)], schema=EQUITY)
