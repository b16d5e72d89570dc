"""Which callbacks come, with what, in which order; and what is said of one that raises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from app.model import Flag
from app.times import format_time
from app.trading.bus import HandlerError, Kind
from app.trading.data_events import BarEvent, MarketEvent, QuoteEvent, TradeEvent
from app.trading.services.strategy import StrategyRunner
from tests.trading.harness import DAYS, Stage, bar, minute, quote, trade
from tests.trading.strategy.support import HEAD, Broker, make, section, strategy

ALL = (
    HEAD
    + """
class A(Strategy):
    intervals = (1, 5)

    def on_start(self, ctx):
        self.seen = [("on_start", ctx.now_ns)]
        ctx.schedule("open+6m", "six")

    def note(self, name, ctx, *what):
        self.seen.append((name, ctx.now_ns, *what))

    def on_day_start(self, ctx):
        self.note("on_day_start", ctx, str(ctx.day))

    def on_bar(self, ctx, bar):
        self.note("on_bar", ctx, bar.symbol, bar.interval_min, bar.close)
        if bar.interval_min == 5:
            self.order = ctx.order("AAA", "buy", 10, limit=1.0)
            ctx.order("AAA", "buy", 5)

    def on_slice(self, ctx, slice):
        parts = [slice.trades(), slice.quotes(), slice.bars(), slice.bars("5m")]
        self.note("on_slice", ctx, *map(len, parts))

    def on_trade(self, ctx, trade):
        self.note("on_trade", ctx, trade.symbol, trade.price)

    def on_quote(self, ctx, quote):
        self.note("on_quote", ctx, quote.symbol, quote.ask)

    def on_order(self, ctx, update):
        self.note("on_order", ctx, update.order_id, update.state.value)

    def on_fill(self, ctx, fill):
        self.note("on_fill", ctx, fill.order_id, ctx.position("AAA"))

    def on_timer(self, ctx, name):
        self.note("on_timer", ctx, name)
        ctx.cancel(self.order)

    def on_day_end(self, ctx):
        self.note("on_day_end", ctx)

    def on_end(self, ctx):
        self.note("on_end", ctx)
"""
)


class SlowBroker(Broker):
    """Fills market orders only."""

    def _fill(self, event: MarketEvent) -> None:
        kept = {k: o for k, o in self.resting.items() if o.limit_price is not None}
        self.resting = {k: o for k, o in self.resting.items() if k not in kept}
        super()._fill(event)
        self.resting |= kept


@contextmanager
def loop_of(stage: Stage, kind: Kind) -> Iterator[None]:
    """Closes the bus; for asynchronous subscribers there is an event loop meanwhile."""
    thread = Thread(target=lambda: asyncio.run(stage.bus.run_async_subscribers()))
    if kind is Kind.ASYNC:
        thread.start()
    try:
        yield
    finally:
        stage.bus.close()
        if kind is Kind.ASYNC:
            thread.join()


def play_everything(stage: Stage) -> None:
    stage.start()
    five = minute(5)
    stage.play(
        trade(0, five, 7.0), trade(1, five, 8.0), quote(0, five, 6.0, 6.5),
        bar(0, minute(4), 1, 3, 1, 2), bar(1, minute(4), 1, 3, 1, 2),
        bar(0, minute(0), 1, 3, 1, 2.5, interval_min=5), bar(0, minute(5), 9, 9, 9, 9),
    )  # fmt: skip
    stage.end()
    stage.engine.finish("completed")


@pytest.mark.parametrize("kind", Kind)
def test_every_callback_comes_in_order(tmp_path: Path, kind: Kind) -> None:
    stage = Stage(["AAA", "BBB"])
    (tmp_path / "one.py").write_text(ALL, "utf-8")
    runner = StrategyRunner.from_config([section(symbols=["AAA"])], stage.bus, tmp_path)
    stage.attach(runner, kind=kind)
    stage.attach(SlowBroker.from_config(None, stage.bus))
    with loop_of(stage, kind):
        play_everything(stage)
    first, five, six, end = DAYS[0].first_ns - 1, minute(5), minute(6), DAYS[0].end_ns
    assert strategy(runner).seen == [
        ("on_start", first),
        ("on_day_start", first, "2013-10-04"),
        ("on_trade", five, "AAA", 7.0),
        ("on_quote", five, "AAA", 6.5),
        ("on_bar", five, "AAA", 1, 2.0),
        ("on_bar", five, "AAA", 5, 2.5),
        ("on_slice", five, 1, 1, 1, 1),
        ("on_order", five, "one-1", "accepted"),
        ("on_order", five, "one-2", "accepted"),
        ("on_fill", six, "one-2", 5.0),  # before the strategy sees the slice that filled it
        ("on_bar", six, "AAA", 1, 9.0),
        ("on_slice", six, 0, 0, 1, 0),
        ("on_timer", six, "six"),  # after the slice
        ("on_order", six, "one-1", "cancelled"),
        ("on_day_end", end),
        ("on_end", end),
    ]


def test_rows_come_as_they_are(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    intervals = (5, 1)\n"
        "    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar): self.seen.append(bar)\n"
        "    def on_trade(self, ctx, trade): self.seen.append(trade)\n"
        "    def on_quote(self, ctx, quote): self.seen.append(quote)\n"
    )
    stage = Stage(["AAA", "BBB", "CCC"])
    runner = make(stage, tmp_path, source, section(symbols=["CCC", "BBB"]))
    stage.start()
    at = minute(5)
    stage.play(
        trade(0, at, 1.0), trade(1, at, 2.0, 300, int(Flag.SUSPICIOUS)), trade(1, at, 2.0, 300),
        quote(2, at, np.nan, 5.0), bar(1, minute(4), 1, 4, 0.5, 2, 10, 1.5),
        bar(1, minute(0), 1, 4, 0.5, 3, 20, interval_min=5),
        bar(2, minute(0), 1, 4, 0.5, 3, 20, interval_min=5),
        bar(2, minute(-10), 1, 4, 0.5, 3, 20, interval_min=15),
    )  # fmt: skip
    seen = strategy(runner).seen
    fives = [r.symbol for r in seen if isinstance(r, BarEvent) and r.interval_min == 5]
    assert seen[:2] == [
        TradeEvent("BBB", at, 2.0, 300.0, int(Flag.SUSPICIOUS)),
        TradeEvent("BBB", at, 2.0, 300.0, seen[1].flags),
    ]
    assert isinstance(seen[2], QuoteEvent)
    assert (seen[2].symbol, seen[2].ask) == ("CCC", 5.0)
    assert np.isnan(seen[2].bid)
    assert seen[3] == BarEvent("BBB", minute(4), at, 1, 4, 0.5, 2, 10, 1.5, 1, int(Flag.COMPLETE))
    assert fives == ["BBB", "CCC"]
    assert len(seen) == 6


def test_a_short_last_bucket_starts_on_its_grid(tmp_path: Path) -> None:
    """60m bars of a day of 390 minutes: the last one has 30."""
    source = HEAD + (
        "class A(Strategy):\n    intervals = (60,)\n"
        "    def on_bar(self, ctx, bar):\n"
        "        self.starts = (bar.ts_ns, int(ctx.bars('AAA', '1h').ts_ns[0]))\n"
    )
    stage = Stage()
    runner = make(stage, tmp_path, source)
    stage.start()
    last = bar(0, minute(330), 1, 2, 1, 2, interval_min=60, flags=int(Flag.PARTIAL))
    last["release_ns"] = minute(390)
    stage.play(last)
    assert strategy(runner).starts == (minute(360), minute(360))


def test_a_slice_is_columns_of_own_symbols(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n"
        "    def on_start(self, ctx): self.seen = []\n"
        "    def on_slice(self, ctx, slice):\n"
        "        bars, trades = slice.bars(), slice.trades()\n"
        "        self.seen.append((ctx.now_ns, bars.symbol.tolist(), bars.close.tolist(),\n"
        "            bars.ts_ns.tolist(), trades.price.tolist(), trades.size.tolist(), bars))\n"
    )
    stage = Stage(["AAA", "BBB", "CCC", "DDD"])
    runner = make(stage, tmp_path, source, section(symbols=["DDD", "AAA", "CCC"]))
    stage.start()
    stage.play(
        *(bar(s, minute(0), 1, 9, 1, 2 + s) for s in range(4)), bar(1, minute(1), 1, 9, 1, 5),
        trade(2, minute(2) + 1, 7.0, 30), bar(3, minute(2), 1, 9, 1, 6),
    )  # fmt: skip
    rows = [row[:-1] for row in strategy(runner).seen]
    assert rows == [
        (minute(1), [1, 2, 0], [2.0, 4.0, 5.0], [minute(0)] * 3, [], []),
        (minute(2) + 1, [], [], [], [7.0], [30.0]),
        (minute(3), [0], [6.0], [minute(2)], [], []),
    ]
    bars = strategy(runner).seen[0][-1]
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0


def test_one_by_row_and_one_by_slice(tmp_path: Path) -> None:
    by_row = "    def on_bar(self, ctx, bar): self.seen.append(bar.close)\n"
    by_slice = "    def on_slice(self, ctx, slice): self.seen.append(slice.bars().close.tolist())\n"
    start = HEAD + "class A(Strategy):\n    def on_start(self, ctx): self.seen = []\n"
    stage = Stage(["AAA", "BBB"])
    runner = make(stage, tmp_path, {"one": start + by_row, "two": start + by_slice})
    stage.start()
    stage.play(*(bar(s, minute(0), 1, 9, 1, 2 + s) for s in range(2)), quote(0, minute(9), 1, 2))
    assert strategy(runner, "one").seen == [2.0, 3.0]
    assert strategy(runner, "two").seen == [[2.0, 3.0], []]


def test_what_is_not_overridden_is_not_called(tmp_path: Path) -> None:
    stage = Stage()
    runner = make(stage, tmp_path, HEAD + "class A(Strategy):\n    x = Param(1)\n")
    stage.start()
    stage.play(bar(0, minute(0), 1, 1, 1, 1))
    assert runner._slab is None
    assert strategy(runner).x == 1


RAISES = (
    HEAD
    + """
def deep(value):
    return 1 / value

class A(Strategy):
    where = Param("on_bar")
    def go(self, ctx, name):
        if name == self.where and ctx.now_ns >= MINUTE:
            deep(0)
    def on_start(self, ctx):
        self.go(ctx, "on_start")
        ctx.schedule("open+3m", "x")
    def on_day_start(self, ctx): self.go(ctx, "on_day_start")
    def on_bar(self, ctx, bar): self.go(ctx, "on_bar")
    def on_trade(self, ctx, trade): self.go(ctx, "on_trade")
    def on_slice(self, ctx, slice): self.go(ctx, "on_slice")
    def on_timer(self, ctx, name): self.go(ctx, "on_timer")
    def on_day_end(self, ctx): self.go(ctx, "on_day_end")
    def on_end(self, ctx): self.go(ctx, "on_end")
"""
)


def play_all(stage: Stage) -> None:
    stage.start()
    stage.play(*(bar(0, minute(i), 1, 1, 1, 1) for i in range(9)), trade(0, minute(4), 5.0))
    stage.end()
    stage.engine.finish("completed")


@pytest.mark.parametrize(
    ("where", "from_ns", "line", "time"),
    [
        ("on_start", 0, 12, "2013-10-04T13:29:59.999999999Z"),
        ("on_day_start", 0, 14, "2013-10-04T13:29:59.999999999Z"),
        ("on_bar", minute(7), 15, "2013-10-04T13:37:00Z"),
        ("on_trade", 0, 16, "2013-10-04T13:34:00Z"),
        ("on_slice", minute(4), 17, "2013-10-04T13:34:00Z"),
        ("on_timer", 0, 18, "2013-10-04T13:33:00Z"),
        ("on_day_end", 0, 19, "2013-10-04T20:01:00Z"),
        ("on_end", 0, 20, "2013-10-04T20:01:00Z"),
    ],
)
def test_what_raises_is_told_with_file_line_callback_and_time(
    tmp_path: Path, where: str, from_ns: int, line: int, time: str
) -> None:
    """In the middle of a window of many slices too; the innermost line of the user's file."""
    stage = Stage()
    source = RAISES.replace("MINUTE", str(from_ns))
    make(stage, tmp_path, source, section(params={"where": where}))
    with pytest.raises(HandlerError) as caught:
        play_all(stage)
    assert (
        f"one.py, line 4, in {where}: strategy 'one' failed at {time}: "
        "ZeroDivisionError: division by zero"
    ) in str(caught.value)
    assert format_time(caught.value.time_ns) == time  # not the end of a run of slices


def test_a_strategy_that_calls_exit_fails_the_run(tmp_path: Path) -> None:
    source = HEAD + "class A(Strategy):\n    def on_bar(self, ctx, bar): exit(5)\n"
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    with pytest.raises(HandlerError, match=r"one\.py, line 3, in on_bar: .*: SystemExit: 5"):
        stage.play(bar(0, minute(0), 1, 1, 1, 1))


@pytest.mark.parametrize(
    "call",
    [
        "ctx.order('AAA', 'buy', 1)", "ctx.signal('AAA', 1)", "ctx.schedule('close-1m')",
        "ctx.cancel(self.sent)",
    ],
)  # fmt: skip
def test_nothing_can_be_asked_from_another_thread(tmp_path: Path, call: str) -> None:
    source = HEAD + (
        "from concurrent.futures import ThreadPoolExecutor\nclass A(Strategy):\n"
        "    def on_bar(self, ctx, bar):\n        self.sent = ctx.order('AAA', 'buy', 1, limit=1)\n"
        f"        ThreadPoolExecutor(1).submit(lambda: {call}).result()\n"
    )
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    with pytest.raises(HandlerError, match="asked from another thread"):
        stage.play(bar(0, minute(0), 1, 1, 1, 1))


def test_a_bad_call_is_told_at_the_line_that_made_it(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_bar(self, ctx, bar):\n"
        "        if bar.close > 5:\n            ctx.order('AAA', 'bye', 1)\n"
    )
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    with pytest.raises(HandlerError) as caught:
        stage.play(bar(0, minute(0), 1, 1, 1, 1), bar(0, minute(1), 1, 9, 1, 9))
    assert "one.py, line 5, in on_bar: strategy 'one' failed at 2013-10-04T13:32:00Z: " in str(
        caught.value
    )
    assert "RequestError: side is 'bye'; allowed: buy, sell" in str(caught.value)


def test_an_error_outside_of_the_file_names_the_class(tmp_path: Path) -> None:
    """No line of the file itself has run."""
    source = HEAD + (
        "exec('def made(self, ctx, bar): 1 / 0')\n\nclass A(Strategy):\n    on_bar = made\n"
    )
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    with pytest.raises(HandlerError, match=r"one\.py, line 4: strategy 'one' failed at 2013"):
        stage.play(bar(0, minute(0), 1, 1, 1, 1))


def test_after_a_failure_nothing_is_called(tmp_path: Path) -> None:
    source = HEAD + "class A(Strategy):\n    def on_end(self, ctx): self.ended = True\n"
    for outcome, ended in (("failed", False), ("stopped", True), ("completed", True)):
        stage = Stage()
        runner = make(stage, tmp_path, source)
        stage.start()
        stage.engine.finish(outcome)
        assert hasattr(strategy(runner), "ended") is ended
