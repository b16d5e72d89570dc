"""What a strategy file imports, all of it from here.

    from app.trading.strategy import BarEvent, Context, Param, Strategy

    class BuyDips(Strategy):
        drop = Param(0.01, gt=0, lt=1, doc="a fall from the open, as a fraction")

        def on_day_start(self, ctx: Context) -> None:
            self.opens: dict[str, float] = {}

        def on_bar(self, ctx: Context, bar: BarEvent) -> None:
            first = self.opens.setdefault(bar.symbol, bar.open)
            if bar.close < first * (1 - self.drop) and not ctx.position(bar.symbol):
                ctx.order(bar.symbol, "buy", 100)

Indicators come from talipp, one value at a time. It keeps all inputs and outputs: let go of old
ones now and then, and keep several times the longest period.

    self.mean = SMA(30)
    self.mean.add(bar.close)             # self.mean[-1] is None until 30 have come
    if len(self.mean) > 1000:
        self.mean.purge_oldest(800)
"""

from __future__ import annotations

from app.model import Flag
from app.trading.data_events import BarEvent, QuoteEvent, TradeEvent
from app.trading.events import FillEvent, OrderRejectedEvent, OrderUpdateEvent
from app.trading.orders import OrderState, OrderType, Role, Side, TimeInForce
from app.trading.services.strategy.base import Strategy
from app.trading.services.strategy.book import OpenOrder
from app.trading.services.strategy.columns import Bars, Quotes, Trades
from app.trading.services.strategy.ctx import Context
from app.trading.services.strategy.params import Param
from app.trading.services.strategy.slabs import SliceView
from app.trading.services.strategy.terms import OrderTerms

__all__ = [
    "BarEvent", "Bars", "Context", "FillEvent", "Flag", "OpenOrder", "OrderRejectedEvent",
    "OrderState", "OrderTerms", "OrderType", "OrderUpdateEvent", "Param", "QuoteEvent", "Quotes",
    "Role", "Side", "SliceView", "Strategy", "TimeInForce", "TradeEvent", "Trades",
]  # fmt: skip
