"""Rounds: who is called with what, in which order, and what follows when nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from app.trading.bus import HandlerError, Kind, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.bus.tools import T_NS, Texts, async_services, make_bus, timer, warning
from tests.trading.harness import trade, window


def market() -> MarketEvent:
    return MarketEvent(window([trade(0, T_NS, 1.0)]), 0, 1)


def test_what_a_round_publishes_is_ordered_by_rank_then_by_sequence() -> None:
    """Also what was published outside of a round, by ports in any order."""
    bus = make_bus()
    texts = Texts(bus)
    ports = {rank: bus.subscribe(f"port-{rank}", rank, {}) for rank in (10, 20, 30)}
    for text, rank in (("c", 30), ("a", 10), ("d", 30), ("b", 10)):
        ports[rank].publish(warning(text))
    bus.publish(warning("engine"))
    bus.drain()
    assert texts.seen == ["engine", "a", "b", "c", "d"]


def test_of_several_events_each_subscriber_gets_its_own_before_the_next_one_gets_any() -> None:
    bus = make_bus()
    seen: list[tuple[int, str]] = []

    def subscribe(rank: int, *topics: type) -> None:
        def hear(event: Any) -> None:
            seen.append((rank, event.token if isinstance(event, TimerEvent) else event.text))

        bus.subscribe(f"port-{rank}", rank, dict.fromkeys(topics, hear))

    subscribe(30, WarningEvent, TimerEvent)
    subscribe(10, TimerEvent)
    subscribe(20, WarningEvent)
    for event in (warning("w1"), timer("t1"), warning("w2"), timer("t2")):
        bus.publish(event)
    bus.drain()
    assert seen == [
        (10, "t1"), (10, "t2"), (20, "w1"), (20, "w2"),
        (30, "w1"), (30, "t1"), (30, "w2"), (30, "t2"),
    ]  # fmt: skip


def test_the_same_events_go_to_whoever_is_on_the_bus_now() -> None:
    """Who gets a round of several events is kept by their types, until somebody joins or leaves."""
    bus = make_bus()
    first = Texts(bus, 10)

    def tell(*texts: str) -> None:
        for text in texts:
            bus.publish(warning(text))
        bus.drain()

    tell("a", "b")
    second = Texts(bus, 20)
    tell("c", "d")
    first.port.close()
    tell("e", "f")
    assert (first.seen, second.seen) == (["a", "b", "c", "d"], ["c", "d", "e", "f"])


@pytest.mark.parametrize("events", [1, 3])
def test_who_fails_gets_no_more_of_a_round_and_the_first_by_rank_is_told(events: int) -> None:
    bus = make_bus()
    seen: list[tuple[str, str]] = []

    def subscribe(name: str, rank: int, fails: bool) -> None:
        def hear(event: TimerEvent) -> None:
            seen.append((name, event.token))
            if fails and event.token != "again":
                raise ValueError(name)

        bus.subscribe(name, rank, {TimerEvent: hear})

    subscribe("well", 40, fails=False)
    subscribe("second", 30, fails=True)
    subscribe("first", 10, fails=True)
    subscribe("between", 20, fails=False)
    for number in range(events):
        bus.publish(timer(str(number)))
    with pytest.raises(HandlerError, match=r"first failed on TimerEvent .* ValueError: first"):
        bus.drain()
    every = [str(number) for number in range(events)]
    assert seen == [
        ("first", "0"), *(("between", token) for token in every),
        ("second", "0"), *(("well", token) for token in every),
    ]  # fmt: skip
    seen.clear()
    bus.publish(timer("again"))
    bus.drain()
    assert [name for name, _ in seen] == ["first", "between", "second", "well"]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("after_market", [False, True])
def test_what_follows_is_asked_for_when_nothing_is_left(kind: Kind, after_market: bool) -> None:
    """After all that the last one led to; until there is nothing more."""
    bus = make_bus()
    texts = Texts(bus)
    left = [warning("third"), timer("second"), warning("first")]

    def on_timer(event: TimerEvent) -> None:
        port.publish(warning(f"answer to {event.token}"))

    def on_market(event: MarketEvent) -> None:
        port.publish(warning("of the market"))

    port = bus.subscribe(
        "one", 1, {TimerEvent: on_timer, MarketEvent: on_market}, kind=kind, phase=Phase.MARKET
    )
    with async_services(bus):
        bus.publish(warning("published"))
        if after_market:
            bus.send_market(Phase.MARKET, market(), lambda: left.pop() if left else None)
        else:
            bus.drain(lambda: left.pop() if left else None)
    expected = ["published", *(["of the market"] if after_market else [])]
    assert texts.seen == [*expected, "first", "answer to second", "third"]


def test_what_follows_raises_out_of_the_drain_and_the_bus_goes_on() -> None:
    bus = make_bus()
    texts = Texts(bus)

    def follow() -> None:
        raise ValueError("nothing can follow")

    with pytest.raises(ValueError, match="nothing can follow"):
        bus.drain(follow)
    bus.publish(warning("x"))
    bus.drain()
    assert texts.seen == ["x"]
