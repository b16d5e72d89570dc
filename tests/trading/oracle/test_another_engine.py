"""The same strategy in backtesting.py, an engine that shares nothing with this one.

It holds one symbol at a time. docs/backtest.md says where the two part; no case here does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.trading.oracle.sma import regular_bars
from tests.trading.oracle.test_sma import AUTUMN, CASH, OCTOBER, config, run, table

CASES = {
    "SPY 30/90": ("SPY", OCTOBER, 30, 90),
    "SPY 2/5": ("SPY", OCTOBER, 2, 5),
    "BKNG over the clock change and a half day": ("BKNG", AUTUMN, 10, 30),
}


def frame_of(data: Path, symbol: str, days: Sequence[str]) -> Any:
    """Regular bars as that engine wants them."""
    parts = [bars for _, _, bars in regular_bars(data, symbol, days)]
    start, opened, closed = (np.concatenate([p[i] for p in parts]) for i in range(3))
    high, low = np.maximum(opened, closed), np.minimum(opened, closed)  # market orders ignore them
    return pd.DataFrame(
        {"Open": opened, "High": high, "Low": low, "Close": closed, "Volume": 1.0},
        index=pd.to_datetime(start),
    )


def played(frame: Any, fast: int, slow: int) -> tuple[list[tuple[int, str, float, float]], float]:
    """(start of the bar, side, price, commission) of its fills, and its last equity."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOKEH_RESOURCES", "inline")  # its import must reach for nothing
        from backtesting import Backtest, Strategy  # type: ignore[import-untyped]

    whole = np.rint(frame["Close"].to_numpy() * 10_000).astype(np.int64)
    sums = np.concatenate(([0], whole.cumsum()))

    def total(count: int) -> Any:
        found = np.zeros(len(whole))  # NaN would hold back its first call by one bar
        found[count - 1 :] = sums[count:] - sums[:-count]
        return found

    class Cross(Strategy):  # type: ignore[misc, unused-ignore]
        def init(self) -> None:
            self.quick = self.I(total, fast)
            self.slow = self.I(total, slow)

        def next(self) -> None:
            if len(self.data) < slow:
                return
            up = self.quick[-1] * slow > self.slow[-1] * fast
            if up and not self.position:
                self.buy(size=100)
            elif not up and self.position:
                self.position.close()

    def commission(size: float, price: float) -> float:
        return round(max(1.0, abs(size) * 0.005), 2)

    test = Backtest(frame, Cross, cash=float(CASH), commission=commission)
    stats = test.run()
    starts = frame.index.astype("int64").to_numpy() * (1 if frame.index.unit == "ns" else 1000)
    fills = []
    for trade in [*stats._strategy.closed_trades, *stats._strategy.trades]:
        fills.append((int(starts[trade.entry_bar]), "buy", float(trade.entry_price)))
        if trade.exit_bar is not None:
            fills.append((int(starts[trade.exit_bar]), "sell", float(trade.exit_price)))
    equity = float(stats._equity_curve["Equity"].iloc[-1])
    return sorted((at, side, price, 1.0) for at, side, price in fills), equity


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # that some trades are open at the end
def test_fills_are_those_of_backtesting_py(tmp_path: Path, real_data: Path, case: str) -> None:
    symbol, days, fast, slow = CASES[case]
    theirs, equity = played(frame_of(real_data, symbol, days), fast, slow)
    result = run(tmp_path, real_data, config([symbol], days, fast, slow))
    ours = [
        (int(f["price_time_ns"].value), f["side"], f["price"], f["commission"])
        for f in table(result, "fills")
    ]
    assert len(ours) > 5
    assert sorted(ours) == theirs
    assert table(result, "equity")[-1]["equity"] == pytest.approx(equity, abs=0.005)
