"""talipp's indicators as strategies use them: one value at a time, and in bounded memory."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from talipp.indicators import ATR, RSI, SMA
from talipp.ohlcv import OHLCV

import app.trading.strategy as api
from app.model import Floats
from tests.trading.harness import Stage, bar, minute
from tests.trading.strategy.support import HEAD, make, requested, strategy

PERIOD = 14


def prices(count: int = 1500) -> Floats:
    dice = np.random.default_rng(3)
    return np.round(100 + np.cumsum(dice.normal(0, 0.3, count)), 2)


def sma(closes: Floats) -> Floats:
    sums = np.convolve(closes, np.ones(PERIOD), "valid")
    return np.concatenate((np.full(PERIOD - 1, np.nan), sums / PERIOD))


def rsi(closes: Floats) -> Floats:
    """Wilder's, as talipp begins it: from the mean of the first ``PERIOD - 1`` changes."""
    change = np.diff(closes)
    found = np.full(len(closes), np.nan)
    up = change[: PERIOD - 1].clip(0).mean()
    down = (-change[: PERIOD - 1]).clip(0).mean()
    for at in range(PERIOD - 1, len(change)):
        up = (up * (PERIOD - 1) + max(change[at], 0)) / PERIOD
        down = (down * (PERIOD - 1) + max(-change[at], 0)) / PERIOD
        found[at + 1] = 100 - 100 / (1 + up / down)
    return found


def atr(closes: Floats) -> Floats:
    """Wilder's, of bars whose high and low lie 1 above and below the close."""
    before = np.concatenate((closes[:1], closes[:-1]))
    ranges = np.maximum(closes + 1, before) - np.minimum(closes - 1, before)
    found = np.full(len(closes), np.nan)
    found[PERIOD - 1] = ranges[:PERIOD].mean()
    for at in range(PERIOD, len(closes)):
        found[at] = (found[at - 1] * (PERIOD - 1) + ranges[at]) / PERIOD
    return found


SOURCE = (
    HEAD
    + """
from talipp.indicators import ATR, RSI, SMA
from talipp.ohlcv import OHLCV

class A(Strategy):
    def on_start(self, ctx):
        self.indicators, self.seen, self.longest = [SMA(14), RSI(14), ATR(14)], [], 0
    def on_bar(self, ctx, bar):
        whole = OHLCV(bar.open, bar.high, bar.low, bar.close, bar.volume)
        for indicator, value in zip(self.indicators, (bar.close, bar.close, whole)):
            indicator.add(value)
            if len(indicator) > 200:
                indicator.purge_oldest(100)
            self.longest = max(self.longest, len(indicator), len(indicator.input_values))
        self.seen.append([i[-1] for i in self.indicators])
"""
)


def test_they_work_one_value_at_a_time_in_bounded_memory(tmp_path: Path) -> None:
    stage, closes = Stage(), prices()
    runner = make(stage, tmp_path, SOURCE)
    stage.start()
    stage.play(*(bar(0, minute(0) + i, c, c + 1, c - 1, c) for i, c in enumerate(closes)))
    seen: Any = np.array(strategy(runner).seen, float)  # None becomes NaN
    for place, expected in enumerate((sma(closes), rsi(closes), atr(closes))):
        np.testing.assert_allclose(seen[:, place], expected, rtol=1e-9)
    assert strategy(runner).longest <= 200


@pytest.mark.parametrize("make_one", [lambda: SMA(PERIOD), lambda: RSI(PERIOD)])
def test_letting_go_changes_no_value(make_one: Any) -> None:
    whole, short = make_one(), make_one()
    for close in prices().tolist():
        for one in (whole, short):
            one.add(close)
        if len(short) > 100:
            short.purge_oldest(50)
        assert whole[-1] == short[-1]
    assert len(short.input_values) <= 100


def test_an_atr_lets_go_of_its_ranges_too() -> None:
    one = ATR(PERIOD)
    for close in prices().tolist():
        one.add(OHLCV(close, close + 1, close - 1, close))
        if len(one) > 100:
            one.purge_oldest(50)
    assert len(one.tr) <= 100


def test_the_example_in_the_module_works(tmp_path: Path) -> None:
    text = dedent((api.__doc__ or "").split("\n\n", 1)[1].split("Indicators come")[0])
    stage = Stage()
    make(stage, tmp_path, text)
    stage.start()
    stage.play(*(bar(0, minute(i), c, c, c, c) for i, c in enumerate((100, 99.5, 98.9))))
    (order,) = requested(stage)
    assert (order.quantity, order.created_ns) == (100, minute(3))


def test_all_that_it_names_is_there() -> None:
    assert all(hasattr(api, name) for name in api.__all__)
