"""A strategy's own positions and open orders, built only from what it was told."""

from __future__ import annotations

import msgspec

from app.trading.adjust import shares_after, split_shares
from app.trading.events import FillEvent, OrderRejectedEvent, OrderUpdateEvent
from app.trading.money import minus, money, plus
from app.trading.orders import Order, OrderState, OrderType, Role, Side, TimeInForce

_FILLED = OrderState.FILLED  # a member found through its class costs a call
_CONDITIONAL = frozenset(
    {OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}
)


class OpenOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order that has not ended, as its strategy knows it. Quantities are unsigned."""

    order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: float
    filled: float = 0.0
    state: OrderState = OrderState.NEW
    limit_price: float | None = None
    stop_price: float | None = None
    tif: TimeInForce = TimeInForce.DAY
    reduce_only: bool = False
    role: Role = Role.SINGLE
    group_id: str | None = None
    parent_id: str | None = None
    tag: str = ""

    @property
    def remaining(self) -> float:
        return minus(self.quantity, self.filled)

    @property
    def signed_remaining(self) -> float:
        return self.remaining * self.side.sign


class _Told(msgspec.Struct, gc=False):
    """What was told of an order; ``shown`` is made of it when the strategy asks."""

    order: Order
    state: OrderState
    quantity: float
    filled: float
    limit_price: float | None
    stop_price: float | None
    shown: OpenOrder | None = None

    @property
    def remaining(self) -> float:
        return minus(self.quantity, self.filled)

    def show(self) -> OpenOrder:
        shown, order = self.shown, self.order
        if shown is None:
            shown = self.shown = OpenOrder(
                order_id=order.order_id, symbol=order.symbol, side=order.side, type=order.type,
                quantity=self.quantity, filled=self.filled, state=self.state,
                limit_price=self.limit_price, stop_price=self.stop_price, tif=order.tif,
                reduce_only=order.reduce_only, role=order.role, group_id=order.group_id,
                parent_id=order.parent_id, tag=order.tag,
            )  # fmt: skip
        return shown


class Position(msgspec.Struct, frozen=True, gc=False):
    """Signed quantity and the average price of its entries, costs not counted."""

    quantity: float
    average_price: float

    def after(self, quantity: float, price: float) -> Position | None:
        """The position after a signed fill; None where nothing is left."""
        left = plus(self.quantity, quantity)
        if left == 0:
            return None
        if self.quantity * quantity >= 0:
            paid = self.average_price * abs(self.quantity) + price * abs(quantity)
            return Position(left, paid / abs(left))
        return Position(left, self.average_price if left * self.quantity > 0 else price)


_FLAT = Position(0.0, 0.0)


class Book:
    """One strategy's view; fills alone move positions and count what is filled."""

    def __init__(self) -> None:
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, _Told] = {}  # by id, in the order in which they came
        self._done: set[str] = set()  # filled, says execution; their fills are still to come
        self.cancelling: set[str] = set()  # orders whose cancel was asked for

    # -- read --------------------------------------------------------------------------------

    def position(self, symbol: str) -> float:
        found = self._positions.get(symbol)
        return 0.0 if found is None else found.quantity

    def positions(self) -> dict[str, float]:
        """What is not flat, by code point."""
        return {symbol: self._positions[symbol].quantity for symbol in sorted(self._positions)}

    def average_price(self, symbol: str) -> float | None:
        found = self._positions.get(symbol)
        return None if found is None else found.average_price

    def order(self, order_id: str) -> OpenOrder | None:
        known = self._orders.get(order_id)
        return None if known is None else known.show()

    def open_orders(self, symbol: str | None = None) -> tuple[OpenOrder, ...]:
        return tuple(known.show() for known in self._open(symbol))

    def _open(self, symbol: str | None) -> list[_Told]:
        there = self._orders.values()
        return [k for k in there if symbol in (None, k.order.symbol) and k.remaining > 0]

    def coming(self, symbol: str) -> float:
        """The signed quantity that open orders will bring.

        Those whose cancel was asked for do not count, nor exits at a price (reduce-only limits
        and stops), which are protection; of an OCO group only its largest order does.
        """
        total, groups = 0.0, dict[str, float]()
        for order in self.open_orders(symbol):
            quantity = order.signed_remaining
            protects = order.reduce_only and order.type in _CONDITIONAL
            if protects or order.order_id in self.cancelling:
                continue
            if order.role is Role.OCO and order.group_id is not None:
                largest = groups.get(order.group_id, 0.0)
                groups[order.group_id] = max(largest, quantity, key=abs)
            else:
                total = plus(total, quantity)
        for quantity in groups.values():
            total = plus(total, quantity)
        return total

    # -- what the strategy is told -----------------------------------------------------------

    def take(self, order: Order, state: OrderState = OrderState.NEW) -> None:
        """An order was sent; or risk has approved it, and may have made it, or changed it."""
        known = self._orders.get(order.order_id)
        filled = 0.0 if known is None else known.filled
        self._orders[order.order_id] = _Told(
            order, state, order.quantity, filled, order.limit_price, order.stop_price
        )

    def update(self, event: OrderUpdateEvent) -> None:
        known = self._orders.get(event.order_id)
        if known is None:
            return
        known.state = state = event.state
        known.shown = None
        filled = state is _FILLED
        if state.final and not filled:
            self._drop(event.order_id)
            return
        known.limit_price, known.stop_price = event.limit_price, event.stop_price
        known.quantity = event.filled if filled else event.quantity
        if filled:
            self._done.add(event.order_id)
            self._drop_filled(known)

    def fill(self, event: FillEvent) -> None:
        signed = event.quantity * event.side.sign
        position = self._positions.get(event.symbol, _FLAT).after(signed, event.price)
        if position is None:
            self._positions.pop(event.symbol, None)
        else:
            self._positions[event.symbol] = position
        known = self._orders.get(event.order_id)
        if known is not None:
            known.filled = plus(known.filled, event.quantity)
            known.shown = None
            self._drop_filled(known)

    def reject(self, event: OrderRejectedEvent) -> None:
        """Only the refusal of an order ends one; risk refuses a group as one."""
        known = self._orders.get(event.order_id)
        if event.request == "cancel":
            self.cancelling.discard(event.order_id)
        if known is None or event.request != "order":
            return
        group_id = known.order.group_id
        for one in list(self._orders.values()):
            of_group = group_id is not None and one.order.group_id == group_id
            if one is known or (of_group and one.state is OrderState.NEW):
                self._drop(one.order.order_id)

    def split(self, symbol: str, ratio: float, lot: float) -> None:
        """So many new shares for one; fractions of a lot are paid in cash."""
        position = self._positions.pop(symbol, None)
        if position is not None:
            left, _ = split_shares(position.quantity, ratio, lot)
            if left:
                self._positions[symbol] = Position(left, position.average_price / ratio)
        for known in self._open(symbol):
            known.quantity = _shares(known.quantity, ratio)
            known.filled = _shares(known.filled, ratio)
            known.limit_price = _price(known.limit_price, ratio)
            known.stop_price = _price(known.stop_price, ratio)
            known.shown = None

    def _drop_filled(self, known: _Told) -> None:
        order_id = known.order.order_id
        if order_id in self._done and known.remaining <= 0:
            self._drop(order_id)

    def _drop(self, order_id: str) -> None:
        del self._orders[order_id]
        self._done.discard(order_id)
        self.cancelling.discard(order_id)


def _shares(quantity: float, ratio: float) -> float:
    return float(shares_after(money(quantity), ratio))


def _price(price: float | None, ratio: float) -> float | None:
    return None if price is None else price / ratio
