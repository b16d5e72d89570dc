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
        self.gross, self._of_strategy, net = book.value(prices)
        self.up = self.down = net
        self._prices = prices
        self._counted: dict[int, Reach] = {}
        for line in book.busy_lines():
            self.count(line)

    def of_strategy(self, line: Line) -> float:
        """Gross of the line's strategy."""
        return self._of_strategy[line.strategy]

    def count(self, line: Line) -> None:
        """The line's open orders are others than before; its position is not."""
        mark = self._prices.item(line.symbol)
        before = self._counted.get(line.number) or held_reach(line, mark)
        after = self._counted[line.number] = line.reach(mark)
        if line.strategy >= len(self._of_strategy):
            self._of_strategy += [0.0] * (line.strategy + 1 - len(self._of_strategy))
        self._of_strategy[line.strategy] += after.worst - before.worst
        self.gross += after.worst - before.worst
        self.up += after.up - before.up
        self.down += after.down - before.down
