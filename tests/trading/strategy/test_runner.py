"""The runner at work: one T at a time, whatever the windows, each strategy by itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.day_table import Grid
from app.model import ITEM, Block, Items, Window
from app.trading.bus import Phase
from app.trading.context import Close, CorporateAction
from app.trading.data_events import MarketEvent
from app.trading.events import (
    BacktestStartEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    SignalEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Side
from app.trading.services.strategy.rows import make_events
from tests.trading.harness import DAYS, Stage, bar, days_of, in_order, minute, quote, trade, window
from tests.trading.strategy.support import (
    HEAD,
    Broker,
    fill,
    ids,
    make,
    requested,
    section,
    strategy,
    update,
)

ENTERS = (
    HEAD
    + """
class A(Strategy):
    def on_start(self, ctx):
        self.seen = []
    def on_bar(self, ctx, bar):
        self.seen.append((ctx.now_ns, ctx.position(bar.symbol), len(ctx.open_orders())))
        if ctx.position(bar.symbol) == 0:
            ctx.order(bar.symbol, "buy", 100)
"""
)


class NaiveBroker(Broker):
    """Takes the slice in the same round as the strategies: they see T before its fills."""

    PHASE = Phase.STRATEGY


@pytest.mark.parametrize(("broker", "entries"), [(NaiveBroker, 2), (Broker, 1)])
def test_fill_of_T_not_booked_when_the_strategy_sees_T_enters_twice(  # noqa: N802
    tmp_path: Path, broker: type[Broker], entries: int
) -> None:
    """In the naive order of things it does; in the phases of T it does not."""
    stage = Stage()
    runner = make(stage, tmp_path, ENTERS)
    stage.attach(broker.from_config(None, stage.bus))
    stage.start()
    stage.play(*(bar(0, minute(i), 10, 10, 10, 10) for i in range(6)))
    assert len(requested(stage)) == entries
    assert runner._of["one"].book.position("AAA") == 100 * entries


def test_the_own_view_is_settled_at_each_T(tmp_path: Path) -> None:  # noqa: N802
    stage = Stage()
    runner = make(stage, tmp_path, ENTERS)
    stage.attach(Broker.from_config(None, stage.bus))
    stage.start()
    stage.play(*(bar(0, minute(i), 10, 10, 10, 10) for i in range(4)))
    assert strategy(runner).seen == [
        (minute(1), 0.0, 0), (minute(2), 100.0, 0), (minute(3), 100.0, 0), (minute(4), 100.0, 0),
    ]  # fmt: skip
    assert ids(requested(stage)) == ["one-1"]


# A strategy that leaves a trace of all that it could see, and acts on it.
TRACER = (
    HEAD
    + """
class A(Strategy):
    intervals = (1, 5)
    def on_start(self, ctx):
        self.seen = []
        ctx.schedule("open+3m", "three")
    def look(self, ctx, what):
        self.seen.append((ctx.now_ns, what, ctx.positions(), len(ctx.open_orders())))
        total = sum(ctx.bars(s).close.sum() for s in ctx.symbols)
        if round(total * 100) % 3 == 0:
            ctx.target_position(ctx.symbols[0], len(self.seen) % 5)
        elif round(total * 100) % 7 == 0:
            ctx.signal(ctx.symbols[-1], 1, tag=f"{total:.2f} {what}")
    def on_bar(self, ctx, bar): self.look(ctx, bar.symbol)
    def on_trade(self, ctx, trade): self.look(ctx, f"t{trade.price}")
    def on_slice(self, ctx, slice): self.look(ctx, f"s{len(slice.bars())}{len(slice.quotes())}")
    def on_timer(self, ctx, name): self.look(ctx, name)
"""
)
BY_ROW = "\n".join(line for line in TRACER.splitlines() if "on_slice" not in line)


def cut(whole: Window, low: int, high: int) -> Window:
    """Some slices of a window."""
    first, last = whole.bounds[low], whole.bounds[high]
    bounds = whole.bounds[low : high + 1] - first
    return Window(1, whole.day, 1, whole.times_ns[low:high], bounds, whole.items[first:last])


def random_rows(seed: int) -> Items:
    dice = np.random.default_rng(seed)
    rows = []
    for number in range(12):
        price = 100 + float(dice.integers(0, 200)) / 100
        rows += [
            bar(s, minute(number), price, price, price, price)
            for s in range(3)
            if dice.random() < 0.6
        ]
        if number % 5 == 4:
            rows.append(bar(0, minute(number - 4), 1, 2, 1, price, interval_min=5))
        for _ in range(int(dice.integers(0, 3))):
            at = minute(number) + int(dice.integers(0, 60)) * 10**9
            rows.append(trade(int(dice.integers(0, 3)), at, price))
            rows.append(quote(int(dice.integers(0, 3)), at, price, price + 1))
    return in_order(rows)


def trace(
    folder: Path, items: Items, cuts: list[int], ids: tuple[str, ...], source: str = TRACER,
    blocks: int = 0,
) -> tuple[Any, ...]:  # fmt: skip
    """All events but their wall times, and what each strategy saw; windows end at the cuts.

    With ``blocks`` so many windows are parts of one.
    """
    stage = Stage(["AAA", "BBB", "CCC"])
    sections = [section(i, symbols=["AAA", "BBB"] if i == "one" else None) for i in ids]
    runner = make(stage, folder, dict.fromkeys(ids, source), *sections)
    stage.attach(Broker.from_config(None, stage.bus))
    stage.start()
    stage.market.add([items])
    count = len(np.unique(items["release_ns"]))
    edges = sorted({0, count, *(c for c in cuts if c < count)})
    whole = window([items])
    for place, (low, high) in enumerate(pairwise(edges)):
        one = cut(whole, low, high)
        if blocks:
            first = place // blocks * blocks
            of = cut(whole, edges[first], edges[min(first + blocks, len(edges) - 1)])
            if place == first:
                block = Block(of.times_ns, of.bounds, of.items)
            one = one._replace(block=block, at=low - edges[first])
        stage.engine.on_window(one)
    stage.end()
    events = [msgspec.structs.replace(e, ts_created_ns=0) for e in stage.seen.events]
    events = [e for e in events if not isinstance(e, BacktestStartEvent)]
    return events, {i: strategy(runner, i).seen for i in ids}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(1, 60), max_size=8))
def test_where_windows_are_cut_changes_nothing(seed: int, cuts: list[int]) -> None:
    items = random_rows(seed)
    with TemporaryDirectory() as folder:
        whole = trace(Path(folder), items, [], ("one", "two"))
        assert trace(Path(folder), items, cuts, ("one", "two")) == whole
        assert trace(Path(folder), items, list(range(100)), ("one", "two")) == whole


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**16), st.lists(st.integers(1, 60), max_size=8), st.integers(0, 4),
    st.sampled_from([1, 4, 100]),
)  # fmt: skip
def test_slabs_across_windows_change_nothing(
    seed: int, cuts: list[int], blocks: int, rows: int
) -> None:
    """Alone and by row only, or among others, slice by slice."""
    items = random_rows(seed)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        among = trace(Path(folder), items, [], ("one", "two"), BY_ROW)
        patch.setattr("app.trading.services.strategy.slabs.ROWS", rows)
        again = trace(Path(folder), items, cuts, ("one", "two"), BY_ROW, blocks)
        assert again == among
        alone = trace(Path(folder), items, cuts, ("one",), BY_ROW, blocks)
        assert alone[1]["one"] == among[1]["one"]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16))
def test_strategies_know_nothing_of_each_other(seed: int) -> None:
    items = random_rows(seed)
    with TemporaryDirectory() as folder:
        together = trace(Path(folder), items, [], ("one", "two"))
        for one in ("one", "two"):
            alone = trace(Path(folder), items, [], (one,))
            assert alone[1][one] == together[1][one]
            theirs = [e for e in together[0] if getattr(e, "strategy_id", one) == one]
            assert [e for e in alone[0] if isinstance(e, OrderRequestEvent | SignalEvent)] == [
                e for e in theirs if isinstance(e, OrderRequestEvent | SignalEvent)
            ]


def test_slabs_are_made_once_for_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping after a slice and coming back costs no new rows; long windows have several slabs."""
    monkeypatch.setattr("app.trading.services.strategy.slabs.ROWS", 4)
    source = HEAD + (
        "class A(Strategy):\n    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar):\n        self.seen.append((bar.symbol, bar.close))\n"
        "        if bar.close % 2 == 0: ctx.signal('AAA', 1)\n"
    )
    stage = Stage(["AAA", "BBB"])
    runner = make(stage, tmp_path, source)
    made: list[Any] = []
    make_slab = runner._make_slab

    def noted(*args: Any) -> Any:
        made.append(make_slab(*args))
        return made[-1]

    monkeypatch.setattr(runner, "_make_slab", noted)
    stage.start()
    closes = [1, 2, 3, 4, 5, 6, 7]
    rows = [bar(s, minute(i), 1, 9, 1, c) for i, c in enumerate(closes) for s in (0, 1)]
    stage.play(*rows, *(bar(0, minute(5), 1, 9, 1, 9, interval_min=m) for m in (5, 15, 30, 60)))
    assert strategy(runner).seen == [(s, float(c)) for c in closes for s in ("AAA", "BBB")]
    # Two slices of two rows each; then one with more rows than a slab.
    assert [(slab.low, slab.high) for slab in made][:3] == [(0, 2), (2, 4), (4, 6)]
    assert len(made) == len({id(slab) for slab in made}) <= 6


def test_rows_by_the_way_are_those_made_at_once() -> None:
    """Of one kind they are made when their turn comes, of a message's bytes too."""
    items = random_rows(7)
    grid, symbols = Grid(DAYS), ("AAA", "BBB", "CCC")
    together, times_ns, kinds = make_events(items, symbols, grid)
    assert list(times_ns) == items["release_ns"].tolist()
    assert set(kinds) == {0, 1, 2}
    everything: list[Any] = list(together[:])
    askew = np.frombuffer(b"x" + items.tobytes(), ITEM, offset=1)
    for kind in (0, 1, 2):
        mine = np.flatnonzero(np.array(kinds) == kind)
        alone, times_ns, only = make_events(askew[mine[0] :][mine - mine[0]], symbols, grid)
        assert only == [kind]
        assert list(times_ns) == items["release_ns"][mine].tolist()
        assert repr(list(alone[:])) == repr([everything[i] for i in mine])
        assert repr(list(alone[1:3])) == repr([everything[i] for i in mine[1:3]])
        row = make_events(askew[mine[0] : mine[0] + 1], symbols, grid).events
        assert repr(list(row[:])) == repr([everything[mine[0]]])


def test_a_slab_serves_all_windows_of_a_block(tmp_path: Path) -> None:
    """Windows of one slice, as a session that is stepped has them, cost no slab each."""
    stage = Stage()
    runner = make(
        stage, tmp_path, HEAD + "class A(Strategy):\n"
        "    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar): self.seen.append((ctx.now_ns, bar.close))\n"
    )  # fmt: skip
    stage.start()
    whole = window([bar(0, minute(i), 1, 9, 1, i + 1) for i in range(4)])
    block, slabs = Block(whole.times_ns, whole.bounds, whole.items), set()
    for at in range(4):
        stage.engine.on_window(cut(whole, at, at + 1)._replace(block=block, at=at))
        slabs.add(runner._slab)
    assert strategy(runner).seen == [(minute(i + 1), i + 1.0) for i in range(4)]
    assert len(slabs) == 1


def test_a_run_stops_after_the_slice_that_published(tmp_path: Path) -> None:
    """All strategies get that slice; nobody gets the next one before all is settled."""
    source = HEAD + (
        "class A(Strategy):\n    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar):\n        self.seen.append(bar.close)\n"
        "        if bar.close == 2: ctx.signal('AAA', 1)\n"
    )
    stage = Stage()
    runner = make(stage, tmp_path, {"one": source, "two": source.replace("== 2", "== 0")})
    stage.start()
    port = runner.port
    assert port is not None
    whole = window([bar(0, minute(i), 1, 9, 1, i + 1) for i in range(4)])
    port.handlers[MarketEvent](MarketEvent(whole, 0, 4))
    assert port.reached == 2
    assert [strategy(runner, i).seen for i in ("one", "two")] == [[1.0, 2.0], [1.0, 2.0]]
    assert [type(e) for e in port.outbox] == [SignalEvent]


@settings(max_examples=25, deadline=None)
@given(
    slices=st.lists(st.sampled_from(["b", "t", "tb", "bb", "tt", "ttb"]), min_size=1, max_size=9),
    stops=st.sets(st.integers(0, 26), max_size=9),
)
def test_a_walk_that_is_left_goes_on_with_the_next_slice(
    slices: list[str], stops: set[int]
) -> None:
    """Bars and trades, several a slice: each is given once and in order, wherever it publishes."""
    source = HEAD + (
        "class A(Strategy):\n"
        "    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar): self.take(ctx, 'b', bar.close)\n"
        "    def on_trade(self, ctx, trade): self.take(ctx, 't', trade.price)\n"
        "    def take(self, ctx, kind, price):\n"
        "        self.seen.append((ctx.now_ns, kind, price))\n"
        f"        if price - 1 in {sorted(stops)}: ctx.signal('AAA', 1)\n"
    )
    rows: list[Items] = []
    expected: list[tuple[int, str, float]] = []
    ends = {len(slices)}
    for number, kinds in enumerate(slices):
        for symbol, kind in enumerate(kinds):
            if len(rows) in stops:
                ends.add(number + 1)
            price, at_ns = len(rows) + 1.0, minute(number + 1)
            made = trade(symbol, at_ns, price)
            rows.append(made if kind == "t" else bar(symbol, minute(number), 1, 99, 1, price))
            expected.append((at_ns, kind, price))
    whole, stage, reached = window(rows), Stage(["AAA", "BBB", "CCC"]), [0]
    with TemporaryDirectory() as folder:
        runner = make(stage, Path(folder), source)
        stage.start()
        port = runner.port
        assert port is not None
        while reached[-1] < len(slices):
            port.handlers[MarketEvent](MarketEvent(whole, reached[-1], len(slices)))
            reached.append(port.reached)
            port.outbox.clear()
    assert strategy(runner).seen == expected
    assert reached[1:] == sorted(ends)


def test_splits_take_effect_before_the_day_starts(tmp_path: Path) -> None:
    days = days_of("2014-06-06", "2014-06-09")
    actions = [CorporateAction("AAA", days[1].date, "split", ratio=7.0),
               CorporateAction("AAA", days[1].date, "dividend", amount=0.47)]  # fmt: skip
    source = HEAD + (
        "class A(Strategy):\n    def on_start(self, ctx): self.seen = []\n"
        "    def on_day_start(self, ctx):\n"
        "        self.seen.append((ctx.position('AAA'), ctx.average_price('AAA'),\n"
        "            [(o.quantity, o.limit_price) for o in ctx.open_orders()],\n"
        "            ctx.prev_close('AAA'), ctx.last('AAA'), ctx.bars('AAA').close.tolist()))\n"
        "    def on_bar(self, ctx, bar):\n"
        "        ctx.order('AAA', 'sell', 100, limit=700, tif='gtc')\n"
    )
    stage = Stage(days=days, actions=actions)
    runner = make(stage, tmp_path, source)
    stage.start()
    bought = Order(order_id="one-0", strategy_id="one", symbol="AAA", side=Side.BUY,
                   type=OrderType.MARKET, quantity=100, created_ns=0)  # fmt: skip
    stage.send(fill(bought, stage.engine.now_ns, 644.0))
    stage.play(bar(0, minute(0, days[0]), 650, 651, 640, 644))
    stage.market.closes[0, 0] = Close(644.7, "last_minute", days[0].end_ns)
    stage.roll()
    assert strategy(runner).seen == [
        (0.0, None, [], None, None, []),
        (700.0, 92.0, [(700.0, 100.0)], pytest.approx(92.1), 92.0, [92.0]),
    ]


def test_rejections_come_with_the_order_gone(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar): ctx.order('AAA', 'buy', 1)\n"
        "    def on_reject(self, ctx, event):\n"
        "        self.seen.append((event.code, len(ctx.open_orders())))\n"
        "    def on_order(self, ctx, event): self.seen.append(event.state.value)\n"
    )
    stage = Stage()
    runner = make(stage, tmp_path, source)
    stage.start()
    stage.play(bar(0, minute(0), 1, 1, 1, 1))
    (order,) = requested(stage)
    for state in (OrderState.PARTIALLY_FILLED, OrderState.FILLED, OrderState.REJECTED):
        stage.send(update(order, state, minute(1)))  # told by on_fill and on_reject
    stage.play(bar(0, minute(1), 1, 1, 1, 1))
    stage.send(
        OrderRejectedEvent(
            ts_event_ns=minute(2), order_id="one-2", strategy_id="one", symbol="AAA",
            code="cash_buffer", reason="x", by="risk",
        )
    )  # fmt: skip
    for other in ("two", "manual"):
        stage.send(fill(msgspec.structs.replace(order, strategy_id=other), minute(2), 5.0))
    assert strategy(runner).seen == [("cash_buffer", 0)]
    assert runner._of["one"].book.positions() == {}


def test_time_is_that_of_what_is_handled(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_start(self, ctx): self.seen = []\n"
        "    def on_bar(self, ctx, bar):\n"
        "        self.seen.append((ctx.now_ns == bar.release_ns, ctx.now.isoformat(),\n"
        "            str(ctx.day), ctx.open.isoformat(), ctx.close.isoformat(),\n"
        "            ctx.half_day, ctx.strategy_id, ctx.close_ns - ctx.open_ns, ctx.is_warmup))\n"
    )
    stage = Stage(days=days_of("2015-12-23", "2015-12-24"))
    runner = make(stage, tmp_path, source)
    stage.start()
    stage.roll()
    stage.play(*(bar(0, minute(i, stage.context.days[1]), 1, 1, 1, 1) for i in range(3)))
    assert strategy(runner).seen == [
        (True, f"2015-12-24T09:3{i + 1}:00-05:00", "2015-12-24", "2015-12-24T09:30:00-05:00",
         "2015-12-24T13:00:00-05:00", True, "one", 210 * 60 * 10**9, False)
        for i in range(3)
    ]  # fmt: skip
    assert DAYS[0].half_day is False


@pytest.mark.parametrize("ids", [("a", "b", "c"), ("c", "a", "b")])
def test_strategies_take_turns_by_their_ids_wherever_their_entries_stand(
    tmp_path: Path, ids: tuple[str, ...]
) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_bar(self, ctx, bar):\n        ctx.order('AAA', 'buy', 1)\n"
    )
    stage = Stage()
    make(stage, tmp_path, dict.fromkeys(ids, source))
    stage.start()
    stage.play(bar(0, minute(0), 10, 10, 10, 10))
    assert [order.strategy_id for order in requested(stage)] == ["a", "b", "c"]
