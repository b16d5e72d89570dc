"""Pair trade: two symbols whose prices move together; bet that a gap between them closes.

The gap is the logarithm of their price ratio, and its z-score over the last minutes says how wide
it is. Both legs are worth the same, one long, one short. Each minute comes as one slice.
"""

from collections import deque
from math import log
from statistics import fmean, pstdev

from app.trading.strategy import Context, Param, SliceView, Strategy


class PairTrade(Strategy):
    lookback = Param(60, ge=2, le=2000, doc="minutes of mean and deviation")
    enter = Param(2.0, gt=0, doc="deviations at which the bet is made")
    leave = Param(0.5, ge=0, doc="deviations at which it is closed")
    value = Param(10_000.0, gt=0, doc="currency of each leg")

    def on_start(self, ctx: Context) -> None:
        if len(ctx.symbols) != 2:
            raise ValueError(f"a pair is two symbols; given: {', '.join(ctx.symbols)}")
        self.gaps: deque[float] = deque(maxlen=self.lookback)
        ctx.schedule("close-10m", "flatten")

    def on_slice(self, ctx: Context, slice: SliceView) -> None:
        bars = slice.bars()
        if len(bars) < 2 or ctx.now_ns > ctx.close_ns - 10 * 60 * 10**9:
            return  # the pair is only known when both have traded
        price = dict(zip(bars.symbol.tolist(), bars.close.tolist(), strict=True))
        gap = log(price[0] / price[1])
        if len(self.gaps) == self.lookback and (width := pstdev(self.gaps)) > 0:
            self.trade(ctx, (gap - fmean(self.gaps)) / width, price)
        self.gaps.append(gap)

    def trade(self, ctx: Context, z: float, price: dict[int, float]) -> None:
        held = ctx.positions()
        if not held and not ctx.open_orders() and abs(z) > self.enter:
            side = -1 if z > 0 else 1  # of the first symbol; the second one is against it
            for place, sign in ((0, side), (1, -side)):
                shares = int(self.value / price[place])
                ctx.target_position(ctx.symbols[place], sign * shares, tag=f"z {z:.1f}")
        elif held and abs(z) < self.leave:
            self.flatten(ctx, f"z {z:.1f}")

    def flatten(self, ctx: Context, why: str) -> None:
        for symbol in ctx.symbols:
            ctx.target_position(symbol, 0, tag=why)

    def on_timer(self, ctx: Context, name: str) -> None:
        self.flatten(ctx, name)
