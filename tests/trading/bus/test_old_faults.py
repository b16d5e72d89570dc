"""Faults of earlier designs that concern the bus, each with the naive way shown to fail."""

from __future__ import annotations

import queue
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from app.trading.bus import EventBus, HandlerError, Kind, Subscriber
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import (
    PATIENCE_S,
    Running,
    Texts,
    async_services,
    make_bus,
    timer,
    warning,
)


class Gated(Subscriber):
    """Handles an event when its gate is open."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.begun, self.gate = Event(), Event()
        self.handled: list[str] = []

    def _on_event(self, event: Any) -> None:
        self.begun.set()
        assert self.gate.wait(PATIENCE_S)
        self.handled.append(event.text if isinstance(event, WarningEvent) else event.token)


class Passing(Gated):
    """Hands an event on when its gate is open."""

    def __init__(self, name: str, to: Subscriber | None = None) -> None:
        super().__init__(name)
        self._to = to

    def _on_event(self, event: Any) -> None:
        super()._on_event(event)
        if self._to is not None:
            self._to.receive(timer("passed on"))
        else:
            self.publish(timer("passed on"))


def test_idle_wait_that_joins_subscribers_one_after_another() -> None:
    last = Gated("last")
    first = Passing("first", to=last)
    first.receive(warning("go"))
    assert first.begun.wait(PATIENCE_S)
    # Naive: one after another. ``last`` is idle when it is joined, and gets work afterwards.
    assert last.wait_until_idle(PATIENCE_S)
    first.gate.set()
    assert first.wait_until_idle(PATIENCE_S)
    assert last.backlog == 1  # all have been joined, and work is pending
    assert last.handled == []
    last.gate.set()
    for one in (first, last):
        assert one.shutdown(PATIENCE_S)

    # One count for all: nobody returns before the work is done.
    bus = make_bus()
    last, first = Gated("last"), Passing("first")
    bus.attach(last, 10, [TimerEvent])
    bus.attach(first, 20, [WarningEvent])
    bus.publish(warning("go"))
    waiting = Running(bus.wait_until_system_idle)
    assert first.begun.wait(PATIENCE_S)
    assert last.backlog == 0
    first.gate.set()
    assert last.begun.wait(PATIENCE_S)
    assert waiting.is_alive()
    last.gate.set()
    assert waiting.result() is True
    assert last.handled == ["passed on"]
    bus.close()


def raising(event: Any) -> None:
    raise ValueError("of the handler")


def test_handler_errors_are_not_swallowed() -> None:
    # Naive: the thread logs and goes on; whoever waits sees a run without fault.
    events: queue.Queue[Any] = queue.Queue()
    logged = []

    def run() -> None:
        event = events.get()
        try:
            raising(event)
        except ValueError as error:
            logged.append(str(error))
        finally:
            events.task_done()

    thread = Thread(target=run)
    thread.start()
    events.put(warning("x"))
    events.join()  # returns as if all were well
    thread.join()
    assert logged == ["of the handler"]

    for kind in Kind:
        bus = make_bus()
        bus.subscribe("faulty", 10, {WarningEvent: raising}, kind=kind)
        event = warning("x")
        with async_services(bus):
            bus.publish(event)
            with pytest.raises(HandlerError, match="faulty failed on WarningEvent at 2013") as info:
                bus.drain()
        assert info.value.subscriber == "faulty"
        assert info.value.event is event
        assert info.value.time_ns == event.ts_event_ns
        assert isinstance(info.value.__cause__, ValueError)


@pytest.mark.parametrize("kind", [Kind.THREADED, Kind.INLINE])
def test_equal_time_events_ordered_by_rank_not_arrival(kind: Kind) -> None:
    bus = make_bus()
    texts = Texts(bus)
    arrivals: list[str] = []  # naive: what a queue common to all publishers would have
    high_is_done = Event()

    def on_low(event: TimerEvent) -> None:
        assert high_is_done.wait(PATIENCE_S)
        arrivals.append("low")
        low.publish(warning("low"))

    def on_high(event: TimerEvent) -> None:
        arrivals.append("high")
        high.publish(warning("high"))
        high_is_done.set()

    low = bus.subscribe("low", 10, {TimerEvent: on_low}, kind=kind)
    high = bus.subscribe("high", 20, {TimerEvent: on_high}, kind=Kind.THREADED)
    bus.publish(timer("go"))
    bus.drain()
    bus.close()
    assert arrivals == ["high", "low"]
    assert texts.seen == ["low", "high"]


class Publisher:
    """Answers a timer. In a set its place hangs on its hash, as an address does."""

    def __init__(self, bus: EventBus, rank: int, name: str, place: int) -> None:
        self.name, self._place = name, place
        self._port = bus.subscribe(name, rank, {TimerEvent: self._on_timer})

    def __hash__(self) -> int:
        return self._place

    def _on_timer(self, event: TimerEvent) -> None:
        self._port.publish(warning(self.name))


def test_equal_time_events_ordered_by_id_or_hash() -> None:
    """Naive: those that publish stand in a set. Two sets of places, two orders."""
    naive, ours = [], []
    for places in ((1, 2, 3), (3, 2, 1)):
        bus = make_bus()
        texts = Texts(bus)
        terms = zip((30, 10, 20), "cab", places, strict=True)
        publishers = [Publisher(bus, rank, name, place) for rank, name, place in terms]
        bus.publish(timer("go"))
        bus.drain()
        naive.append([one.name for one in set(publishers)])
        ours.append(texts.seen)
    assert naive[0] != naive[1]
    assert ours == [["a", "b", "c"], ["a", "b", "c"]]


def test_bounded_queues_that_block_each_other() -> None:
    # Naive: both fill the queue of the other, and neither gets to empty its own.
    inboxes: list[queue.Queue[int]] = [queue.Queue(maxsize=2), queue.Queue(maxsize=2)]
    both_are_full = Barrier(2)
    outcomes: list[str] = []

    def flood(own: int) -> None:
        for number in range(2):
            inboxes[1 - own].put(number)
        both_are_full.wait(PATIENCE_S)
        try:
            inboxes[1 - own].put(2, timeout=0.05)
        except queue.Full:
            outcomes.append("blocked")
        both_are_full.wait(PATIENCE_S)  # neither empties its own before

    threads = [Thread(target=flood, args=(own,)) for own in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["blocked", "blocked"]

    # Without bounds: they flood each other in their handlers, at the same time.
    class Flooding(Subscriber):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.other: Subscriber = self
            self.handled = 0

        def _on_event(self, event: str) -> None:
            self.handled += 1
            if event == "flood":
                both_are_full.wait(PATIENCE_S)
                for _ in range(3000):
                    self.other.receive("drop")
                both_are_full.wait(PATIENCE_S)

    one, two = Flooding("one"), Flooding("two")
    one.other, two.other = two, one
    one.receive("flood")
    two.receive("flood")
    for subscriber in (one, two, one):
        assert subscriber.wait_until_idle(PATIENCE_S)
    assert (one.handled, two.handled) == (3001, 3001)
    for subscriber in (one, two):
        assert subscriber.shutdown(PATIENCE_S)


def test_threaded_subscribers_of_a_bus_may_flood_each_other() -> None:
    bus = make_bus()
    counts = {"one": 0, "two": 0}

    def on_warning(event: WarningEvent) -> None:
        counts["one"] += 1
        if event.text == "go":
            for _ in range(3000):
                one.publish(timer("drop"))

    def on_timer(event: TimerEvent) -> None:
        counts["two"] += 1
        if event.token == "go":
            for _ in range(3000):
                two.publish(warning("drop"))

    one = bus.subscribe("one", 1, {WarningEvent: on_warning}, kind=Kind.THREADED)
    two = bus.subscribe("two", 2, {TimerEvent: on_timer}, kind=Kind.THREADED)
    bus.publish(warning("go"))
    bus.publish(timer("go"))
    bus.drain()
    bus.close()
    assert counts == {"one": 3001, "two": 3001}
