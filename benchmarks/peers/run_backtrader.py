"""backtrader: one feed a symbol; bars alone, as it knows no trades and quotes."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import pyarrow.parquet as pq
from common import CASH, MINUTE_NS, QUANTITY, Job, Means, Timer, files, read_job, report

_DAY_NS = 86_400 * 10**9
_EPOCH = 719_163  # 1970-01-01, as its dates are numbered: days since the year 1


class Columns(bt.feed.DataBase):
    """A symbol's bars from columns; its own reader of DataFrames is slower."""

    params = (("columns", None),)

    def start(self) -> None:
        super().start()
        self._rows = iter(zip(*self.p.columns, strict=True))

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        (
            lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0],
            lines.volume[0],
        ) = row  # fmt: skip
        lines.openinterest[0] = 0.0
        return True


class Fee(bt.CommInfoBase):
    """0.005 a share, at least 1 an order."""

    params = (("stocklike", True), ("commtype", bt.CommInfoBase.COMM_FIXED))

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        del price, pseudoexec
        return max(1.0, 0.005 * abs(size))


class Base(bt.Strategy):
    def __init__(self) -> None:
        self.seen = self.fills = 0
        self.known = [0] * len(self.datas)

    def notify_order(self, order: Any) -> None:
        self.fills += order.status == order.Completed


class Count(Base):
    """``next`` comes once a minute; every symbol that has a new bar counts."""

    def next(self) -> None:
        known = self.known
        for number, data in enumerate(self.datas):
            length = len(data)
            if length > known[number]:
                known[number] = length
                self.seen += 1


class Cross(Base):
    """Long 100 while the mean of 30 is above that of 90, else flat."""

    def __init__(self) -> None:
        super().__init__()
        self.means = [Means() for _ in self.datas]

    def next(self) -> None:
        known = self.known
        for number, data in enumerate(self.datas):
            length = len(data)
            if length > known[number]:
                known[number] = length
                self.seen += 1
                means = self.means[number]
                if means.add(data.close[0]):
                    turn = self.buy if means.long else self.sell
                    turn(data=data, size=QUANTITY)


def load(job: Job) -> Any:
    cerebro = bt.Cerebro(stdstats=False, runonce=True, preload=True)
    cerebro.broker.setcash(CASH)
    cerebro.broker.addcommissioninfo(Fee())
    names = ["open", "high", "low", "close", "volume"]
    for symbol, path in files(job.root, "bars_1m"):
        table = pq.read_table(path, columns=["ts", *names])
        ends_ns = table["ts"].cast("int64").to_numpy() + MINUTE_NS
        days = (ends_ns / _DAY_NS + _EPOCH).tolist()
        columns = [days, *(table[name].to_pylist() for name in names)]
        data = Columns(columns=columns, timeframe=bt.TimeFrame.Minutes)
        cerebro.adddata(data, name=symbol)
    cerebro.addstrategy(Count if job.strategy == "count" else Cross)
    return cerebro


def main() -> None:
    job = read_job()
    timer = Timer()
    cerebro = load(job)
    timer.loaded()
    (strategy,) = cerebro.run()
    timer.ended()
    report(timer, strategy.seen, ("backtrader", "pyarrow"), strategy.fills)


if __name__ == "__main__":
    main()
