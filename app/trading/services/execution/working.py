"""An order as execution holds it: its terms as they are now, and how far it has come."""

from __future__ import annotations

import msgspec

from app.trading.money import minus
from app.trading.orders import Order, OrderState, OrderType, Role, TimeInForce

NEVER_NS = 2**62
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_EXITS = frozenset({Role.TAKE_PROFIT, Role.STOP_LOSS})


class WorkingOrder(msgspec.Struct, eq=False):
    """One live order. ``order`` is as it was asked for; splits and modifications change the rest.

    ``stop`` of a trailing stop is its level, None before its first price. ``from_ns``: it may
    fill on data that begins then or later. ``met``: it has seen such data.
    """

    order: Order
    index: int  # of its symbol
    type: OrderType = OrderType.MARKET
    sign: int = 1
    is_stop: bool = False
    is_child: bool = False
    at_once: bool = False
    asked: float = 0.0  # a bracket's child works what its entry filled of it
    quantity: float = 0.0
    filled: float = 0.0
    limit: float | None = None
    stop: float | None = None
    trail: float | None = None
    state: OrderState = OrderState.NEW
    live: bool = True
    at_work: bool = False  # whether data may fill it
    seq: int = 0  # its place in the order of arrival
    session: int = -1  # the day a DAY order works on
    from_ns: int = NEVER_NS
    arrival_price: float | None = None
    triggered: bool = False
    met: bool = False
    met_row: tuple[int, int] = (0, 0)  # the last one that it met: release, number in its window
    entered_ns: int = 0  # release of the bar within which its entry filled
    entry_sure: bool = True  # that the entry came before the stop within that bar
    fills: int = 0
    group: Group | None = None
    plan: int = 0  # number of its valid entry in the agenda
    holder: tuple[str, int] = ("", 0)  # whose position it changes: strategy and symbol

    def __post_init__(self) -> None:
        order = self.order
        self.type = kind = order.type
        self.sign = order.side.sign
        self.is_stop = kind in _STOPS
        self.is_child = order.role in _EXITS
        self.at_once = order.tif in _AT_ONCE
        self.asked = self.quantity = order.quantity
        self.limit, self.stop, self.trail = order.limit_price, order.stop_price, order.trail
        self.holder = order.strategy_id, self.index

    @property
    def remaining(self) -> float:
        return minus(self.quantity, self.filled) if self.filled else self.quantity

    def become(self, state: OrderState) -> None:
        self.state = state
        self.live = not state.final
        self.at_work = state.at_work


class Group:
    """A bracket or an OCO group. ``filled_at``: the last row that filled one of them."""

    def __init__(self) -> None:
        self.members: list[WorkingOrder] = []
        self.filled_at = (0, 0)

    def others(self, order: WorkingOrder) -> list[WorkingOrder]:
        """Its rivals: of a bracket the other exits, of an OCO group the other orders."""
        return [
            o for o in self.members
            if o is not order and o.live and o.order.role is not Role.ENTRY
        ]  # fmt: skip

    @property
    def entry(self) -> WorkingOrder | None:
        return next((o for o in self.members if o.order.role is Role.ENTRY), None)
