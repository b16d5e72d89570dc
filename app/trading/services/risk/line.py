"""One strategy's position and open orders in one symbol, and what they reserve.

An order reserves what it may still fill, at the price it was approved at. Of an OCO group one
order fills, so it reserves once a side. An order that a strategy sent as reduce-only reserves
nothing: it cannot open a position, whatever fills first. But it may fill before one that closes
and opens, which then opens more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from msgspec.structs import replace

from app.trading.money import minus, money, plus
from app.trading.orders import Order, OrderType, Role, Side


def reserve_price(order: Order, mark: float) -> float:
    """What one share is reserved at: the worst price the order lets it cost, or the mark.

    A buy costs at most its limit; a stop at least its stop; a short is worth at least its limit.
    """
    limit, stop = order.limit_price, order.stop_price
    if limit is None:
        return mark if stop is None else max(mark, stop)
    return limit if order.side is Side.BUY else max(mark, limit, stop or 0.0)


class Reserved(msgspec.Struct, frozen=True, gc=False):
    """All that may still fill on one side of a line.

    ``quantity`` and ``value`` are of orders that may open a position, ``parts`` these as (price,
    quantity), the dearest first; ``closing`` is the quantity of orders that only close, and
    ``reducing`` of those that came as reduce-only.
    """

    quantity: float
    value: float
    parts: tuple[tuple[float, float], ...]
    closing: float
    reducing: float

    def opening(self, opposite: float) -> float:
        """What opens beyond an opposite position, after all that closes it has filled."""
        left = minus(opposite, plus(self.closing, self.reducing)) if opposite > 0 else 0.0
        return max(0.0, minus(self.quantity, left)) if left > 0 else self.quantity

    def opening_value(self, opposite: float) -> float:
        """Its value; the dearest open."""
        left, value = self.opening(opposite), 0.0
        if left == self.quantity:
            return self.value
        for price, quantity in self.parts:
            value += price * min(max(0.0, left), quantity)
            left -= quantity
        return value


NOTHING = Reserved(0.0, 0.0, (), 0.0, 0.0)


class Reach(msgspec.Struct, frozen=True, gc=False):
    """Where a line's open orders may take its value: ``worst`` is unsigned, the worse of all buys
    and no sells, and of the opposite; ``up`` and ``down`` are these two, signed."""

    worst: float
    up: float
    down: float


def held_reach(line: Line, mark: float) -> Reach:
    """Of a line without orders."""
    value = line.position * mark if line.position else 0.0
    return Reach(abs(value), value, value)


class OpenOrder:
    """An order that may still fill.

    ``entry``: a part of it opened a position when it came. ``reserves``: it counts on its line.
    ``leaving``: risk has asked for its cancel. ``restated``: a split has changed its terms, and
    execution has not said how. ``before``: its order and price before the last modification.
    ``told`` and ``heard`` are what is filled of it by execution's word and by fills, whichever
    comes first.
    """

    __slots__ = (
        "before", "entry", "heard", "leaving", "line", "order", "price", "reserves", "restated",
        "told",
    )  # fmt: skip

    def __init__(
        self, order: Order, line: Line, price: float, *, entry: bool, reserves: bool
    ) -> None:
        self.order, self.line, self.price = order, line, price
        self.entry, self.reserves = entry, reserves
        self.leaving = self.restated = False
        self.before = order, price
        self.told = self.heard = 0.0

    @property
    def filled(self) -> float:
        return self.told if self.told > self.heard else self.heard

    @property
    def remaining(self) -> float:
        filled = self.filled
        return max(0.0, minus(self.order.quantity, filled)) if filled else self.order.quantity

    @property
    def reduces(self) -> bool:
        """It came as reduce-only, and may fill before others of its side."""
        return self.order.reduce_only and not (self.reserves or self.leaving)

    @property
    def is_market(self) -> bool:
        return self.order.type is OrderType.MARKET

    @property
    def key(self) -> str:
        """What reserves once: the order, or its OCO group."""
        return group_key(self.order)

    def split(self, ratio: float) -> None:
        """Its value stays; execution will say its terms to the tick and the share."""
        self.order, self.price = split_order(self.order, ratio), self.price / ratio
        self.told, self.heard = tidy(self.told * ratio), tidy(self.heard * ratio)
        self.before, self.restated = (self.order, self.price), True


def split_order(order: Order, ratio: float) -> Order:
    def scaled(price: float | None) -> float | None:
        return None if price is None else price / ratio

    return replace(
        order, quantity=tidy(order.quantity * ratio), limit_price=scaled(order.limit_price),
        stop_price=scaled(order.stop_price),
        trail=order.trail if order.trail_in_bps else scaled(order.trail),
    )  # fmt: skip


def left_of(orders: Iterable[OpenOrder]) -> float:
    """What these have still to fill."""
    return sum(one.remaining for one in orders)


def tidy(quantity: float) -> float:
    """Without the dust that floats leave."""
    return float(money(quantity))


def group_key(order: Order) -> str:
    if order.role is Role.OCO and order.group_id is not None:
        return order.group_id
    return order.order_id


class Line:
    """One strategy's position and open orders in one symbol."""

    __slots__ = (
        "_buys", "_sells", "number", "orders", "position", "stale", "strategy", "strategy_id",
        "symbol",
    )  # fmt: skip

    def __init__(self, number: int, strategy_id: str, strategy: int, symbol: int) -> None:
        self.number = number
        self.strategy_id, self.strategy, self.symbol = strategy_id, strategy, symbol
        self.position = 0.0
        self.orders: dict[str, OpenOrder] = {}
        self._buys = self._sells = NOTHING
        self.stale = False  # set where what an order of this line reserves is another

    def reserved(self, sign: int) -> Reserved:
        """All open buys (1) or sells (-1) that reserve."""
        if self.stale:
            self._gather()
        return self._buys if sign > 0 else self._sells

    def _gather(self) -> None:
        self.stale = False
        orders = self.orders.values()
        if len(orders) != 1:
            self._buys, self._sells = _gather(orders, 1), _gather(orders, -1)
            return
        (one,) = orders
        found = _alone(one)
        if one.order.side is Side.BUY:
            self._buys, self._sells = found, NOTHING
        else:
            self._buys, self._sells = NOTHING, found

    def reserved_without(self, sign: int, key: str) -> Reserved:
        """The same, but for one order or OCO group."""
        if not self.orders:
            return NOTHING
        others = [o for o in self.orders.values() if o.key != key]
        return self.reserved(sign) if len(others) == len(self.orders) else _gather(others, sign)

    def opening(self, sign: int, quantity: float, key: str) -> float:
        """The part of an order that may open a position.

        None, where other orders of its side leave it enough to close; those that came as
        reduce-only take nothing away from it. Else they may fill first, and it opens what is left.
        """
        opposite = -sign * self.position
        if opposite <= 0:
            return quantity
        others = self.reserved_without(sign, key)
        if others is NOTHING:
            return max(0.0, minus(quantity, opposite))
        closable = minus(opposite, plus(others.quantity, others.closing))
        if quantity <= closable:
            return 0.0
        closable = minus(closable, others.reducing)
        return minus(quantity, closable) if closable > 0 else quantity

    def side_quantity(self, sign: int) -> float:
        """The long (1) or short (-1) position if all orders of that side fill."""
        held, reserved = sign * self.position, self.reserved(sign)
        return plus(held, reserved.quantity) if held > 0 else reserved.opening(-held)

    def side_value(self, sign: int, mark: float) -> float:
        """Its value: what is held at the mark, what is to come as it is reserved."""
        held, reserved = sign * self.position, self.reserved(sign)
        return held * mark + reserved.value if held > 0 else reserved.opening_value(-held)

    def reach(self, mark: float) -> Reach:
        if not self.orders:
            return held_reach(self, mark)
        if self.stale:
            self._gather()
        position, buys, sells = self.position, self._buys, self._sells
        value = position * mark if position else 0.0
        long = value + buys.value if position >= 0 else buys.opening_value(-position)
        short = sells.value - value if position <= 0 else sells.opening_value(position)
        up, down = value + buys.value, value - sells.value
        if buys.closing and position < 0:
            up += min(buys.closing, -position) * mark
        if sells.closing and position > 0:
            down -= min(sells.closing, position) * mark
        return Reach(max(abs(value), long, short), up, down)

    def working_market(self, sign: int, *, entries: bool = False) -> list[OpenOrder]:
        """Market orders of one side that are to fill; with those that open beyond the position."""
        if not self.orders:
            return []
        orders = self.orders.values()
        found = [o for o in orders if o.is_market and o.order.side.sign == sign]
        return [o for o in found if not o.leaving and (entries or not o.entry)]


def _gather(orders: Collection[OpenOrder], sign: int) -> Reserved:
    mine = [o for o in orders if o.order.side.sign == sign and (o.reserves or o.reduces)]
    if not mine:
        return NOTHING
    if len(mine) == 1:
        return _alone(mine[0])
    opening: dict[str, tuple[float, float]] = {}
    closing: dict[str, float] = {}
    reducing = 0.0
    for one in mine:
        if one.reduces:
            reducing += one.remaining
        elif one.order.reduce_only:
            closing[one.key] = max(closing.get(one.key, 0.0), one.remaining)
        else:
            price, quantity = opening.get(one.key, (0.0, 0.0))
            opening[one.key] = max(price, one.price), max(quantity, one.remaining)
    parts = tuple(sorted(opening.values(), reverse=True))
    quantity = sum(q for _, q in parts)
    value = sum(p * q for p, q in parts)
    return Reserved(quantity, value, parts, sum(closing.values()), reducing)


def _alone(one: OpenOrder) -> Reserved:
    quantity = one.remaining
    if not one.reserves:
        return Reserved(0.0, 0.0, (), 0.0, quantity) if one.reduces else NOTHING
    if one.order.reduce_only:
        return Reserved(0.0, 0.0, (), quantity, 0.0)
    return Reserved(quantity, quantity * one.price, ((one.price, quantity),), 0.0, 0.0)
