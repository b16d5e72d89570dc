"""The close: market-on-close orders at the official close, and the end of DAY orders.

The official close may be known only some time after the close (an auction's print, a daily
table): it is asked for at the close and again at the day's end, and a fill's time is when it was
known. An auction has one price: no slippage, no share of a pool.
"""

from __future__ import annotations

from app.trading.context import RunContext
from app.trading.orders import OrderState, OrderType
from app.trading.services.execution.agenda import Agenda
from app.trading.services.execution.book import Book
from app.trading.services.execution.codes import Reason
from app.trading.services.execution.fills import Price
from app.trading.services.execution.matcher import Matcher
from app.trading.services.execution.outcome import Source
from app.trading.services.execution.sessions import Sessions
from app.trading.services.execution.tape import Tapes
from app.trading.services.execution.working import WorkingOrder


class Close:
    """What the end of a session does to a book."""

    def __init__(
        self, context: RunContext, book: Book, sessions: Sessions, tapes: Tapes, agenda: Agenda,
        matcher: Matcher,
    ) -> None:  # fmt: skip
        self._market = context.market
        self._book, self._sessions = book, sessions
        self._tapes, self._agenda, self._matcher = tapes, agenda, matcher

    def at_close(self, now_ns: int) -> None:
        """The regular close: auctions whose price is known fill, then DAY orders expire."""
        self._sessions.closed = True
        self._fill_auctions(now_ns, last_chance=False)
        for order in self._by_arrival():
            if order.live and self._sessions.expires(order):
                reason = Reason.SESSION_CLOSED
                self._book.finish(order, OrderState.EXPIRED, reason, now_ns)
            elif order.type is OrderType.MARKET_ON_OPEN and order.at_work:
                self._sessions.place(order, now_ns)
                self._agenda.plan(order, self._agenda.next)

    def at_day_end(self, now_ns: int) -> None:
        """Auctions that still have no price never will."""
        if not self._sessions.closed:
            self.at_close(now_ns)
        self._fill_auctions(now_ns, last_chance=True)

    def _by_arrival(self) -> list[WorkingOrder]:
        return sorted(self._book.live.values(), key=lambda order: order.seq)

    def _fill_auctions(self, now_ns: int, last_chance: bool) -> None:
        for order in self._by_arrival():
            if not self._sessions.in_auction(order, now_ns):
                continue
            missing = self._fill_auction(order, now_ns)
            if missing is not None and last_chance:
                self._book.finish(order, OrderState.EXPIRED, missing, now_ns)

    def _fill_auction(self, order: WorkingOrder, now_ns: int) -> Reason | None:
        """Fill at the official close; what is missing where that cannot be."""
        close_ns = self._sessions.today.close_ns
        if self._tapes.halted(order.index, close_ns):
            return Reason.HALTED
        assert self._sessions.day is not None
        close = self._market.official_close(order.index, self._sessions.day, now_ns)
        if close is None:
            return Reason.NO_OFFICIAL_CLOSE
        quantity = self._matcher.fillable(order)
        if quantity:
            at = Price(close.price, False, Source.OFFICIAL_CLOSE, close_ns)
            self._matcher.fill(order, quantity, at, (), now_ns)
        elif order.live:
            reason = Reason.NOTHING_TO_REDUCE
            self._book.finish(order, OrderState.CANCELLED, reason, now_ns)
        return None
