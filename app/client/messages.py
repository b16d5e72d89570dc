"""Messages of the stream: typed, with their columns as numpy arrays or Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.client.answers import Answer, Data, Nanoseconds, Session, convert, to_datetime
from app.client.problems import ConnectionProblem
from app.errors import TimeError
from app.model import TEXTS, Ints, code_rank, parse_channel, stream_code
from app.times import parse_time_ns

if TYPE_CHECKING:
    import pyarrow as pa

_HEADS = ("type", "epoch", "prev_seq", "seqs", "times")
_TEXT = ("symbol", "auction", *TEXTS)


class Row(NamedTuple):
    """One item; ``values`` are the columns of its channel but ``slice`` and ``symbol``."""

    time_ns: int  # its release time
    seq: int
    channel: str
    symbol: str
    values: dict[str, Any]


class Slices:
    """One or many slices. ``seqs`` and ``times_ns`` have one entry a slice."""

    def __init__(self, frame: dict[str, Any]) -> None:
        self.epoch: int = frame["epoch"]
        self.prev_seq: int | None = frame.get("prev_seq")
        self.seqs: Ints = np.asarray(frame["seqs"], np.int64)
        self.times_ns: Ints = _times(frame["times"])
        self._lists: dict[str, dict[str, list[Any]]] = {
            name: columns for name, columns in frame.items() if name not in _HEADS
        }

    def __repr__(self) -> str:
        rows = {name: len(self._lists[name]["slice"]) for name in self.channels}
        return f"Slices(epoch={self.epoch}, seqs={self.seqs.tolist()}, rows={rows})"

    @property
    def channels(self) -> list[str]:
        """The channels that have a row, in their order within a slice."""
        return sorted(self._lists, key=_rank)

    def __len__(self) -> int:
        """Rows, of all channels."""
        return sum(len(columns["slice"]) for columns in self._lists.values())

    @cached_property
    def columns(self) -> dict[str, dict[str, NDArray[Any]]]:
        """By channel and column: ``ts`` in ns, numbers with NaN for null, else objects."""
        return {
            channel: {name: _column(name, values) for name, values in columns.items()}
            for channel, columns in self._lists.items()
        }

    def table(self, channel: str) -> pa.Table:
        """A channel as an Arrow table: ``time`` (release), ``seq``, then its own columns."""
        import pyarrow as pa

        zoned = pa.timestamp("ns", "UTC")
        lists = self._lists[channel]
        at = np.asarray(lists["slice"], np.int64)
        found = {"time": pa.array(self.times_ns[at], zoned), "seq": pa.array(self.seqs[at])}
        for name, values in lists.items():
            if name == "ts":
                found[name] = pa.array(_times(values), zoned)
            elif name in _TEXT:
                found[name] = pa.array(values, pa.string())
            elif name != "slice":
                column = pa.array(values)
                found[name] = column.cast(pa.float64()) if pa.types.is_null(column.type) else column
        return pa.table(found)

    def rows(self) -> Iterator[Row]:
        """Item by item: by slice, in it trades, quotes, then bars from the shortest interval."""
        times, seqs = self.times_ns.tolist(), self.seqs.tolist()
        streams = [(name, self._row_list(name)) for name in self.channels]
        places = dict.fromkeys(self.channels, 0)
        for at, (time_ns, seq) in enumerate(zip(times, seqs, strict=True)):
            for channel, rows in streams:
                place = places[channel]
                while place < len(rows) and rows[place][0] == at:
                    _, symbol, values = rows[place]
                    yield Row(time_ns, seq, channel, symbol, values)
                    place += 1
                places[channel] = place

    def _row_list(self, channel: str) -> list[tuple[int, str, dict[str, Any]]]:
        lists = dict(self._lists[channel])
        if "ts" in lists:
            lists["ts"] = _times(lists["ts"]).tolist()
        slices, symbols = lists.pop("slice"), lists.pop("symbol")
        names = list(lists)
        values = zip(*lists.values(), strict=True) if names else ((),) * len(slices)
        return [
            (at, symbol, dict(zip(names, row, strict=True)))
            for at, symbol, row in zip(slices, symbols, values, strict=True)
        ]


class Status(Answer, frozen=True):
    """The session changed its state, day, speed or epoch; ``raw`` is the whole frame."""

    state: str
    time_ns: Nanoseconds | None = None
    epoch: int | None = None
    seq: int | None = None
    speed: float | None = None
    trading_day: str | None = None
    raw: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def time(self) -> Any:
        """The market's time as an aware datetime, None where there is none."""
        return None if self.time_ns is None else to_datetime(self.time_ns)


class Snapshot(Data, frozen=True):
    """The whole view with which a new epoch begins."""


class End(Answer, frozen=True):
    """The session has ended; ``raw`` is the whole frame."""

    state: str | None = None
    raw: dict[str, Any] = msgspec.field(default_factory=dict)


class Error(Answer, frozen=True):
    """Something is amiss, such as a new session without a symbol; ``raw`` is the whole frame."""

    code: str | int
    detail: str = ""
    raw: dict[str, Any] = msgspec.field(default_factory=dict)


class Hello(Answer, frozen=True):
    """The server's greeting, with the session there is."""

    version: int
    session: Session | None = None


Message = Slices | Status | Snapshot | End | Error
_KINDS: dict[str, type[Status | Snapshot | End | Error | Hello]] = {
    "status": Status, "snapshot": Snapshot, "end": End, "error": Error, "hello": Hello,
}  # fmt: skip


def read_frame(frame: str | bytes) -> Message | Hello:
    """The message that a JSON (text) or msgpack (binary) frame is."""
    try:
        plain = msgspec.msgpack.decode(frame) if isinstance(frame, bytes) else _json(frame)
        return _message(plain)
    except (msgspec.MsgspecError, TimeError, LookupError, TypeError, ValueError) as error:
        raise ConnectionProblem(f"a frame of the stream cannot be read: {error!r}") from error


def _json(frame: str) -> Any:
    return msgspec.json.decode(frame)


def _message(plain: dict[str, Any]) -> Message | Hello:
    kind = plain["type"]
    if kind == "slices":
        return Slices(plain)
    if kind not in _KINDS:
        raise ValueError(f"unknown type {kind!r}")
    found = _KINDS[kind]
    extra = {"raw": plain} if "raw" in found.__struct_fields__ else {}
    return convert({**plain, **extra}, found)


def _rank(channel: str) -> int:
    return code_rank(stream_code(*parse_channel(channel)))


def _times(values: list[Any]) -> Ints:
    if values and isinstance(values[0], str):
        return np.fromiter((parse_time_ns(text) for text in values), np.int64, len(values))
    return np.asarray(values, np.int64)


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    if name == "ts":
        return _times(values)
    if name in _TEXT:
        return np.array(values, object)
    if None not in values:
        return np.asarray(values)
    return np.array([np.nan if value is None else value for value in values], np.float64)
