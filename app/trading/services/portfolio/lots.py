"""First in, first out: the lots of one strategy in one symbol, in exact money.

Amounts are conserved: what a lot or a fill cost is dealt out to its parts at 1e-8, and the last
part takes what is left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from typing import NamedTuple

from app.trading.adjust import shares_after
from app.trading.money import ZERO, money


@dataclass(slots=True)
class Lot:
    """What is left of one opening fill. ``quantity`` and ``cost`` are negative of a short."""

    quantity: Decimal
    cost: Decimal  # its notional
    costs: Decimal  # its share of commission and fees
    price: float
    entry_ns: int
    low: float = inf  # of the marks while it was open
    high: float = -inf


class Closed(NamedTuple):
    """A lot, or part of one, that was closed. ``realised`` is before costs."""

    quantity: Decimal  # as the lot's
    entry_ns: int
    entry_price: float
    exit_price: float
    realised: Decimal
    costs: Decimal
    low: float  # of the marks while it was open
    high: float


class Deal:
    """Two amounts dealt out in proportion to parts of a whole."""

    __slots__ = ("_first", "_left", "_second")

    def __init__(self, whole: Decimal, first: Decimal, second: Decimal) -> None:
        self._left, self._first, self._second = whole, first, second

    def take(self, part: Decimal) -> tuple[Decimal, Decimal]:
        """What belongs to the next ``part`` of the whole; to its last all that is left."""
        first, second = self._first, self._second
        if part != self._left:
            first, second = money(first * part / self._left), money(second * part / self._left)
        self._first -= first
        self._second -= second
        self._left -= part
        return first, second


@dataclass(slots=True)
class Book:
    """One position: its open lots, oldest first, and what it has come to so far."""

    strategy_id: str
    symbol: int
    quantity: Decimal = ZERO  # signed, as all that follow but the fees
    cost: Decimal = ZERO
    realised: Decimal = ZERO  # before costs
    fees: Decimal = ZERO
    lots: deque[Lot] = field(default_factory=deque)

    def trade(
        self, at_ns: int, quantity: Decimal, price: float, cash: Decimal, costs: Decimal
    ) -> list[Closed]:
        """Buy (``quantity`` above 0) or sell for ``cash``: close what is open, open the rest."""
        self.fees += costs
        deal = Deal(quantity, cash, costs)
        closed = []
        if (quantity > 0) != (self.quantity > 0):
            closed = self._close(quantity, price, deal)
        opened = quantity + sum([c.quantity for c in closed]) if closed else quantity
        if opened:
            received, share = deal.take(opened)
            self.lots.append(Lot(opened, -received, share, price, at_ns))
            self.quantity += opened
            self.cost -= received
        return closed

    def _close(self, quantity: Decimal, price: float, deal: Deal) -> list[Closed]:
        """Close lots against an opposite quantity, as far as there are any."""
        closed = []
        while self.lots and (quantity or not self.lots[0].quantity):
            lot = self.lots[0]
            part = lot.quantity if abs(lot.quantity) <= abs(quantity) else -quantity
            closed.append(self._close_part(lot, part, price, *deal.take(-part)))
            quantity += part
        return closed

    def _close_part(
        self, lot: Lot, part: Decimal, price: float, cash: Decimal, exit_costs: Decimal
    ) -> Closed:
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
        before = after = ZERO
        for lot in self.lots:
            before += lot.quantity
            quantity = shares_after(before, ratio) - after
            after += quantity
            lot.quantity = quantity
            lot.price /= ratio
            lot.low /= ratio
            lot.high /= ratio
        self.quantity = after
