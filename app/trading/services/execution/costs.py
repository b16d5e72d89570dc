"""What a fill costs: slippage, commission and dated regulatory fees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from math import sqrt

from app.trading.money import ZERO, minor_unit, money
from app.trading.orders import Side
from app.trading.sections import (
    CommissionSection,
    RegulatoryFee,
    SlippageModel,
    SlippageSection,
)

_BPS = 10_000


class Commission:
    """The sum of its parts, at least the minimum, rounded to the minor unit half to even."""

    def __init__(self, section: CommissionSection, digits: int) -> None:
        self._per_share = money(section.per_share)
        self._percent = Decimal(repr(section.percent))
        self._flat = money(section.flat)
        self._minimum = money(section.minimum)
        self._free = not (self._per_share or self._percent or self._flat or self._minimum)
        self._digits = digits
        self._of_shares = lru_cache(1024)(self._work_out)  # the same quantities come again

    def of(self, quantity: float, price: float) -> float:
        """In currency, for one fill."""
        if self._free:
            return 0.0
        return self._work_out(quantity, price) if self._percent else self._of_shares(quantity)

    def _work_out(self, quantity: float, price: float = 0.0) -> float:
        shares = money(quantity)
        whole = self._flat + self._per_share * shares
        if self._percent:
            whole += self._percent * shares * money(price)
        return float(minor_unit(max(whole, self._minimum), self._digits))


class RegulatoryFees:
    """The rows that count on a trading date: of each name and side the newest ``since`` that is
    not after it. Their sum is rounded once, to the minor unit half to even."""

    def __init__(self, table: Sequence[RegulatoryFee], digits: int) -> None:
        self._table = table
        self._digits = digits
        self._rows: list[RegulatoryFee] = []

    def set_date(self, day: date) -> None:
        newest: dict[tuple[str, str], RegulatoryFee] = {}
        for row in sorted(self._table, key=lambda row: row.since):
            if row.since <= day:
                newest[row.name, row.side] = row
        self._rows = list(newest.values())

    def of(self, side: Side, quantity: float, price: float) -> float:
        """In currency, for one fill."""
        if not self._rows:
            return 0.0
        shares = money(quantity)
        notional = shares * money(price)
        total = ZERO
        for row in self._rows:
            if row.side in (side.value, "both"):
                fee = Decimal(repr(row.percent)) * notional
                fee += Decimal(repr(row.per_share)) * shares
                total += fee if row.maximum is None else min(fee, Decimal(repr(row.maximum)))
        return float(minor_unit(total, self._digits))


def slippage(
    section: SlippageSection, price: float, participation: float, spread: float | None
) -> tuple[float, float]:
    """What a taker pays beyond ``price``, and the slippage to be told, both a share, adverse.

    ``spread`` is the quote's own: the price is then its opposite side, which lies half the spread
    from the middle already, so the model ``spread`` tells it and adds nothing. ``volume`` grows
    with the square root of the participation (the square-root law of market impact; Almgren et
    al., Direct Estimation of Equity Market Impact, 2005, find an exponent of 0.6).
    """
    model = section.model
    if model is SlippageModel.NONE:
        return 0.0, 0.0
    if model is SlippageModel.SPREAD:
        if spread is not None:
            return 0.0, spread / 2
        added = price * section.bps / 2 / _BPS
    elif model is SlippageModel.VOLUME:
        added = price * section.bps / _BPS * sqrt(participation)
    else:
        added = price * section.bps / _BPS
    return added, added
