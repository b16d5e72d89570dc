"""Warm-up: real bars from before the start, and nothing that leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.calendar import TradingDay
from app.day_table import Grid
from app.model import Flag, Items
from app.times import parse_time_ns
from app.trading.bus import HandlerError
from app.trading.context import CorporateAction
from app.trading.events import OrderRequestEvent, ScheduleEvent, SignalEvent, WarningEvent
from app.trading.services.strategy.columns import bar_starts
from app.trading.services.strategy.warmup import _days_in
from tests.trading.harness import Stage, bar, days_of, in_order, minute
from tests.trading.strategy.support import HEAD, make, section, strategy

DAYS = days_of("2014-06-04", "2014-06-10")  # Wednesday to Tuesday; the run starts on Monday

SOURCE = (
    HEAD
    + """
class A(Strategy):
    intervals = (1, 15)
    def on_start(self, ctx):
        self.seen = []
        ctx.schedule("open+5m")
    def on_day_start(self, ctx):
        self.seen.append("day")
    def on_bar(self, ctx, bar):
        self.seen.append((bar.symbol, bar.ts_ns, bar.interval_min, bar.close, bar.is_warmup,
                          ctx.now_ns == bar.release_ns, ctx.is_warmup))
        WISH
"""
)


def bars_of(symbol: int, day: TradingDay, closes: list[float], interval: int = 1) -> list[Items]:
    return [
        bar(symbol, minute(i * interval, day), c, c, c, c, interval_min=interval)
        for i, c in enumerate(closes)
    ]


def begin(
    folder: Path, rows: list[Items], warmup: dict[str, Any], wish: str = "pass", **terms: Any
) -> tuple[Stage, Any]:
    """A run that starts on day 3, with these rows before it."""
    stage = Stage(["AAA", "BBB"], days=DAYS, **terms)
    stage.market.add(rows)
    runner = make(stage, folder, SOURCE.replace("WISH", wish), section(warmup=warmup))
    stage.engine.start(DAYS[3].first_ns - 1, ())
    return stage, strategy(runner)


def test_bars_come_by_time_then_symbol_before_the_first_day(tmp_path: Path) -> None:
    rows = bars_of(0, DAYS[2], [1, 2, 3]) + bars_of(1, DAYS[2], [4, 5, 6])[1:]
    stage, made = begin(tmp_path, rows, {"bars": 2})
    stage.open(3)
    stage.play(bar(0, minute(0, DAYS[3]), 7, 7, 7, 7))
    one, two = minute(1, DAYS[2]), minute(2, DAYS[2])
    assert made.seen == [
        ("AAA", one, 1, 2.0, True, True, True), ("BBB", one, 1, 5.0, True, True, True),
        ("AAA", two, 1, 3.0, True, True, True), ("BBB", two, 1, 6.0, True, True, True),
        "day", ("AAA", minute(0, DAYS[3]), 1, 7.0, False, True, False),
    ]  # fmt: skip
    assert stage.seen.of(WarningEvent) == []


def test_days_and_another_interval(tmp_path: Path) -> None:
    rows = [row for s in (0, 1) for d in (0, 1, 2) for row in bars_of(s, DAYS[d], [d, d], 15)]
    _, made = begin(tmp_path, rows, {"days": 2, "interval": "15m"})
    assert [(s, i, c) for s, _, i, c, *_ in made.seen] == [
        ("AAA", 15, 1.0), ("BBB", 15, 1.0), ("AAA", 15, 1.0), ("BBB", 15, 1.0),
        ("AAA", 15, 2.0), ("BBB", 15, 2.0), ("AAA", 15, 2.0), ("BBB", 15, 2.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("warmup", "said"),
    [
        ({"bars": 3}, "AAA has 2 of 3 bars of 1m, BBB has 0 of 3 bars of 1m; start later"),
        ({"days": 2}, "AAA has 1 of 2 days, BBB has 0 of 2 days; start later, ask for less"),
    ],
)
def test_too_few_are_told(tmp_path: Path, warmup: dict[str, Any], said: str) -> None:
    rows = bars_of(0, DAYS[2], [1, 2])
    with pytest.raises(HandlerError) as caught:
        begin(tmp_path, rows, warmup)
    assert f"strategy 'one': too little data for its warm-up: {said}" in str(caught.value)
    _, made = begin(tmp_path, rows, {**warmup, "allow_short": True})
    assert [row[3] for row in made.seen] == [1.0, 2.0]


def test_of_many_symbols_the_first_are_named(tmp_path: Path) -> None:
    stage = Stage([f"S{i}" for i in range(9)], days=DAYS)
    make(stage, tmp_path, SOURCE.replace("WISH", "pass"), section(warmup={"bars": 1}))
    with pytest.raises(HandlerError, match="S2 has 0 of 1 bars of 1m, and 6 more; start later"):
        stage.engine.start(DAYS[3].first_ns - 1, ())


@pytest.mark.parametrize(
    ("wish", "counted"),
    [
        ("assert ctx.signal('AAA', 1) == ''", 2),
        ("assert ctx.order('AAA', 'buy', 1, stop_loss=0.1) == ''", 2),
        ("assert ctx.target_position('AAA', 5) is None", 2),
        ("assert ctx.oco([dict(symbol='AAA', side='buy', quantity=1)] * 2) == ()", 2),
        ("assert ctx.cancel(ctx.order('AAA', 'buy', 1)) is False", 2),
        ("assert ctx.cancel_all() == 0", 0),
        ("assert ctx.modify(ctx.signal('AAA', 0), limit=1) is False", 2),
    ],
)
def test_what_is_wished_is_ignored_and_counted(tmp_path: Path, wish: str, counted: int) -> None:
    stage, _ = begin(tmp_path, bars_of(0, DAYS[2], [1, 2]), {"bars": 2, "allow_short": True}, wish)
    assert not stage.seen.of(SignalEvent)
    assert not stage.seen.of(OrderRequestEvent)
    assert [(e.code, e.strategy_id, e.text) for e in stage.seen.of(WarningEvent)] == [
        ("warmup_ignored", "one", f"{counted} signals, orders and changes of the warm-up were "
         "ignored")
    ][: counted and 1]  # fmt: skip


def test_a_wrong_wish_is_told_in_warm_up_too(tmp_path: Path) -> None:
    rows = bars_of(0, DAYS[2], [1, 2])
    with pytest.raises(HandlerError) as caught:
        begin(tmp_path, rows, {"bars": 2, "allow_short": True}, "ctx.order('AAA', 'bye', 1)")
    assert "one.py, line 13, in on_bar: strategy 'one' failed at 2014-06-06T13:31:00Z" in str(
        caught.value
    )


def test_nothing_can_be_scheduled_by_a_bar_of_the_warm_up(tmp_path: Path) -> None:
    rows = bars_of(0, DAYS[2], [1, 2])
    with pytest.raises(HandlerError, match="nothing can be scheduled by a bar of the warm-up"):
        begin(tmp_path, rows, {"bars": 2, "allow_short": True}, "ctx.schedule('open')")


def test_ids_count_from_the_start(tmp_path: Path) -> None:
    """What was ignored has used up no id, and schedules of on_start are armed with the day."""
    wish = "self.seen.append(ctx.order('AAA', 'buy', 1))"
    stage, made = begin(
        tmp_path, bars_of(0, DAYS[2], [1, 2]), {"bars": 2, "allow_short": True}, wish
    )
    assert stage.seen.of(ScheduleEvent) == []
    stage.open(3)
    stage.play(bar(0, minute(0, DAYS[3]), 7, 7, 7, 7))
    assert [s for s in made.seen if isinstance(s, str)] == ["", "", "day", "one-1"]
    assert len(stage.seen.of(ScheduleEvent)) == 1


def test_prices_stand_on_the_basis_of_the_start(tmp_path: Path) -> None:
    """The split is of the start's own day; look-back within warm-up stands on the same basis."""
    rows = bars_of(0, DAYS[2], [700, 707])
    actions = [CorporateAction("AAA", DAYS[3].date, "split", ratio=7.0)]
    wish = "self.seen.append(tuple(ctx.bars('AAA').close.tolist()))"
    _, made = begin(tmp_path, rows, {"bars": 2, "allow_short": True}, wish, actions=actions)
    assert [row[3] if len(row) == 7 else row for row in made.seen] == [
        100.0, (100.0,), 101.0, (100.0, 101.0),
    ]  # fmt: skip


def test_a_run_that_starts_within_a_day_warms_up_to_that_moment(tmp_path: Path) -> None:
    stage = Stage(["AAA"], days=DAYS)
    stage.market.add(bars_of(0, DAYS[3], [1, 2, 3, 4]))
    runner = make(stage, tmp_path, SOURCE.replace("WISH", "pass"), section(warmup={"bars": 2}))
    stage.engine.start(minute(3, DAYS[3]), ())
    assert [row[3] for row in strategy(runner).seen] == [2.0, 3.0]


def test_each_strategy_has_its_own(tmp_path: Path) -> None:
    stage = Stage(["AAA"], days=DAYS)
    stage.market.add(bars_of(0, DAYS[2], [1, 2, 3]))
    source = SOURCE.replace("WISH", "pass")
    runner = make(
        stage, tmp_path, {"one": source, "two": source, "three": source},
        section("one", warmup={"bars": 3}), section("two"), section("three", warmup={"bars": 1}),
    )  # fmt: skip
    stage.engine.start(DAYS[3].first_ns - 1, ())
    assert [len(strategy(runner, i).seen) for i in ("one", "two", "three")] == [3, 0, 1]


def test_a_short_bar_of_a_day_that_is_not_of_the_run() -> None:
    """60m bars of a day of 390 minutes: the last one has 30, and starts after the one before."""
    rows = bars_of(0, DAYS[2], [1, 2, 3, 4, 5, 6, 7], 60)
    rows[6]["release_ns"], rows[6]["flags"] = minute(390, DAYS[2]), int(Flag.PARTIAL)
    starts = [minute(60 * i, DAYS[2]) for i in range(7)]
    for grid in (Grid(DAYS[3:]), Grid(DAYS)):
        assert bar_starts(in_order(rows), grid).tolist() == starts
        assert bar_starts(in_order(rows[:4] + rows[6:]), grid).tolist() == [*starts[:4], starts[6]]
    alone = bar_starts(rows[6], Grid(DAYS[3:]))  # nothing tells it: as if it were whole
    assert alone.tolist() == [minute(330, DAYS[2])]


def test_days_are_those_of_the_exchange() -> None:
    """Over the clock change of March 2008, and where two sessions share a UTC date."""
    friday, monday = (d.open_ns for d in days_of("2008-03-07", "2008-03-10"))
    hour = 3_600 * 10**9
    times = np.array([friday, friday + 6 * hour, monday, monday + 6 * hour])
    assert _days_in(times, "America/New_York") == 2
    wellington = [parse_time_ns(f"2024-02-06T{at}:00:00Z") for at in ("03", "21")]
    assert _days_in(np.array(wellington), "Pacific/Auckland") == 2
    assert _days_in(times[:0], "America/New_York") == 0


@pytest.mark.parametrize("days", [{"bars": 0}, {"days": 0}])
def test_a_section_asks_for_one_at_least(days: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        section(warmup=days)
