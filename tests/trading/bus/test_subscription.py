"""Subscribers in tasks of an event loop."""

from __future__ import annotations

import asyncio
from threading import Event, get_ident

import pytest

from app.trading.bus import (
    AsyncSubscription,
    BusError,
    ClosedError,
    EventBus,
    HandlerError,
    Kind,
    Phase,
    TopicError,
)
from app.trading.data_events import MarketEvent
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import (
    PATIENCE_S,
    T_NS,
    Running,
    Texts,
    async_services,
    in_loop,
    make_bus,
    timer,
    warning,
)
from tests.trading.harness import trade, window


async def consume_all(sub: AsyncSubscription, seen: list[str]) -> None:
    """Answer every timer, until the subscription is closed."""
    while True:
        try:
            async with sub.consume() as envelope:
                await asyncio.sleep(0)
                seen.append(envelope.event.token)
                sub.publish(warning(f"answer to {envelope.event.token}"))
        except ClosedError:
            return


def test_events_are_consumed_in_order_and_answered_in_the_next_round() -> None:
    bus = make_bus()
    texts, seen = Texts(bus), list[str]()
    sub = bus.subscribe_async("one", 10, [TimerEvent])
    assert sub.kind is Kind.ASYNC
    with in_loop(lambda: consume_all(sub, seen)):
        for number in range(3):
            bus.publish(timer(f"{number}a"))
            bus.publish(timer(f"{number}b"))
            bus.drain()
            assert seen[-2:] == [f"{number}a", f"{number}b"]
            assert texts.seen[-1] == f"answer to {number}b"
        bus.close()
    assert len(seen) == len(texts.seen) == 6


def test_what_came_before_the_first_consumer_waits_for_it() -> None:
    bus = make_bus()
    seen: list[str] = []
    sub = bus.subscribe_async("one", 10, [TimerEvent])
    bus.publish(timer("early"))
    draining = Running(bus.drain)
    with in_loop(lambda: consume_all(sub, seen)):
        draining.result()
        bus.close()
    assert seen == ["early"]


def test_the_barrier_is_released_at_the_end_of_the_block_only() -> None:
    bus = make_bus()
    sub = bus.subscribe_async("one", 10, [TimerEvent])
    inside, gate = Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with sub.consume():
            inside.set()
            await gate.wait()

    with in_loop(main):
        bus.publish(timer("x"))
        draining = Running(bus.drain)
        assert inside.wait(PATIENCE_S)
        draining.join(0.05)
        assert draining.is_alive()
        loops[0].call_soon_threadsafe(gate.set)
        draining.result()
    bus.close()


def test_an_error_in_the_block_fails_the_drain_and_goes_on_in_the_task() -> None:
    bus = make_bus()
    sub = bus.subscribe_async("one", 10, [TimerEvent])
    outcomes: list[str] = []

    async def main() -> None:
        try:
            async with sub.consume():
                raise ValueError("of the block")
        except ValueError as error:
            outcomes.append(str(error))

    with in_loop(main):
        bus.publish(timer("bad"))
        bus.publish(timer("dropped with it"))
        with pytest.raises(HandlerError, match=r"one failed on TimerEvent .*of the block"):
            bus.drain()
    assert outcomes == ["of the block"]
    # The task has ended after its error was told: it has left, and the bus lives on.
    bus.publish(timer("nobody hears it"))
    bus.drain()
    bus.close()


def test_a_task_that_catches_its_own_error_goes_on() -> None:
    bus = make_bus()
    sub = bus.subscribe_async("one", 10, [TimerEvent])
    seen: list[str] = []

    async def main() -> None:
        with pytest.raises(ValueError, match="once"):
            async with sub.consume():
                raise ValueError("once")
        await consume_all(sub, seen)

    with in_loop(main):
        bus.publish(timer("bad"))
        with pytest.raises(HandlerError):
            bus.drain()
        bus.publish(timer("good"))
        bus.drain()
        bus.close()
    assert seen == ["good"]


def test_a_task_that_returns_without_consuming_fails_the_drain_by_name() -> None:
    bus = make_bus(watchdog_s=None)  # it is not the watchdog that finds this
    sub = bus.subscribe_async("quitter", 10, [TimerEvent])
    texts = Texts(bus)

    async def main() -> None:
        async with sub.consume() as envelope:
            sub.publish(warning(envelope.event.token))

    with in_loop(main):
        bus.publish(timer("first"))
        bus.publish(timer("second"))
        with pytest.raises(HandlerError, match="quitter failed on TimerEvent") as caught:
            bus.drain()
    assert caught.value.event.token == "second"
    assert "its task ended without consuming the event" in str(caught.value)
    assert texts.seen == []
    bus.abandon()
    bus.publish(timer("it has left"))
    bus.drain()
    bus.close()


def test_a_task_that_ended_before_the_event_came_fails_the_drain_with_its_error() -> None:
    bus = make_bus(watchdog_s=None)
    sub = bus.subscribe_async("quitter", 10, [TimerEvent])

    async def consume() -> None:
        async with sub.consume():
            pass
        raise OSError("between two events")

    async def main() -> None:
        with pytest.raises(OSError, match="between two events"):
            await asyncio.ensure_future(consume())

    with in_loop(main):
        bus.publish(timer("first"))
        bus.drain()
    bus.publish(timer("second"))
    with pytest.raises(HandlerError, match="quitter failed on TimerEvent") as caught:
        bus.drain()
    cause = caught.value.__cause__
    assert cause is not None
    assert isinstance(cause.__cause__, OSError)
    bus.close()


def test_a_task_that_is_cancelled_in_the_block_fails_the_drain() -> None:
    bus = make_bus(watchdog_s=None)
    sub = bus.subscribe_async("one", 10, [TimerEvent])

    inside = asyncio.Event()

    async def consume() -> None:
        async with sub.consume():
            inside.set()
            await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.ensure_future(consume())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with in_loop(main):
        bus.publish(timer("x"))
        with pytest.raises(HandlerError, match="CancelledError"):
            bus.drain()
    bus.close()


def test_one_task_consumes_and_one_event_at_a_time() -> None:
    bus = make_bus()
    sub = bus.subscribe_async("one", 10, [TimerEvent])

    async def main() -> None:
        async with sub.consume():
            with pytest.raises(BusError, match="consumed an event before it was done"):
                async with sub.consume():
                    raise AssertionError
            with pytest.raises(BusError, match="consumed by one task"):
                await asyncio.ensure_future(consume_all(sub, []))

    with in_loop(main):
        bus.publish(timer("x"))
        bus.drain()
    bus.close()


def test_publishing_outside_of_an_envelope_is_refused() -> None:
    bus = make_bus()
    sub = bus.subscribe_async("one", 10, [TimerEvent])
    texts = Texts(bus)
    refused: list[str] = []

    async def main() -> None:
        async with sub.consume():
            await asyncio.gather(publish("inside"))
        await publish("outside")

    async def publish(text: str) -> None:
        try:
            sub.publish(warning(text))
        except BusError as error:
            refused.append(str(error))

    with in_loop(main):
        with pytest.raises(BusError, match="from outside of its own handlers"):
            sub.publish(warning("another thread"))
        bus.publish(timer("x"))
        bus.drain()
    bus.close()
    assert texts.seen == ["inside"]
    assert refused == ["one published from outside of its own handlers"]


def test_topics_of_a_subscription_are_checked() -> None:
    bus = make_bus()
    with pytest.raises(TopicError, match="one cannot subscribe to str"):
        bus.subscribe_async("one", 10, [str])
    with pytest.raises(TopicError, match="one cannot subscribe to MarketEvent"):
        bus.subscribe_async("one", 10, [MarketEvent])


# -- services run by the bus -------------------------------------------------------------------


def test_handlers_plain_and_coroutine_run_in_the_loop() -> None:
    bus = make_bus()
    texts = Texts(bus)
    threads: set[int] = set()

    def on_timer(event: TimerEvent) -> None:
        threads.add(get_ident())
        plain.publish(warning(f"plain {event.token}"))

    async def on_timer_too(event: TimerEvent) -> None:
        await asyncio.sleep(0)
        threads.add(get_ident())
        waiting.publish(warning(f"waiting {event.token}"))

    plain = bus.subscribe("plain", 2, {TimerEvent: on_timer}, kind=Kind.ASYNC)
    with async_services(bus):
        bus.publish(timer("1"))  # before the other one came
        bus.drain()
        waiting = bus.subscribe("waiting", 1, {TimerEvent: on_timer_too}, kind=Kind.ASYNC)
        bus.publish(timer("2"))
        bus.drain()
    assert texts.seen == ["plain 1", "waiting 2", "plain 2"]
    assert len(threads - {get_ident()}) == 1


def test_a_handler_that_raises_fails_the_drain_and_its_service_goes_on() -> None:
    bus = make_bus()
    seen: list[str] = []

    async def on_timer(event: TimerEvent) -> None:
        if event.token == "bad":
            raise ValueError("bad")
        seen.append(event.token)

    bus.subscribe("one", 1, {TimerEvent: on_timer}, kind=Kind.ASYNC)
    with async_services(bus):
        for token in ("good", "bad", "dropped"):
            bus.publish(timer(token))
        with pytest.raises(HandlerError, match=r"one failed on TimerEvent .*ValueError: bad"):
            bus.drain()
        bus.publish(timer("next"))
        bus.drain()
    assert seen == ["good", "next"]


def test_market_data_goes_to_a_loop_and_how_far_it_got_is_read_after_the_barrier() -> None:
    bus = make_bus()

    async def on_market(event: MarketEvent) -> None:
        await asyncio.sleep(0)
        port.reached = 3

    port = bus.subscribe(
        "strategy", 1, {MarketEvent: on_market}, kind=Kind.ASYNC, phase=Phase.STRATEGY
    )
    whole = MarketEvent(window([trade(0, T_NS + second, 1.0) for second in range(5)]), 0, 5)
    with async_services(bus):
        assert bus.send_market(Phase.STRATEGY, whole) == 3


def test_the_services_are_run_once_and_until_the_bus_is_closed() -> None:
    bus = make_bus()
    port = bus.subscribe("one", 1, {TimerEvent: lambda event: None}, kind=Kind.ASYNC)

    async def again() -> None:
        with pytest.raises(BusError, match="are run already"):
            await bus.run_async_subscribers()

    with in_loop(bus.run_async_subscribers, again):
        port.close()  # its task ends, the others' go on
        bus.close()
    with in_loop(bus.run_async_subscribers):
        pass  # a closed bus has nobody to run


def test_services_whose_runner_was_cancelled_fail_the_next_drain_by_name() -> None:
    bus = make_bus(watchdog_s=None)
    bus.subscribe("orphan", 1, {TimerEvent: lambda event: None}, kind=Kind.ASYNC)

    async def main() -> None:
        task = asyncio.ensure_future(bus.run_async_subscribers())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with in_loop(main):
        pass
    bus.publish(timer("x"))
    with pytest.raises(HandlerError, match=r"orphan failed on TimerEvent .*its task ended"):
        bus.drain()
    bus.close()


def test_a_service_that_is_cancelled_in_its_handler_fails_the_drain_and_leaves() -> None:
    bus = make_bus(watchdog_s=None)
    inside = asyncio.Event()

    async def on_timer(event: TimerEvent) -> None:
        inside.set()
        await asyncio.get_running_loop().create_future()

    bus.subscribe("one", 1, {TimerEvent: on_timer}, kind=Kind.ASYNC)

    async def main() -> None:
        task = asyncio.ensure_future(bus.run_async_subscribers())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with in_loop(main):
        bus.publish(timer("x"))
        with pytest.raises(HandlerError, match=r"one failed on TimerEvent .*CancelledError"):
            bus.drain()
    bus.publish(timer("nobody hears it"))
    bus.drain()
    bus.close()


@pytest.mark.parametrize("begun", [False, True])
def test_the_loops_own_thread_cannot_drain(begun: bool) -> None:
    bus = make_bus()
    bus.subscribe("one", 1, {TimerEvent: lambda event: None}, kind=Kind.ASYNC)

    async def main() -> None:
        task = asyncio.ensure_future(bus.run_async_subscribers())
        for _ in range(5 * begun):
            await asyncio.sleep(0)
        bus.publish(timer("x"))
        for drain in (bus.drain, bus.wait_until_system_idle):
            with pytest.raises(BusError, match="one is handled in an event loop"):
                drain()
        await asyncio.to_thread(bus.drain)
        bus.close()
        await task

    asyncio.run(main())


def test_a_bus_without_async_ports_may_be_drained_in_a_loop() -> None:
    bus = make_bus()
    texts = Texts(bus)

    async def main() -> None:
        bus.publish(warning("x"))
        bus.drain()

    asyncio.run(main())
    assert texts.seen == ["x"]


def test_a_loop_that_is_closed_is_told_by_name() -> None:
    bus = make_bus(watchdog_s=None)
    sub = bus.subscribe_async("stranded", 1, [TimerEvent])
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with sub.consume():
            raise AssertionError

    task = loop.create_task(main())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()  # without ending its task
    bus.publish(timer("x"))
    with pytest.raises(HandlerError, match=r"stranded failed on TimerEvent .*loop is closed"):
        bus.drain()
    bus.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_inside_of_async_handlers_nobody_waits() -> None:
    bus: EventBus = make_bus()
    refused: list[str] = []

    async def on_timer(event: TimerEvent) -> None:
        for call in (bus.drain, bus.wait_until_system_idle, bus.abandon):
            try:
                await asyncio.to_thread(call)
            except BusError as error:
                refused.append(str(error))
        try:
            bus.publish(warning("without a port"))
        except BusError as error:
            refused.append(str(error))

    bus.subscribe("one", 1, {TimerEvent: on_timer}, kind=Kind.ASYNC)
    with async_services(bus):
        bus.publish(timer("x"))
        bus.drain()
    assert refused == [
        "the bus was drained from inside a handler",
        "the bus was waited for from inside a handler",
        "the bus was abandoned from inside a handler",
        "the bus was published to without a port from inside a handler",
    ]


def test_warnings_are_heard_by_async_services_too() -> None:
    bus = make_bus()
    seen: list[str] = []
    bus.subscribe("one", 1, {WarningEvent: lambda e: seen.append(e.text)}, kind=Kind.ASYNC)
    with async_services(bus):
        bus.publish(warning("x"))
        assert bus.wait_until_system_idle(PATIENCE_S) is True
    assert seen == ["x"]
