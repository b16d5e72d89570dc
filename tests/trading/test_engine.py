"""The phases at each T, in their order, whatever the windows and whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Items
from app.trading.bus import BusError, EventBus, HandlerError, Phase
from app.trading.context import CorporateAction
from app.trading.data_events import MarketEvent
from app.trading.events import (
    BacktestEndEvent,
    ControlEvent,
    CorporateActionEvent,
    DayEndEvent,
    DayOpenEvent,
    FillEvent,
    OrderRequestEvent,
    RiskEvaluationTriggerEvent,
    ScheduleEvent,
    SessionCloseEvent,
    SignalEvent,
    TimerEvent,
    ValuationTriggerEvent,
    WarningEvent,
)
from app.trading.orders import OrderType, Side
from app.trading.service import BacktestService
from tests.trading.harness import DAYS, Stage, bar, in_order, minute
from tests.trading.harness import window as make_window


class Listener(BacktestService):
    """Notes what it gets, in a log that all listeners of a stage share."""

    NAME: ClassVar[str] = "listener"
    RANK: ClassVar[int] = 30
    PHASE: ClassVar[Phase | None] = None
    HEARS: ClassVar[tuple[type, ...]] = ()

    def __init__(self, event_bus: EventBus, log: list[tuple[str, str, int]]) -> None:
        super().__init__(event_bus)
        self.log = log

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        return cls(event_bus, section)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        found: dict[type, Callable[[Any], None]] = dict.fromkeys(self.HEARS, self.hear)
        if self.PHASE is not None:
            found[MarketEvent] = self.on_market
        return found

    def hear(self, event: Any) -> None:
        self.log.append((self.NAME, type(event).__name__, event.ts_event_ns))

    def on_market(self, event: MarketEvent) -> None:
        for time_ns in event.window.times_ns[event.low : event.high].tolist():
            self.log.append((self.NAME, "slice", time_ns))


class Broker(Listener):
    """Fills what was signalled at the next slice, as an execution would."""

    NAME, RANK, PHASE = "broker", 10, Phase.MARKET
    HEARS = (SignalEvent, SessionCloseEvent)
    resting = 0

    def hear(self, event: Any) -> None:
        super().hear(event)
        self.resting += isinstance(event, SignalEvent)

    def scan(self, event: MarketEvent) -> int:
        return event.low if self.resting else event.high

    def on_market(self, event: MarketEvent) -> None:
        super().on_market(event)
        for _ in range(self.resting):
            self.publish(fill(event.last_ns))
        self.resting = 0


class Trader(Listener):
    """Signals at the given slices."""

    NAME, RANK, PHASE = "trader", 30, Phase.STRATEGY
    HEARS = (FillEvent, TimerEvent)

    def __init__(
        self, event_bus: EventBus, log: list[tuple[str, str, int]], at: frozenset[int]
    ) -> None:
        super().__init__(event_bus, log)
        self.at = at

    def on_market(self, event: MarketEvent) -> None:
        for place in range(event.low, event.high):
            time_ns = int(event.window.times_ns[place])
            self.log.append((self.NAME, "slice", time_ns))
            if time_ns in self.at:
                self.publish(signal(time_ns))
                assert self.port is not None
                self.port.reached = place + 1
                return


class Judge(Listener):
    NAME, RANK = "judge", 40
    HEARS = (SignalEvent, FillEvent, ValuationTriggerEvent, RiskEvaluationTriggerEvent)


def signal(ts_ns: int) -> SignalEvent:
    return SignalEvent(
        ts_event_ns=ts_ns, signal_id=f"t-s{ts_ns}", strategy_id="t", symbol="AAA", direction=1
    )


def fill(ts_ns: int) -> FillEvent:
    return FillEvent(
        ts_event_ns=ts_ns, fill_id="f", order_id="o", strategy_id="t", symbol="AAA", side=Side.BUY,
        quantity=1.0, price=1.0, commission=0.0, fees=0.0, slippage=0.0, price_time_ns=ts_ns,
        arrival_price=None, order_type=OrderType.MARKET, source="bars",
    )  # fmt: skip


def rows(count: int) -> list[Items]:
    return [bar(0, minute(i), 1, 2, 1, 2) for i in range(count)]


def stage(at: frozenset[int]) -> tuple[Stage, list[tuple[str, str, int]]]:
    log: list[tuple[str, str, int]] = []
    one = Stage()
    one.attach(Broker(one.bus, log), Trader(one.bus, log, at), Judge(one.bus, log))
    return one, log


def test_phases_at_t() -> None:
    one, log = stage(frozenset({minute(1)}))
    one.start()
    log.clear()
    one.play(*rows(2))
    at, after = minute(1), minute(2)
    assert log == [
        ("trader", "slice", at),
        ("broker", "slice", at),
        ("broker", "SignalEvent", at),
        ("judge", "SignalEvent", at),
        ("judge", "ValuationTriggerEvent", at),
        ("judge", "RiskEvaluationTriggerEvent", at),
        # An order rests: the next slice goes to execution first, and its fills are booked.
        ("broker", "slice", after),
        ("trader", "FillEvent", after),
        ("judge", "FillEvent", after),
        ("trader", "slice", after),
        ("judge", "ValuationTriggerEvent", after),
        ("judge", "RiskEvaluationTriggerEvent", after),
    ]


def test_quiet_slices_trigger_nothing() -> None:
    one, log = stage(frozenset())
    one.start()
    log.clear()
    one.play(*rows(5))
    assert [kind for name, kind, _ in log if name == "judge"] == []
    assert len([1 for name, kind, _ in log if (name, kind) == ("trader", "slice")]) == 5


@settings(deadline=None)
@given(
    at=st.sets(st.integers(1, 12), max_size=6),
    cuts=st.sets(st.integers(1, 11), max_size=5),
    timers=st.lists(st.tuples(st.integers(0, 26), st.booleans()), max_size=4),
)
def test_where_windows_are_cut_changes_no_event(
    at: set[int], cuts: set[int], timers: list[tuple[int, bool]]
) -> None:
    def events(edges: list[int]) -> list[object]:
        one, _ = stage(frozenset(minute(n) for n in at))
        one.start()
        for number, (halves, before) in enumerate(timers):
            one.send(
                ScheduleEvent(
                    ts_event_ns=one.engine.now_ns, owner="x", token=str(number),
                    at_ns=minute(0) + halves * 30_000_000_000, before_slice=before,
                )
            )  # fmt: skip
        items = in_order(rows(12))
        for low, high in zip([0, *edges], [*edges, 12], strict=True):
            one.engine.on_window(make_window([items[low:high]]))
        one.end()
        return [(type(e).__name__, e.ts_event_ns) for e in one.seen.events]

    assert events(sorted(cuts)) == events([])


def test_timers_before_and_after_their_slice() -> None:
    one, log = stage(frozenset())
    one.start()
    for token, before in (("after", False), ("before", True)):
        one.send(
            ScheduleEvent(
                ts_event_ns=one.engine.now_ns, owner="x", token=token, at_ns=minute(1),
                before_slice=before,
            )
        )  # fmt: skip
    log.clear()
    one.play(*rows(2))
    of_trader = [(kind, at) for name, kind, at in log if name == "trader"]
    assert of_trader == [
        ("TimerEvent", minute(1)),
        ("slice", minute(1)),
        ("TimerEvent", minute(1)),
        ("slice", minute(2)),
    ]
    assert [e.token for e in one.seen.of(TimerEvent)] == ["before", "after"]


def test_a_timer_without_data_comes_at_its_time() -> None:
    one, _ = stage(frozenset())
    one.start()
    one.send(
        ScheduleEvent(ts_event_ns=one.engine.now_ns, owner="x", token="a", at_ns=minute(3) + 5)
    )
    assert one.engine.next_due_ns() == minute(3) + 5
    one.engine.advance(minute(3) + 4)
    assert one.seen.of(TimerEvent) == []
    one.engine.advance(minute(3) + 5)
    assert [e.ts_event_ns for e in one.seen.of(TimerEvent)] == [minute(3) + 5]


def test_the_life_of_a_run() -> None:
    one = Stage(actions=[CorporateAction("AAA", DAYS[1].date, "split", ratio=7.0)])
    one.start()
    one.play(*rows(2))
    one.roll()
    one.end()
    one.engine.finish("completed")
    told = [e for e in one.seen.events if not isinstance(e, ValuationTriggerEvent)]
    told = [e for e in told if not isinstance(e, RiskEvaluationTriggerEvent)]
    assert [type(e).__name__ for e in told] == [
        "ControlEvent", "BacktestStartEvent", "DayOpenEvent", "SessionCloseEvent", "DayEndEvent",
        "DayOpenEvent", "CorporateActionEvent", "SessionCloseEvent", "DayEndEvent",
        "ControlEvent", "BacktestEndEvent",
    ]  # fmt: skip
    assert [e.kind for e in one.seen.of(ControlEvent)] == ["engine_ready", "eof"]
    assert [e.ts_event_ns for e in one.seen.of(DayOpenEvent)] == [d.first_ns - 1 for d in DAYS[:2]]
    assert one.seen.of(CorporateActionEvent)[0].ratio == 7.0
    assert [e.ts_event_ns for e in one.seen.of(SessionCloseEvent)] == [d.close_ns for d in DAYS[:2]]
    assert [e.ts_event_ns for e in one.seen.of(DayEndEvent)] == [d.end_ns for d in DAYS[:2]]
    assert one.seen.of(BacktestEndEvent)[0].outcome == "completed"


def test_a_stopped_run_recorded_as_completed() -> None:
    """Naive: whoever ends a run says that its data has ended, and that is all there is to say."""
    naive, _ = stage(frozenset())
    naive.start()
    naive.send(ControlEvent(ts_event_ns=naive.engine.now_ns, kind="eof"))
    completed, _ = stage(frozenset())
    completed.start()
    completed.engine.finish("completed")
    kinds = [[e.kind for e in one.seen.of(ControlEvent)] for one in (naive, completed)]
    assert kinds[0] == kinds[1]  # nobody could tell

    one, _ = stage(frozenset())
    one.start()
    one.engine.finish("stopped")
    assert [e.kind for e in one.seen.of(ControlEvent)] == ["engine_ready"]
    assert one.seen.of(BacktestEndEvent)[0].outcome == "stopped"


def test_a_handler_error_names_subscriber_event_and_time() -> None:
    class Broken(Listener):
        NAME, RANK, HEARS = "broken", 50, (SignalEvent,)

        def hear(self, event: Any) -> None:
            raise ZeroDivisionError("by nought")

    one, log = stage(frozenset({minute(1)}))
    one.attach(Broken(one.bus, log))
    one.start()
    with pytest.raises(HandlerError, match=r"broken failed on SignalEvent at 2013-10-04T13:31:00Z"):
        one.play(*rows(3))
    one.engine.finish("failed", "by nought")
    assert one.seen.of(BacktestEndEvent)[0].outcome == "failed"
    assert one.seen.of(FillEvent) == []


def test_services_that_answer_each_other_for_ever_fail_the_run() -> None:
    class Echo(Listener):
        NAME, RANK, HEARS = "echo", 50, (RiskEvaluationTriggerEvent,)

        def hear(self, event: Any) -> None:
            self.publish(
                OrderRequestEvent(ts_event_ns=event.ts_event_ns, strategy_id="e", orders=())
            )

    one, log = stage(frozenset({minute(1)}))
    one.attach(Echo(one.bus, log))
    one.start()
    with pytest.raises(BusError, match="answered each other"):
        one.play(*rows(3))


def test_a_warning_stirs_nothing() -> None:
    one, log = stage(frozenset())
    one.start()
    log.clear()
    one.send(WarningEvent(ts_event_ns=one.engine.now_ns, code="x", text="y"))
    assert log == []
