"""The account as an event: exact money, and what its positions are worth at the marks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.model import Floats
from app.trading.events import PortfolioStateEvent, PositionState
from app.trading.services.portfolio.account import Account
from app.trading.services.portfolio.lots import Book
from app.trading.values import from_micros, market_value, market_values


def position_state(
    book: Book, symbol: str, price: float, mark: float | None, stale: bool
) -> PositionState:
    """One position; valued at ``price`` where there is no mark."""
    value = from_micros(market_value(float(book.quantity), price))
    average = float(book.cost / book.quantity) if book.quantity else 0.0
    return PositionState(
        strategy_id=book.strategy_id, symbol=symbol, quantity=float(book.quantity),
        average_price=average, mark=mark, market_value=float(value),
        unrealised=float(value - book.cost), realised=float(book.realised),
        fees=float(book.fees), stale=stale,
    )  # fmt: skip


def portfolio_state(
    at_ns: int, account: Account, prices: Floats, positions: Sequence[PositionState]
) -> PortfolioStateEvent:
    """The account at ``prices``, by symbol."""
    values = market_values(account.quantities, prices)
    net = from_micros(int(values.sum()))
    return PortfolioStateEvent(
        ts_event_ns=at_ns, cash=str(account.cash), equity=float(account.cash + net),
        gross_exposure=float(from_micros(int(np.abs(values).sum()))), net_exposure=float(net),
        realised=float(account.realised), unrealised=float(net - account.cost),
        fees=float(account.fees), positions=tuple(positions),
    )  # fmt: skip
