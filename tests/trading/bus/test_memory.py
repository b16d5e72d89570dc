"""Nothing grows with the number of events, for any kind of subscriber."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from app.trading.bus import EventBus, HandlerError, Kind, Subscriber
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import async_services, make_bus, timer, warning

ROUNDS = 400
SLACK_BYTES = 20_000  # an event is about 100


def grown(play: Callable[[], None]) -> int:
    """Bytes that the same again leaves behind."""
    for _ in range(2):
        play()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    play()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("kind", Kind)
def test_a_bus_keeps_no_event(kind: Kind) -> None:
    bus = make_bus()

    def on_timer(event: TimerEvent) -> None:
        port.publish(warning(event.token * 10))

    port = bus.subscribe("one", 1, {TimerEvent: on_timer}, kind=kind)
    bus.subscribe("two", 2, {WarningEvent: lambda event: None}, kind=kind)

    def play() -> None:
        for number in range(ROUNDS):
            bus.publish(timer(f"{number:100}"))
            bus.drain()

    with async_services(bus):
        assert grown(play) < SLACK_BYTES


def test_failures_are_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    bus: EventBus = make_bus()

    def on_timer(event: TimerEvent) -> None:
        raise ValueError(event.token)

    bus.subscribe("one", 1, {TimerEvent: on_timer}, kind=Kind.THREADED)

    def play() -> None:
        for number in range(ROUNDS):
            bus.publish(timer(f"{number:100}"))
            with pytest.raises(HandlerError):
                bus.drain()
            bus.abandon()

    assert grown(play) < SLACK_BYTES
    bus.close()


def test_a_subscriber_alone_keeps_no_event() -> None:
    class Idle(Subscriber):
        def _on_event(self, event: str) -> None:
            assert event

    one = Idle("idle")

    def play() -> None:
        for number in range(10 * ROUNDS):
            one.receive(f"{number:100}")
        one.wait_until_idle()

    assert grown(play) < SLACK_BYTES
    one.shutdown()
