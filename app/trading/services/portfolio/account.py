"""The account: one cash balance, a book for each strategy and symbol, and their totals."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from app.model import Floats
from app.trading.adjust import fraction_of
from app.trading.events import FillEvent
from app.trading.money import UNITS, ZERO, amount_of, minor_unit, notional, units, units_of
from app.trading.services.portfolio.lots import Book, Closed


class Account:
    """Exact money: amounts are whole numbers of 1e-8. ``quantities`` are the net positions by
    symbol, in shares, all strategies together."""

    def __init__(self, initial_cash: int, symbols: int, minor_digits: int) -> None:
        self.cash = initial_cash
        self.cost = 0  # of all open lots; negative of shorts
        self.realised = 0  # before costs
        self.fees = 0  # commissions and fees
        self.quantities: Floats = np.zeros(symbols)
        self.held: dict[int, float] = {}  # those that are not 0
        self._net: dict[int, int] = {}
        self._books: dict[tuple[str, int], Book] = {}
        self._of_symbol: dict[int, list[Book]] = {}
        self._digits = minor_digits
        self._told = initial_cash, str(amount_of(initial_cash))

    def cash_text(self) -> str:
        """The cash as a decimal number; mostly asked for anew where it has not changed."""
        if self._told[0] != self.cash:
            self._told = self.cash, str(amount_of(self.cash))
        return self._told[1]

    def book(self, strategy_id: str, symbol: int) -> Book:
        """The position of a strategy in a symbol; an empty one where it has none."""
        found = self._books.get((strategy_id, symbol))
        if found is None:
            found = self._books[strategy_id, symbol] = Book(strategy_id, symbol)
            insort(self._of_symbol.setdefault(symbol, []), found, key=lambda b: b.strategy_id)
        return found

    def books(self, symbol: int) -> Sequence[Book]:
        """All positions in a symbol that there ever were, by strategy."""
        return self._of_symbol.get(symbol, ())

    def is_open(self, symbol: int) -> bool:
        """Whether some strategy has a position in a symbol."""
        for book in self._of_symbol.get(symbol, ()):  # noqa: SIM110 (half the time)
            if book.lots:
                return True
        return False

    def open_symbols(self) -> list[int]:
        """Symbols in which some strategy has a position."""
        return sorted(s for s in self._of_symbol if self.is_open(s))

    def fill(self, symbol: int, fill: FillEvent) -> list[Closed]:
        """Book an execution; the lots that it closed."""
        quantity = units(fill.quantity) * fill.side.sign
        costs = units(fill.commission)
        if fill.fees:
            costs += units(fill.fees)
        book = self.book(fill.strategy_id, symbol)
        cash = -notional(fill.price, quantity)
        return self._trade(book, fill.ts_event_ns, quantity, fill.price, cash, costs)

    def split(self, book: Book, ratio: float) -> None:
        """More shares, or fewer, for each one; the cost stays."""
        before = book.quantity
        book.split(ratio)
        self._move(book.symbol, book.quantity - before)

    def pay_fraction(
        self, book: Book, lot: float, mark: float, at_ns: int
    ) -> tuple[Decimal, list[Closed]]:
        """Settle in cash what a split left below a whole share; the cash that came."""
        fraction = fraction_of(amount_of(book.quantity), lot)
        if not fraction:
            return ZERO, []
        cash = minor_unit(fraction * Decimal(repr(mark)), self._digits)
        sold = -units_of(fraction)
        return cash, self._trade(book, at_ns, sold, mark, units_of(cash), 0)

    def receive(self, amount: Decimal) -> Decimal:
        """Cash that comes (or goes) without a fill, rounded to the minor unit."""
        rounded = minor_unit(amount, self._digits)
        self.cash += units_of(rounded)
        return rounded

    def _trade(
        self, book: Book, at_ns: int, quantity: int, price: float, cash: int, costs: int
    ) -> list[Closed]:
        cost, realised = book.cost, book.realised
        closed = book.trade(at_ns, quantity, price, cash, costs)
        self.cash += cash - costs
        self.cost += book.cost - cost
        self.realised += book.realised - realised
        self.fees += costs
        self._move(book.symbol, quantity)
        return closed

    def _move(self, symbol: int, quantity: int) -> None:
        net = self._net.get(symbol, 0) + quantity
        self._net[symbol] = net
        self.quantities[symbol] = self.held[symbol] = net / UNITS
        if not net:
            del self.held[symbol]
