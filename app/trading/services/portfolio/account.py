"""The account: one cash balance, a book for each strategy and symbol, and their totals."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from decimal import Context, Decimal

import numpy as np

from app.model import Floats
from app.trading.adjust import fraction_of
from app.trading.events import FillEvent
from app.trading.money import ZERO, minor_unit, money
from app.trading.services.portfolio.lots import Book, Closed

_EXACT = Context(prec=60)


class Account:
    """Exact money. ``quantities`` are the net positions by symbol, all strategies together."""

    def __init__(self, initial_cash: Decimal, symbols: int, minor_digits: int) -> None:
        self.cash = initial_cash
        self.cost = ZERO  # of all open lots; negative of shorts
        self.realised = ZERO  # before costs
        self.fees = ZERO  # commissions and fees
        self.quantities: Floats = np.zeros(symbols)
        self.held: dict[int, float] = {}  # those that are not 0
        self._net: dict[int, Decimal] = {}
        self._books: dict[tuple[str, int], Book] = {}
        self._of_symbol: dict[int, list[Book]] = {}
        self._digits = minor_digits

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

    def open_symbols(self) -> list[int]:
        """Symbols in which some strategy has a position."""
        return sorted(s for s, books in self._of_symbol.items() if any(b.lots for b in books))

    def fill(self, symbol: int, fill: FillEvent) -> list[Closed]:
        """Book an execution; the lots that it closed."""
        quantity = money(float(fill.quantity)) * fill.side.sign
        price = Decimal(repr(float(fill.price)))
        cash = -money(_EXACT.multiply(price, quantity))
        costs = money(float(fill.commission))
        if fill.fees:
            costs += money(float(fill.fees))
        book = self.book(fill.strategy_id, symbol)
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
        fraction = fraction_of(book.quantity, lot)
        if not fraction:
            return ZERO, []
        cash = minor_unit(fraction * Decimal(repr(mark)), self._digits)
        return cash, self._trade(book, at_ns, -fraction, mark, cash, ZERO)

    def receive(self, amount: Decimal) -> Decimal:
        """Cash that comes (or goes) without a fill, rounded to the minor unit."""
        rounded = minor_unit(amount, self._digits)
        self.cash += rounded
        return rounded

    def _trade(
        self, book: Book, at_ns: int, quantity: Decimal, price: float, cash: Decimal,
        costs: Decimal,
    ) -> list[Closed]:  # fmt: skip
        cost, realised = book.cost, book.realised
        closed = book.trade(at_ns, quantity, price, cash, costs)
        self.cash += cash - costs
        self.cost += book.cost - cost
        self.realised += book.realised - realised
        self.fees += costs
        self._move(book.symbol, quantity)
        return closed

    def _move(self, symbol: int, quantity: Decimal) -> None:
        net = self._net.get(symbol, ZERO) + quantity
        self._net[symbol] = net
        self.quantities[symbol] = self.held[symbol] = float(net)
        if not net:
            del self.held[symbol]
