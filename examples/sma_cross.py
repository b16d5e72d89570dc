"""SMA cross: long while the fast mean of closes is above the slow one, else flat.

How much is bought is for risk to say: the strategy only has a view, a signal.
"""

from talipp.indicators import SMA

from app.trading.strategy import BarEvent, Context, Param, Strategy


class SmaCross(Strategy):
    fast = Param(10, ge=1, le=500, doc="bars of the fast mean")
    slow = Param(30, ge=2, le=1000, doc="bars of the slow mean")

    def on_start(self, ctx: Context) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast}, slow {self.slow}; needed: fast below slow")
        self.means = {symbol: (SMA(self.fast), SMA(self.slow)) for symbol in ctx.symbols}

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        if bar.post_close:  # the closing auction's bar: nothing fills after it
            return
        fast, slow = self.means[bar.symbol]
        for mean in (fast, slow):
            mean.add(bar.close)
            if len(mean) > 10 * self.slow:  # talipp keeps all values; let old ones go
                mean.purge_oldest(5 * self.slow)
        if slow[-1] is None:
            return
        wanted = fast[-1] > slow[-1]
        held = ctx.position(bar.symbol) != 0
        if wanted != held and not ctx.open_orders(bar.symbol):
            ctx.signal(bar.symbol, 1 if wanted else 0)
