"""The engine behind a live feed gives what it gives in a replay."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from threading import Event
from typing import Any

import pytest

from app.errors import BehindHorizonError, SessionFailedError, StateError
from app.model import Window
from app.times import MINUTE_NS
from app.trading.bus import BusError, ClosedError, EventBus, Handler, HandlerError, Kind, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    BacktestEndEvent,
    EventBase,
    RiskEvaluationTriggerEvent,
    ScheduleEvent,
    SignalEvent,
    TimerEvent,
    WarningEvent,
)
from app.trading.live import FreeRunner
from app.trading.service import BacktestService
from tests.trading.bus.tools import PATIENCE_S, Running
from tests.trading.harness import DAYS, Stage, bar, minute, window

EVERY = 3  # minutes


class Swing(BacktestService):
    """Signals at each third minute and asks for a timer between two slices."""

    NAME = "strategies"
    RANK = 30
    PHASE = Phase.STRATEGY

    def __init__(self, event_bus: EventBus) -> None:
        super().__init__(event_bus)
        self.count = 0
        self.fails_at = -1

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Swing:
        return cls(event_bus)

    def handlers(self) -> Mapping[type, Handler]:
        return {MarketEvent: self._on_market, TimerEvent: self._on_timer}

    def _on_market(self, event: MarketEvent) -> None:
        assert self.port is not None
        for number in range(event.low, event.high):
            time_ns = int(event.window.times_ns[number])
            self.count += 1
            if self.count == self.fails_at:
                raise ValueError("a strategy's fault")
            if self.count % EVERY == 0:
                self.publish(
                    SignalEvent(
                        ts_event_ns=time_ns, signal_id=f"s{self.count}", strategy_id="swing",
                        symbol="AAA", direction=1,
                    )
                )  # fmt: skip
                wake_ns = time_ns + 3 * MINUTE_NS // 2
                token = f"after {self.count}"
                self.publish(
                    ScheduleEvent(ts_event_ns=time_ns, owner="swing", token=token, at_ns=wake_ns)
                )
                self.port.reached = number + 1
                return

    def _on_timer(self, event: TimerEvent) -> None:
        self.publish(WarningEvent(ts_event_ns=event.ts_event_ns, code="timer", text=event.token))


class Buffer(BacktestService):
    """Answers the signals of a time at its trigger."""

    NAME = "risk"
    RANK = 40

    def __init__(self, event_bus: EventBus) -> None:
        super().__init__(event_bus)
        self.waiting: list[str] = []

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Buffer:
        return cls(event_bus)

    def handlers(self) -> Mapping[type, Handler]:
        return {SignalEvent: self._on_signal, RiskEvaluationTriggerEvent: self._on_trigger}

    def _on_signal(self, event: SignalEvent) -> None:
        self.waiting.append(event.signal_id)

    def _on_trigger(self, event: RiskEvaluationTriggerEvent) -> None:
        for text in self.waiting:
            self.publish(WarningEvent(ts_event_ns=event.ts_event_ns, code="risk", text=text))
        self.waiting.clear()


def windows(day: int) -> list[Window]:
    bars = [bar(0, minute(n, DAYS[day]), 1, 2, 1, 2) for n in range(20)]
    return [window(bars[low:high], day) for low, high in ((0, 1), (1, 2), (2, 11), (11, 20))]


def make_stage(kind: Kind) -> tuple[Stage, Swing]:
    stage = Stage()
    swing = Swing(stage.bus)
    stage.attach(swing, Buffer(stage.bus), kind=kind)
    return stage, swing


def plain(events: list[EventBase]) -> list[str]:
    """All of each event but when it was made."""
    names = [(type(e).__name__, {f: getattr(e, f) for f in e.__struct_fields__}) for e in events]
    return [f"{name} {sorted((fields | {'ts_created_ns': 0}).items())}" for name, fields in names]


def replayed() -> list[str]:
    stage, _ = make_stage(Kind.INLINE)
    stage.start()
    for day in range(2):
        if day:
            stage.roll()
        for one in windows(day):
            stage.engine.on_window(one)
    stage.end()
    stage.engine.finish("completed")
    return plain(stage.seen.events)


def feed_all(runner: FreeRunner) -> None:
    runner.start(DAYS[0].first_ns - 1, ())
    for day in range(2):
        runner.open_day(day, DAYS[day].first_ns - 1)
        for one in windows(day):
            runner.feed(one)
        runner.end_day(day, DAYS[day].end_ns)


@pytest.mark.parametrize("kind", [Kind.INLINE, Kind.THREADED])
def test_the_same_events_as_in_a_replay(kind: Kind) -> None:
    stage, _ = make_stage(kind)
    runner = FreeRunner(stage.engine)
    feed_all(runner)
    assert runner.close(timeout_s=PATIENCE_S)
    assert plain(stage.seen.events) == replayed()
    assert len(stage.seen.of(SignalEvent)) == 2 * 20 // EVERY
    assert len([e for e in stage.seen.of(WarningEvent) if e.code == "timer"]) >= 12
    stage.bus.close()


def test_the_source_is_not_held() -> None:
    stage = Stage()
    begun, gate = Event(), Event()

    def on_market(event: MarketEvent) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)

    stage.bus.subscribe("slow", 10, {MarketEvent: on_market}, phase=Phase.MARKET)
    runner = FreeRunner(stage.engine, "live")
    feed_all(runner)  # returns while the first slice is handled
    assert begun.wait(PATIENCE_S)
    assert runner.backlog > 8
    assert "live" in {thread.name for thread in threading.enumerate()}
    assert runner.wait_until_idle(0.01) is False
    gate.set()
    assert runner.wait_until_idle(PATIENCE_S)
    assert runner.backlog == 0
    assert runner.close()


def test_an_error_is_raised_to_who_feeds_waits_and_closes() -> None:
    stage, swing = make_stage(Kind.INLINE)
    swing.fails_at = 2
    runner = FreeRunner(stage.engine)
    runner.start(DAYS[0].first_ns - 1)
    runner.open_day(0, DAYS[0].first_ns - 1)
    first, second, third, _ = windows(0)
    for one in (first, second):
        runner.feed(one)
    with pytest.raises(SessionFailedError, match="strategies failed on MarketEvent") as caught:
        runner.wait_until_idle(PATIENCE_S)
    assert isinstance(caught.value.__cause__, HandlerError)
    with pytest.raises(SessionFailedError):
        runner.feed(third)
    with pytest.raises(SessionFailedError):
        runner.close(timeout_s=PATIENCE_S)
    assert swing.count == 2
    (end,) = stage.seen.of(BacktestEndEvent)
    assert end.outcome == "failed"
    assert end.cause is not None
    assert end.cause.startswith("HandlerError: strategies failed on MarketEvent")


def test_a_run_that_cannot_be_finished_keeps_its_first_error() -> None:
    stage, swing = make_stage(Kind.INLINE)
    swing.fails_at = 1

    def on_end(event: BacktestEndEvent) -> None:
        raise OSError("disk is full")

    stage.bus.subscribe("audit", 90, {BacktestEndEvent: on_end})
    runner = FreeRunner(stage.engine)
    runner.start(DAYS[0].first_ns - 1)
    runner.feed(windows(0)[0])
    with pytest.raises(SessionFailedError, match="a strategy's fault") as caught:
        runner.close(timeout_s=PATIENCE_S)
    cause = caught.value.__cause__
    assert cause is not None
    assert "audit failed on BacktestEndEvent" in cause.__notes__[0]


def test_an_error_at_the_end_is_raised_by_close() -> None:
    stage = Stage()

    def on_end(event: BacktestEndEvent) -> None:
        raise OSError("disk is full")

    stage.bus.subscribe("audit", 90, {BacktestEndEvent: on_end})
    runner = FreeRunner(stage.engine)
    runner.start(DAYS[0].first_ns - 1)
    with pytest.raises(SessionFailedError, match="disk is full"):
        runner.close("stopped", timeout_s=PATIENCE_S)


def test_it_is_started_once_and_fed_in_order() -> None:
    stage, _ = make_stage(Kind.INLINE)
    runner = FreeRunner(stage.engine)
    first, second, *_ = windows(0)
    with pytest.raises(StateError, match="FreeRunner is not started"):
        runner.feed(first)
    runner.start(DAYS[0].first_ns - 1)
    with pytest.raises(StateError, match="FreeRunner is started"):
        runner.start(DAYS[0].first_ns - 1)
    runner.open_day(0, DAYS[0].first_ns - 1)
    runner.feed(second)
    for late in (first, second):
        with pytest.raises(BehindHorizonError, match="after 2013-10-04T13:32:00Z had been reached"):
            runner.feed(late)
    with pytest.raises(BehindHorizonError):
        runner.advance(minute(1))
    runner.advance(minute(2))
    assert runner.close("stopped", timeout_s=PATIENCE_S)
    assert runner.close()
    with pytest.raises(ClosedError):
        runner.feed(windows(0)[2])
    assert [e.outcome for e in stage.seen.of(BacktestEndEvent)] == ["stopped"]


def test_time_that_goes_by_without_data_and_events_from_outside() -> None:
    stage, _ = make_stage(Kind.INLINE)
    runner = FreeRunner(stage.engine)
    runner.start(DAYS[0].first_ns - 1)
    runner.open_day(0, DAYS[0].first_ns - 1)
    wish = ScheduleEvent(ts_event_ns=minute(1), owner="me", token="wake", at_ns=minute(5))
    runner.publish(wish)
    runner.advance(minute(4))
    assert runner.wait_until_idle(PATIENCE_S)
    assert stage.seen.of(TimerEvent) == []
    runner.advance(minute(5))
    assert runner.wait_until_idle(PATIENCE_S)
    assert [e.ts_event_ns for e in stage.seen.of(TimerEvent)] == [minute(5)]
    assert runner.close()


def test_one_that_was_never_started_ends_without_a_run() -> None:
    stage, _ = make_stage(Kind.INLINE)
    assert FreeRunner(stage.engine).close()
    assert stage.seen.events == []


def test_nobody_waits_for_the_runner_or_the_bus_inside_of_a_service() -> None:
    stage = Stage()
    refused: list[str] = []

    def on_market(event: MarketEvent) -> None:
        for call in (runner.wait_until_idle, stage.bus.wait_until_system_idle):
            try:
                call()
            except BusError as error:
                refused.append(str(error))

    stage.bus.subscribe("one", 10, {MarketEvent: on_market}, phase=Phase.MARKET)
    runner = FreeRunner(stage.engine)
    feed_all(runner)
    idle = Running(stage.bus.wait_until_system_idle)
    assert runner.close(timeout_s=PATIENCE_S)
    assert idle.result() is True
    assert set(refused) == {
        "FreeRunner waited for itself from inside its own handler",
        "the bus was waited for from inside a handler",
    }
