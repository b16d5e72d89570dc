"""What a strategy may ask for, and what it knows of its own orders and positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.errors import RequestError
from app.trading.events import (
    CancelRequestEvent,
    EventBase,
    ModifyRequestEvent,
    OrderRequestEvent,
    SignalEvent,
)
from app.trading.money import minus
from app.trading.orders import Order, OrderType, Role, Side, TimeInForce
from app.trading.services.strategy.book import Book, OpenOrder
from app.trading.services.strategy.seat import Seat
from app.trading.services.strategy.terms import (
    OrderTerms,
    is_finite,
    make_exits,
    make_order,
    positive,
    price_of,
    read_terms,
    text,
)

_TERMS_OF = {
    "limit": (OrderType.LIMIT, OrderType.STOP_LIMIT),
    "stop": (OrderType.STOP, OrderType.STOP_LIMIT),
    "trail": (OrderType.TRAILING_STOP,),
}


class OrderAccess:
    """Orders, signals, and the strategy's own view of what came of them.

    During warm-up nothing leaves: calls are counted, told once in a warning, and return ``""``,
    None or False.
    """

    _seat: Seat
    _book: Book
    _orders_made: int
    _signals_made: int

    # -- own view ------------------------------------------------------------------------------

    def position(self, symbol: str) -> float:
        """Signed quantity from this strategy's own fills."""
        self._seat.number(symbol)
        return self._book.position(symbol)

    def positions(self) -> dict[str, float]:
        """Signed quantities that are not 0, by symbol."""
        return self._book.positions()

    def average_price(self, symbol: str) -> float | None:
        """Of the entries of what is held, costs not counted; None where nothing is."""
        self._seat.number(symbol)
        return self._book.average_price(symbol)

    def open_orders(self, symbol: str | None = None) -> tuple[OpenOrder, ...]:
        """Orders that have not ended, those sent at this very T too, oldest first."""
        if symbol is not None:
            self._seat.number(symbol)
        return self._book.open_orders(symbol)

    def children(self, order_id: str) -> tuple[OpenOrder, ...]:
        """A bracket's open exits, the take-profit first."""
        return tuple(o for o in self._book.open_orders() if o.parent_id == order_id)

    # -- wishes --------------------------------------------------------------------------------

    def signal(self, symbol: str, direction: int, strength: float = 1.0, tag: str = "") -> str:
        """A view that risk sizes: direction 1 long, -1 short, 0 flat; strength (0, 1]. Its id."""
        self._seat.number(symbol)
        if direction not in (-1, 0, 1):
            raise RequestError(f"direction is {direction!r}; needed: 1 long, -1 short or 0 flat")
        if positive("strength", strength) > 1:
            raise RequestError(f"strength is {strength!r}; needed: above 0, at most 1")
        label = text("tag", tag)
        if self._ignores():
            return ""
        self._signals_made += 1
        signal_id = f"{self._seat.strategy_id}-s{self._signals_made}"
        self._send(
            SignalEvent(
                ts_event_ns=self._now_ns, signal_id=signal_id, symbol=symbol, tag=label,
                strategy_id=self._seat.strategy_id, direction=int(direction),
                strength=float(strength),
            )
        )  # fmt: skip
        return signal_id

    def order(
        self, symbol: str, side: Side | str, quantity: float, type: OrderType | str | None = None,
        *, limit: float | None = None, stop: float | None = None, trail: float | None = None,
        trail_bps: float | None = None, tif: TimeInForce | str = TimeInForce.DAY,
        reduce_only: bool = False, post_only: bool = False, take_profit: float | None = None,
        stop_loss: float | None = None, exit_tif: TimeInForce | str | None = None, tag: str = "",
    ) -> str:  # fmt: skip
        """Send an order; its id. RequestError says which argument cannot be.

        Without ``type`` the prices tell it: none market, ``limit``, ``stop``, both stop-limit,
        ``trail`` (currency) or ``trail_bps`` trailing stop. ``take_profit`` and ``stop_loss``
        make a bracket: exits for what fills (``children``), good as long as the entry, or
        ``exit_tif``.
        """
        terms = OrderTerms(
            symbol=symbol, side=side, quantity=quantity, type=type, limit=limit, stop=stop,
            trail=trail, trail_bps=trail_bps, tif=tif, reduce_only=reduce_only,
            post_only=post_only, tag=tag,
        )  # fmt: skip
        if take_profit is None and stop_loss is None:
            return self._request([self._make(terms, 1)])
        entry_id = self._id(1)
        entry = self._make(terms, 1, role=Role.ENTRY, group_id=entry_id)
        exits = [
            Order(
                order_id=self._id(2 + place), strategy_id=entry.strategy_id, symbol=entry.symbol,
                side=entry.side.opposite, quantity=entry.quantity, created_ns=entry.created_ns,
                reduce_only=True, group_id=entry_id, parent_id=entry_id, tag=tag, **part,
            )
            for place, part in enumerate(make_exits(entry, take_profit, stop_loss, exit_tif))
        ]  # fmt: skip
        return self._request([entry, *exits])

    def oco(self, orders: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
        """Send orders of which the first to fill cancels the others; their ids.

        Each is a mapping of what ``order`` takes: ``{"symbol": ..., "side": ..., ...}``.
        """
        group_id = self._id(1)
        made = [
            self._make(read_terms(given), place, role=Role.OCO, group_id=group_id)
            for place, given in enumerate(orders, 1)
        ]
        if len(made) < 2 or len({order.symbol for order in made}) > 1:
            raise RequestError(f"{len(made)} orders; needed: two or more, all in one symbol")
        return tuple(order.order_id for order in made) if self._request(made) else ()

    def target_position(
        self, symbol: str, quantity: float, *, type: OrderType | str = OrderType.MARKET,
        tif: TimeInForce | str = TimeInForce.DAY, tag: str = "",
    ) -> str | None:  # fmt: skip
        """Order what is missing to a signed quantity; the order's id, None where nothing is.

        What open orders will bring counts as held, but for those that are being cancelled, and
        exits at a price (reduce-only limits and stops). An order that only reduces is sent as
        reduce-only.
        """
        self._seat.number(symbol)
        if not is_finite(quantity):
            raise RequestError(f"quantity is {quantity!r}; needed: a number, negative for short")
        held = self._book.position(symbol)
        missing = minus(minus(float(quantity), held), self._book.coming(symbol))
        if missing == 0:
            return None
        order_id = self.order(
            symbol, Side.BUY if missing > 0 else Side.SELL, abs(missing), type, tif=tif, tag=tag,
            reduce_only=held * missing < 0 and abs(missing) <= abs(held),
        )  # fmt: skip
        return order_id or None

    def cancel(self, order_id: str) -> bool:
        """Ask to cancel an order; False where it has ended, or was asked already."""
        order = self._find(order_id)
        if order is None or order_id in self._book.cancelling or self._ignores():
            return False
        self._book.cancelling.add(order_id)
        self._send(
            CancelRequestEvent(
                ts_event_ns=self._now_ns, strategy_id=self._seat.strategy_id, order_id=order_id
            )
        )
        return True

    def cancel_all(self, symbol: str | None = None) -> int:
        """Ask to cancel all open orders, of one symbol or of all; how many requests left.

        Exits that still wait for their entry go with it.
        """
        there = self.open_orders(symbol)
        waiting = {o.order_id for o in there if o.role is Role.ENTRY and not o.filled}
        return sum(self.cancel(o.order_id) for o in there if o.parent_id not in waiting)

    def modify(
        self, order_id: str, *, quantity: float | None = None, limit: float | None = None,
        stop: float | None = None, trail: float | None = None,
    ) -> bool:  # fmt: skip
        """Ask for new terms of an open order (``quantity`` is the new total); False as ``cancel``.

        ``trail`` is in the unit that the order has.
        """
        given = {"limit": limit, "stop": stop, "trail": trail}
        prices = {name: price_of(name, value) for name, value in given.items()}
        total = None if quantity is None else positive("quantity", quantity)
        if total is None and not any(prices.values()):
            raise RequestError("nothing to modify; give quantity, limit, stop or trail")
        order = self._find(order_id)
        if order is None or order_id in self._book.cancelling:
            return False
        for name, price in prices.items():
            if price is not None and order.type not in _TERMS_OF[name]:
                raise RequestError(f"{order_id} is a {order.type} order; it has no {name}")
        if total is not None and total <= order.filled:
            raise RequestError(f"quantity is {total:g}; {order_id} has filled {order.filled:g}")
        if self._ignores():
            return False
        self._send(
            ModifyRequestEvent(
                ts_event_ns=self._now_ns, strategy_id=self._seat.strategy_id, order_id=order_id,
                quantity=total, limit_price=prices["limit"], stop_price=prices["stop"],
                trail=prices["trail"],
            )
        )  # fmt: skip
        return True

    # -- how ---------------------------------------------------------------------------------

    @property
    def _now_ns(self) -> int:
        return self._seat.stage.clock.now_ns

    def _send(self, event: EventBase) -> None:
        self._seat.stage.publish(event)

    def _ignores(self) -> bool:
        """Whether a wish goes nowhere; RequestError after the run's end, or on another thread."""
        self._seat.stage.check_thread()
        if self._seat.over:
            raise RequestError("the run is over: nothing can be ordered in on_end")
        self._seat.ignored += self._seat.warming
        return self._seat.warming

    def _id(self, place: int) -> str:
        """The id of the ``place``-th order from now."""
        return f"{self._seat.strategy_id}-{self._orders_made + place}"

    def _make(self, terms: OrderTerms, place: int, **part: Any) -> Order:
        self._seat.number(terms["symbol"])
        return make_order(terms, self._id(place), self._seat.strategy_id, self._now_ns, **part)

    def _request(self, orders: list[Order]) -> str:
        """Send orders as one; the first one's id, "" during warm-up."""
        if self._ignores():
            return ""
        self._orders_made += len(orders)
        for order in orders:
            self._book.take(order)
        self._send(
            OrderRequestEvent(
                ts_event_ns=self._now_ns, strategy_id=self._seat.strategy_id, orders=tuple(orders)
            )
        )
        return orders[0].order_id

    def _find(self, order_id: str) -> OpenOrder | None:
        """An open order; None where it has ended; RequestError where it was never there."""
        order = self._book.order(order_id)
        if order is None and not self._was_there(order_id):
            there = ", ".join(o.order_id for o in self._book.open_orders()) or "none"
            raise RequestError(f"no order {order_id!r} of this strategy; open: {there}")
        return order

    def _was_there(self, order_id: str) -> bool:
        """Whether it may be one that has ended; ``""`` is of an order that warm-up ignored."""
        prefix = f"{self._seat.strategy_id}-"
        if not order_id.startswith(prefix):
            return not order_id
        number = order_id.removeprefix(prefix)
        made = self._signals_made if number.startswith("s") else self._orders_made
        number = number.removeprefix("s")
        return not number.isdecimal() or 1 <= int(number) <= made
