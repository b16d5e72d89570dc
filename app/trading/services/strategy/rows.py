"""Events of recorded rows: made of their columns, one by one or many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from app.day_table import Grid
from app.model import QUOTE_CODE, TRADE_CODE, Ints, Items, pick_items
from app.trading.data_events import BarEvent, QuoteEvent, TradeEvent
from app.trading.services.strategy.columns import bar_starts

BARS, TRADES, QUOTES = range(3)  # kinds
ROW_CALLBACKS = ("on_bar", "on_trade", "on_quote")  # by kind
Event = BarEvent | TradeEvent | QuoteEvent


class Events:
    """Events of rows of one kind, each made when its turn comes: in the last one's memory."""

    __slots__ = ("_columns", "_kind")

    def __init__(self, kind: type[Event], columns: Sequence[Any]) -> None:
        self._kind, self._columns = kind, columns

    def __getitem__(self, rows: slice) -> Iterator[Event]:
        return map(self._kind, *[column[rows] for column in self._columns])


class Made(NamedTuple):
    """Events of rows, in their order."""

    events: Events | list[Event]
    times_ns: Sequence[int]
    kinds: list[int]  # only one where all are of it

    def pick(self, rows: list[int]) -> Made:
        """Some of them, once all are made."""
        events = list(self.events[:])
        kinds = self.kinds if len(self.kinds) == 1 else [self.kinds[i] for i in rows]
        return Made([events[i] for i in rows], [self.times_ns[i] for i in rows], kinds)


def make_events(items: Items, symbols: Sequence[str], grid: Grid) -> Made:
    """An event of each row."""
    stream = np.ascontiguousarray(items["stream"])
    kinds = (stream >= TRADE_CODE).astype(np.int8) + (stream == QUOTE_CODE)
    there = [kind for kind in (BARS, TRADES, QUOTES) if (kinds == kind).any()]
    makers: dict[int, Any] = {BARS: _bars, TRADES: _trades, QUOTES: _quotes}
    times_ns = python_numbers(items["release_ns"])
    if len(there) == 1:
        return Made(makers[there[0]](items, symbols, grid), times_ns, there)
    made = np.empty(len(items), object)
    for kind in there:
        rows = np.flatnonzero(kinds == kind)
        made[rows] = list(makers[kind](pick_items(items, rows), symbols, grid)[:])
    return Made(made.tolist(), times_ns, kinds.tolist())


def python_numbers(values: Any) -> Any:
    """A column whose numbers are made Python's as they are read: it copies nothing."""
    return memoryview(values if values.flags.aligned else values.copy())  # it reads no others


def _names(items: Items, symbols: Sequence[str]) -> list[str]:
    number = items["symbol"]
    if len(number) and (number == number[0]).all():
        return [symbols[number[0]]] * len(number)
    names: list[str] = np.array(symbols, object)[number].tolist()
    return names


def _values(items: Items, count: int) -> list[Any]:
    values: Any = items["v"]
    return [python_numbers(values[:, place]) for place in range(count)]


def _bars(items: Items, symbols: Sequence[str], grid: Grid) -> Events:
    return Events(BarEvent, _bar_columns(items, symbols, bar_starts(items, grid)))


def make_warmup_bars(items: Items, symbols: Sequence[str], starts_ns: Ints) -> list[BarEvent]:
    """Bars from before the start of a run."""
    return list(map(BarEvent, *_bar_columns(items, symbols, starts_ns), repeat(True)))


def _bar_columns(items: Items, symbols: Sequence[str], starts_ns: Ints) -> list[Any]:
    """The fields of ``BarEvent`` up to its flags."""
    return [
        _names(items, symbols), python_numbers(starts_ns), python_numbers(items["release_ns"]),
        *_values(items, 6), python_numbers(items["stream"]), python_numbers(items["flags"]),
    ]  # fmt: skip


def _trades(items: Items, symbols: Sequence[str], grid: Grid) -> Events:
    columns = [
        python_numbers(items["release_ns"]),
        *_values(items, 2),
        python_numbers(items["flags"]),
    ]
    return Events(TradeEvent, [_names(items, symbols), *columns])


def _quotes(items: Items, symbols: Sequence[str], grid: Grid) -> Events:
    columns = [python_numbers(items["release_ns"]), *_values(items, 4)]
    return Events(QuoteEvent, [_names(items, symbols), *columns])
