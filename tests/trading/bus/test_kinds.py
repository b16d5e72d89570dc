"""A network of subscribers gives the same events whatever kind each of them is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from random import Random
from time import sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.trading.bus import EventBus, Handler, HandlerError, Kind, Port
from app.trading.events import CashEvent, EventBase, TimerEvent, WarningEvent
from tests.trading.bus.tools import T_NS, async_services, make_bus

Topic = int  # 0, 1 or 2
DEPTH = 2


@dataclass(frozen=True)
class NodeSpec:
    """Hears topics, answers each with the topics named; fails on its event number ``fails_at``."""

    rank: int
    answers: dict[Topic, tuple[Topic, ...]]
    fails_at: int | None


def make_event(topic: Topic, depth: int, said: str) -> EventBase:
    if topic == 0:
        return WarningEvent(ts_event_ns=T_NS, code=str(depth), text=said)
    if topic == 1:
        return TimerEvent(ts_event_ns=T_NS, owner=str(depth), token=said)
    return CashEvent(ts_event_ns=T_NS, kind=str(depth), amount=said)


TYPES: tuple[type, ...] = (WarningEvent, TimerEvent, CashEvent)


def parts(event: Any) -> tuple[Topic, int, str]:
    if isinstance(event, WarningEvent):
        return 0, int(event.code), event.text
    if isinstance(event, TimerEvent):
        return 1, int(event.owner), event.token
    return 2, int(event.kind), event.amount


class Node:
    """What it publishes tells all that it has handled so far, in order."""

    def __init__(self, bus: EventBus, spec: NodeSpec, kind: Kind, pause: Callable[[], float]):
        self._spec, self._pause = spec, pause
        self._history = 0
        self._handled = 0
        on_event: dict[Kind, Handler] = {
            Kind.INLINE: self._on_event,
            Kind.THREADED: self._on_event_late,
            Kind.ASYNC: self._on_event_async,
        }
        handlers = {TYPES[topic]: on_event[kind] for topic in spec.answers}
        self._port: Port = bus.subscribe(f"node-{spec.rank}", spec.rank, handlers, kind=kind)

    def _on_event(self, event: EventBase) -> None:
        topic, depth, said = parts(event)
        self._handled += 1
        for letter in said:
            self._history = (self._history * 31 + ord(letter)) % 1_000_003
        if self._handled == self._spec.fails_at:
            raise ValueError(f"event number {self._handled}")
        if depth < DEPTH:
            for answer in self._spec.answers[topic]:
                said = f"{self._spec.rank}:{self._handled}:{self._history}"
                self._port.publish(make_event(answer, depth + 1, said))

    def _on_event_late(self, event: EventBase) -> None:
        sleep(self._pause())
        self._on_event(event)
        sleep(self._pause())

    async def _on_event_async(self, event: EventBase) -> None:
        await asyncio.sleep(self._pause())
        self._on_event(event)
        await asyncio.sleep(0)


Outcome = tuple[list[tuple[Topic, int, str]], list[str]]


def play(specs: Sequence[NodeSpec], kinds: Sequence[Kind], roots: Sequence[Topic], seed: int) -> (
    Outcome
):  # fmt: skip
    """All events that were heard, and what the drains raised."""
    bus = make_bus()
    random = Random(seed)
    heard: list[tuple[Topic, int, str]] = []
    raised: list[str] = []
    recorder = dict.fromkeys(TYPES, lambda event: heard.append(parts(event)))
    bus.subscribe("recorder", 1000, recorder)
    for spec, kind in zip(specs, kinds, strict=True):
        Node(bus, spec, kind, lambda: random.choice((0.0, 0.0, 0.0001, 0.001)))
    with async_services(bus) if Kind.ASYNC in kinds else nullcontext():
        for number, topic in enumerate(roots):
            bus.publish(make_event(topic, 0, f"root-{number}"))
            if number % 2:
                try:
                    bus.drain()
                except HandlerError as error:
                    cause = type(error.__cause__).__name__
                    raised.append(f"{error} {parts(error.event)} {error.time_ns} {cause}")
                    bus.abandon()
    bus.close()
    return heard, raised


TOPICS = st.integers(0, 2)
ANSWERS = st.dictionaries(TOPICS, st.lists(TOPICS, max_size=2).map(tuple), min_size=1, max_size=3)


@st.composite
def networks(draw: st.DrawFn) -> list[NodeSpec]:
    ranks = draw(st.lists(st.integers(1, 99), min_size=3, max_size=6, unique=True))
    fails = st.one_of(st.none(), st.none(), st.integers(1, 6))
    return [NodeSpec(rank, draw(ANSWERS), draw(fails)) for rank in ranks]


@settings(max_examples=25, deadline=None)
@given(networks(), st.lists(TOPICS, min_size=2, max_size=4), st.data())
def test_a_network_gives_the_same_events_for_all_kinds(
    specs: list[NodeSpec], roots: list[Topic], data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 1 << 30))
    expected = play(specs, [Kind.INLINE] * len(specs), roots, seed)
    assert play(specs, [Kind.THREADED] * len(specs), roots, seed) == expected
    assert play(specs, [Kind.ASYNC] * len(specs), roots, seed) == expected
    kinds = [data.draw(st.sampled_from(Kind)) for _ in specs]
    assert play(specs, kinds, roots, seed) == expected


def test_the_network_is_worth_its_name() -> None:
    """By hand: two answerers, depth two."""
    echo = NodeSpec(2, {0: (1,)}, None)
    twice = NodeSpec(1, {1: (0, 0)}, None)
    heard, raised = play([echo, twice], [Kind.INLINE, Kind.THREADED], [0, 2], 1)
    assert [(topic, depth) for topic, depth, _ in heard] == [(0, 0), (2, 0), (1, 1), (0, 2), (0, 2)]
    assert raised == []
    assert Counter(said.split(":")[0] for _, depth, said in heard if depth) == {"2": 1, "1": 2}


@pytest.mark.parametrize("kind", Kind)
def test_in_a_round_that_fails_the_others_still_handle_theirs(kind: Kind) -> None:
    early, late = NodeSpec(5, {0: ()}, 1), NodeSpec(6, {0: ()}, 1)
    heard, raised = play([late, early], [kind, kind], [0, 0], 1)
    assert [said for _, _, said in heard] == ["root-0", "root-1"]  # the recorder ranks after both
    (message,) = raised
    assert message.startswith(
        "node-5 failed on WarningEvent at 2013-10-04T13:30:00Z: ValueError: event number 1"
    )
