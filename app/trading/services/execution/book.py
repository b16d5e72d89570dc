"""All live orders, their states and groups, and each strategy's own positions.

Every change of a state is published here. What a fill means for the others of a group:

- An entry's fill raises its exits to what it has filled; the first lets them begin to work.
- An exit's fill takes its quantity off the other exits, and cancels the rest of the entry.
- In an OCO group a whole fill cancels the others, a partial one takes its quantity off them.
"""

from __future__ import annotations

from collections.abc import Callable

from app.trading.adjust import split_shares
from app.trading.events import EventBase, OrderRejectedEvent, OrderUpdateEvent
from app.trading.money import minus, plus
from app.trading.orders import OrderState, Role
from app.trading.services.execution.codes import Reason, Reject
from app.trading.services.execution.working import Group, WorkingOrder

_ENTRY_GONE = {
    OrderState.CANCELLED: Reason.ENTRY_CANCELLED,
    OrderState.EXPIRED: Reason.ENTRY_EXPIRED,
    OrderState.REJECTED: Reason.ENTRY_REJECTED,
}


class Book:
    """Orders by id, in the order in which they came."""

    def __init__(self, publish: Callable[[EventBase], None]) -> None:
        self.live: dict[str, WorkingOrder] = {}
        self.finished: dict[str, OrderState] = {}
        self.at_work = 0  # how many may fill
        self.publish = publish
        self._groups: dict[tuple[str, str], Group] = {}
        self._positions: dict[tuple[str, int], float] = {}
        self._reducing: dict[tuple[str, int], list[WorkingOrder]] = {}

    # -- orders --------------------------------------------------------------------------------

    def add(self, order: WorkingOrder) -> None:
        """A new order; it joins its group."""
        self.live[order.order.order_id] = order
        if order.order.reduce_only:
            self._reducing.setdefault(order.holder, []).append(order)
        if order.order.group_id is not None:
            key = order.order.strategy_id, order.order.group_id
            order.group = self._groups.setdefault(key, Group())
            order.group.members.append(order)

    def working(self) -> list[WorkingOrder]:
        """Those that data may fill."""
        return [o for o in self.live.values() if o.at_work]

    def accept(self, order: WorkingOrder, now_ns: int) -> None:
        order.become(OrderState.ACCEPTED)
        self.tell(order, now_ns)

    def begin(self, order: WorkingOrder, now_ns: int, reason: str = "") -> None:
        """It comes to rest: data may fill it from now on."""
        order.become(OrderState.WORKING)
        self.at_work += 1
        self.tell(order, now_ns, reason)

    def tell(self, order: WorkingOrder, now_ns: int, reason: str = "") -> None:
        """Publish an order's state and terms."""
        asked = order.order
        self.publish(
            OrderUpdateEvent(
                ts_event_ns=now_ns, order_id=asked.order_id, strategy_id=asked.strategy_id,
                symbol=asked.symbol, state=order.state, quantity=order.quantity,
                filled=order.filled, reason=str(reason), limit_price=order.limit,
                stop_price=order.stop,
            )
        )  # fmt: skip

    def refuse(self, order: WorkingOrder, code: Reject, reason: str, now_ns: int) -> None:
        """An order that may not rest, new or already accepted."""
        asked, accepted = order.order, order.state is not OrderState.NEW
        self.publish(
            OrderRejectedEvent(
                ts_event_ns=now_ns, order_id=asked.order_id, strategy_id=asked.strategy_id,
                symbol=asked.symbol, code=code.value, reason=reason, by="execution",
            )
        )  # fmt: skip
        if accepted:
            self.finish(order, OrderState.REJECTED, code, now_ns)

    def finish(self, order: WorkingOrder, state: OrderState, reason: str, now_ns: int) -> None:
        """An order reaches its end unfilled; with an entry that never filled go its exits."""
        was_at_work = order.at_work
        order.become(state)
        self.tell(order, now_ns, reason)
        self._remove(order, was_at_work, now_ns)

    def _remove(self, order: WorkingOrder, was_at_work: bool, now_ns: int) -> None:
        self.at_work -= was_at_work
        order_id = order.order.order_id
        del self.live[order_id]
        self.finished[order_id] = order.state
        if order.order.reduce_only:
            self._reducing[order.holder].remove(order)
        group = order.group
        if group is None:
            return
        if order.order.role is Role.ENTRY and not order.filled:
            for child in group.others(order):
                self.finish(child, OrderState.CANCELLED, _ENTRY_GONE[order.state], now_ns)
        if not any(o.live for o in group.members):
            self._groups.pop((order.order.strategy_id, str(order.order.group_id)), None)

    # -- fills ---------------------------------------------------------------------------------

    def fill(self, order: WorkingOrder, quantity: float, now_ns: int) -> None:
        """So much of an order filled: its state and the position of its strategy."""
        was_at_work = order.at_work
        order.filled = plus(order.filled, quantity) if order.filled else quantity
        whole = order.filled >= order.quantity
        order.become(OrderState.FILLED if whole else OrderState.PARTIALLY_FILLED)
        holder = order.holder
        self._positions[holder] = plus(self._positions.get(holder, 0.0), order.sign * quantity)
        self.tell(order, now_ns)
        if whole:
            self._remove(order, was_at_work, now_ns)

    def settle_group(self, order: WorkingOrder, quantity: float, now_ns: int) -> list[WorkingOrder]:
        """What a fill means for its group; exits that grew, those that wait among them."""
        group = order.group
        if group is None:
            return []
        if order.order.role is Role.ENTRY:
            return self._raise_exits(order, group, now_ns)
        if not order.is_child and order.order.role is not Role.OCO:
            return []
        whole = not order.is_child and not order.live
        for other in group.others(order):
            if other.live:
                self._lower(other, other.remaining if whole else quantity, now_ns)
        entry = group.entry if order.is_child else None
        if entry is not None and entry.live:
            self.finish(entry, OrderState.CANCELLED, Reason.EXIT_FILLED, now_ns)
        return []

    def _raise_exits(self, entry: WorkingOrder, group: Group, now_ns: int) -> list[WorkingOrder]:
        exits = group.others(entry)
        for child in exits:
            child.quantity = min(child.asked, entry.filled)
            if child.at_work:
                self.tell(child, now_ns, Reason.ENTRY_FILLED)
        return exits

    def _lower(self, order: WorkingOrder, quantity: float, now_ns: int) -> None:
        if quantity >= order.remaining:
            self.finish(order, OrderState.CANCELLED, Reason.SIBLING_FILLED, now_ns)
            return
        order.quantity = order.asked = minus(order.quantity, quantity)
        self.tell(order, now_ns, Reason.SIBLING_FILLED)

    # -- positions -----------------------------------------------------------------------------

    def reducible(self, order: WorkingOrder) -> float:
        """How much an order may fill until its strategy's position is closed."""
        return max(0.0, -order.sign * self._positions.get(order.holder, 0.0))

    def reduces_nothing(self, order: WorkingOrder) -> bool:
        """Whether an order may only reduce, and cannot. An exit whose entry still works may."""
        if not order.order.reduce_only or self.reducible(order):
            return False
        entry = order.group.entry if order.is_child and order.group is not None else None
        return entry is None or not entry.live

    def cancel_reducing(self, order: WorkingOrder, now_ns: int) -> None:
        """Cancel orders at work that have nothing left to reduce, of this one's position."""
        reducing = self._reducing.get(order.holder)
        for other in list(reducing) if reducing else ():
            if other.at_work and self.reduces_nothing(other):
                self.finish(other, OrderState.CANCELLED, Reason.NOTHING_TO_REDUCE, now_ns)

    def position(self, strategy_id: str, index: int) -> float:
        return self._positions.get((strategy_id, index), 0.0)

    def split_positions(self, index: int, ratio: float, lot: float) -> None:
        """What the portfolio does to them: a fraction of a share goes for cash."""
        for holder, quantity in self._positions.items():
            if holder[1] == index:
                self._positions[holder] = split_shares(quantity, ratio, lot)[0]
