"""The rows of a symbol's price source that orders may fill on, and why others are not among them.

A symbol has one price source a day: its quotes, else its trades, else its 1m bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.model import (
    QUOTE_CODE,
    TRADE_CODE,
    Flag,
    Floats,
    Ints,
    Items,
    StreamType,
    Window,
    pick_items,
)
from app.times import MINUTE_NS
from app.trading.adjust import spans_split, split_ratios
from app.trading.context import RunContext
from app.trading.services.execution.codes import Why
from app.trading.services.execution.outcome import Row, Source

_RECORD = Struct("<qIHH7d")  # app.model.ITEM
Spans = Sequence[tuple[int, int]]  # from_ns, until_ns
_CODES = {Source.BARS: 1, Source.TRADES: TRADE_CODE, Source.QUOTES: QUOTE_CODE}
_KINDS = (
    (StreamType.QUOTE, Source.QUOTES), (StreamType.TRADE, Source.TRADES),
    (StreamType.BAR, Source.BARS),
)  # fmt: skip
_SKIPS = (
    Why.FILLS, Why.ZERO_VOLUME, Why.SPANS_SPLIT, Why.ONE_SIDED, Why.CROSSED, Why.NOT_ELIGIBLE,
    Why.HALTED, Why.POST_CLOSE,
)  # fmt: skip
_PRICED = 3  # values up to a bar's low, a quote's ask
_NUMBERS = {why: number for number, why in enumerate(_SKIPS)}


class Tape(NamedTuple):
    """Usable rows of one symbol, in delivered order."""

    source: Source
    rows: Ints  # numbers of the window's items
    slices: Ints  # and of its slices
    start_ns: Ints
    columns: Floats  # (values, rows)
    highest: list[float]  # of each column that orders may wait for
    lowest: list[float]
    records: memoryview  # of the items

    def first_of(self, slice_: int) -> int:
        """The first row in a slice of the window, or after it."""
        return int(self.slices.searchsorted(slice_)) if slice_ else 0

    def row(self, at: int) -> Row:
        release_ns, _, _, flags, *values = _RECORD.unpack_from(self.records, at * _RECORD.size)
        span_ns = MINUTE_NS if self.source is Source.BARS else 0
        return Row(self.source, release_ns - span_ns, release_ns, tuple(values), flags)


def make_tape(source: Source, items: Items, rows: Ints, slices: Ints) -> Tape:
    """The tape of these items, which stand at ``rows`` of a window."""
    columns = np.ascontiguousarray(items["v"].T)
    records: Any = items.view(np.uint8)
    highest = columns[:_PRICED].max(axis=1, initial=-np.inf).tolist()
    lowest = columns[:_PRICED].min(axis=1, initial=np.inf).tolist()
    start_ns = starts_of(items, source)
    return Tape(source, rows, slices, start_ns, columns, highest, lowest, records.data)


def source_of(context: RunContext, symbol: int, day: int) -> Source | None:
    """The price source of a symbol on a day; None where it has no data."""
    for kind, source in _KINDS:
        if context.market.has(symbol, kind, day):
            return source
    return None


def halts_of(context: RunContext, symbol: int) -> list[tuple[int, int]]:
    name = context.symbols[symbol]
    return [(low, high) for halted, low, high in context.halts if halted == name]


def starts_of(items: Items, source: Source) -> Ints:
    """A bar's start; a trade's or quote's own time."""
    release: Ints = items["release_ns"]
    return release - MINUTE_NS if source is Source.BARS else release


def usability(
    items: Items, source: Source, halts: Spans = (), ratios: Mapping[int, float] | None = None
) -> list[Why]:
    """For each row ``Why.FILLS`` where orders may fill on it, else why not."""
    return [_SKIPS[number] for number in _skip_numbers(items, source, halts, ratios).tolist()]


def _skip_numbers(
    items: Items, source: Source, halts: Spans, ratios: Mapping[int, float] | None
) -> NDArray[np.uint8]:
    found = np.zeros(len(items), np.uint8)
    values: Any = items["v"]
    if source is Source.BARS:
        found[~(values[:, 4] > 0)] = _NUMBERS[Why.ZERO_VOLUME]
        if ratios:
            found[spans_split(items, ratios)] = _NUMBERS[Why.SPANS_SPLIT]
    elif source is Source.QUOTES:
        bid, ask = values[:, 0], values[:, 2]
        found[ask < bid] = _NUMBERS[Why.CROSSED]
        lacks = ~((bid > 0) & (ask > 0)) | (values[:, 1] == 0) | (values[:, 3] == 0)
        found[lacks] = _NUMBERS[Why.ONE_SIDED]
    else:
        found[items["flags"] & Flag.LAST == 0] = _NUMBERS[Why.NOT_ELIGIBLE]
    if halts:
        start, release = starts_of(items, source), items["release_ns"]
        for low, high in halts:
            within = (start < high) & (release > low) | (start == low)
            found[within] = _NUMBERS[Why.HALTED]
    found[items["flags"] & Flag.POST_CLOSE != 0] = _NUMBERS[Why.POST_CLOSE]
    return found


class Tapes:
    """The tapes of one window, each made when it is first asked for."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._halts = {
            context.index(name): halts_of(context, context.index(name))
            for name in {halt[0] for halt in context.halts} & set(context.symbols)
        }
        self._day = context.first_day
        self._ratios: dict[int, float] = {}
        self._sources: dict[int, Source | None] = {}
        self._tapes: dict[int, Tape | None] = {}
        self._by_symbol: tuple[Any, Any] | None = None
        self.window: Window | None = None

    def open_day(self, day: int) -> None:
        self._day = day
        self._ratios = split_ratios(self._context, day)
        self._sources.clear()
        self.window = None

    def move(self, window: Window) -> None:
        """Another window: nothing of the last one is known any more."""
        self.window = window
        self._tapes.clear()
        self._by_symbol = None

    def source(self, symbol: int) -> Source | None:
        """The symbol's price source today."""
        if symbol not in self._sources:
            self._sources[symbol] = source_of(self._context, symbol, self._day)
        return self._sources[symbol]

    def halted(self, symbol: int, now_ns: int) -> bool:
        return any(low <= now_ns < high for low, high in self._halts.get(symbol, ()))

    def of(self, symbol: int) -> Tape | None:
        """The symbol's usable rows of this window; None where it has none."""
        if symbol not in self._tapes:
            self._tapes[symbol] = self._make(symbol)
        return self._tapes[symbol]

    def _make(self, symbol: int) -> Tape | None:
        source = self.source(symbol)
        if self.window is None or source is None:
            return None
        items = self.window.items
        rows = self._rows(symbol)
        rows = rows[items["stream"][rows] == _CODES[source]]
        mine = pick_items(items, rows)
        usable = _skip_numbers(mine, source, self._halts.get(symbol, ()), self._ratios) == 0
        if not usable.all():
            rows, mine = rows[usable], pick_items(mine, usable)
        if not len(rows):
            return None
        slices = self.window.bounds.searchsorted(rows, "right") - 1
        return make_tape(source, mine, rows, slices)

    def _rows(self, symbol: int) -> Ints:
        """All rows of a symbol: one sort serves every symbol of the window."""
        if self._by_symbol is None:
            assert self.window is not None
            symbols: Any = self.window.items["symbol"]
            if len(self._context.symbols) < 2**16:
                symbols = symbols.astype(np.uint16)  # numpy sorts these by radix
            order = symbols.argsort(kind="stable")
            self._by_symbol = order, symbols[order]
        order, ranked = self._by_symbol
        low, high = ranked.searchsorted(np.array([symbol, symbol + 1], ranked.dtype))
        rows: Ints = order[low:high]
        return rows
