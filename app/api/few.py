"""One slice of few rows as a frame's members: numpy's price for arrays of one is many times the
rows' own. What comes out is what ``slice_fields`` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple, Protocol

from app.api.frames import Channel, Codec, Names, Selection, Slices, encode_slices
from app.api.windows import run_of
from app.model import FIELDS, ITEM, SIZES, TEXTS, Flag, Items, StreamType, Window
from app.times import MINUTE_NS

FEW_ROWS = 4
_ROW = Struct("<qIHH7d")
assert _ROW.size == ITEM.itemsize
_WHOLE_BELOW = 2.0**63


class Row(NamedTuple):
    """An ``ITEM`` without numpy."""

    release_ns: int
    symbol: int
    code: int
    flags: int
    values: list[float]


class RowNames(Names, Protocol):
    """What is needed to write one row at a time."""

    def symbol_of(self, number: int) -> str: ...

    def is_integral(self, kind: StreamType, number: int) -> bool: ...


def read_rows(items: Items) -> list[Row]:
    found = _ROW.iter_unpack(items.tobytes())
    return [Row(ns, symbol, code, flags, v) for ns, symbol, code, flags, *v in found]


def encode_window(
    codec: Codec, names: RowNames, window: Window, selection: Selection
) -> Slices | None:
    """As ``encode_slices``, of a window of any size."""
    if len(window.times_ns) > 1 or len(window.items) > FEW_ROWS:
        return encode_slices(codec, names, run_of(window), selection)
    seq, time_ns = window.first_seq, int(window.times_ns[0])
    fields = few_fields(codec, names, seq, time_ns, window.items, selection)
    if fields is None:
        return None
    return Slices(window.epoch, seq, len(fields), codec.plain_tail(fields))


def few_fields(
    codec: Codec, names: RowNames, seq: int, time_ns: int, items: Items, selection: Selection
) -> dict[str, Any] | None:
    """The members of a frame of one slice, without numpy; None where no row is selected."""
    rows, mask = read_rows(items), selection.mask
    fields: dict[str, Any] = {"seqs": [seq], "times": [codec.moment(time_ns)]}
    for channel in selection.channels:
        code = channel.code
        at = [
            number for number, row in enumerate(rows)
            if row.code == code and (mask is None or mask[row.symbol])
        ]  # fmt: skip
        if at:
            fields[channel.name] = _columns(codec, names, channel, rows, items, at)
    return fields if len(fields) > 2 else None


def _columns(
    codec: Codec, names: RowNames, channel: Channel, all_rows: list[Row], items: Items,
    at: list[int],
) -> dict[str, list[Any]]:  # fmt: skip
    kind = channel.kind
    rows = [all_rows[number] for number in at]
    whole = [names.is_integral(kind, row.symbol) for row in rows]
    columns: dict[str, list[Any]] = {
        "slice": [0] * len(rows),
        "symbol": [names.symbol_of(row.symbol) for row in rows],
        "ts": [codec.moment(_start_ns(names, kind, all_rows[n], items, n)) for n in at],
    }
    for place, name in enumerate(FIELDS[kind]):
        values = [row.values[place] for row in rows]
        if name in SIZES:
            columns[name] = [_size(*pair) for pair in zip(values, whole, strict=True)]
        elif name in TEXTS:
            words = names.words.words
            columns[name] = [words[int(v)] if v >= 0 else None for v in values]
        elif name == "minutes":
            columns[name] = [int(v) for v in values]
        else:
            columns[name] = [v if v == v else None for v in values]
    for name, read in _FLAGS[kind].items():
        columns[name] = [read(row.flags) for row in rows]
    return columns


def _start_ns(names: Names, kind: StreamType, row: Row, items: Items, number: int) -> int:
    if kind is not StreamType.BAR:
        return row.release_ns
    if row.flags & _PARTIAL:  # it starts on its part's grid
        return int(names.starts_of(kind, items[number : number + 1])[0])
    return row.release_ns - row.code * MINUTE_NS


def _size(value: float, whole: bool) -> int | float | None:
    if value != value:
        return None
    return int(value) if whole and value < _WHOLE_BELOW else value


def _has(flag: Flag) -> Callable[[int], bool]:
    bit = int(flag)
    return lambda flags: flags & bit != 0


def _auction(flags: int) -> str | None:
    if flags & _CLOSES:
        return "close"
    return "open" if flags & _OPENS else None


_PARTIAL, _OPENS, _CLOSES = int(Flag.PARTIAL), int(Flag.AUCTION_OPEN), int(Flag.AUCTION_CLOSE)
_POST_CLOSE = {"post_close": _has(Flag.POST_CLOSE)}
_FLAGS: dict[StreamType, dict[str, Callable[[int], Any]]] = {
    StreamType.BAR: {
        "complete": _has(Flag.COMPLETE), "partial": _has(Flag.PARTIAL), **_POST_CLOSE,
    },
    StreamType.TRADE: {**_POST_CLOSE, "eligible": _has(Flag.LAST), "auction": _auction},
    StreamType.QUOTE: _POST_CLOSE,
}  # fmt: skip
