"""An SMA cross as a user writes it; ``tests/trading/oracle/sma.py`` says what it must do."""

from collections import defaultdict, deque

from app.trading.strategy import BarEvent, Context, Param, Strategy


class Sma(Strategy):
    fast = Param(10, ge=1)
    slow = Param(30, ge=2)
    quantity = Param(100, ge=1)

    def on_start(self, ctx: Context) -> None:
        self.closes: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=self.slow))

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        closes = self.closes[bar.symbol]
        if bar.post_close:
            return
        closes.append(round(bar.close * 10_000))  # whole numbers: a tie is a tie
        if len(closes) < self.slow:
            return
        recent = list(closes)
        up = sum(recent[-self.fast :]) * self.slow > sum(recent) * self.fast
        ctx.target_position(bar.symbol, self.quantity if up else 0)
