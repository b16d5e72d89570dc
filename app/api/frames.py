"""Frames of the stream in JSON and msgpack; slices are encoded once for all who take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.websockets import WebSocket

from app.api.columns import Column, tick_flags, value_columns
from app.api.packing import map_head, pack_column, plain_list
from app.model import (
    Dictionary,
    Ints,
    Items,
    StreamType,
    channel_name,
    pick_items,
    stream_code,
)
from app.times import format_time, format_times

_pack = msgspec.msgpack.Encoder().encode


class Codec(Protocol):
    """One encoding. ``moment`` and ``moments`` write times, ``tail`` what all clients share."""

    name: str
    is_text: bool

    def moment(self, ns: int) -> Any: ...

    def moments(self, ns: Ints) -> Column: ...

    def frame(self, fields: Mapping[str, Any]) -> bytes: ...

    def tail(self, fields: Mapping[str, Any]) -> bytes: ...

    def plain_tail(self, fields: Mapping[str, Any]) -> bytes:
        """Of fields that are without numpy and NaN already."""

    def slices(self, epoch: int, prev_seq: int, count: int, tail: bytes) -> bytes: ...

    async def send(self, websocket: WebSocket, frame: bytes) -> None: ...


class JsonCodec:
    """Text frames, times as RFC 3339."""

    name = "json"
    is_text = True

    def moment(self, ns: int) -> Any:
        return format_time(ns)

    def moments(self, ns: Ints) -> Column:
        return format_times(ns)

    def frame(self, fields: Mapping[str, Any]) -> bytes:
        return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)

    def tail(self, fields: Mapping[str, Any]) -> bytes:
        return self.frame(fields)[1:]

    def plain_tail(self, fields: Mapping[str, Any]) -> bytes:
        return orjson.dumps(fields)[1:]

    def slices(self, epoch: int, prev_seq: int, count: int, tail: bytes) -> bytes:
        return b'{"type":"slices","epoch":%d,"prev_seq":%d,' % (epoch, prev_seq) + tail

    async def send(self, websocket: WebSocket, frame: bytes) -> None:
        await websocket.send_text(frame.decode())


class MsgpackCodec:
    """Binary frames, times as integer nanoseconds."""

    name = "msgpack"
    is_text = False

    def moment(self, ns: int) -> Any:
        return ns

    def moments(self, ns: Ints) -> Column:
        return ns

    def frame(self, fields: Mapping[str, Any]) -> bytes:
        return _pack({k: plain(v) for k, v in fields.items()})

    def tail(self, fields: Mapping[str, Any]) -> bytes:
        return b"".join(_pack(k) + _packed(v) for k, v in fields.items())

    def plain_tail(self, fields: Mapping[str, Any]) -> bytes:
        return _pack(fields)[1 if len(fields) < 16 else 3 :]  # without the map's head

    def slices(self, epoch: int, prev_seq: int, count: int, tail: bytes) -> bytes:
        head = self.plain_tail({"type": "slices", "epoch": epoch, "prev_seq": prev_seq})
        return b"\xde" + (count + 3).to_bytes(2, "big") + head + tail  # a map of 16-bit size

    async def send(self, websocket: WebSocket, frame: bytes) -> None:
        await websocket.send_bytes(frame)


CODECS: dict[str, Codec] = {codec.name: codec for codec in (JsonCodec(), MsgpackCodec())}


def plain(value: Any) -> Any:
    """Without numpy, and with None for NaN as JSON has null."""
    if isinstance(value, np.ndarray):
        return plain_list(value)
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value] if value and not isinstance(value[0], str) else value
    return None if isinstance(value, float) and value != value else value


def _packed(value: Column | Mapping[str, Column]) -> bytes:
    """A member of a frame of slices: a column, or a channel's; lists have no NaN."""
    if isinstance(value, np.ndarray):
        return pack_column(value)
    if isinstance(value, list):
        return _pack(value)
    return map_head(len(value)) + b"".join(_pack(k) + _packed(v) for k, v in value.items())


class Channel(NamedTuple):
    """A kind of rows that can be subscribed to."""

    kind: StreamType
    interval_min: int

    @property
    def name(self) -> str:
        return channel_name(self.kind, self.interval_min)

    @property
    def code(self) -> int:
        return stream_code(self.kind, self.interval_min)


class Selection(NamedTuple):
    """What of a session a subscription wants; ``mask`` by symbol index, None for all."""

    channels: tuple[Channel, ...]
    mask: NDArray[np.bool_] | None

    def rows(self, channel: Channel, items: Items) -> Ints:
        chosen = items["stream"] == channel.code
        if self.mask is not None:
            chosen &= self.mask[items["symbol"]]
        return np.flatnonzero(chosen)


class Run(NamedTuple):
    """Slices in order, and their rows: ``slice_no`` says to which of ``seqs`` a row belongs."""

    epoch: int
    seqs: Ints
    times_ns: Ints
    items: Items
    slice_no: Ints


class Names(Protocol):
    """What is needed to write the rows of a session."""

    words: Dictionary

    def symbols_of(self, items: Items) -> list[str]: ...

    def starts_of(self, kind: StreamType, items: Items) -> Ints: ...

    def integral_of(self, kind: StreamType, items: Items) -> NDArray[np.bool_]: ...


class Slices(NamedTuple):
    """Encoded slices, all but the head that differs from client to client."""

    epoch: int
    last_seq: int
    members: int
    tail: bytes

    def frame(self, codec: Codec, prev_seq: int) -> bytes:
        return codec.slices(self.epoch, prev_seq, self.members, self.tail)


def encode_slices(codec: Codec, names: Names, run: Run, selection: Selection) -> Slices | None:
    """The slices that have a row for the selection; None where none has."""
    fields = slice_fields(codec, names, run, selection)
    if fields is None:
        return None
    return Slices(run.epoch, int(fields["seqs"][-1]), len(fields), codec.tail(fields))


def slice_fields(
    codec: Codec, names: Names, run: Run, selection: Selection
) -> dict[str, Any] | None:
    """The members of a frame of these slices, as columns; None where no row is selected."""
    chosen = [(channel, selection.rows(channel, run.items)) for channel in selection.channels]
    chosen = [(channel, rows) for channel, rows in chosen if len(rows)]
    if not chosen:
        return None
    used = np.zeros(len(run.seqs), np.bool_)
    for _, rows in chosen:
        used[run.slice_no[rows]] = True
    place = np.cumsum(used) - 1
    fields: dict[str, Any] = {"seqs": run.seqs[used], "times": codec.moments(run.times_ns[used])}
    for channel, rows in chosen:
        columns: dict[str, Column] = {"slice": place[run.slice_no[rows]]}
        items = pick_items(run.items, rows)
        fields[channel.name] = columns | _columns(codec, names, channel, items)
    return fields


def _columns(codec: Codec, names: Names, channel: Channel, items: Items) -> dict[str, Column]:
    starts = names.starts_of(channel.kind, items)
    columns: dict[str, Column] = {"symbol": names.symbols_of(items), "ts": codec.moments(starts)}
    integral = names.integral_of(channel.kind, items)
    columns |= value_columns(channel.kind, items, names.words, integral)
    return columns | tick_flags(channel.kind, items)
