"""Uses all that there is: brackets, trailing stops, limits, cancels, timers, ticks."""

from app.trading.strategy import (
    BarEvent,
    Context,
    FillEvent,
    OrderRejectedEvent,
    OrderUpdateEvent,
    Param,
    Strategy,
    TradeEvent,
)


class Brackets(Strategy):
    every = Param(7, ge=1)

    def on_start(self, ctx: Context) -> None:
        self.seen = 0
        self.noted: list[str] = []
        ctx.schedule("open+5m", "early")
        ctx.schedule("close-10m", "late")

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        self.seen += 1
        if self.seen % self.every or bar.post_close:
            return
        if ctx.position(bar.symbol) == 0 and not ctx.open_orders(bar.symbol):
            ctx.order(
                bar.symbol, "buy", 100,
                take_profit=round(bar.close + 0.4, 2), stop_loss=round(bar.close - 0.4, 2),
            )  # fmt: skip
        elif ctx.position(bar.symbol) > 0 and self.seen % 3 == 0:
            ctx.cancel_all()
            ctx.order(bar.symbol, "sell", 100, type="trailing_stop", trail=0.3, reduce_only=True)

    def on_trade(self, ctx: Context, trade: TradeEvent) -> None:
        self.seen += 1
        if self.seen % 11 == 0:
            ctx.order(trade.symbol, "buy", 10, type="limit", limit=round(trade.price - 0.02, 2))
        if self.seen % 17 == 0 and ctx.position(trade.symbol) >= 10:
            ctx.order(trade.symbol, "sell", 10, tif="ioc")

    def on_timer(self, ctx: Context, name: str) -> None:
        if name == "late":
            for symbol in ctx.symbols:
                if ctx.position(symbol) > 0:
                    ctx.order(
                        symbol, "sell", ctx.position(symbol), type="market_on_close",
                        reduce_only=True,
                    )  # fmt: skip

    def on_order(self, ctx: Context, update: OrderUpdateEvent) -> None:
        self.noted.append(update.state)

    def on_fill(self, ctx: Context, fill: FillEvent) -> None:
        self.noted.append(fill.fill_id)

    def on_reject(self, ctx: Context, event: OrderRejectedEvent) -> None:
        self.noted.append(event.code)


class Reverting(Strategy):
    """Signals against moves, sized by risk; short as well."""

    def on_start(self, ctx: Context) -> None:
        self.last: dict[str, float] = {}

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        before = self.last.get(bar.symbol, bar.close)
        self.last[bar.symbol] = bar.close
        if abs(bar.close - before) > 0.3:
            ctx.signal(bar.symbol, -1 if bar.close > before else 1)
        elif ctx.position(bar.symbol) != 0:
            ctx.signal(bar.symbol, 0)


class Reading(Strategy):
    """Trades on the newest bars that it can read, whichever bar it is handed."""

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        closes = ctx.bars(bar.symbol, count=3).close
        if len(closes) == 3:
            ctx.target_position(bar.symbol, 10 if closes[-1] > closes[0] else 0)
