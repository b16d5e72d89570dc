"""Orders at work: they come to rest, meet rows of their price source, and fill."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from app.trading.context import RunContext
from app.trading.events import EventBase
from app.trading.marks import Marks
from app.trading.orders import OrderState, OrderType, Role, TimeInForce
from app.trading.sections import ExecutionSection, FillPolicy
from app.trading.services.execution.agenda import Agenda, Meeting
from app.trading.services.execution.bars import level_from, match_bar
from app.trading.services.execution.book import Book
from app.trading.services.execution.changes import lot_of
from app.trading.services.execution.codes import FILLS, SENTENCES, Reason, Reject, Why
from app.trading.services.execution.fills import FillMaker, Price
from app.trading.services.execution.judge import judge, trailed
from app.trading.services.execution.known import Known
from app.trading.services.execution.latency import delays
from app.trading.services.execution.liquidity import Pools
from app.trading.services.execution.outcome import BARS, MISS, QUOTES, Outcome, Row
from app.trading.services.execution.sessions import Sessions
from app.trading.services.execution.tape import Tapes
from app.trading.services.execution.working import WorkingOrder


class _Fill(msgspec.Struct, frozen=True, gc=False):
    """Who fills on a row, how, and whether the row leaves in doubt that it was so."""

    order: WorkingOrder
    outcome: Outcome
    doubt: bool


class Matcher:
    """Works the orders of a book on the rows that the agenda names."""

    def __init__(
        self, section: ExecutionSection, context: RunContext, book: Book, sessions: Sessions,
        tapes: Tapes, agenda: Agenda, last: Marks, publish: Callable[[EventBase], None],
    ) -> None:  # fmt: skip
        self.maker = FillMaker(section, context)
        self._context = context
        self._book, self._sessions = book, sessions
        self._tapes, self._agenda, self._last = tapes, agenda, last
        self.publish = publish
        self._known = Known(context, tapes, last)
        self._touch = section.fill_on_touch
        self._immediate = section.policy is FillPolicy.IMMEDIATE
        self._realistic = section.policy is FillPolicy.REALISTIC
        self._pools = Pools(section.participation_pct)
        # What is delayed arrives before the slice of its time, whose quotes it cannot know.
        self._unseen_ns = int(delays(section))
        self._arrivals = 0

    # -- coming to rest ------------------------------------------------------------------------

    def rest(self, order: WorkingOrder, now_ns: int, since_ns: int | None = None) -> None:
        """An order arrives; it works now, or waits for its session."""
        if self._sessions.place(order, now_ns if since_ns is None else since_ns):
            self.work(order, now_ns)

    def work(self, order: WorkingOrder, now_ns: int) -> None:
        """An order comes to rest: data that begins from now on may fill it."""
        self.queue(order)
        last = self._last.price(order.index)
        order.arrival_price = None if math.isnan(last) else last
        if self._book.reduces_nothing(order):
            self._book.finish(order, OrderState.CANCELLED, Reason.NOTHING_TO_REDUCE, now_ns)
            return
        if order.order.post_only and self._would_take(order, now_ns):
            self._refuse_taker(order, now_ns)
            return
        if order.type is OrderType.TRAILING_STOP and order.arrival_price is not None:
            self._set_level(order, order.arrival_price)
        self._book.begin(order, now_ns)
        if self._immediate and order.type is OrderType.MARKET and self._fill_now(order, now_ns):
            return
        self._agenda.plan(order, self._agenda.next)

    def queue(self, order: WorkingOrder) -> None:
        """The last place in the order of arrival."""
        self._arrivals += 1
        order.seq = self._arrivals

    def _set_level(self, order: WorkingOrder, price: float) -> None:
        """A trailing stop's first level; on quotes the first one it meets sets it."""
        if order.stop is None and self._tapes.source(order.index) is not QUOTES:
            order.stop = round(level_from(order, price), 8)

    def _would_take(self, order: WorkingOrder, now_ns: int) -> bool:
        if not self._sessions.trades_at(now_ns):
            return False
        at = self._known.price(order, now_ns - self._unseen_ns)
        assert order.limit is not None
        return at is not None and order.sign * (order.limit - at.price) >= 0

    def _refuse_taker(self, order: WorkingOrder, now_ns: int) -> None:
        reason = SENTENCES[Why.WOULD_TAKE]
        self._book.refuse(order, Reject.POST_ONLY_WOULD_TAKE, reason, now_ns)

    def _fill_now(self, order: WorkingOrder, now_ns: int) -> bool:
        """``immediate``: at the price known now, which may be older than the order."""
        if not self._sessions.trades_at(now_ns) or self._tapes.halted(order.index, now_ns):
            return False
        at = self._known.price(order, now_ns)
        quantity = self.fillable(order)
        if at is None or not quantity:
            return False
        self.fill(order, quantity, at, ("optimistic",), now_ns)
        if order.live and order.at_once:
            self._book.finish(order, OrderState.CANCELLED, Reason.NOT_FILLED_AT_ONCE, now_ns)
        return True

    # -- meeting rows --------------------------------------------------------------------------

    def run(self, high: int) -> None:
        """Work all slices of the window before ``high``."""
        agenda = self._agenda
        while (meeting := agenda.pop(high)) is not None:
            # What begins within a bar may still meet it, within a tick's slice it does not.
            agenda.next = meeting.slice + (meeting.tape.source is not BARS)
            self._meet(meeting)
        agenda.next = high

    def _meet(self, meeting: Meeting) -> None:
        order = meeting.order
        row = meeting.tape.records.row(meeting.row)
        now_ns = row.release_ns
        key = now_ns, meeting.row
        outcome = judge(order, row, self._touch)
        order.met_row = key
        if outcome.why is FILLS:
            fill = _Fill(order, outcome, False)
            if order.group is not None:
                outcome = self._fill_first(fill, row, key)
            elif not self._fill_on(fill, row, key):
                outcome = MISS[Why.NO_LIQUIDITY]
        if outcome.why is not FILLS and order.live:
            self._miss(order, outcome, row)
        order.met = True
        if order.live and order.at_once:
            self._book.finish(order, OrderState.CANCELLED, Reason.NOT_FILLED_AT_ONCE, now_ns)
        if order.at_work:
            self._agenda.plan_after(meeting)

    def _miss(self, order: WorkingOrder, outcome: Outcome, row: Row) -> None:
        """A row that did not fill an order may still move it."""
        if outcome.why is Why.WOULD_TAKE:
            self._refuse_taker(order, row.release_ns)
        elif outcome.why is Why.TRIGGERED:
            order.triggered = True
            self._book.tell(order, row.release_ns, Reason.TRIGGERED)
        elif order.type is OrderType.TRAILING_STOP and not order.triggered:
            order.stop = round(trailed(order, row), 8)

    def _fill_first(self, fill: _Fill, row: Row, key: tuple[int, int]) -> Outcome:
        """Fill an order, or the rival of its group that comes first; the order's own outcome."""
        order, group = fill.order, fill.order.group
        assert group is not None
        rivals = order.order.role is not Role.ENTRY
        if rivals:
            if group.filled_at == key:
                return MISS[Why.SIBLING_FIRST]
            fill = self._first(fill, row, key)
        filled = self._fill_on(fill, row, key)
        if filled and rivals:
            group.filled_at = key
        if fill.order is order:
            return fill.outcome if filled else MISS[Why.NO_LIQUIDITY]
        return MISS[Why.SIBLING_FIRST]

    def _first(self, fill: _Fill, row: Row, key: tuple[int, int]) -> _Fill:
        """Of a group's orders that a row fills: one at the open, then a stop, then by arrival.

        One that has met the row already did not fill; it may have moved since, and is not asked.
        """
        order = fill.order
        assert order.group is not None
        found = [fill]
        for other in order.group.others(order):
            if other.at_work and other.index == order.index and other.met_row != key:
                outcome = judge(other, row, self._touch)
                if outcome.why is FILLS:
                    found.append(_Fill(other, outcome, False))
        first = min(found, key=lambda f: (not f.outcome.at_once, not f.order.is_stop, f.order.seq))
        doubt = len(found) > 1 and not first.outcome.at_once
        return _Fill(first.order, first.outcome, doubt or self._entry_doubt(first.order, row))

    def _entry_doubt(self, order: WorkingOrder, row: Row) -> bool:
        """Of an exit within its entry's bar: whether it may have been otherwise."""
        if row.source is not BARS or order.entered_ns != row.release_ns:
            return False
        assert order.group is not None
        return not order.entry_sure or any(
            match_bar(other, row.values, self._touch).why is FILLS
            for other in order.group.others(order)
            if other.at_work and other.index == order.index
        )

    # -- fills ---------------------------------------------------------------------------------

    def _fill_on(self, fill: _Fill, row: Row, key: tuple[int, int]) -> bool:
        """Fill as much as may be on a row; whether anything did."""
        order = fill.order
        quantity = self.fillable(order)
        if self._realistic and quantity and order.type is not OrderType.MARKET_ON_OPEN:
            quantity = self._obtain(order, quantity, row, key)
        if quantity:
            at = self.maker.on_row(order, fill.outcome, row)
            flags = ("ambiguous",) if fill.doubt else ()
            order.triggered = order.is_stop
            self.fill(order, quantity, at, flags, row.release_ns, row)
        elif order.is_stop and not order.triggered:
            order.triggered = True
            self._book.tell(order, row.release_ns, Reason.TRIGGERED)
        return quantity > 0

    def fillable(self, order: WorkingOrder) -> float:
        """What an order may fill: of a reduce-only one no more than closes the position, and
        nothing where it must fill whole and cannot."""
        wanted = order.remaining
        if not order.order.reduce_only:
            return wanted
        room = min(wanted, self._book.reducible(order))
        return room if room == wanted or order.order.tif is not TimeInForce.FOK else 0.0

    def _obtain(self, order: WorkingOrder, wanted: float, row: Row, key: tuple[int, int]) -> float:
        """What the row's liquidity gives."""
        available = self._pools.available(row, key, order.sign)
        if order.order.tif is TimeInForce.FOK and available < wanted:
            return 0.0
        lot = lot_of(order, self._context.instrument(order.order.symbol))
        return self._pools.take(row, key, order.sign, wanted, lot)

    def fill(
        self, order: WorkingOrder, quantity: float, at: Price, flags: tuple[str, ...],
        now_ns: int, row: Row | None = None,
    ) -> None:  # fmt: skip
        """One fill by ``row`` and what it means: its group's other orders, and reduce-only ones."""
        if quantity < order.remaining:
            flags = (*flags, "partial")
        fill = self.maker.make(order, quantity, at, flags, now_ns)
        self.publish(fill)
        self._book.fill(order, quantity, now_ns)
        if order.group is not None:
            for child in self._book.settle_group(order, quantity, now_ns):
                if row is not None and row.start_ns < at.time_ns:  # inside a bar
                    child.entered_ns = row.release_ns
                    child.entry_sure = order.type is OrderType.LIMIT
                if child.session < 0:
                    if child.type is OrderType.TRAILING_STOP:
                        self._set_level(child, fill.price)
                    self.rest(child, now_ns, None if row is None else row.start_ns)
        self._book.cancel_reducing(order, now_ns)
