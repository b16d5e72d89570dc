"""A subscriber with its own thread, on a bus and alone."""

from __future__ import annotations

import logging
import threading
from threading import Event, get_ident
from typing import Any

import pytest

from app.trading.bus import BusError, ClosedError, HandlerError, Kind, Phase, Subscriber, TopicError
from app.trading.data_events import MarketEvent
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import PATIENCE_S, T_NS, Running, Texts, make_bus, timer, warning
from tests.trading.harness import trade, window


class Keeping(Subscriber):
    """Keeps what it is told, and by which hook; raises on ``fail``."""

    def __init__(self, name: str = "keeping") -> None:
        super().__init__(name)
        self.seen: list[str] = []
        self.threads: set[str] = set()

    def _on_event(self, event: Any) -> None:
        self.threads.add(threading.current_thread().name)
        if event == "fail" or (isinstance(event, WarningEvent) and event.text == "fail"):
            raise ValueError("as told")
        self.seen.append(str(event))

    def _on_exception(self, event: Any, error: BaseException) -> None:
        self.seen.append(f"exception {error}")

    def _cleanup(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.seen.append("cleanup")


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_it_handles_events_in_order_on_a_daemon_thread_of_its_name() -> None:
    one = Keeping("a-name-of-its-own")
    assert "a-name-of-its-own" not in names()
    for number in range(5):
        one.receive(number)
    assert one.wait_until_idle(PATIENCE_S)
    (thread,) = (t for t in threading.enumerate() if t.name == "a-name-of-its-own")
    assert thread.daemon
    assert one.shutdown(PATIENCE_S)
    assert one.seen == ["0", "1", "2", "3", "4", "cleanup"]
    assert one.threads == {"a-name-of-its-own"}
    assert "a-name-of-its-own" not in names()


def test_shutdown_may_be_repeated_and_cleans_up_once() -> None:
    one = Keeping()
    one.receive("x")
    assert one.shutdown()
    assert one.shutdown()
    assert one.seen == ["x", "cleanup"]
    with pytest.raises(ClosedError, match="keeping received an event after its shutdown"):
        one.receive("y")


def test_one_that_never_began_cleans_up_without_a_thread() -> None:
    one = Keeping()
    assert one.wait_until_idle(0)
    assert one.shutdown()
    assert one.seen == ["cleanup"]
    assert one.threads == {threading.current_thread().name}


def test_alone_its_first_error_is_raised_once_by_who_waits() -> None:
    one = Keeping()
    for event in ("a", "fail", "b"):
        one.receive(event)
    with pytest.raises(HandlerError, match="keeping failed on str: ValueError: as told"):
        one.wait_until_idle(PATIENCE_S)
    assert one.wait_until_idle(PATIENCE_S)
    one.receive("fail")
    with pytest.raises(HandlerError):
        one.shutdown(PATIENCE_S)
    assert one.shutdown()
    assert one.seen == ["a", "exception as told", "b", "exception as told", "cleanup"]


def test_an_error_of_the_hook_is_noted_on_the_handlers() -> None:
    class Clumsy(Keeping):
        def _on_exception(self, event: Any, error: BaseException) -> None:
            raise RuntimeError("the hook")

    one = Clumsy()
    one.receive("fail")
    with pytest.raises(HandlerError) as caught:
        one.shutdown(PATIENCE_S)
    cause = caught.value.__cause__
    assert cause is not None
    assert cause.__notes__ == ["_on_exception failed as well: RuntimeError: the hook"]


def test_a_cleanup_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Leaking(Keeping):
        def _cleanup(self) -> None:
            raise OSError("disk is full")

    alone = Leaking()
    alone.receive("x")
    with pytest.raises(BusError, match="failed to clean up: OSError: disk is full"):
        alone.shutdown(PATIENCE_S)
    bus = make_bus()
    bus.attach(Leaking("attached"), 1, [WarningEvent])
    with pytest.raises(BusError, match="attached failed to clean up"):
        bus.close()
    bus.close()
    assert [r.levelno for r in caplog.records] == [logging.ERROR, logging.ERROR]


def test_waiting_is_bounded_and_refused_in_its_own_handler() -> None:
    begun, gate = Event(), Event()

    class Selfish(Subscriber):
        def _on_event(self, event: Any) -> None:
            begun.set()
            assert gate.wait(PATIENCE_S)
            self.wait_until_idle()

    one = Selfish("selfish")
    one.receive("x")
    assert begun.wait(PATIENCE_S)
    assert one.wait_until_idle(0.01) is False
    assert one.shutdown(0.01) is False
    gate.set()
    with pytest.raises(HandlerError, match="waited for itself from inside its own handler"):
        one.shutdown(PATIENCE_S)


def test_it_may_shut_itself_down() -> None:
    class Leaving(Keeping):
        def _on_event(self, event: Any) -> None:
            super()._on_event(event)
            self.shutdown()

    one = Leaving()
    one.receive("last")
    assert one.wait_until_idle(PATIENCE_S)
    assert one.shutdown(PATIENCE_S)
    assert one.seen == ["last", "cleanup"]


# -- on a bus ----------------------------------------------------------------------------------


class Answering(Keeping):
    def _on_event(self, event: Any) -> None:
        super()._on_event(event.token)
        self.publish(warning(f"{self.name} has {event.token}"))


def test_a_subclass_publishes_from_its_thread() -> None:
    bus = make_bus()
    texts, one = Texts(bus), Answering("one")
    port = bus.attach(one, 5, [TimerEvent])
    assert port.kind is Kind.THREADED
    for token in "ab":
        bus.publish(timer(token))
    bus.drain()
    assert texts.seen == ["one has a", "one has b"]
    assert one.wait_until_idle(0)
    assert one.threads == {"one"}
    assert one.shutdown(PATIENCE_S)
    bus.publish(timer("c"))
    bus.drain()
    assert one.seen == ["a", "b", "cleanup"]
    bus.close()


def test_one_without_a_bus_publishes_nowhere() -> None:
    with pytest.raises(BusError, match="keeping published, but is on no bus"):
        Keeping().publish(warning("x"))


def test_a_subscriber_is_on_one_bus_and_clean() -> None:
    bus = make_bus()
    one = Keeping()
    bus.subscribe("other", 7, {})
    with pytest.raises(BusError, match="cannot have its name or its rank 7: other, rank 7"):
        bus.attach(one, 7, [TimerEvent])
    bus.attach(one, 8, [TimerEvent])  # being refused has left no trace
    with pytest.raises(BusError, match="on a bus already"):
        make_bus().attach(one, 8, [TimerEvent])
    used = Keeping("used")
    used.receive("x")
    with pytest.raises(BusError, match="or has received events"):
        bus.attach(used, 9, [TimerEvent])
    assert used.shutdown(PATIENCE_S)
    bus.close()


def test_what_is_received_besides_a_round_is_waited_for_and_fails_the_drain() -> None:
    bus = make_bus()
    one = Keeping()
    bus.attach(one, 8, [WarningEvent])
    one.receive(warning("besides"))
    bus.drain()
    assert len(one.seen) == 1
    one.receive(warning("fail"))
    with pytest.raises(HandlerError, match="keeping failed on WarningEvent"):
        bus.drain()
    bus.close()


def test_handlers_of_a_threaded_port_run_on_its_thread_from_the_first_event_on() -> None:
    bus = make_bus()
    threads: set[tuple[str, int]] = set()

    def on_timer(event: TimerEvent) -> None:
        threads.add((threading.current_thread().name, get_ident()))

    bus.subscribe("of its own", 5, {TimerEvent: on_timer}, kind=Kind.THREADED)
    assert "of its own" not in names()
    for _ in range(3):
        bus.publish(timer("x"))
        bus.drain()
    ((name, ident),) = threads
    assert name == "of its own"
    assert ident != get_ident()
    bus.close()
    assert "of its own" not in names()


def test_the_rest_of_a_round_is_dropped_after_an_error_for_every_kind() -> None:
    for kind in (Kind.INLINE, Kind.THREADED):
        bus = make_bus()
        seen: list[str] = []

        def on_warning(event: WarningEvent, seen: list[str] = seen) -> None:
            seen.append(event.text)
            if event.text == "bad":
                raise ValueError("bad")

        bus.subscribe("one", 1, {WarningEvent: on_warning}, kind=kind)
        for text in ("good", "bad", "never"):
            bus.publish(warning(text))
        with pytest.raises(HandlerError):
            bus.drain()
        bus.publish(warning("next round"))
        bus.drain()
        bus.close()
        assert seen == ["good", "bad", "next round"]


def test_publishing_from_elsewhere_is_refused() -> None:
    bus = make_bus()
    helpers: list[BusError | None] = []

    def on_timer(event: TimerEvent) -> None:
        try:
            Running(lambda: port.publish(warning("by a helper"))).result()
        except BusError as error:
            helpers.append(error)
        port.publish(warning("by itself"))

    port = bus.subscribe("one", 1, {TimerEvent: on_timer}, kind=Kind.THREADED)
    texts = Texts(bus)
    with pytest.raises(BusError, match="one published from outside of its own handlers"):
        port.publish(warning("too early"))
    bus.publish(timer("go"))
    bus.drain()
    with pytest.raises(BusError, match="one published from outside of its own handlers"):
        port.publish(warning("too late"))
    assert texts.seen == ["by itself"]
    assert len(helpers) == 1
    port.close()
    with pytest.raises(ClosedError, match="one published after it had left the bus"):
        port.publish(warning("left"))
    bus.close()


@pytest.mark.parametrize("kind", [Kind.INLINE, Kind.THREADED])
def test_what_is_no_topic_is_refused(kind: Kind) -> None:
    bus = make_bus()
    port = bus.subscribe("one", 1, {TimerEvent: lambda event: port.publish("text")}, kind=kind)
    with pytest.raises(TopicError, match="engine published a str, which is no topic"):
        bus.publish("text")
    bus.publish(timer("x"))
    with pytest.raises(HandlerError, match="TopicError: one published a str, which is no topic"):
        bus.drain()
    with pytest.raises(TopicError, match="two cannot subscribe to str"):
        bus.subscribe("two", 2, {str: print})
    with pytest.raises(TopicError, match="two cannot subscribe to MarketEvent"):
        bus.subscribe("two", 2, {MarketEvent: print}, kind=kind)
    bus.close()


def test_market_data_goes_to_threads_and_how_far_they_got_is_read_after_the_barrier() -> None:
    bus = make_bus()
    gate = Event()

    def on_market(event: MarketEvent) -> None:
        assert gate.wait(PATIENCE_S)
        port.reached = event.low + 2
        port.publish(warning(f"of {event.low}"))

    port = bus.subscribe(
        "strategy", 30, {MarketEvent: on_market}, kind=Kind.THREADED, phase=Phase.STRATEGY
    )
    texts = Texts(bus)
    bus.subscribe("market", 10, {MarketEvent: lambda event: None}, phase=Phase.MARKET)
    whole = MarketEvent(window([trade(0, T_NS + second, 1.0) for second in range(5)]), 0, 5)
    sending = Running(lambda: bus.send_market(Phase.STRATEGY, whole))
    gate.set()
    assert sending.result() == 2
    assert texts.seen == []
    bus.drain()
    assert texts.seen == ["of 0"]
    assert bus.send_market(Phase.MARKET, whole) == 5
    bus.close()


def test_a_threaded_handler_that_fails_on_market_data_fails_the_phase() -> None:
    bus = make_bus()

    def on_market(event: MarketEvent) -> None:
        raise ValueError("no price")

    bus.subscribe("one", 1, {MarketEvent: on_market}, kind=Kind.THREADED, phase=Phase.MARKET)
    slices = MarketEvent(window([trade(0, T_NS, 1.0)]), 0, 1)
    with pytest.raises(HandlerError, match=r"one failed on MarketEvent at 2013-10-04T13:30:00Z"):
        bus.send_market(Phase.MARKET, slices)
    bus.close()


def test_a_coroutine_function_is_no_handler_of_a_thread() -> None:
    async def on_timer(event: TimerEvent) -> None:
        raise AssertionError

    for kind in (Kind.INLINE, Kind.THREADED):
        with pytest.raises(BusError, match="is a coroutine function; that needs kind async"):
            make_bus().subscribe("one", 1, {TimerEvent: on_timer}, kind=kind)
