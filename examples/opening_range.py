"""Opening range: buy a break above the first minutes' high, with a stop-loss and a target.

The entry is a stop order. Its exits come with it as a bracket, and whichever fills first cancels
the other. What is left ten minutes before the close is closed, on half days too.
"""

from app.trading.strategy import Context, FillEvent, Param, Strategy


class OpeningRange(Strategy):
    minutes = Param(15, ge=1, le=120, doc="length of the opening range")
    reward = Param(1.5, gt=0, doc="target, as a multiple of the range")
    risk = Param(200.0, gt=0, doc="currency that a stop-loss may cost")

    def on_start(self, ctx: Context) -> None:
        ctx.schedule(f"open+{self.minutes}m", "range")
        ctx.schedule("close-10m", "flatten")

    def on_timer(self, ctx: Context, name: str) -> None:
        if name == "flatten":
            ctx.cancel_all()
        for symbol in ctx.symbols:
            if name == "flatten":
                ctx.target_position(symbol, 0, tag=name)
            else:
                self.enter(ctx, symbol)

    def enter(self, ctx: Context, symbol: str) -> None:
        bars = ctx.bars(symbol, count=self.minutes)
        today = bars.ts_ns >= ctx.open_ns
        if not today.any():
            return
        high, low = bars.high[today].max(), bars.low[today].min()
        size = high - low
        quantity = int(self.risk / size) if size > 0 else 0
        if quantity < 1:
            return
        ctx.order(
            symbol,
            "buy",
            quantity,
            stop=ctx.round_price(symbol, high + 0.01),
            take_profit=ctx.round_price(symbol, high + self.reward * size),
            stop_loss=ctx.round_price(symbol, low),
        )

    def on_fill(self, ctx: Context, fill: FillEvent) -> None:
        ctx.log(f"{fill.side} {fill.quantity:g} {fill.symbol} at {fill.price:g}")
