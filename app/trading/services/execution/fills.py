"""From an outcome to a fill: the policy's price, slippage, costs, and the event.

``realistic`` on bars: who takes gets the bar's vwap (or typical price), never better than where a
stop was reached nor worse than its limit; who rests gets its limit. A vwap that is missing or
lies outside of the bar's own range is replaced by the typical price (high + low + close) / 3.
"""

from __future__ import annotations

from datetime import date

import msgspec

from app.trading.context import RunContext
from app.trading.events import FillEvent
from app.trading.orders import OrderType
from app.trading.sections import ExecutionSection, FillPolicy, SlippageModel
from app.trading.services.execution.costs import Commission, RegulatoryFees, slippage
from app.trading.services.execution.liquidity import row_size
from app.trading.services.execution.outcome import BARS, QUOTES, Outcome, Row, Source
from app.trading.services.execution.working import WorkingOrder


class Price(msgspec.Struct, frozen=True, gc=False):
    """A price before slippage, and what is told of where it came from."""

    price: float
    takes: bool
    source: Source
    time_ns: int
    size: float = 0.0  # shares behind it, where slippage asks for them
    spread: float | None = None  # of a quote


class FillMaker:
    """Prices fills and makes their events."""

    def __init__(self, section: ExecutionSection, context: RunContext) -> None:
        self._slippage = section.slippage
        self._slips = section.slippage.model is not SlippageModel.NONE
        self._realistic = section.policy is FillPolicy.REALISTIC
        self._vwap = section.bar_price == "vwap"
        self._commission = Commission(section.commission, context.minor_digits)
        self._fees = RegulatoryFees(section.regulatory, context.minor_digits)

    def set_date(self, day: date) -> None:
        """The trading date, for dated fees."""
        self._fees.set_date(day)

    def on_row(self, order: WorkingOrder, outcome: Outcome, row: Row) -> Price:
        """The price of an outcome that fills, under the policy."""
        price, takes = outcome.price, outcome.takes
        spread = row.values[2] - row.values[0] if row.source is QUOTES else None
        in_bar = row.source is BARS
        time_ns = row.start_ns if outcome.at_once or not in_bar else row.release_ns
        if in_bar and self._realistic and order.type is not OrderType.MARKET_ON_OPEN:
            price = self._worked(order, outcome, row)
            time_ns = row.release_ns
        size = row_size(row, order.sign) if takes and self._slips else 0.0
        return Price(price, takes, row.source, time_ns, size, spread)

    def _worked(self, order: WorkingOrder, outcome: Outcome, row: Row) -> float:
        if not (outcome.takes or outcome.at_once):
            return outcome.price
        _, high, low, close, _, vwap = row.values[:6]
        price = (high + low + close) / 3
        if self._vwap and low <= vwap <= high:
            price = vwap
        if order.is_stop and not order.triggered:
            price = worse(order.sign, price, outcome.price)
        return price

    def make(
        self, order: WorkingOrder, quantity: float, at: Price, flags: tuple[str, ...], now_ns: int
    ) -> FillEvent:
        """The event of a fill; a limit is never overstepped, whatever the slippage."""
        asked = order.order
        price, told = at.price, 0.0
        if at.takes and self._slips:
            part = quantity / at.size if at.size > 0 else 1.0
            added, told = slippage(self._slippage, price, part, at.spread)
            price += order.sign * added
        final = round(price, 8)
        if order.limit is not None:
            final = min(final, order.limit) if order.sign > 0 else max(final, order.limit)
        if at.takes and told and at.spread is None:
            told = round(order.sign * (final - at.price), 8)
        order.fills += 1
        return FillEvent(
            ts_event_ns=now_ns, fill_id=f"{asked.order_id}-f{order.fills}",
            order_id=asked.order_id, strategy_id=asked.strategy_id, symbol=asked.symbol,
            side=asked.side, quantity=quantity, price=final,
            commission=self._commission.of(quantity, final),
            fees=self._fees.of(asked.side, quantity, final), slippage=told,
            price_time_ns=at.time_ns, arrival_price=order.arrival_price,
            order_type=asked.type, source=str(at.source), flags=flags, tag=asked.tag,
        )  # fmt: skip


def worse(sign: int, left: float, right: float) -> float:
    """The price that a buyer (1) or a seller (-1) likes less."""
    return max(left, right) if sign > 0 else min(left, right)
