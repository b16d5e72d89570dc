"""Long while the mean of 30 closes is above that of 90, else flat: every symbol by itself."""

from talipp.indicators import SMA

from app.trading.strategy import BarEvent, Context, Strategy


class BarCross(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.means = {symbol: (SMA(30), SMA(90)) for symbol in ctx.symbols}
        self.long = dict.fromkeys(ctx.symbols, False)

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        fast, slow = self.means[bar.symbol]
        fast.add(bar.close)
        slow.add(bar.close)
        slow_now = slow[-1]
        if slow_now is None:
            return
        up = fast[-1] > slow_now
        if up != self.long[bar.symbol]:
            self.long[bar.symbol] = up
            ctx.signal(bar.symbol, 1 if up else 0)
