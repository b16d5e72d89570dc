"""Handlers that hold the barrier for too long are named, whatever their kind."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event

import pytest

from app.trading.bus import HandlerError, Kind, Phase, Subscriber, WatchdogError, barrier, rounds
from app.trading.bus.barrier import Barrier
from app.trading.bus.errors import HandlerInterrupt
from app.trading.bus.turn import Turn
from app.trading.bus.watch import Looks, Spot, Watch
from app.trading.data_events import MarketEvent
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import (
    PATIENCE_S,
    T_NS,
    Texts,
    async_services,
    in_loop,
    make_bus,
    timer,
    warning,
)
from tests.trading.harness import trade, window

LIMIT_S = 0.1


def check(error: HandlerError, name: str, event: object, says: str) -> None:
    assert isinstance(error.__cause__, WatchdogError)
    assert (error.subscriber, error.event, error.time_ns) == (name, event, T_NS)
    assert str(error) == (
        f"{name} failed on TimerEvent at 2013-10-04T13:30:00Z: WatchdogError: {says}"
    )


class Opening(logging.Handler):
    """Opens a gate when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.gate.set()


@pytest.fixture
def opening() -> Iterator[Opening]:
    handler = Opening()
    log = logging.getLogger("app.trading.bus.watch")
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)


class HandClock:
    """The barrier's clock: it goes on when the test says so, however slow the machine is."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def go_on(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    one = HandClock()
    monkeypatch.setattr(barrier, "monotonic", one)
    return one


class HandWatch:
    """Looks when the test says so, at the time that it says; interrupts nothing."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._looks = Looks()

    def add(self, spot: Spot) -> None:
        self._looks.add(spot, self.now_s)

    def look_after(self, seconds: float) -> None:
        self.now_s += seconds
        self._looks.look(self.now_s)


@pytest.fixture
def hand_watch(monkeypatch: pytest.MonkeyPatch) -> HandWatch:
    one = HandWatch()
    monkeypatch.setattr(rounds, "watch", one)
    monkeypatch.setattr(Spot, "interrupt", lambda spot, place: None)
    return one


def test_a_thread_that_hangs_is_named_and_given_up(clock: HandClock) -> None:
    bus = make_bus(LIMIT_S)
    texts, gate, returned = Texts(bus), Event(), Event()

    def on_timer(event: TimerEvent) -> None:
        if event.token == "hang":
            clock.go_on(LIMIT_S)
            assert gate.wait(PATIENCE_S)
        try:
            port.publish(warning("too late"))
        finally:
            returned.set()

    port = bus.subscribe("hanging", 10, {TimerEvent: on_timer}, kind=Kind.THREADED)
    event = timer("hang")
    bus.publish(event)
    with pytest.raises(HandlerError) as caught:
        bus.drain()
    check(caught.value, "hanging", event, f"it held the barrier for more than {LIMIT_S} s")
    # The run can still be brought to its end, without it.
    bus.abandon()
    bus.publish(warning("end"))
    bus.publish(timer("nobody hears it"))
    bus.drain()
    assert texts.seen == ["end"]
    gate.set()
    assert returned.wait(PATIENCE_S)
    bus.drain()
    assert texts.seen == ["end"]
    bus.close()


@pytest.mark.usefixtures("hand_watch")
def test_a_thread_that_was_slow_while_others_were_handled_fails_as_well(clock: HandClock) -> None:
    class Slow(Subscriber):
        def _on_event(self, event: TimerEvent) -> None:
            clock.go_on(LIMIT_S)

    bus = make_bus(LIMIT_S)
    slow = Slow("slow")
    idle: list[bool] = []
    bus.attach(slow, 10, [TimerEvent])
    bus.subscribe(
        "inline", 20, {TimerEvent: lambda event: idle.append(slow.wait_until_idle(PATIENCE_S))}
    )
    bus.publish(timer("x"))
    with pytest.raises(HandlerError, match="slow failed on TimerEvent"):
        bus.drain()
    assert idle == [True]
    bus.close()


def test_the_first_by_rank_is_named_of_several_that_hang(clock: HandClock) -> None:
    bus = make_bus(LIMIT_S)
    gate = Event()

    def hang(event: TimerEvent) -> None:
        clock.go_on(LIMIT_S)
        assert gate.wait(PATIENCE_S)

    for rank in (30, 10, 20):
        bus.subscribe(f"hanging-{rank}", rank, {TimerEvent: hang}, kind=Kind.THREADED)
    bus.publish(timer("x"))
    with pytest.raises(HandlerError, match="hanging-10 failed on TimerEvent"):
        bus.drain()
    gate.set()
    bus.drain()
    bus.close()


def test_many_handlers_that_are_quick_are_not_one_that_hangs(clock: HandClock) -> None:
    """Twelve, of a tenth of the limit each."""
    bus = make_bus(LIMIT_S)
    bus.subscribe("one", 10, {TimerEvent: lambda e: clock.go_on(0.1 * LIMIT_S)}, kind=Kind.THREADED)
    for number in range(12):
        bus.publish(timer(str(number)))
    bus.drain()
    bus.close()
    assert clock.now_s > LIMIT_S


def test_a_block_that_hangs_in_a_loop_is_named(clock: HandClock) -> None:
    bus = make_bus(LIMIT_S)
    sub = bus.subscribe_async("hanging", 10, [TimerEvent])
    loops: list[asyncio.AbstractEventLoop] = []
    gate = asyncio.Event()

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with sub.consume():
            clock.go_on(LIMIT_S)
            await gate.wait()

    with in_loop(main):
        event = timer("x")
        bus.publish(event)
        with pytest.raises(HandlerError) as caught:
            bus.drain()
        check(caught.value, "hanging", event, f"it held the barrier for more than {LIMIT_S} s")
        loops[0].call_soon_threadsafe(gate.set)
    bus.close()


def test_a_service_that_hangs_in_a_loop_is_named(clock: HandClock) -> None:
    bus = make_bus(LIMIT_S)
    gates: list[Callable[[], object]] = []

    async def on_timer(event: TimerEvent) -> None:
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        gates.append(lambda: loop.call_soon_threadsafe(gate.set))
        clock.go_on(LIMIT_S)
        await gate.wait()

    bus.subscribe("hanging", 10, {TimerEvent: on_timer}, kind=Kind.ASYNC)
    with async_services(bus):
        bus.publish(timer("x"))
        with pytest.raises(HandlerError, match=r"hanging failed on TimerEvent .*WatchdogError"):
            bus.drain()
        gates[0]()


def test_an_event_that_nobody_consumes_is_named() -> None:
    bus = make_bus(LIMIT_S)
    bus.subscribe_async("nobody", 10, [TimerEvent])
    event = timer("x")
    bus.publish(event)
    with pytest.raises(HandlerError) as caught:
        bus.drain()
    check(caught.value, "nobody", event, f"nobody took the event up for {LIMIT_S} s")
    bus.close()


def test_an_inline_handler_is_named_while_it_hangs_and_fails_when_it_returns(
    opening: Opening, hand_watch: HandWatch
) -> None:
    bus = make_bus(LIMIT_S)
    seen: list[str] = []

    def on_timer(event: TimerEvent) -> None:
        seen.append(event.token)
        while event.token == "second" and not opening.gate.is_set():
            hand_watch.look_after(LIMIT_S / 4)

    bus.subscribe("hanging", 10, {TimerEvent: on_timer})
    events = [timer("first"), timer("second"), timer("third")]
    for event in events:
        bus.publish(event)
    with pytest.raises(HandlerError) as caught:
        bus.drain()
    check(caught.value, "hanging", events[1], f"it held the barrier for more than {LIMIT_S} s")
    assert opening.messages == [
        "hanging holds the barrier: its handler of TimerEvent at 2013-10-04T13:30:00Z "
        f"runs for more than {LIMIT_S} s"
    ]
    assert seen == ["first", "second", "third"]
    bus.publish(timer("fourth"))
    bus.drain()


def test_an_endless_loop_is_interrupted() -> None:
    """One that catches what it can, too; what the handler makes of it is the failure."""
    bus = make_bus(LIMIT_S)

    def on_timer(event: TimerEvent) -> None:
        while event.token == "loop":
            with suppress(Exception):
                sum(range(100))

    def on_warning(event: WarningEvent) -> None:
        try:
            on_timer(timer("loop"))
        except HandlerInterrupt as error:
            raise ValueError("line 7") from error

    bus.subscribe("endless", 10, {TimerEvent: on_timer, WarningEvent: on_warning})
    bus.publish(timer("loop"))
    with pytest.raises(HandlerError, match="WatchdogError: it held the barrier for more"):
        bus.drain()
    bus.publish(warning("loop"))
    with pytest.raises(HandlerError, match="ValueError: line 7"):
        bus.drain()
    bus.publish(timer("well"))
    bus.drain()


def test_an_inline_handler_of_market_data_that_hangs_is_named(opening: Opening) -> None:
    bus = make_bus(LIMIT_S)

    def on_market(event: MarketEvent) -> None:
        assert opening.gate.wait(PATIENCE_S)

    bus.subscribe("hanging", 10, {MarketEvent: on_market}, phase=Phase.MARKET)
    slices = MarketEvent(window([trade(0, T_NS, 1.0)]), 0, 1)
    with pytest.raises(HandlerError, match="hanging failed on MarketEvent"):
        bus.send_market(Phase.MARKET, slices)


def test_without_a_limit_nobody_is_named(opening: Opening) -> None:
    bus = make_bus(None)
    bus.subscribe("slow", 10, {TimerEvent: lambda event: Event().wait(2 * LIMIT_S)})
    bus.subscribe(
        "slow too", 11, {TimerEvent: lambda e: Event().wait(2 * LIMIT_S)}, kind=Kind.THREADED
    )
    bus.publish(timer("x"))
    bus.drain()
    bus.close()
    assert opening.messages == []


def test_the_watch_ends_when_all_is_quiet_and_begins_again() -> None:
    watch = Watch()
    spot = Spot(LIMIT_S, Turn(lambda: True), Barrier(LIMIT_S))
    for _ in range(2):
        watch.add(spot)
        assert spot.watched
        thread = watch.thread
        assert thread is not None
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert not spot.watched


def test_the_watch_keeps_no_bus_alive() -> None:
    bus = make_bus()
    bus.publish(warning("x"))
    bus.drain()
    gone = weakref.ref(bus)
    del bus
    gc.collect()
    assert gone() is None


def test_a_bus_beside_one_that_hangs_is_not_disturbed(
    opening: Opening, hand_watch: HandWatch
) -> None:
    """Both are looked at in the middle of a handler, for ten limits; one is at the same event."""
    hanging, busy = make_bus(LIMIT_S), make_bus(LIMIT_S)
    texts: list[str] = []

    def on_warning(event: WarningEvent) -> None:
        hand_watch.look_after(LIMIT_S / 4)
        texts.append(event.text)

    def on_timer(event: TimerEvent) -> None:
        for number in range(40):
            busy.publish(warning(str(number)))
            busy.drain()

    busy.subscribe("busy", 1, {WarningEvent: on_warning})
    hanging.subscribe("hanging", 1, {TimerEvent: on_timer})
    hanging.publish(timer("x"))
    with pytest.raises(HandlerError, match="hanging failed"):
        hanging.drain()
    assert texts == [str(number) for number in range(40)]
    assert len(opening.messages) == 1
    assert opening.messages[0].startswith("hanging holds the barrier")


def test_an_inline_handler_is_named_from_its_limit_on_and_not_before(
    opening: Opening, hand_watch: HandWatch
) -> None:
    """Looked at four times a limit: first a quarter after it began, named a limit later."""
    bus = make_bus(LIMIT_S)
    told: list[int] = []

    def on_timer(event: TimerEvent) -> None:
        for _ in range(int(event.token)):
            hand_watch.look_after(LIMIT_S / 4)
            told.append(len(opening.messages))

    bus.subscribe("slow", 1, {TimerEvent: on_timer})
    bus.publish(timer("4"))
    bus.publish(timer("4"))
    bus.drain()
    assert told == [0] * 8
    told.clear()
    bus.publish(timer("6"))
    with pytest.raises(HandlerError, match="slow failed"):
        bus.drain()
    assert told == [0, 0, 0, 0, 1, 1]
