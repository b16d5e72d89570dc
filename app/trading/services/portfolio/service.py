"""The portfolio: cash, lots, profit and loss, and the equity curve, from what the bus brings.

Fills and corporate actions are booked as they come, in exact money. Market data is only noted,
and valued when a price is asked for, or when a window is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Self

import numpy as np

from app.errors import TapedeckError
from app.trading.bus import EventBus, Phase
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.events import (
    BacktestEndEvent,
    BacktestStartEvent,
    CashEvent,
    ControlEvent,
    CorporateActionEvent,
    DayEndEvent,
    FillEvent,
    PositionState,
    RoundTripEvent,
    StaleSymbolEvent,
    ValuationTriggerEvent,
    WarningEvent,
)
from app.trading.money import UNITS, amount_of, units
from app.trading.orders import Side
from app.trading.sections import PortfolioSection
from app.trading.service import BacktestService
from app.trading.services.portfolio.account import Account
from app.trading.services.portfolio.interest import borrow_costs, on_cash
from app.trading.services.portfolio.lots import Book, Closed
from app.trading.services.portfolio.state import portfolio_state, position_state
from app.trading.services.portfolio.valuation import Valuation


class PortfolioService(BacktestService):
    """One cash account for all strategies; positions are kept by strategy and symbol.

    ``realised`` is before costs: equity - initial cash = realised + unrealised - fees + the
    amounts of all CashEvents but those of split fractions, whose gain is realised like a sale's.
    """

    NAME = "portfolio"
    RANK = 20
    PHASE = Phase.MARKET

    def __init__(self, section: PortfolioSection, event_bus: EventBus) -> None:
        super().__init__(event_bus)
        run = self.context
        cash = units(section.initial_cash)
        self._section = section
        self._account = Account(cash, len(run.symbols), run.minor_digits)
        self._valuation = Valuation(cash, len(run.symbols))
        self._number = {symbol: i for i, symbol in enumerate(run.symbols)}
        self._fill_ids: set[str] = set()
        self._touched: set[tuple[str, int]] = set()  # since the last state
        self._stale: set[int] = set()
        self._unmarked: set[int] = set()  # symbols that were warned of

    @classmethod
    def from_config(cls, section: PortfolioSection, event_bus: EventBus) -> Self:
        return cls(section, event_bus)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            BacktestStartEvent: self._on_start,
            MarketEvent: self._on_market,
            FillEvent: self._on_fill,
            CorporateActionEvent: self._on_action,
            ValuationTriggerEvent: self._on_valuation,
            DayEndEvent: self._on_day_end,
            ControlEvent: self._on_control,
            BacktestEndEvent: self._on_end,
        }

    # -- life and market data ----------------------------------------------------------------

    def _on_start(self, event: BacktestStartEvent) -> None:
        self._valuation.curve.start(event.ts_event_ns)

    def _on_market(self, event: MarketEvent) -> None:
        points = self._valuation.note(event)
        if points is not None:
            self.publish(points)

    def _on_valuation(self, event: ValuationTriggerEvent) -> None:
        touched: list[PositionState] = []
        if self._touched:
            touched = [self._position(*key) for key in sorted(self._touched)]
            self._touched.clear()
        prices = self._valuation.marks.prices
        self.publish(portfolio_state(event.ts_event_ns, self._account, prices, touched))

    def _on_control(self, event: ControlEvent) -> None:
        if event.kind == "eof":
            day = self.context.day_at(event.ts_event_ns)
            self._report_stale(event.ts_event_ns, day, self._account.open_symbols())
            self._publish_points(self._valuation.flush())

    def _on_end(self, event: BacktestEndEvent) -> None:
        if event.outcome == "stopped":
            self._publish_points(self._valuation.flush())
        elif event.outcome == "failed":
            with suppress(TapedeckError):  # a value beyond all bounds is why it failed
                self._publish_points(self._valuation.flush())

    def _publish_points(self, points: EquityEvent | None) -> None:
        if points is not None:
            self.publish(points)

    def _position(self, strategy_id: str, symbol: int) -> PositionState:
        book, marks = self._account.book(strategy_id, symbol), self._valuation.marks
        name, price = self.context.symbols[symbol], marks.price(symbol)
        mark = price if marks.has(symbol) else None
        return position_state(book, name, price, mark, symbol in self._stale)

    # -- fills -------------------------------------------------------------------------------

    def _on_fill(self, fill: FillEvent) -> None:
        if fill.fill_id in self._fill_ids:
            self._warn(
                fill.ts_event_ns, "duplicate_fill", f"{fill.fill_id} came twice", fill.symbol
            )
            return
        self._fill_ids.add(fill.fill_id)
        symbol = self._number[fill.symbol]
        price = self._valuation.assume(symbol, fill.price)
        self._mark_lots(symbol, fill.ts_event_ns)
        closed = self._account.fill(symbol, fill)
        if closed:
            self._publish_round_trips(fill.ts_event_ns, fill.strategy_id, fill.symbol, closed)
        self._touched.add((fill.strategy_id, symbol))
        self._step(fill.ts_event_ns, symbol, price)

    def _mark_lots(self, symbol: int, now_ns: int) -> None:
        """Give open lots the range of the marks that came before now."""
        low, high = self._valuation.range_of_marks(symbol, now_ns)
        if low <= high:
            for book in self._account.books(symbol):
                book.mark(low, high)

    def _step(self, now_ns: int, symbol: int, price: float = np.nan) -> None:
        """Positions in a symbol have changed; ``price``: its mark, where no row brought it."""
        account = self._account
        quantity, some = account.quantities.item(symbol), account.is_open(symbol)
        self._valuation.step(now_ns, account.cash, symbol, quantity, some, price)

    def _publish_round_trips(
        self, now_ns: int, strategy_id: str, symbol: str, closed: list[Closed]
    ) -> None:
        for part in closed:
            self.publish(_round_trip(now_ns, strategy_id, symbol, part))

    # -- corporate actions -------------------------------------------------------------------

    def _on_action(self, event: CorporateActionEvent) -> None:
        symbol = self._number.get(event.symbol)
        if symbol is None:
            return
        if event.kind == "split":
            self._split(event, symbol)
        else:
            self._pay_dividend(event, symbol)

    def _split(self, event: CorporateActionEvent, symbol: int) -> None:
        self._mark_lots(symbol, event.ts_event_ns)
        marks = self._valuation.marks
        marks.split(symbol, event.ratio)
        for book in self._open_books(symbol):
            self._account.split(book, event.ratio)
            self._pay_fraction(event, book, marks.price(symbol))
            self._touched.add((book.strategy_id, symbol))
        self._step(event.ts_event_ns, symbol, marks.price(symbol))

    def _pay_fraction(self, event: CorporateActionEvent, book: Book, mark: float) -> None:
        before, now_ns = book.quantity, event.ts_event_ns
        lot = self.context.instrument(event.symbol).lot
        cash, closed = self._account.pay_fraction(book, lot, mark, now_ns)
        if closed:
            paid = (before - book.quantity) / UNITS
            self._publish_cash(now_ns, "split_fraction", cash, event.symbol, book, paid)
            self._publish_round_trips(now_ns, book.strategy_id, event.symbol, closed)

    def _pay_dividend(self, event: CorporateActionEvent, symbol: int) -> None:
        """Longs receive it, shorts pay it."""
        amount = Decimal(repr(event.amount))
        for book in self._open_books(symbol):
            paid = amount_of(book.quantity) * amount
            self._receive(event.ts_event_ns, "dividend", paid, event.symbol, book)
            self._touched.add((book.strategy_id, symbol))

    def _open_books(self, symbol: int) -> list[Book]:
        return [book for book in self._account.books(symbol) if book.lots]

    # -- the day's end -----------------------------------------------------------------------

    def _on_day_end(self, event: DayEndEvent) -> None:
        now_ns = event.ts_event_ns
        opened = self._account.open_symbols()
        self._report_stale(now_ns, event.day, opened)
        self._report_unmarked(now_ns, opened)
        if event.day + 1 < len(self.context.days):
            days = self.context.days
            nights = (days[event.day + 1].date - days[event.day].date).days
            self._charge(now_ns, nights, opened)
        self._publish_points(self._valuation.end_day(now_ns))

    def _report_stale(self, now_ns: int, day: int, opened: Sequence[int]) -> None:
        """Symbols without any data on this day, nor after it, in which a position is open."""
        for symbol in opened:
            last_ns = self.context.market.ends(symbol)
            over = last_ns is None or last_ns < self.context.days[day].first_ns
            if over and symbol not in self._stale:
                self._stale.add(symbol)
                self._touched.update((b.strategy_id, symbol) for b in self._open_books(symbol))
                name = self.context.symbols[symbol]
                self.publish(StaleSymbolEvent(ts_event_ns=now_ns, symbol=name, last_ns=last_ns))

    def _report_unmarked(self, now_ns: int, opened: Sequence[int]) -> None:
        for symbol in opened:
            if not self._valuation.marks.has(symbol) and symbol not in self._unmarked:
                self._unmarked.add(symbol)
                name = self.context.symbols[symbol]
                text = (
                    f"{name} has no eligible trade or 1m bar: its position is valued at its fills"
                )
                self._warn(now_ns, "no_mark", text, name)

    def _charge(self, now_ns: int, days: int, opened: Sequence[int]) -> None:
        """Interest and the cost of borrowing until the next trading day."""
        interest = on_cash(amount_of(self._account.cash), self._section, days)
        if interest:
            self._receive(now_ns, "interest", interest)
        for symbol in opened:
            name = self.context.symbols[symbol]
            bps = self.context.instrument(name).borrow_bps or self._section.borrow_bps
            if not bps:
                continue
            price = Decimal(repr(self._valuation.marks.price(symbol)))
            books = {b.strategy_id: b for b in self._open_books(symbol)}
            for strategy_id, cost in borrow_costs(list(books.values()), price, bps, days).items():
                self._receive(now_ns, "borrow", cost, name, books[strategy_id])

    def _receive(
        self, now_ns: int, kind: str, amount: Decimal, symbol: str | None = None,
        book: Book | None = None,
    ) -> None:  # fmt: skip
        """Cash that comes, or goes, for no trade; nothing where it rounds to nothing."""
        cash = self._account.receive(amount)
        if cash:
            quantity = book.quantity / UNITS if book else 0.0
            self._publish_cash(now_ns, kind, cash, symbol, book, quantity)
            self._valuation.receive(now_ns, self._account.cash)

    # -- what is published ---------------------------------------------------------------------

    def _publish_cash(
        self, now_ns: int, kind: str, amount: Decimal, symbol: str | None, book: Book | None,
        quantity: float,
    ) -> None:  # fmt: skip
        self.publish(
            CashEvent(
                ts_event_ns=now_ns, kind=kind, amount=str(amount), symbol=symbol,
                strategy_id=book.strategy_id if book else None, quantity=quantity,
            )
        )  # fmt: skip

    def _warn(self, now_ns: int, code: str, text: str, symbol: str) -> None:
        self.publish(WarningEvent(ts_event_ns=now_ns, code=code, text=text, symbol=symbol))


def _round_trip(now_ns: int, strategy_id: str, symbol: str, part: Closed) -> RoundTripEvent:
    """The excursions count the price at which the lot was left as a mark."""
    long = part.quantity > 0
    low, high = min(part.low, part.exit_price), max(part.high, part.exit_price)
    worst, best = low - part.entry_price, high - part.entry_price
    return RoundTripEvent(
        ts_event_ns=now_ns, strategy_id=strategy_id, symbol=symbol,
        side=Side.BUY if long else Side.SELL, quantity=abs(part.quantity) / UNITS,
        entry_ns=part.entry_ns, entry_price=part.entry_price, exit_price=part.exit_price,
        pnl=(part.realised - part.costs) / UNITS, costs=part.costs / UNITS,
        mae=worst if long else -best, mfe=best if long else -worst,
    )  # fmt: skip
