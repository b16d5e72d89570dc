"""Waiting until the bus is idle, draining, leaving and closing: from any thread."""

from __future__ import annotations

import threading
from functools import partial
from threading import Event

import numpy as np
import pytest

from app.trading.bus import (
    BusError,
    ClosedError,
    EventBus,
    Handler,
    HandlerError,
    Kind,
    Phase,
    Subscriber,
)
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import (
    PATIENCE_S,
    T_NS,
    Running,
    Texts,
    async_services,
    make_bus,
    timer,
    warning,
)
from tests.trading.harness import trade, window


def gated(bus: EventBus, kind: Kind = Kind.THREADED) -> tuple[Event, Event]:
    """A subscriber that answers a timer with a warning: when it has begun, and what it awaits."""
    begun, gate = Event(), Event()

    def on_timer(event: TimerEvent) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        port.publish(warning(event.token))

    port = bus.subscribe(f"gated-{kind}", 10, {TimerEvent: on_timer}, kind=kind)
    return begun, gate


def test_an_idle_bus_is_idle_at_once() -> None:
    assert make_bus().wait_until_system_idle(0) is True


def test_who_waits_delivers_where_nobody_else_does() -> None:
    bus = make_bus()
    texts = Texts(bus)
    bus.publish(warning("a"))
    assert bus.wait_until_system_idle() is True
    Running(lambda: bus.publish(warning("b"))).result()  # by a thread that has gone
    assert bus.wait_until_system_idle() is True
    assert texts.seen == ["a", "b"]


def test_others_wait_for_the_thread_that_drains() -> None:
    bus = make_bus()
    texts = Texts(bus)
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    draining = Running(bus.drain)
    assert begun.wait(PATIENCE_S)
    assert bus.wait_until_system_idle(0.01) is False
    waiting = [Running(bus.wait_until_system_idle) for _ in range(3)]
    gate.set()
    assert [one.result() for one in waiting] == [True, True, True]
    assert texts.seen == ["x"]
    draining.result()
    bus.close()


def test_others_leave_it_to_the_thread_that_drains_by_itself_to_deliver() -> None:
    """Between an engine's publishing and its draining nobody else begins a round."""
    bus = make_bus()
    texts = Texts(bus)
    has_published, gate = Event(), Event()

    def engine() -> None:
        bus.drain()
        bus.publish(warning("a"))
        has_published.set()
        assert gate.wait(PATIENCE_S)
        bus.publish(warning("b"))
        bus.drain()

    driving = Running(engine)
    assert has_published.wait(PATIENCE_S)
    assert bus.wait_until_system_idle(0.01) is False
    assert texts.seen == []
    waiting = Running(bus.wait_until_system_idle)
    gate.set()
    assert waiting.result() is True
    driving.result()
    assert texts.seen == ["a", "b"]


def test_a_wait_whose_time_is_over_leaves_the_rest_to_the_next_one() -> None:
    bus = make_bus()
    texts = Texts(bus)
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    assert bus.wait_until_system_idle(0.01) is False
    assert begun.wait(PATIENCE_S)
    assert texts.seen == []
    gate.set()
    assert bus.wait_until_system_idle() is True
    assert texts.seen == ["x"]
    bus.close()


def test_those_that_wait_are_told_of_a_failure() -> None:
    bus = make_bus()
    begun, gate = Event(), Event()

    def on_timer(event: TimerEvent) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        raise ValueError("no")

    bus.subscribe("faulty", 10, {TimerEvent: on_timer}, kind=Kind.THREADED)

    def engine() -> None:
        bus.publish(timer("x"))
        with pytest.raises(HandlerError):
            bus.drain()
        assert told.wait(PATIENCE_S)
        bus.abandon()

    told = Event()
    driving = Running(engine)
    assert begun.wait(PATIENCE_S)
    waiting = Running(bus.wait_until_system_idle)
    gate.set()
    with pytest.raises(BusError, match="the bus failed: faulty failed on TimerEvent") as caught:
        waiting.result()
    assert isinstance(caught.value.__cause__, HandlerError)
    told.set()
    driving.result()
    assert bus.wait_until_system_idle() is True  # what failed has been abandoned
    bus.close()


@pytest.mark.parametrize("kind", Kind)
def test_nobody_waits_inside_of_a_handler(kind: Kind) -> None:
    bus = make_bus()
    refused: list[str] = []

    def on_timer(event: TimerEvent) -> None:
        for call in (bus.drain, bus.wait_until_system_idle, bus.abandon):
            try:
                call()
            except BusError as error:
                refused.append(str(error))
        assert bus.is_inside()

    bus.subscribe("one", 10, {TimerEvent: on_timer}, kind=kind)
    with async_services(bus):
        bus.publish(timer("x"))
        bus.drain()
        assert not bus.is_inside()
    assert refused == [
        f"the bus was {what} from inside a handler"
        for what in ("drained", "waited for", "abandoned")
    ]


def test_a_handler_of_a_wait_that_is_over_is_still_inside() -> None:
    bus = make_bus()
    begun, gate = Event(), Event()

    def on_timer(event: TimerEvent) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        bus.drain()

    bus.subscribe("late", 10, {TimerEvent: on_timer}, kind=Kind.THREADED)
    bus.publish(timer("x"))
    assert bus.wait_until_system_idle(0.01) is False
    assert begun.wait(PATIENCE_S)
    gate.set()
    with pytest.raises(HandlerError, match="from inside a handler"):
        bus.drain()
    bus.close()


def test_drains_of_two_threads_take_turns() -> None:
    bus = make_bus()
    texts = Texts(bus)
    begun, gate = gated(bus)
    bus.publish(timer("first"))
    first = Running(bus.drain)
    assert begun.wait(PATIENCE_S)
    second = Running(bus.drain)
    bus.publish(timer("second"))  # by a thread that is not inside of a handler
    gate.set()
    first.result()
    second.result()
    assert texts.seen == ["first", "second"]
    bus.close()


def test_nothing_published_by_other_threads_is_lost() -> None:
    bus = make_bus()
    texts = Texts(bus)

    def publish(name: str) -> None:
        for _ in range(500):
            bus.publish(warning(name))

    threads = [Running(partial(publish, name)) for name in "abcd"]
    while any(thread.is_alive() for thread in threads):
        bus.drain()
    bus.drain()
    assert sorted(texts.seen) == sorted("abcd" * 500)


def test_abandon_drops_what_waits_and_waits_for_what_runs() -> None:
    bus = make_bus()
    texts = Texts(bus)
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    assert bus.wait_until_system_idle(0.01) is False
    assert begun.wait(PATIENCE_S)
    abandoning = Running(bus.abandon)
    gate.set()
    abandoning.result()
    bus.drain()
    assert texts.seen == []
    bus.close()


# -- leaving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_who_closes_in_a_handler_leaves_between_rounds(kind: Kind) -> None:
    bus = make_bus()
    texts, seen = Texts(bus), list[str]()

    def on_timer(event: TimerEvent) -> None:
        seen.append(event.token)
        if event.token == "leave":
            port.close()
            port.publish(warning("farewell"))
            port.close()

    def on_warning(event: WarningEvent) -> None:
        seen.append(event.text)

    handlers: dict[type, Handler] = {TimerEvent: on_timer, WarningEvent: on_warning}
    port = bus.subscribe("leaving", 10, handlers, kind=kind)
    with async_services(bus):
        for token in ("leave", "still in its inbox"):
            bus.publish(timer(token))
        bus.drain()
        bus.publish(timer("it is gone"))
        bus.drain()
        again = bus.subscribe("leaving", 10, {})  # name and rank are free
        again.close()
    assert seen == ["leave", "still in its inbox"]
    assert texts.seen == ["farewell"]


def test_a_thread_leaves_while_others_drain() -> None:
    bus = make_bus()
    seen: list[str] = []
    begun, gate = gated(bus)
    leaving = bus.subscribe(
        "leaving", 20, {TimerEvent: lambda e: seen.append(e.token)}, kind=Kind.THREADED
    )
    bus.publish(timer("x"))
    draining = Running(bus.drain)
    assert begun.wait(PATIENCE_S)
    leaving.close()
    gate.set()
    draining.result()
    bus.publish(timer("y"))
    bus.drain()
    assert seen == ["x"]
    bus.close()


def test_a_subscriber_that_is_shut_down_in_a_handler_is_not_waited_for() -> None:
    bus = make_bus()
    ended: list[bool] = []

    class Other(Subscriber):
        def _on_event(self, event: WarningEvent) -> None:
            raise AssertionError

    other = Other("other")
    bus.attach(other, 5, [WarningEvent])
    bus.subscribe("one", 1, {TimerEvent: lambda event: ended.append(other.shutdown())})
    bus.publish(timer("x"))
    bus.drain()
    assert ended == [True]  # its thread never began
    bus.publish(warning("it has left"))
    bus.drain()
    bus.close()


# -- closing -----------------------------------------------------------------------------------


def test_a_closed_bus_refuses_all_and_its_threads_have_ended() -> None:
    bus = make_bus()
    inline = bus.subscribe("inline", 1, {})
    cleaned: list[str] = []

    class Cleaning(Subscriber):
        def _on_event(self, event: TimerEvent) -> None:
            cleaned.append(event.token)

        def _cleanup(self) -> None:
            cleaned.append("cleanup")

    bus.attach(Cleaning("cleaning"), 2, [TimerEvent])
    bus.publish(timer("x"))
    bus.drain()
    bus.close()
    bus.close()
    assert cleaned == ["x", "cleanup"]
    assert "cleaning" not in {thread.name for thread in threading.enumerate()}
    for call in (bus.drain, bus.wait_until_system_idle, lambda: bus.subscribe("late", 3, {})):
        with pytest.raises(ClosedError, match="has been closed"):
            call()
    with pytest.raises(ClosedError, match="engine published after it had left the bus"):
        bus.publish(timer("y"))
    with pytest.raises(ClosedError, match="inline published after it had left the bus"):
        inline.publish(timer("y"))


def test_a_drain_that_is_under_way_ends_after_its_round() -> None:
    bus = make_bus()
    texts = Texts(bus)
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    draining = Running(bus.drain)
    assert begun.wait(PATIENCE_S)
    waiting = Running(bus.wait_until_system_idle)
    closing = Running(bus.close)
    gate.set()
    closing.result()
    for one in (draining, waiting):
        with pytest.raises(ClosedError):
            one.result()
    assert texts.seen == []


@pytest.mark.parametrize("kind", Kind)
def test_a_bus_may_be_closed_from_inside_a_handler(kind: Kind) -> None:
    bus = make_bus()
    bus.subscribe("closing", 1, {TimerEvent: lambda event: bus.close()}, kind=kind)
    bus.subscribe("other", 2, {TimerEvent: lambda event: None}, kind=Kind.THREADED)
    with async_services(bus):
        bus.publish(timer("x"))
        with pytest.raises(ClosedError, match="the bus has been closed"):
            bus.drain()


def test_a_thread_that_does_not_end_is_named(caplog: pytest.LogCaptureFixture) -> None:
    bus = make_bus()
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    assert bus.wait_until_system_idle(0.01) is False
    assert begun.wait(PATIENCE_S)
    bus.close(timeout_s=0.01)
    gate.set()
    (record,) = caplog.records
    assert "the thread of gated-threaded has not ended" in record.getMessage()


def test_market_data_is_not_sent_inside_of_a_handler_and_takes_its_turn() -> None:
    bus = make_bus()
    refused: list[str] = []
    seen: list[MarketEvent] = []
    slices = MarketEvent(window([trade(0, T_NS, 1.0)]), 0, 1)

    def on_warning(event: WarningEvent) -> None:
        with pytest.raises(BusError) as caught:
            bus.send_market(Phase.MARKET, slices)
        refused.append(str(caught.value))

    bus.subscribe("one", 1, {WarningEvent: on_warning})
    bus.subscribe("two", 2, {MarketEvent: seen.append}, phase=Phase.MARKET)
    bus.publish(warning("x"))
    bus.drain()
    assert refused == ["the bus was sent market data from inside a handler"]
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    draining = Running(bus.drain)
    assert begun.wait(PATIENCE_S)
    sending = Running(lambda: bus.send_market(Phase.MARKET, slices))
    assert seen == []
    gate.set()
    assert sending.result() == 1
    draining.result()
    assert seen == [slices]
    bus.close()


def test_market_data_waits_for_what_is_under_way_and_goes_to_nobody_who_left() -> None:
    bus = make_bus()
    seen: list[str] = []

    def on_market(event: MarketEvent) -> None:
        seen.append("leaving")
        port.close()

    port = bus.subscribe("leaving", 1, {MarketEvent: on_market}, phase=Phase.MARKET)
    staying: dict[type, Handler] = {MarketEvent: lambda event: seen.append("staying")}
    bus.subscribe("staying", 2, staying, phase=Phase.MARKET)
    begun, gate = gated(bus)
    bus.publish(timer("x"))
    assert bus.wait_until_system_idle(0.01) is False
    assert begun.wait(PATIENCE_S)
    slices = MarketEvent(window([trade(0, T_NS, 1.0)]), 0, 1)
    sending = Running(lambda: [bus.send_market(Phase.MARKET, slices) for _ in range(2)])
    assert seen == []
    gate.set()
    assert sending.result() == [1, 1]
    assert seen == ["leaving", "staying", "staying"]
    bus.close()


def test_the_time_of_a_column_is_its_last() -> None:
    bus = make_bus()

    def on_equity(event: EquityEvent) -> None:
        raise ValueError("no")

    bus.subscribe("one", 1, {EquityEvent: on_equity})
    times = np.array([T_NS - 5, T_NS])
    bus.publish(EquityEvent(times_ns=times, equity=times, cash=times, gross=times, net=times))
    with pytest.raises(HandlerError, match="one failed on EquityEvent at 2013-10-04T13:30:00Z: "):
        bus.drain()
