"""The account as an event: exact money, and what its positions are worth at the marks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.model import Floats
from app.trading.events import PortfolioStateEvent, PositionState
from app.trading.services.portfolio.account import Account
from app.trading.services.portfolio.lots import Book
from app.trading.values import MICRO, from_micros, market_value, market_values, net_value

_FEW = 16  # symbols; one by one is faster up to about here


def position_state(
    book: Book, symbol: str, price: float, mark: float | None, stale: bool
) -> PositionState:
    """One position; valued at ``price`` where there is no mark."""
    quantity = float(book.quantity)
    micros = market_value(quantity, price)
    return PositionState(
        strategy_id=book.strategy_id, symbol=symbol, quantity=quantity,
        average_price=float(book.cost / book.quantity) if quantity else 0.0, mark=mark,
        market_value=micros / MICRO, unrealised=float(from_micros(micros) - book.cost),
        realised=float(book.realised), fees=float(book.fees), stale=stale,
    )  # fmt: skip


def portfolio_state(
    at_ns: int, account: Account, prices: Floats, positions: Sequence[PositionState]
) -> PortfolioStateEvent:
    """The account at ``prices``, by symbol."""
    net, gross = _totals(account, prices)
    exact = from_micros(net)
    return PortfolioStateEvent(
        ts_event_ns=at_ns, cash=str(account.cash), equity=float(account.cash + exact),
        gross_exposure=gross / MICRO, net_exposure=net / MICRO,
        realised=float(account.realised), unrealised=float(exact - account.cost),
        fees=float(account.fees), positions=tuple(positions),
    )  # fmt: skip


def _totals(account: Account, prices: Floats) -> tuple[int, int]:
    """The sum of the market values of all symbols, and that of their sizes, in millionths."""
    if len(account.held) > _FEW:
        values = market_values(account.quantities, prices)
        return int(values.sum()), int(np.abs(values).sum())
    net = gross = 0
    for symbol, quantity in account.held.items():
        value = net_value(quantity, prices.item(symbol))
        net += value
        gross += abs(value)
    return net, gross
