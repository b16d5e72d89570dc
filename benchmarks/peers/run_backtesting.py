"""backtesting.py: one instrument, so W1 alone; a callback a bar on growing views of columns."""

from __future__ import annotations

import pyarrow.parquet as pq
from backtesting import Backtest, Strategy
from common import CASH, QUANTITY, Job, Means, Timer, files, read_job, report


class Count(Strategy):
    seen = 0

    def init(self) -> None:
        type(self).seen = 1  # it makes no call for the first bar

    def next(self) -> None:
        type(self).seen += 1


class Cross(Strategy):
    """Long 100 while the mean of 30 is above that of 90, else flat."""

    seen = 0

    def init(self) -> None:
        self.means = Means()
        self.means.add(float(self.data.Close[0]))
        type(self).seen = 1

    def next(self) -> None:
        type(self).seen += 1
        means = self.means
        if means.add(self.data.Close[-1]):
            if means.long:
                self.buy(size=QUANTITY)
            else:
                self.position.close()


def fee(size: float, price: float) -> float:
    """0.005 a share, at least 1 an order."""
    del price
    return max(1.0, 0.005 * abs(size))


def load(job: Job) -> tuple[Backtest, type[Strategy]]:
    ((_, path),) = files(job.root, "bars_1m")
    names = ["open", "high", "low", "close", "volume"]
    frame = pq.read_table(path, columns=["ts", *names]).to_pandas().set_index("ts")
    frame.columns = [name.title() for name in names]
    frame.index = frame.index.tz_localize(None)
    strategy = Count if job.strategy == "count" else Cross
    return Backtest(frame, strategy, cash=CASH, commission=fee), strategy


def main() -> None:
    job = read_job()
    timer = Timer()
    backtest, strategy = load(job)
    timer.loaded()
    stats = backtest.run()
    timer.ended()
    trades = stats["_trades"]
    fills = 2 * len(trades)  # round trips; an open one at the end is not among them
    report(timer, strategy.seen, ("backtesting", "pandas", "pyarrow"), fills)


if __name__ == "__main__":
    main()
