"""Long while the mean of 30 trades is above that of 90, else flat: every symbol by itself."""

from talipp.indicators import SMA

from app.trading.strategy import Context, Strategy, TradeEvent


class TradeCross(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.means = {symbol: (SMA(30), SMA(90)) for symbol in ctx.symbols}
        self.long = dict.fromkeys(ctx.symbols, False)

    def on_trade(self, ctx: Context, trade: TradeEvent) -> None:
        fast, slow = self.means[trade.symbol]
        fast.add(trade.price)
        slow.add(trade.price)
        slow_now = slow[-1]
        if slow_now is None:
            return
        up = fast[-1] > slow_now
        if up != self.long[trade.symbol]:
            self.long[trade.symbol] = up
            ctx.signal(trade.symbol, 1 if up else 0)
