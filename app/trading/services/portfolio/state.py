"""The account as an event: exact money, and what its positions are worth at the marks."""

from __future__ import annotations

from collections.abc import Sequence

from app.model import Floats
from app.trading.events import PortfolioStateEvent, PositionState
from app.trading.money import UNITS
from app.trading.services.portfolio.account import Account
from app.trading.services.portfolio.lots import Book
from app.trading.values import MICRO, market_value, total_values, total_values_of_all

_FEW = 16  # symbols; one by one is faster up to about here
_UNITS = UNITS // MICRO  # in a millionth


def position_state(
    book: Book, symbol: str, price: float, mark: float | None, stale: bool
) -> PositionState:
    """One position; valued at ``price`` where there is no mark."""
    quantity = book.quantity / UNITS
    micros = market_value(quantity, price)
    return PositionState(
        strategy_id=book.strategy_id, symbol=symbol, quantity=quantity,
        average_price=book.cost / book.quantity if quantity else 0.0, mark=mark,
        market_value=micros / MICRO, unrealised=(micros * _UNITS - book.cost) / UNITS,
        realised=book.realised / UNITS, fees=book.fees / UNITS, stale=stale,
    )  # fmt: skip


def portfolio_state(
    at_ns: int, account: Account, prices: Floats, positions: Sequence[PositionState]
) -> PortfolioStateEvent:
    """The account at ``prices``, by symbol."""
    if len(account.held) <= _FEW:
        net, gross = total_values(account.held, prices)
    else:
        net, gross = total_values_of_all(account.quantities, prices)
    exact = net * _UNITS
    return PortfolioStateEvent(
        ts_event_ns=at_ns, cash=account.cash_text(),
        equity=(account.cash + exact) / UNITS,
        gross_exposure=gross / MICRO, net_exposure=net / MICRO,
        realised=account.realised / UNITS, unrealised=(exact - account.cost) / UNITS,
        fees=account.fees / UNITS, positions=tuple(positions),
    )  # fmt: skip
