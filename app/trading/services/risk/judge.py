"""Order requests and modifications, one after the other: what each becomes.

Each is judged with all that is open and all that was taken before it. An order that only closes
is taken unasked, and goes on as reduce-only: whatever else fills first, it opens nothing. Of one
that closes and opens, what opens is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from app.errors import nearest
from app.trading.context import RunContext
from app.trading.events import (
    CancelRequestEvent,
    EventBase,
    ModifyApprovedEvent,
    ModifyRequestEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
)
from app.trading.money import minus
from app.trading.orders import Order, OrderType, Side
from app.trading.sections import RiskSection
from app.trading.services.risk.book import Book
from app.trading.services.risk.codes import Code, Refusal, number
from app.trading.services.risk.form import bad_group, bad_order
from app.trading.services.risk.halts import SymbolHalts
from app.trading.services.risk.limits import Limits, Moment
from app.trading.services.risk.line import Line, OpenOrder, group_key, left_of, reserve_price
from app.trading.services.risk.terms import check_terms, terms_of

Publish = Callable[[EventBase], None]
_TERMS = ("quantity", "limit_price", "stop_price", "trail")


class Judge:
    """``begin`` a batch, then hand it wishes in their order; it publishes the answers."""

    def __init__(
        self, section: RiskSection, context: RunContext, book: Book, publish: Publish
    ) -> None:
        self.book, self.limits, self.publish = book, Limits(section, book), publish
        self.now_ns = 0
        self._halts = SymbolHalts(context)
        self._symbols = context.symbols
        self._index = {symbol: i for i, symbol in enumerate(context.symbols)}
        self.terms = [terms_of(symbol, section, context) for symbol in context.symbols]
        self._loss: Refusal | None = None
        self._made: dict[str, int] = {}

    def begin(self, moment: Moment, loss: Refusal | None) -> None:
        """A batch at its T; ``loss`` refuses all entries."""
        self.limits.begin(moment)
        self.now_ns, self._loss = moment.now_ns, loss

    def symbol(self, name: str) -> int | Refusal:
        """The number of a symbol of the run."""
        found = self._index.get(name)
        if found is not None:
            return found
        close = ", ".join(nearest(name, self._index)) or "none"
        return Refusal(Code.UNKNOWN_SYMBOL, f"{name!r} is not in the run; nearest: {close}")

    def mark(self, symbol: int) -> float:
        """The last price, NaN before the first."""
        return self.limits.moment.prices.item(symbol)

    # -- requests ------------------------------------------------------------------------------

    def request(self, event: OrderRequestEvent) -> None:
        """All of its orders, or none."""
        orders = event.orders
        first = self._index.get(orders[0].symbol)
        mark = math.nan if first is None else self.mark(first)
        fault = bad_group(event.strategy_id, orders, mark)
        if fault is not None:
            self._reject_all(orders, dict.fromkeys((o.order_id for o in orders), fault))
            return
        taken: list[OpenOrder] = []
        for at, order in enumerate(orders):
            found = self.admit(order, len(orders) - at)
            if isinstance(found, Refusal):
                for one in reversed(taken):
                    self.limits.take_back(one)
                self._reject_all(orders, {order.order_id: found})
                return
            taken.append(found)
        self.approve(*taken)

    def approve(self, *taken: OpenOrder, signal_id: str | None = None) -> None:
        orders = tuple([one.order for one in taken])  # a generator costs more
        event = OrderApprovedEvent(ts_event_ns=self.now_ns, orders=orders, signal_id=signal_id)
        self.publish(event)

    def admit(self, order: Order, count: int = 1) -> OpenOrder | Refusal:
        """One order; ``count`` with those that come after it in its request."""
        symbol = self.symbol(order.symbol)
        if isinstance(symbol, Refusal):
            return symbol
        if order.order_id in self.book.orders:
            return Refusal(Code.DUPLICATE_ORDER, f"{order.order_id} is open already")
        fault = bad_order(order, self.terms[symbol])
        if fault is not None:
            return fault
        line = self.book.line(order.strategy_id, symbol)
        if order.reduce_only:
            return self.take_exit(order, line, reserves=False)
        return self.enter(order, line, count)

    def enter(self, order: Order, line: Line, count: int = 1) -> OpenOrder | Refusal:
        """A well-formed order; what it opens is judged."""
        opening = line.opening(order.side.sign, order.quantity, group_key(order))
        if opening <= 0:
            return self.take_exit(order, line)
        fault = self._entry_fault(order, opening, line, count)
        if fault is not None:
            return fault
        price = reserve_price(order, self.mark(line.symbol))
        one = OpenOrder(order, line, price, entry=True, reserves=True)
        return self.limits.admit(one) or one

    def take_exit(self, order: Order, line: Line, *, reserves: bool = True) -> OpenOrder:
        """An order that closes: no limit is asked."""
        if not order.reduce_only:
            order = replace(order, reduce_only=True)
        price = reserve_price(order, self.mark(line.symbol))
        one = OpenOrder(order, line, price, entry=False, reserves=reserves)
        self.limits.take(one)
        return one

    def _entry_fault(self, order: Order, opening: float, line: Line, count: int) -> Refusal | None:
        """What needs no sums over the account."""
        terms = self.terms[line.symbol]
        if order.side is Side.SELL and not terms.shortable:
            return not_shortable(order.symbol, opening)
        return (
            self._halts.refusal(order.symbol, self.now_ns)
            or self._loss
            or check_terms(order, opening, self.mark(line.symbol), terms)
            or self.limits.count_refusal(order.strategy_id, count)
        )

    # -- modifications -------------------------------------------------------------------------

    def modify(self, event: ModifyRequestEvent) -> None:
        one = self.book.orders.get(event.order_id)
        if one is None or one.order.strategy_id != event.strategy_id:
            text = f"{event.order_id} is not an open order of {event.strategy_id}"
            self._refuse_modify(event, "", Refusal(Code.UNKNOWN_ORDER, text))
            return
        asked = {name: getattr(event, name) for name in _TERMS}
        asked = {name: value for name, value in asked.items() if value is not None}
        fault = self._amend(one, replace(one.order, **asked))
        if fault is not None:
            self._refuse_modify(event, one.order.symbol, fault)
            return
        self.publish(
            ModifyApprovedEvent(
                ts_event_ns=self.now_ns, strategy_id=event.strategy_id, order_id=event.order_id,
                **asked,
            )
        )  # fmt: skip

    def _amend(self, one: OpenOrder, order: Order) -> Refusal | None:
        """Only what reserves more is asked for limits."""
        was, line = one.order, one.line
        fault = bad_order(order, self.terms[line.symbol])
        if fault is not None:
            return fault
        if order.quantity <= one.filled:
            came = f"quantity {number(order.quantity)} came, and {number(one.filled)} is filled"
            return Refusal(Code.BAD_QUANTITY, f"{came}; allowed: more than that, or cancel it")
        mark, price = self.mark(line.symbol), one.price
        if (order.limit_price, order.stop_price) != (was.limit_price, was.stop_price):
            price = reserve_price(order, mark)
        if order.reduce_only:
            return self.limits.amend(one, order, price, ask=False)
        opening = line.opening(order.side.sign, minus(order.quantity, one.filled), one.key)
        grows = opening > 0 and (order.quantity > was.quantity or price > one.price)
        if grows:
            fault = self._entry_fault(order, opening, line, 0)
        elif opening > 0:
            fault = check_terms(order, opening, mark, self.terms[line.symbol])
        return fault or self.limits.amend(one, order, price, ask=grows)

    def _refuse_modify(self, event: ModifyRequestEvent, symbol: str, fault: Refusal) -> None:
        self.refuse(event.order_id, event.strategy_id, symbol, fault, "modify")

    # -- what risk does by itself --------------------------------------------------------------

    def cancel(self, orders: Iterable[OpenOrder], reason: str) -> None:
        """Ask execution to cancel these, once each."""
        for one in orders:
            if one.leaving:
                continue
            one.leaving = True
            if not one.entry:
                self.limits.release(one)
            order = one.order
            self.publish(
                CancelRequestEvent(
                    ts_event_ns=self.now_ns, strategy_id=order.strategy_id,
                    order_id=order.order_id, reason=reason,
                )
            )  # fmt: skip

    def flatten(self, tag: str) -> None:
        """A market order for every position that none closes yet."""
        for line in self.book.held_lines():
            side = Side.SELL if line.position > 0 else Side.BUY
            left = minus(abs(line.position), left_of(line.working_market(side.sign)))
            if left > 0:
                self.approve(self.take_exit(self._closing_order(line, side, left, tag), line))

    def _closing_order(self, line: Line, side: Side, quantity: float, tag: str) -> Order:
        count = self._made[line.strategy_id] = self._made.get(line.strategy_id, 0) + 1
        return Order(
            order_id=f"{line.strategy_id}-r{count}", strategy_id=line.strategy_id,
            symbol=self._symbols[line.symbol], side=side, type=OrderType.MARKET,
            quantity=quantity, created_ns=self.now_ns, tag=tag,
        )  # fmt: skip

    # -- refusals ------------------------------------------------------------------------------

    def refuse(
        self, order_id: str, strategy_id: str, symbol: str, fault: Refusal, request: str
    ) -> None:
        self.publish(
            OrderRejectedEvent(
                ts_event_ns=self.now_ns, order_id=order_id, strategy_id=strategy_id, symbol=symbol,
                code=fault.code.value, reason=fault.reason, by="risk", request=request,
            )
        )  # fmt: skip

    def _reject_all(self, orders: Sequence[Order], faults: dict[str, Refusal]) -> None:
        """Refuse a request; those without a fault of their own for that of the others."""
        told = ", ".join(f"{order_id} ({fault.code})" for order_id, fault in faults.items())
        shared = Refusal(Code.GROUP_REFUSED, f"its group was refused for {told}")
        for order in orders:
            fault = faults.get(order.order_id, shared)
            self.refuse(order.order_id, order.strategy_id, order.symbol, fault, "order")


def not_shortable(symbol: str, opening: float = 0.0) -> Refusal:
    what = f"it would sell {number(opening)} short" if opening else "a short signal came"
    text = f"{what}, and {symbol} may not be sold short (risk.shortable, and the instrument)"
    return Refusal(Code.NOT_SHORTABLE, text)
