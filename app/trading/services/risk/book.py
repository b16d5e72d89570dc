"""What is held and what is reserved: all lines, by strategy and symbol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
from msgspec.structs import replace

from app.model import Floats, Ints
from app.trading.adjust import split_shares
from app.trading.events import OrderUpdateEvent
from app.trading.services.risk.line import Line, OpenOrder

_ROWS = 64  # lines that the first columns have room for
_FEW = 64  # lines; one by one is faster up to about here, where half of them hold something


class Held(msgspec.Struct, frozen=True, gc=False):
    """What is held is worth, in currency: unsigned, by strategy number too, and net."""

    gross: float
    of_strategy: list[float]
    net: float


class Book:
    """All lines, with what they hold as columns, so that hundreds are valued at once."""

    def __init__(self) -> None:
        self.orders: dict[str, OpenOrder] = {}
        self.strategies: dict[str, int] = {}
        self.held = 0  # lines with a position
        self._lines: dict[tuple[str, int], Line] = {}
        self._of_symbol: dict[int, list[Line]] = {}
        self._busy: dict[int, Line] = {}  # those with open orders
        self._open: dict[str, int] = {}
        self._position: Floats = np.zeros(_ROWS)
        self._symbol: Ints = np.zeros(_ROWS, np.int64)
        self._strategy: Ints = np.zeros(_ROWS, np.int64)

    def line(self, strategy_id: str, symbol: int) -> Line:
        found = self._lines.get((strategy_id, symbol))
        return self._new_line(strategy_id, symbol) if found is None else found

    def lines_of(self, symbol: int) -> list[Line]:
        """The lines of one symbol, all strategies."""
        return self._of_symbol.get(symbol, [])

    def held_lines(self) -> Iterator[Line]:
        return (line for line in self._lines.values() if line.position)

    def busy_lines(self) -> Iterable[Line]:
        return self._busy.values()

    def open_count(self, strategy_id: str) -> int:
        return self._open.get(strategy_id, 0)

    # -- orders ------------------------------------------------------------------------------

    def add(self, one: OpenOrder) -> None:
        order, line = one.order, one.line
        self.orders[order.order_id] = line.orders[order.order_id] = one
        self._busy[line.number] = line
        self._open[order.strategy_id] = self._open.get(order.strategy_id, 0) + 1
        line.stale = True

    def drop(self, order_id: str) -> None:
        """An order is final, or was not taken; one that is not known is no matter."""
        one = self.orders.pop(order_id, None)
        if one is None:
            return
        line = one.line
        del line.orders[order_id]
        if not line.orders:
            del self._busy[line.number]
        self._open[one.order.strategy_id] -= 1
        line.stale = True

    def update(self, event: OrderUpdateEvent) -> None:
        """Execution says how much of an open order is filled; after a split its terms too.

        At other times the terms are those that were approved last: they may be on their way.
        """
        one = self.orders.get(event.order_id)
        if one is None:
            return
        if one.told == event.filled and not one.restated:
            return
        one.told = event.filled
        if one.restated:
            one.restated = False
            order = one.order
            one.order = replace(
                order, quantity=event.quantity,
                limit_price=event.limit_price or order.limit_price,
                stop_price=event.stop_price or order.stop_price,
            )  # fmt: skip
        one.line.stale = True

    def restore(self, order_id: str) -> None:
        """Execution did not take the last modification of an order."""
        one = self.orders.get(order_id)
        if one is not None:
            one.order, one.price = one.before
            one.line.stale = True

    # -- positions ---------------------------------------------------------------------------

    def move(self, line: Line, position: float) -> None:
        """The line holds this from now on."""
        self.held += (position != 0) - (line.position != 0)
        line.position = self._position[line.number] = position

    def split(self, symbol: int, ratio: float, lot: float) -> None:
        """``ratio`` new shares for one: of positions whole shares stay, the rest is paid out."""
        for line in self.lines_of(symbol):
            self.move(line, split_shares(line.position, ratio, lot)[0])
            for one in line.orders.values():
                one.split(ratio)
            line.stale = True

    def value(self, prices: Floats) -> Held:
        """What all lines hold, at these prices by symbol."""
        if len(self._lines) < _FEW:
            return self._value_few(prices)
        count = len(self._lines)
        position = self._position[:count]
        value = np.where(position != 0.0, position * prices[self._symbol[:count]], 0.0)
        of_strategy = np.bincount(self._strategy[:count], np.abs(value), len(self.strategies))
        return _held(of_strategy.tolist(), value.cumsum().item(-1))

    def _value_few(self, prices: Floats) -> Held:
        net = 0.0
        of_strategy = [0.0] * len(self.strategies)
        for line in self._lines.values():
            if line.position:
                value = line.position * prices.item(line.symbol)
                of_strategy[line.strategy] += abs(value)
                net += value
        return _held(of_strategy, net)

    def _new_line(self, strategy_id: str, symbol: int) -> Line:
        number = len(self._lines)
        strategy = self.strategies.setdefault(strategy_id, len(self.strategies))
        line = self._lines[strategy_id, symbol] = Line(number, strategy_id, strategy, symbol)
        self._of_symbol.setdefault(symbol, []).append(line)
        if number == len(self._position):
            self._position = np.append(self._position, np.zeros(number))
            self._symbol = np.append(self._symbol, np.zeros(number, np.int64))
            self._strategy = np.append(self._strategy, np.zeros(number, np.int64))
        self._symbol[number], self._strategy[number] = symbol, strategy
        return line


def _held(of_strategy: list[float], net: float) -> Held:
    """Sums are of one number after the other, by line: in columns they come to the same."""
    gross = 0.0
    for part in of_strategy:  # not ``sum``, which rounds otherwise since Python 3.12
        gross += part
    return Held(gross, of_strategy, net)
