"""Long while the mean of 30 trades is above that of 90, else flat: every symbol by itself.

Running sums in plain Python: what is measured is the engine.
"""

from collections import deque

from app.trading.strategy import Context, Strategy, TradeEvent

FAST, SLOW = 30, 90


class Means:
    """The sums of a symbol's last prices, and which side it is on."""

    __slots__ = ("fast", "long", "prices", "slow")

    def __init__(self) -> None:
        self.prices: deque[float] = deque(maxlen=SLOW)
        self.fast = self.slow = 0.0
        self.long = False

    def add(self, price: float) -> bool:
        """Another price; whether it changes the side."""
        prices = self.prices
        if len(prices) < SLOW:
            prices.append(price)
            self.slow += price
            self.fast = sum(list(prices)[-FAST:])
            return False
        self.fast += price - prices[-FAST]
        self.slow += price - prices[0]
        prices.append(price)
        if (self.fast * SLOW > self.slow * FAST) == self.long:
            return False
        self.long = not self.long
        return True


class TradeCross(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.means = {symbol: Means() for symbol in ctx.symbols}

    def on_trade(self, ctx: Context, trade: TradeEvent) -> None:
        means = self.means[trade.symbol]
        if means.add(trade.price):
            ctx.signal(trade.symbol, 1 if means.long else 0)
