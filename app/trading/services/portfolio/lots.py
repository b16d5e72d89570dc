"""First in, first out: the lots of one strategy in one symbol, in exact money.

Quantities and amounts are whole numbers of 1e-8. Amounts are conserved: what a lot or a fill cost
is dealt out to its parts, and the last part takes what is left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from app.trading.adjust import shares_after
from app.trading.money import amount_of, proportion, units_of


@dataclass(slots=True)
class Lot:
    """What is left of one opening fill. ``quantity`` and ``cost`` are negative of a short."""

    quantity: int
    cost: int  # its notional
    costs: int  # its share of commission and fees
    price: float
    entry_ns: int
    low: float = inf  # of the marks while it was open
    high: float = -inf


class Closed(NamedTuple):
    """A lot, or part of one, that was closed. ``realised`` is before costs."""

    quantity: int  # as the lot's
    entry_ns: int
    entry_price: float
    exit_price: float
    realised: int
    costs: int
    low: float  # of the marks while it was open
    high: float


class Deal:
    """Two amounts dealt out in proportion to parts of a whole."""

    __slots__ = ("_first", "_left", "_second")

    def __init__(self, whole: int, first: int, second: int) -> None:
        self._left, self._first, self._second = whole, first, second

    def take(self, part: int) -> tuple[int, int]:
        """What belongs to the next ``part`` of the whole; to its last all that is left."""
        first, second, left = self._first, self._second, self._left
        if part != left:
            first, second = proportion(first, part, left), proportion(second, part, left)
        self._first -= first
        self._second -= second
        self._left -= part
        return first, second


@dataclass(slots=True)
class Book:
    """One position: its open lots, oldest first, and what it has come to so far."""

    strategy_id: str
    symbol: int
    quantity: int = 0  # signed, as all that follow but the fees
    cost: int = 0
    realised: int = 0  # before costs
    fees: int = 0
    lots: deque[Lot] = field(default_factory=deque)

    def trade(self, at_ns: int, quantity: int, price: float, cash: int, costs: int) -> list[Closed]:
        """Buy (``quantity`` above 0) or sell for ``cash``: close what is open, open the rest."""
        self.fees += costs
        deal = Deal(quantity, cash, costs)
        closed: list[Closed] = []
        if self.lots and (quantity > 0) != (self.quantity > 0):
            closed = self._close(quantity, price, deal)
            for part in closed:
                quantity += part.quantity
        if quantity:
            received, share = deal.take(quantity)
            self.lots.append(Lot(quantity, -received, share, price, at_ns))
            self.quantity += quantity
            self.cost -= received
        return closed

    def _close(self, quantity: int, price: float, deal: Deal) -> list[Closed]:
        """Close lots against an opposite quantity, as far as there are any."""
        closed = []
        while self.lots and (quantity or not self.lots[0].quantity):
            lot = self.lots[0]
            part = lot.quantity if abs(lot.quantity) <= abs(quantity) else -quantity
            closed.append(self._close_part(lot, part, price, *deal.take(-part)))
            quantity += part
        return closed

    def _close_part(self, lot: Lot, part: int, price: float, cash: int, exit_costs: int) -> Closed:
        """Close ``part`` of the oldest lot, or all of it."""
        if part == lot.quantity:
            cost, entry_costs = lot.cost, lot.costs
            self.lots.popleft()
        else:
            cost, entry_costs = Deal(lot.quantity, lot.cost, lot.costs).take(part)
            lot.quantity -= part
            lot.cost -= cost
            lot.costs -= entry_costs
        self.quantity -= part
        self.cost -= cost
        self.realised += cash - cost
        return Closed(
            part, lot.entry_ns, lot.price, price, cash - cost, entry_costs + exit_costs,
            lot.low, lot.high,
        )  # fmt: skip

    def mark(self, low: float, high: float) -> None:
        """Marks between these have come while all of these lots were open."""
        for lot in self.lots:
            if low < lot.low:
                lot.low = low
            if high > lot.high:
                lot.high = high

    def split(self, ratio: float) -> None:
        """More shares (or fewer) at the same cost."""
        before = after = 0
        for lot in self.lots:
            before += lot.quantity
            quantity = units_of(shares_after(amount_of(before), ratio)) - after
            after += quantity
            lot.quantity = quantity
            lot.price /= ratio
            lot.low /= ratio
            lot.high /= ratio
        self.quantity = after
