"""A callback for every bar that counts, and does nothing else."""

from app.trading.strategy import BarEvent, Context, Strategy
from benchmarks import tally


class BarCount(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.items = 0

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        self.items += 1

    def on_end(self, ctx: Context) -> None:
        tally.items = self.items
