"""The limits of the account, counted with all open orders and all approved before at the same T.

Entries only: what closes a position is taken unasked. Exposure is gross by strategy, so an exit
of one strategy never adds to it. A buying power of 1 keeps cash above the buffer: cash is equity
less longs plus shorts, so it cannot fall lower while gross stays below equity.
"""

from __future__ import annotations

import msgspec
import numpy as np

from app.model import Floats
from app.times import MINUTE_NS
from app.trading.orders import Order, OrderType, TimeInForce
from app.trading.sections import RiskSection
from app.trading.services.risk.book import Book
from app.trading.services.risk.codes import Code, Refusal, above, cash, number, percent
from app.trading.services.risk.exposure import Exposure
from app.trading.services.risk.line import OpenOrder

_SIDE = {1: "long", -1: "short"}
_GROSS = "gross exposure with all open orders would be"
_HELD = "gross exposure with all open orders, which may be held through the close, would be"
_BUFFERED = "gross exposure with all open orders would leave less than the cash buffer:"
_AT_CLOSE = "gross exposure at the close is"


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What a batch is judged by."""

    now_ns: int
    close_ns: int  # of the day's session
    equity: float
    prices: Floats  # by symbol


class Limits:
    """Asked about one order after the other; what is taken counts for the next."""

    def __init__(self, section: RiskSection, book: Book) -> None:
        self._section, self._book = section, book
        self._late_ns = int(section.overnight_from_min * MINUTE_NS)
        self._spendable = 1 - section.cash_buffer_pct  # of equity
        self._budgets = {name: part for name, part in section.budgets.items() if part < 1}
        power = min(section.intraday_buying_power, section.overnight_buying_power)
        self._safe = min(section.gross_leverage or power, power * self._spendable)
        self._known: Exposure | None = None  # with all that is open, since the batch's first entry
        self.moment = Moment(0, 0, 0.0, np.zeros(0))

    def begin(self, moment: Moment) -> None:
        """Another batch, at its T."""
        self.moment, self._known = moment, None

    # -- what is taken -------------------------------------------------------------------------

    def admit(self, new: OpenOrder) -> Refusal | None:
        """An order that opens: it is taken where all limits hold with it."""
        self._book.add(new)
        refusal = self._refusal(new)
        if refusal is not None:
            self.take_back(new)
        return refusal

    def take(self, new: OpenOrder) -> None:
        """An order that closes, unasked."""
        self._book.add(new)
        self._recount(new)

    def take_back(self, new: OpenOrder) -> None:
        """It was not taken after all."""
        self._book.drop(new.order.order_id)
        self._recount(new)

    def release(self, one: OpenOrder) -> None:
        """An exit that is being cancelled makes way for another."""
        one.reserves = False
        one.line.stale = True
        self._recount(one)

    def amend(self, one: OpenOrder, order: Order, price: float, *, ask: bool) -> Refusal | None:
        """Other terms of an open order; limits are asked where it reserves more."""
        was = one.order, one.price
        self._set(one, order, price)
        refusal = self._refusal(one) if ask else None
        if refusal is not None:
            self._set(one, *was)
        else:
            one.before = was
        return refusal

    def _set(self, one: OpenOrder, order: Order, price: float) -> None:
        one.order, one.price = order, price
        one.line.stale = True
        self._recount(one)

    def _recount(self, one: OpenOrder) -> None:
        if self._known is not None:
            self._known.count(one.line)

    # -- what is asked -------------------------------------------------------------------------

    def count_refusal(self, strategy_id: str, orders: int) -> Refusal | None:
        """So many more open orders of a strategy."""
        most = self._section.max_open_orders
        if most is None:
            return None
        have = self._book.open_count(strategy_id)
        if have + orders <= most:
            return None
        text = f"{have} orders are open and {orders} came; allowed: {most} of one strategy"
        return Refusal(Code.MAX_OPEN_ORDERS, text)

    def _refusal(self, one: OpenOrder) -> Refusal | None:
        """The first limit that does not hold; the order is in the book."""
        exposure = self._known
        if exposure is None:
            exposure = self._known = Exposure(self._book, self.moment.prices)
        else:
            exposure.count(one.line)
        return (
            self._position(one)
            or self._net(one, exposure)
            or self._budget(one, exposure)
            or self._gross(one, exposure.gross)
        )

    def _position(self, one: OpenOrder) -> Refusal | None:
        """Long and short positions of a symbol each, all strategies together."""
        most, share = self._section.max_position_quantity, self._section.max_position_pct
        if most is share is None:
            return None
        symbol, sign = one.line.symbol, one.order.side.sign
        if most is not None:
            quantity = sum(line.side_quantity(sign) for line in self._book.lines_of(symbol))
            if above(quantity, most):
                text = f"the {_SIDE[sign]} position would be {number(quantity)}; allowed: "
                return Refusal(Code.MAX_POSITION_QUANTITY, text + number(most))
        if share is None:
            return None
        mark = self.moment.prices.item(symbol)
        value = sum(line.side_value(sign, mark) for line in self._book.lines_of(symbol))
        what = f"the {_SIDE[sign]} position would be worth"
        return self._over(Code.MAX_POSITION_PCT, what, value, share)

    def _net(self, one: OpenOrder, exposure: Exposure) -> Refusal | None:
        """As if all orders of its side filled, and none of the other."""
        if self._section.net_leverage is None:
            return None
        sign = one.order.side.sign
        net = exposure.up if sign > 0 else -exposure.down
        what = f"net {_SIDE[sign]} exposure with all open {one.order.side} orders would be"
        return self._over(Code.NET_LEVERAGE, what, net, self._section.net_leverage)

    def _budget(self, one: OpenOrder, exposure: Exposure) -> Refusal | None:
        """A strategy's part of the buying power."""
        budget = self._budgets.get(one.order.strategy_id)
        if budget is None:
            return None
        times = budget * self._section.intraday_buying_power * self._spendable
        value = exposure.of_strategy(one.line)
        if value <= times * self.moment.equity:
            return None
        what = f"exposure of {one.order.strategy_id}, whose budget is {percent(budget)}, would be"
        return self._over(Code.BUDGET, what, value, times)

    def _gross(self, one: OpenOrder, gross: float) -> Refusal | None:
        if gross <= self._safe * self.moment.equity:
            return None
        section = self._section
        power = section.intraday_buying_power
        limits = [(Code.BUYING_POWER, _GROSS, power)]
        if section.gross_leverage is not None:
            limits.insert(0, (Code.GROSS_LEVERAGE, _GROSS, section.gross_leverage))
        if self._held_overnight(one.order):
            power = min(power, section.overnight_buying_power)
            limits.append((Code.OVERNIGHT_BUYING_POWER, _HELD, power))
        limits.append((Code.CASH_BUFFER, _BUFFERED, power * self._spendable))
        found = (self._over(code, what, gross, times) for code, what, times in limits)
        return next((refusal for refusal in found if refusal is not None), None)

    def overnight_refusal(self) -> Refusal | None:
        """What is held at a close, against overnight buying power."""
        gross = self._book.value(self.moment.prices).gross
        times = self._section.overnight_buying_power * self._spendable
        return self._over(Code.OVERNIGHT_BUYING_POWER, _AT_CLOSE, gross, times)

    def _held_overnight(self, order: Order) -> bool:
        if order.tif is TimeInForce.GTC or order.type is OrderType.MARKET_ON_CLOSE:
            return True
        return self.moment.now_ns >= self.moment.close_ns - self._late_ns

    def _over(self, code: Code, what: str, value: float, times: float) -> Refusal | None:
        """Whether a value is more than so many times equity."""
        equity = self.moment.equity
        limit = times * equity
        if not above(value, limit):
            return None
        allowed = f"{cash(limit)}, {number(times)} times equity {cash(equity)}"
        return Refusal(code, f"{what} {cash(value)}; allowed: {allowed}")
