"""An order as execution holds it: its terms as they are now, and how far it has come."""

from __future__ import annotations

from app.trading.money import minus
from app.trading.orders import Order, OrderState, OrderType, Role, TimeInForce

NEVER_NS = 2**62
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_EXITS = frozenset({Role.TAKE_PROFIT, Role.STOP_LOSS})
_AT_WORK = frozenset({OrderState.WORKING, OrderState.PARTIALLY_FILLED})
_FINAL = frozenset(state for state in OrderState if state.final)


class WorkingOrder:
    """One live order. ``order`` is as it was asked for; splits and modifications change the rest.

    ``stop`` of a trailing stop is its level, None before its first price. ``from_ns``: it may
    fill on data that begins then or later. ``met``: it has seen such data.
    """

    def __init__(self, order: Order, index: int) -> None:
        self.order = order
        self.index = index  # of its symbol
        self.type = order.type
        self.sign = order.side.sign
        self.is_stop = order.type in _STOPS
        self.is_child = order.role in _EXITS
        self.at_once = order.tif in _AT_ONCE
        self.asked = order.quantity  # a bracket's child works what its entry filled of it
        self.quantity = order.quantity
        self.filled = 0.0
        self.limit = order.limit_price
        self.stop = order.stop_price
        self.trail = order.trail
        self.state = OrderState.NEW
        self.live = True
        self.at_work = False  # whether data may fill it
        self.seq = 0  # its place in the order of arrival
        self.session = -1  # the day a DAY order works on
        self.from_ns = NEVER_NS
        self.arrival_price: float | None = None
        self.triggered = False
        self.met = False
        self.met_row = (0, 0)  # the last one that it met: release, number in its window
        self.entered_ns = 0  # release of the bar within which its entry filled
        self.entry_sure = True  # that the entry came before the stop within that bar
        self.fills = 0
        self.group: Group | None = None
        self.plan = 0  # number of its valid entry in the agenda

    @property
    def remaining(self) -> float:
        return minus(self.quantity, self.filled) if self.filled else self.quantity

    def become(self, state: OrderState) -> None:
        self.state = state
        self.live = state not in _FINAL
        self.at_work = state in _AT_WORK


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
