"""Long while the mean of 30 closes is above that of 90, else flat: every symbol by itself.

Running sums in plain Python: what is measured is the engine.
"""

from collections import deque

from app.trading.strategy import BarEvent, Context, Strategy

FAST, SLOW = 30, 90


class Means:
    """The sums of a symbol's last closes, and which side it is on."""

    __slots__ = ("closes", "fast", "long", "slow")

    def __init__(self) -> None:
        self.closes: deque[float] = deque(maxlen=SLOW)
        self.fast = self.slow = 0.0
        self.long = False

    def add(self, close: float) -> bool:
        """Another close; whether it changes the side."""
        closes = self.closes
        if len(closes) < SLOW:
            closes.append(close)
            self.slow += close
            self.fast = sum(list(closes)[-FAST:])
            return False
        self.fast += close - closes[-FAST]
        self.slow += close - closes[0]
        closes.append(close)
        if (self.fast * SLOW > self.slow * FAST) == self.long:
            return False
        self.long = not self.long
        return True


class BarCross(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.means = {symbol: Means() for symbol in ctx.symbols}

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        means = self.means[bar.symbol]
        if means.add(bar.close):
            ctx.signal(bar.symbol, 1 if means.long else 0)
