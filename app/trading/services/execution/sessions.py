"""Which session an order belongs to, and from when data may fill it.

A DAY order works in the delivered hours of its session up to the regular close (pre-market hours
are in where they are delivered), and expires there. What comes at or after the close is for the
next session: DAY, IOC, FOK and market-on-close wait for it, GTC rests at once. A market-on-open
order that comes after the open is for the next open.
"""

from __future__ import annotations

from app.calendar import TradingDay
from app.times import MINUTE_NS
from app.trading.context import RunContext
from app.trading.orders import OrderType, TimeInForce
from app.trading.services.execution.working import NEVER_NS, WorkingOrder

# A member found through its class costs a call.
_MARKET_ON_CLOSE = OrderType.MARKET_ON_CLOSE
_MARKET_ON_OPEN = OrderType.MARKET_ON_OPEN


class Sessions:
    """The day that it is, and what belongs to it."""

    def __init__(self, context: RunContext, moc_cutoff_min: float) -> None:
        self._days = context.days
        self._first = context.first_day
        self._cutoff_ns = round(moc_cutoff_min * MINUTE_NS)
        self.day: int | None = None  # None before the first one
        self.today: TradingDay = context.days[context.first_day]
        self.closed = False

    def open(self, day: int) -> None:
        self.day, self.closed = day, False
        self.today = self._days[day]

    def place(self, order: WorkingOrder, now_ns: int) -> bool:
        """Give an order its session and its first usable instant; whether it works already."""
        session = self._session_of(order, now_ns)
        order.session = session
        order.from_ns = now_ns
        waits = session != self.day and order.order.tif is not TimeInForce.GTC
        if waits or order.type is _MARKET_ON_OPEN:
            order.from_ns = max(now_ns, self._begin_ns(order, session))
        return not waits

    def _session_of(self, order: WorkingOrder, now_ns: int) -> int:
        if self.day is None:
            return self._first
        if order.type is _MARKET_ON_OPEN:
            return self.day + (now_ns > self.today.open_ns)
        return self.day + (now_ns >= self.today.close_ns)

    def _begin_ns(self, order: WorkingOrder, session: int) -> int:
        if session >= len(self._days):
            return NEVER_NS
        day = self._days[session]
        return day.open_ns if order.type is _MARKET_ON_OPEN else day.first_ns

    def moc_too_late(self, order: WorkingOrder, now_ns: int) -> bool:
        """Whether a market-on-close order misses this session's cut-off."""
        if order.type is not _MARKET_ON_CLOSE or self.day is None:
            return False
        close_ns = self.today.close_ns
        return close_ns - self._cutoff_ns < now_ns < close_ns

    def in_auction(self, order: WorkingOrder, now_ns: int) -> bool:
        """Whether a market-on-close order's auction is over, and only its price not known."""
        mine = order.type is _MARKET_ON_CLOSE and order.at_work
        return mine and order.session == self.day and now_ns >= self.today.close_ns

    def expires(self, order: WorkingOrder) -> bool:
        """Whether an order's time is over at the close of today's session."""
        if order.order.tif is TimeInForce.GTC or order.type is _MARKET_ON_CLOSE:
            return False
        return 0 <= order.session <= (-1 if self.day is None else self.day)

    def trades_at(self, now_ns: int) -> bool:
        """Whether orders may fill at once now: within the delivered hours, before the close."""
        return self.day is not None and self.today.first_ns <= now_ns < self.today.close_ns
