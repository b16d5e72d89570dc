"""What a run hands to its recorder: batches, as MessagePack that is the same after both ways."""

from __future__ import annotations

from typing import Any, NamedTuple, Union

import msgspec
import numpy as np

from app.errors import RunError
from app.trading.data_events import EquityEvent
from app.trading.events import TOPICS, EventBase

_COLUMNS = EquityEvent.__struct_fields__


class Batch(NamedTuple):
    """Events in sequence, and pieces of the equity curve."""

    events: list[EventBase]
    equity: list[EquityEvent]


class _Packed(msgspec.Struct, array_like=True):
    events: list[Union[TOPICS]]  # type: ignore[valid-type]  # noqa: UP007
    curve: list[bytes]  # its columns; none where it did not move


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def pack(batch: Batch) -> bytes:
    """As ``unpack`` takes it."""
    events, equity = batch
    columns = (np.concatenate([getattr(e, c) for e in equity]) for c in _COLUMNS if equity)
    return _encode(_Packed(events, [column.tobytes() for column in columns]))


def unpack(packed: bytes) -> Batch:
    """The same batch; RunError where it would not be (a whole number in place of a float)."""
    found = _decode(packed)
    if _encode(found) != packed:
        raise RunError("a batch of events is not what it was once it was handed over")
    return Batch(found.events, [_curve(*found.curve)] if found.curve else [])


def _curve(times: bytes, *values: bytes) -> EquityEvent:
    columns: list[Any] = [np.frombuffer(times, np.int64), *map(np.frombuffer, values)]
    return EquityEvent(**dict(zip(_COLUMNS, columns, strict=True)))
