"""zipline-reloaded: bars alone, from a bundle of its own that is written first, which is loading.

Its day is the exchange's, minute by minute; the strategy asks for all prices at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from common import CASH, MINUTE_NS, QUANTITY, Job, Means, Timer, files, read_job, report
from zipline import run_algorithm
from zipline.api import order, set_commission, set_slippage
from zipline.data import bundles
from zipline.finance.commission import PerShare
from zipline.finance.slippage import FixedSlippage

BUNDLE = "bench"
NAMES = ["open", "high", "low", "close", "volume"]


def minutes(path: Path) -> pd.DataFrame:
    """Bars of a symbol by the minute in which they end."""
    frame = pq.read_table(path, columns=["ts", *NAMES]).to_pandas().set_index("ts")
    frame.index = frame.index + pd.Timedelta(MINUTE_NS, "ns")
    return frame


def days(frame: pd.DataFrame) -> pd.DataFrame:
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return frame.groupby(frame.index.normalize().tz_localize(None)).agg(rules)


class Bundle:
    """Takes the files in, and remembers the days they cover."""

    def __init__(self, root: Path) -> None:
        self.paths = files(root, "bars_1m")
        self.days = pd.DatetimeIndex([])

    def ingest(
        self, environ: Any, assets: Any, minute_writer: Any, daily_writer: Any, adjustments: Any,
        *_: Any,
    ) -> None:  # fmt: skip
        del environ
        daily: list[tuple[int, pd.DataFrame]] = []

        def each() -> Iterator[tuple[int, pd.DataFrame]]:
            for sid, (_, path) in enumerate(self.paths):
                frame = minutes(path)
                daily.append((sid, days(frame)))
                yield sid, frame

        minute_writer.write(each())
        self.days = daily[0][1].index
        daily_writer.write(daily)
        equities = pd.DataFrame(
            {
                "symbol": [symbol for symbol, _ in self.paths],
                "start_date": self.days[0],
                "end_date": self.days[-1],
                "exchange": "XNYS",
            }
        )
        exchanges = pd.DataFrame(
            [{"exchange": "XNYS", "canonical_name": "XNYS", "country_code": "US"}]
        )
        assets.write(equities=equities, exchanges=exchanges)
        adjustments.write()


class Algorithm:
    """Called every minute; every symbol that has a bar counts."""

    def __init__(self, trades: bool, symbols: int) -> None:
        self.trades = trades
        self.means = [Means() for _ in range(symbols)]
        self.seen = 0

    def initialize(self, context: Any) -> None:
        set_commission(PerShare(0.005, 1.0))
        set_slippage(FixedSlippage(0.0))
        context.assets = context.asset_finder.retrieve_all(range(len(self.means)))

    def handle_data(self, context: Any, data: Any) -> None:
        assets = context.assets
        if len(assets) == 1:  # many times as fast as a Series of one
            closes = [data.current(assets[0], "close")]
        else:
            closes = data.current(assets, "close").tolist()
        for number, close in enumerate(closes):
            if close != close:  # no bar
                continue
            self.seen += 1
            if not self.trades:
                continue
            means = self.means[number]
            if means.add(close):
                order(context.assets[number], QUANTITY if means.long else -QUANTITY)


def ingested(job: Job, root: Path) -> Bundle:
    bundle = Bundle(job.root)
    first = minutes(bundle.paths[0][1]).index
    bundles.register(
        BUNDLE, bundle.ingest, calendar_name="XNYS",
        start_session=first[0].normalize().tz_localize(None),
        end_session=first[-1].normalize().tz_localize(None),
    )  # fmt: skip
    bundles.ingest(BUNDLE, environ=os.environ | {"ZIPLINE_ROOT": str(root)})
    return bundle


def main() -> None:
    job = read_job()
    root = Path(tempfile.mkdtemp(prefix="zipline-bench-"))
    try:
        timer = Timer()
        bundle = ingested(job, root)
        timer.loaded()
        algorithm = Algorithm(job.strategy == "sma", len(bundle.paths))
        found = run_algorithm(
            start=bundle.days[0], end=bundle.days[-1], initialize=algorithm.initialize,
            handle_data=algorithm.handle_data, capital_base=CASH, data_frequency="minute",
            bundle=BUNDLE, environ=os.environ | {"ZIPLINE_ROOT": str(root)},
            benchmark_returns=pd.Series(0.0, index=bundle.days),
        )  # fmt: skip
        timer.ended()
        fills = int(found["transactions"].map(len).sum())
    finally:
        shutil.rmtree(root)
    report(timer, algorithm.seen, ("zipline-reloaded", "pandas", "pyarrow"), fills)


if __name__ == "__main__":
    main()
