"""A callback for every trade and quote that counts, and does nothing else."""

from app.trading.strategy import Context, QuoteEvent, Strategy, TradeEvent
from benchmarks import tally


class TickCount(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.items = 0

    def on_trade(self, ctx: Context, trade: TradeEvent) -> None:
        self.items += 1

    def on_quote(self, ctx: Context, quote: QuoteEvent) -> None:
        self.items += 1

    def on_end(self, ctx: Context) -> None:
        tally.items = self.items
