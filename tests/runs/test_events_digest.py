"""The digest of a run's events: what is in it, what is not, and how it is chained."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from app.runs.events_digest import EventsDigest, Records, payload_of
from app.runs.writer import AuditWriter
from app.trading.events import (
    BacktestEndEvent,
    DayEndEvent,
    EventBase,
    RiskEvaluationTriggerEvent,
    SignalEvent,
    WarningEvent,
)
from tests.runs.made import MINUTES, SmallRun

CREATED = ',"ts_created_ns":'


def digest_of(events: Iterable[EventBase]) -> str:
    writer = AuditWriter(None)
    for event in events:
        writer.add(event)
    return writer.events_digest


def chained(days: Iterable[str], rest: str = "") -> str:
    """The chain, as docs/runs.md tells it."""
    link = blake3(b"tapedeck-events-1\0").digest()
    for day in [*days, *([rest] if rest else [])]:
        link = blake3(link + blake3(day.encode()).digest()).digest()
    return "te1:" + link.hex()


def test_a_payload_is_the_event_without_its_wall_time() -> None:
    event = SignalEvent(
        ts_event_ns=5, ts_created_ns=1234567890, signal_id="a-s1", strategy_id="a",
        symbol="ON", direction=-1, strength=0.5, tag='say ,"ts_created_ns":9',
    )  # fmt: skip
    assert payload_of(event).decode() == (
        '{"type":"signal","ts_event_ns":5,"signal_id":"a-s1","strategy_id":"a","symbol":"ON",'
        '"direction":-1,"strength":0.5,"tag":"say ,\\"ts_created_ns\\":9"}'
    )
    bare = RiskEvaluationTriggerEvent(ts_event_ns=-3, ts_created_ns=0)
    assert payload_of(bare) == b'{"type":"risk_trigger","ts_event_ns":-3}'


@given(st.text(), st.text(), st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_whatever_the_texts_say_only_wall_time_goes(
    code: str, text: str, created_ns: int, event_ns: int
) -> None:
    event = WarningEvent(
        ts_event_ns=event_ns, ts_created_ns=created_ns, code=code + CREATED + "1", text=text
    )
    whole = msgspec.json.decode(msgspec.json.encode(event))
    del whole["ts_created_ns"]
    assert json.loads(payload_of(event)) == whole


numbers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([10**n for n in range(19)])


@given(st.lists(st.tuples(numbers, numbers, st.text()), min_size=1))
def test_records_are_the_payloads_one_after_the_other(said: list[tuple[int, int, str]]) -> None:
    events: list[EventBase] = []
    for event_ns, created_ns, text in said:
        at, made = min(event_ns, 2**63 - 1), min(created_ns, 2**63 - 1)
        events.append(BacktestEndEvent(ts_event_ns=at, ts_created_ns=made, outcome=text))
        events.append(DayEndEvent(ts_event_ns=made, ts_created_ns=at, day=at))
    records = Records(events)
    wanted = [msgspec.json.decode(msgspec.json.encode(event)) for event in events]
    for one in wanted:
        del one["ts_created_ns"]
    lines = bytes(records.lines).split(b"\n")
    assert [msgspec.json.decode(line) for line in lines[:-1]] == wanted
    assert lines == [*map(payload_of, events), b""]
    assert [len(line) + 1 for line in lines[:-1]] == np.diff(records.ends, prepend=0).tolist()
    assert records.of(DayEndEvent).tolist() == list(range(1, len(events), 2))


def test_the_chain_is_that_of_the_docs() -> None:
    first = [
        RiskEvaluationTriggerEvent(ts_event_ns=1), DayEndEvent(ts_event_ns=2, day=0),
        DayEndEvent(ts_event_ns=3, day=1), BacktestEndEvent(ts_event_ns=4, outcome="completed"),
    ]  # fmt: skip
    days = [
        '{"type":"risk_trigger","ts_event_ns":1}\n{"type":"day_end","ts_event_ns":2,"day":0}\n',
        '{"type":"day_end","ts_event_ns":3,"day":1}\n',
    ]
    end = '{"type":"backtest_end","ts_event_ns":4,"outcome":"completed","cause":null}\n'
    assert digest_of([]) == chained([])
    assert digest_of(first[:1]) == chained([], days[0].splitlines()[0] + "\n")
    assert digest_of(first[:2]) == chained(days[:1])
    assert digest_of(first[:3]) == chained(days)
    assert digest_of(first) == chained(days, end)


def test_where_a_day_ends_is_in_the_digest() -> None:
    whole, parted = EventsDigest(), EventsDigest()
    whole.add(b"a\nb\n")
    parted.add(b"a\n")
    before = parted.text()
    parted.end_day()
    assert parted.text() == before, "an ended day is the day as far as it came"
    parted.add(b"b\n")
    assert whole.text() != parted.text()


def test_asking_for_the_digest_changes_nothing() -> None:
    events = SmallRun(AuditWriter(None)).play()
    writer = AuditWriter(None)
    for event in events:
        writer.add(event)
        assert writer.events_digest.startswith("te1:")
    assert writer.events_digest == digest_of(events)


@pytest.mark.parametrize("cut", [1, 4, 11])
def test_windows_and_wall_time_are_not_in_it(cut: int) -> None:
    whole, cut_up = AuditWriter(None), AuditWriter(None)
    first = SmallRun(whole).play()
    second = SmallRun(cut_up, cut).play()
    assert len(first) > MINUTES
    assert [e.ts_created_ns for e in first] != [e.ts_created_ns for e in second]
    assert whole.events_digest == cut_up.events_digest
    assert whole.events == cut_up.events == len(first)


def test_every_change_of_an_event_is_in_it() -> None:
    events = SmallRun(AuditWriter(None)).play()
    digests = {digest_of(events)}
    for at, event in enumerate(events):
        moved = msgspec.structs.replace(event, ts_event_ns=event.ts_event_ns + 1)
        digests.add(digest_of([*events[:at], moved, *events[at + 1 :]]))
        digests.add(digest_of([*events[:at], *events[at + 1 :]]))
    assert len(digests) == 1 + 2 * len(events)
    later = [msgspec.structs.replace(e, ts_created_ns=1) for e in events]
    assert digest_of(later) in digests


def test_order_is_in_it() -> None:
    events = SmallRun(AuditWriter(None)).play()
    swapped = [events[1], events[0], *events[2:]]
    assert digest_of(swapped) != digest_of(events)
