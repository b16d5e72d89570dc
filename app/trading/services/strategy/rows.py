"""Events of recorded rows, made many at a time."""

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


class Made(NamedTuple):
    """Events of rows, in their order."""

    events: list[Event]
    times_ns: list[int]
    kinds: list[int]  # only one where all are of it


def make_events(items: Items, symbols: Sequence[str], grid: Grid) -> Made:
    """An event of each row."""
    times_ns = items["release_ns"].tolist()
    stream = np.ascontiguousarray(items["stream"])
    kinds = (stream >= TRADE_CODE).astype(np.int8) + (stream == QUOTE_CODE)
    there = [kind for kind in (BARS, TRADES, QUOTES) if (kinds == kind).any()]
    makers: dict[int, Any] = {BARS: _bars, TRADES: _trades, QUOTES: _quotes}
    if len(there) == 1:
        return Made(list(makers[there[0]](items, symbols, grid, times_ns)), times_ns, there)
    made = np.empty(len(items), object)
    for kind in there:
        rows = np.flatnonzero(kinds == kind)
        picked = pick_items(items, rows)
        made[rows] = list(makers[kind](picked, symbols, grid, picked["release_ns"].tolist()))
    return Made(made.tolist(), times_ns, kinds.tolist())


def _names(items: Items, symbols: Sequence[str]) -> Iterator[str]:
    number = items["symbol"]
    if len(number) and (number == number[0]).all():
        return repeat(symbols[number[0]], len(number))
    return map(symbols.__getitem__, number.tolist())


def _columns(items: Items, count: int) -> list[list[float]]:
    values: Any = items["v"]
    return [values[:, place].tolist() for place in range(count)]


def _bars(
    items: Items, symbols: Sequence[str], grid: Grid, times_ns: list[int]
) -> Iterator[BarEvent]:
    return map(BarEvent, *_bar_columns(items, symbols, bar_starts(items, grid), times_ns))


def make_warmup_bars(items: Items, symbols: Sequence[str], starts_ns: Ints) -> list[BarEvent]:
    """Bars from before the start of a run."""
    columns = _bar_columns(items, symbols, starts_ns, items["release_ns"].tolist())
    return list(map(BarEvent, *columns, repeat(True)))


def _bar_columns(
    items: Items, symbols: Sequence[str], starts_ns: Ints, times_ns: list[int]
) -> list[Any]:
    """The fields of ``BarEvent`` up to its flags."""
    return [
        _names(items, symbols), starts_ns.tolist(), times_ns, *_columns(items, 6),
        items["stream"].tolist(), items["flags"].tolist(),
    ]  # fmt: skip


def _trades(
    items: Items, symbols: Sequence[str], grid: Grid, times_ns: list[int]
) -> Iterator[TradeEvent]:
    names, flags = _names(items, symbols), items["flags"].tolist()
    return map(TradeEvent, names, times_ns, *_columns(items, 2), flags)


def _quotes(
    items: Items, symbols: Sequence[str], grid: Grid, times_ns: list[int]
) -> Iterator[QuoteEvent]:
    return map(QuoteEvent, _names(items, symbols), times_ns, *_columns(items, 4))
