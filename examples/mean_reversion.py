"""Mean reversion: buy what has fallen far below its mean, sell it when it is back.

Far is told in standard deviations of the last closes (the z-score). Works on 5m bars.
"""

from talipp.indicators import SMA, StdDev

from app.trading.strategy import BarEvent, Context, Param, Strategy


class MeanReversion(Strategy):
    intervals = (5,)

    lookback = Param(20, ge=2, le=500, doc="bars of mean and deviation")
    enter = Param(2.0, gt=0, doc="buy below this many deviations under the mean")
    leave = Param(0.5, ge=0, doc="sell above this many deviations under the mean")
    quantity = Param(100, ge=1, doc="shares of a position")

    def on_start(self, ctx: Context) -> None:
        self.mean = {symbol: SMA(self.lookback) for symbol in ctx.symbols}
        self.deviation = {symbol: StdDev(self.lookback) for symbol in ctx.symbols}
        ctx.schedule("close-10m", "flatten")

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        mean, deviation = self.mean[bar.symbol], self.deviation[bar.symbol]
        for indicator in (mean, deviation):
            indicator.add(bar.close)
            if len(indicator) > 10 * self.lookback:
                indicator.purge_oldest(5 * self.lookback)
        if not deviation[-1] or bar.release_ns > ctx.close_ns - 10 * 60 * 10**9:
            return
        z = (bar.close - mean[-1]) / deviation[-1]
        if z < -self.enter:
            ctx.target_position(bar.symbol, self.quantity, tag=f"z {z:.1f}")
        elif z > -self.leave:
            ctx.target_position(bar.symbol, 0, tag=f"z {z:.1f}")

    def on_timer(self, ctx: Context, name: str) -> None:
        for symbol in ctx.positions():
            ctx.target_position(symbol, 0, tag=name)
