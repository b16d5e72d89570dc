"""Topics: frozen events with a schema version, dispatched by exactly their type."""

from __future__ import annotations

import pytest

from app.trading.bus import TopicError
from app.trading.events import TOPICS, EventBase, TimerEvent, WarningEvent
from tests.trading.bus.tools import T_NS, Texts, make_bus, timer, warning


class Louder(WarningEvent, frozen=True, gc=False, kw_only=True, tag="louder"):
    """A topic's subclass is none."""


def test_dispatch_is_by_exact_type() -> None:
    bus = make_bus()
    texts = Texts(bus)
    timers: list[TimerEvent] = []
    bus.subscribe("timers", 10, {TimerEvent: timers.append})
    sent = timer("x")
    bus.publish(sent)
    bus.publish(warning("y"))
    bus.drain()
    assert texts.seen == ["y"]
    assert len(timers) == 1
    assert timers[0] is sent
    with pytest.raises(TopicError, match="a Louder, which is no topic"):
        bus.publish(Louder(ts_event_ns=T_NS, code="x", text="y"))
    with pytest.raises(TopicError, match="all cannot subscribe to EventBase"):
        bus.subscribe("all", 20, {EventBase: print})


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.__name__)
def test_every_topic_is_frozen_and_versioned(topic: type[EventBase]) -> None:
    assert topic.__struct_config__.frozen
    assert topic.VERSION >= 1
    assert {"ts_event_ns", "ts_created_ns"} <= set(topic.__struct_fields__)
    assert [t for t in TOPICS if t.topic() == topic.topic()] == [topic]


def test_an_event_never_changes() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        timer("x").token = "y"  # type: ignore[misc]
