"""Gross and net of the account at one T, with all that open orders may add to it."""

from __future__ import annotations

from app.model import Floats
from app.trading.services.risk.book import Book
from app.trading.services.risk.line import Line, Reach, held_reach


class Exposure:
    """In currency. Gross is the sum over strategies: one does not net another's position.

    ``up`` is the net if all buys fill and no sells, ``down`` the opposite; signed.
    """

    def __init__(self, book: Book, prices: Floats) -> None:
        held = book.value(prices)
        self.gross, self._of_strategy = held.gross, held.of_strategy
        self.up = self.down = held.net
        self._prices = prices
        self._counted: dict[int, Reach] = {}
        for line in book.busy_lines():
            self.count(line)

    def of_strategy(self, line: Line) -> float:
        """Gross of the line's strategy."""
        return self._of_strategy[line.strategy]

    def count(self, line: Line) -> None:
        """The line's open orders are others than before; its position is not."""
        mark, number, of_strategy = self._prices.item(line.symbol), line.strategy, self._of_strategy
        before = self._counted.get(line.number) or held_reach(line, mark)
        after = self._counted[line.number] = line.reach(mark)
        if number >= len(of_strategy):
            of_strategy += [0.0] * (number + 1 - len(of_strategy))
        more = after.worst - before.worst
        of_strategy[number] += more
        self.gross += more
        self.up += after.up - before.up
        self.down += after.down - before.down
