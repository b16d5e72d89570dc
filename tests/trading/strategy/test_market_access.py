"""What a strategy can read: columns as of its own T, on the basis of now, and nothing later."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import RequestError
from app.model import QUOTE_CODE, TRADE_CODE, Flag, Items
from app.trading.context import Close, CorporateAction
from app.trading.strategy import Context
from tests.trading.harness import (
    DAYS,
    ELIGIBLE,
    Stage,
    bar,
    days_of,
    minute,
    quote,
    trade,
    window,
)
from tests.trading.strategy.support import HEAD, make, strategy
from tests.trading.strategy.test_runner import random_rows

# Reads all that can be read, at every callback.
READER = (
    HEAD
    + """
class A(Strategy):
    intervals = (1, 5)
    def on_start(self, ctx):
        self.ctx, self.seen = ctx, []
    def read(self, ctx, slice=None):
        found = {"now": ctx.now_ns}
        for place, symbol in enumerate(ctx.symbols):
            bars, fives = ctx.bars(symbol), ctx.bars(symbol, "5m")
            trades, quotes = ctx.trades(symbol), ctx.quotes(symbol)
            found[place] = [
                bars.release_ns.tolist(), bars.close.tolist(), fives.release_ns.tolist(),
                trades.release_ns.tolist(), trades.price.tolist(), quotes.release_ns.tolist(),
                ctx.last(symbol), ctx.bars(symbol, count=2).close.tolist(),
                ctx.trades(symbol, count=1).price.tolist(), ctx.quotes(symbol, 1).bid.tolist(),
            ]
        if slice is not None:
            parts = [slice.bars(), slice.bars(5), slice.trades(), slice.quotes()]
            found["slice"] = [p.release_ns.tolist() for p in parts]
        self.seen.append(found)
    def on_slice(self, ctx, slice): self.read(ctx, slice)
    def on_bar(self, ctx, bar): self.read(ctx)
    def on_trade(self, ctx, trade): self.read(ctx)
"""
)


def known(items: Items, symbol: int, code: int, now_ns: int) -> Items:
    """The oracle: rows of one stream released by a time."""
    mine = (items["symbol"] == symbol) & (items["stream"] == code)
    found: Items = items[mine & (items["release_ns"] <= now_ns)]
    return found


def last_price(items: Items, symbol: int, now_ns: int) -> float | None:
    """In delivered order: the last bar of 1m or eligible trade."""
    found = None
    for row in items:
        if row["symbol"] != symbol or row["release_ns"] > now_ns:
            continue
        if row["stream"] == 1:
            found = float(row["v"][3])
        elif row["stream"] == TRADE_CODE:
            found = float(row["v"][0])
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(1, 60), max_size=6))
def test_at_T_exactly_what_is_released_by_T_can_be_read(seed: int, cuts: list[int]) -> None:  # noqa: N802
    """All of the day is recorded beforehand, and windows are cut anywhere."""
    items = random_rows(seed)
    times = np.unique(items["release_ns"])
    edges = sorted({0, len(times), *(c for c in cuts if c < len(times))})
    with TemporaryDirectory() as folder:
        stage = Stage(["AAA", "BBB", "CCC"])
        runner = make(stage, Path(folder), READER)
        stage.start()
        stage.market.add([items])
        for low, high in pairwise(edges):
            inside = (items["release_ns"] >= times[low]) & (items["release_ns"] <= times[high - 1])
            stage.engine.on_window(window([items[inside]]))
    seen = strategy(runner).seen
    assert {found["now"] for found in seen} == set(times.tolist())
    for found in seen:
        now = found["now"]
        for place in range(3):
            bars, fives, trades, quotes = (
                known(items, place, code, now) for code in (1, 5, TRADE_CODE, QUOTE_CODE)
            )
            assert found[place] == [
                bars["release_ns"].tolist(), bars["v"][:, 3].tolist(),
                fives["release_ns"].tolist(), trades["release_ns"].tolist(),
                trades["v"][:, 0].tolist(), quotes["release_ns"].tolist(),
                last_price(items, place, now), bars["v"][-2:, 3].tolist(),
                trades["v"][-1:, 0].tolist(), quotes["v"][-1:, 0].tolist(),
            ]  # fmt: skip
        if "slice" in found:
            assert all(t == now for part in found["slice"] for t in part)
            at_now = items[items["release_ns"] == now]
            assert sum(map(len, found["slice"])) == len(at_now)


def reader(folder: Path, **terms: Any) -> tuple[Stage, Context]:
    stage = Stage(["AAA", "BBB"], **terms)
    runner = make(stage, folder, READER)
    stage.start()
    ctx: Context = strategy(runner).ctx
    return stage, ctx


def test_columns_have_names_and_cannot_be_written(tmp_path: Path) -> None:
    stage, ctx = reader(tmp_path)
    stage.play(
        bar(0, minute(0), 1, 4, 0.5, 2, 10, 1.5), bar(0, minute(1), 2, 5, 1.5, 3, 20),
        trade(0, minute(2), 7.0, 30, ELIGIBLE), quote(0, minute(2), 6.0, 8.0, 100, 200),
    )  # fmt: skip
    bars, trades, quotes = ctx.bars("AAA"), ctx.trades("AAA"), ctx.quotes("AAA")
    assert {
        name: getattr(bars, name).tolist()
        for name in ("ts_ns", "release_ns", "open", "high", "low", "close", "volume", "symbol")
    } == {
        "ts_ns": [minute(0), minute(1)], "release_ns": [minute(1), minute(2)], "open": [1.0, 2.0],
        "high": [4.0, 5.0], "low": [0.5, 1.5], "close": [2.0, 3.0], "volume": [10.0, 20.0],
        "symbol": [0, 0],
    }  # fmt: skip
    assert bars.vwap[0] == 1.5
    assert np.isnan(bars.vwap[1])
    assert bars.flags.tolist() == [int(Flag.COMPLETE)] * 2
    assert (trades.ts_ns.tolist(), trades.size.tolist(), len(trades)) == ([minute(2)], [30.0], 1)
    sides = [quotes.bid, quotes.bid_size, quotes.ask, quotes.ask_size, quotes.ts_ns]
    assert [side.tolist() for side in sides] == [[6.0], [100.0], [8.0], [200.0], [minute(2)]]
    for columns, name in ((bars, "close"), (bars, "ts_ns"), (trades, "price"), (quotes, "flags")):
        with pytest.raises(ValueError, match="read-only"):
            getattr(columns, name)[0] = 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda ctx: ctx.bars("CCC"), "'CCC' is no symbol of this strategy; nearest: "),
        (lambda ctx: ctx.bars("AAA", "5s"), "interval is '5s'; needed: minutes or hours, as '15m'"),
        (lambda ctx: ctx.bars("AAA", "m"), "interval is 'm'"),
        (lambda ctx: ctx.bars("AAA", 0), "interval is 0"),
        (lambda ctx: ctx.bars("AAA", "25h"), "interval is 1500"),
        (lambda ctx: ctx.bars("AAA", "7m"), "this run has no bars of '7m'; it has: 1m, 5m"),
        (lambda ctx: ctx.bars("AAA", count=0), "count is 0; needed: a whole number above 0"),
        (lambda ctx: ctx.trades("AAA", count=1.5), "count is 1.5"),
        (lambda ctx: ctx.last("AAB"), "nearest: AAA"),
        (lambda ctx: ctx.prev_close("x"), "'x' is no symbol"),
        (lambda ctx: ctx.position("x"), "'x' is no symbol"),
        (lambda ctx: ctx.open_orders("x"), "'x' is no symbol"),
    ],
)
def test_a_bad_call_is_refused(tmp_path: Path, call: Any, said: str) -> None:
    _, ctx = reader(tmp_path, intervals=(1, 5))
    with pytest.raises(RequestError) as caught:
        call(ctx)
    assert said in str(caught.value)


def test_a_slice_has_only_the_intervals_of_its_strategy(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_slice(self, ctx, slice):\n        slice.bars('15m')\n"
    )
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    with pytest.raises(Exception, match="a slice has no bars of 15m: it is none of its intervals"):
        stage.play(bar(0, minute(0), 1, 1, 1, 1))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], None),
        ([bar(0, minute(0), 1, 9, 1, 5)], 5.0),
        ([bar(1, minute(0), 1, 9, 1, 5)], None),
        ([bar(0, minute(0), 1, 9, 1, 5, flags=int(Flag.POST_CLOSE))], None),
        ([bar(0, minute(0), 1, 9, 1, 5), trade(0, minute(1) + 1, 6.0)], 6.0),
        ([bar(0, minute(0), 1, 9, 1, 5), trade(0, minute(1), 6.0)], 5.0),  # bars come last at T
        ([bar(0, minute(0), 1, 9, 1, 5), trade(0, minute(2), 6.0, flags=0)], 5.0),
        (
            [trade(0, minute(1), 7.0)]
            + [trade(0, minute(1) + i, 6.0, flags=int(Flag.SUSPICIOUS)) for i in range(1, 90)],
            7.0,
        ),
        ([bar(0, minute(0), 1, 9, 1, 5), bar(0, minute(0), 1, 9, 1, 6, interval_min=5)], 5.0),
    ],
)
def test_the_last_price_is_an_eligible_one(
    tmp_path: Path, rows: list[Items], expected: float | None
) -> None:
    stage, ctx = reader(tmp_path)
    stage.play(*rows, quote(1, minute(9), 1, 2))
    assert ctx.last("AAA") == expected


def test_the_previous_close_is_that_of_the_newest_day_that_has_one(tmp_path: Path) -> None:
    stage, ctx = reader(tmp_path)
    assert ctx.prev_close("AAA") is None
    stage.market.closes[0, 0] = Close(50.0, "daily", DAYS[0].end_ns)
    stage.market.closes[1, 1] = Close(60.0, "daily", DAYS[1].end_ns)
    assert ctx.prev_close("AAA") is None  # it is of today
    stage.roll()
    assert (ctx.prev_close("AAA"), ctx.prev_close("BBB")) == (50.0, None)
    stage.roll()
    assert (ctx.prev_close("AAA"), ctx.prev_close("BBB")) == (50.0, 60.0)


def test_prices_stand_on_the_basis_of_now(tmp_path: Path) -> None:
    """AAPL: 7 for 1 on 2014-06-09; the first pre-market bar spans it."""
    days = days_of("2014-06-06", "2014-06-10", "extended")
    actions = [CorporateAction("AAA", days[1].date, "split", ratio=7.0)]
    stage, ctx = reader(tmp_path, days=days, actions=actions)
    stage.market.closes[0, 0] = Close(645.57, "daily", days[0].end_ns)
    stage.play(bar(0, minute(0, days[0]), 644, 651, 640, 644, 700, 647.5))
    before = ctx.bars("AAA")
    assert (before.close.tolist(), ctx.last("AAA")) == ([644.0], 644.0)
    stage.roll()
    assert (ctx.bars("AAA").close.tolist(), ctx.last("AAA")) == ([92.0], 92.0)
    spans = bar(0, days[1].first_ns, 645.57, 645.57, 92.23, 92.7)
    stage.play(spans, bar(1, days[1].first_ns, 10, 10, 10, 10))
    bars = ctx.bars("AAA")
    assert bars.close.tolist() == [92.0, 92.7]
    assert (bars.volume[0], bars.vwap[0], bars.high[0]) == (4900.0, 92.5, 93.0)
    assert ctx.last("AAA") == 92.0  # a bar that spans a split is no price
    stage.play(bar(0, minute(0, days[1]), 92.7, 93, 92, 92.9))
    assert ctx.last("AAA") == 92.9
    assert ctx.prev_close("AAA") == pytest.approx(92.224285714)
    assert before.close.tolist() == [644.0]  # what was given does not change
    stage.roll()
    assert ctx.prev_close("AAA") == pytest.approx(92.224285714)
