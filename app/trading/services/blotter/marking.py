"""What a position is worth between two states of the portfolio, by the portfolio's own rule."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from app.model import Block, Items, StreamType
from app.trading.adjust import split_ratios
from app.trading.context import RunContext
from app.trading.events import PositionState
from app.trading.stretch import Stretch, eligible_prices
from app.trading.values import from_micros, market_value

_BACK = 64  # rows that are looked at first: one of them is nearly always eligible


class _Price(NamedTuple):
    """Ordered as delivered: of one time the bar comes after the trade."""

    release_ns: int
    is_bar: bool
    price: float


def mark_since(
    context: RunContext, state: PositionState, since_ns: int, now_ns: int
) -> float | None:
    """A position's mark by its symbol's last eligible price released after ``since_ns``, up to
    ``now_ns``; None without one. ``state`` is as it was valued then."""
    market, symbol = context.market, context.index(state.symbol)
    near = price_of(state)
    found = [
        price
        for rows, is_bar in (
            (market.bars(symbol, 1, now_ns), True),
            (market.ticks(symbol, StreamType.TRADE, now_ns), False),
        )
        if (price := _last(context, _after(rows, since_ns), is_bar, near)) is not None
    ]
    return max(found).price if found else None


def _after(rows: Items, since_ns: int) -> Items:
    later: Items = rows[int(rows["release_ns"].searchsorted(since_ns, "right")) :]
    return later


def _last(context: RunContext, rows: Items, is_bar: bool, near: float) -> _Price | None:
    """The newest eligible row."""
    if not len(rows):
        return None
    day = context.day_at(int(rows["release_ns"][-1]))
    ratios = split_ratios(context, day)
    old = {symbol: near * ratio for symbol, ratio in ratios.items()}  # about so, for late prints
    for some in (rows[-_BACK:], rows):
        bounds = np.array([0, len(some)])
        prices = eligible_prices(Stretch(Block(bounds[:1], bounds, some), 0, 1), ratios, old)
        if len(prices.price):
            return _Price(int(prices.release_ns[-1]), is_bar, float(prices.price[-1]))
    return None


def price_of(state: PositionState) -> float:
    """What a position was valued at: its mark, or the fill's price that stood for one."""
    if state.mark is not None:
        return state.mark
    return state.market_value / state.quantity if state.quantity else 0.0


def valued(state: PositionState, mark: float | None) -> PositionState:
    """A position at a newer mark; None leaves it as it is."""
    if mark is None:
        return state
    value = float(from_micros(market_value(state.quantity, mark)))
    cost = state.market_value - state.unrealised
    return msgspec.structs.replace(
        state, mark=mark, market_value=value, unrealised=round(value - cost, 8)
    )
