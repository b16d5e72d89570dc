"""What it costs to borrow overnight: ACT/365, simple, on the balance at the day's end."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from app.trading.money import ZERO, amount_of
from app.trading.sections import PortfolioSection
from app.trading.services.portfolio.lots import Book

_BPS_YEAR = Decimal(10_000 * 365)


def accrued(balance: Decimal, bps: float, days: int) -> Decimal:
    """Interest on a balance over calendar days at ``bps`` a year; with the sign of the balance."""
    return balance * Decimal(repr(bps)) * days / _BPS_YEAR if bps else ZERO


def on_cash(cash: Decimal, section: PortfolioSection, days: int) -> Decimal:
    """What cash earns, or what negative cash costs (then it is negative)."""
    bps = section.cash_interest_bps if cash > 0 else section.margin_interest_bps
    return accrued(cash, bps, days)


def borrow_costs(books: list[Book], price: Decimal, bps: float, days: int) -> Mapping[str, Decimal]:
    """What each strategy pays to borrow a symbol (negative). Only what the account as a whole is
    short is borrowed; the strategies that are short share it by quantity."""
    net = sum(b.quantity for b in books)
    short = sum(b.quantity for b in books if b.quantity < 0)
    if net >= 0:
        return {}
    cost = accrued(amount_of(net) * price, bps, days)
    return {b.strategy_id: cost * b.quantity / short for b in books if b.quantity < 0}
