"""What a run that is executed again must be told anew: it was told from outside the first time.

Requests stand in the journal, where a run has one, else among the events. A request from outside
took effect between two slices, when all up to its time had been shown: its time, and how many days
had opened and ended before it, say where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import RequestError, RunError
from app.runs.folder import RunFolder
from app.runs.journal import Entry
from app.runs.manifest import RunState
from app.trading.events import (
    FROM_OUTSIDE,
    MANUAL,
    BacktestEndEvent,
    CancelRequestEvent,
    DayEndEvent,
    DayOpenEvent,
    EventBase,
    ModifyRequestEvent,
    OrderRequestEvent,
)

_Request = OrderRequestEvent | CancelRequestEvent
_EDGES = frozenset({DayOpenEvent.topic(), DayEndEvent.topic()})
_END = BacktestEndEvent.topic()
_CUES = {kind.topic() for kind in (OrderRequestEvent, CancelRequestEvent, BacktestEndEvent)}
_WANTED = pa.array(sorted(_EDGES | _CUES))
_decode_any = msgspec.json.Decoder(_Request | ModifyRequestEvent).decode
_decode = msgspec.json.Decoder(_Request | BacktestEndEvent).decode


class Cue(NamedTuple):
    """An event from outside, or the end of a run that was stopped, at its time; after so many
    openings and ends of days."""

    edges: int
    event: EventBase

    @property
    def at_ns(self) -> int:
        return self.event.ts_event_ns


class Script(NamedTuple):
    """Cues in order; ``most_events`` is where a run ends that was cut off: then or soon after."""

    cues: tuple[Cue, ...] = ()
    most_events: int | None = None


def script_of(run: RunFolder, *, to_the_end: bool = False) -> Script:
    """What a run was told from outside, and where it was stopped, or its record ends; not where
    that ends ``to_the_end``, for one that is to go on from there.

    RequestError where it ended before its first day, RunError where its events are missing.
    """
    manifest, journal = run.manifest, run.journal()
    ids = {strategy.id for strategy in manifest.strategies}
    cues, edges = [], 0
    if journal is not None:
        cues = [_cue(entry) for entry in journal if entry.event is not None]
    for kind, payload in _wanted(run):
        if kind in _EDGES:
            edges += 1
            continue
        event = _decode(payload)
        if isinstance(event, BacktestEndEvent):
            if event.outcome == RunState.STOPPED:
                cues.append(Cue(edges, event))
        elif journal is None and _from_outside(event, ids):
            cues.append(Cue(edges, event))
    if to_the_end:
        return Script(tuple(cues))
    if not edges and manifest.events:
        raise RunError(f"run {run.id} cannot be executed: its {manifest.events} events are missing")
    if not edges and manifest.state is not RunState.FAILED:
        raise RequestError(f"run {run.id} did nothing: {manifest.state} before its first day")
    if manifest.state is RunState.INTERRUPTED:
        return Script(tuple(cues), sum(batch.num_rows for batch in run.batches("events")))
    return Script(tuple(cues))


def ends_as_stopped(run: RunFolder) -> bool:
    """Whether the events of a run end with its being stopped."""
    ends = (_decode(payload) for kind, payload in _wanted(run) if kind == _END)
    return any(isinstance(e, BacktestEndEvent) and e.outcome == RunState.STOPPED for e in ends)


def _cue(entry: Entry) -> Cue:
    """Of the session's day number n, n days had ended and one more had opened."""
    event = _decode_any(msgspec.json.encode(entry.event))
    return Cue(2 * entry.day + 1 + entry.over, event)


def _wanted(run: RunFolder) -> Iterator[tuple[str, str]]:
    """Type and payload of the events that matter here, in order."""
    for batch in run.batches("events"):
        found: Any = batch.filter(pc.is_in(batch.column("type"), value_set=_WANTED))
        yield from zip(
            found.column("type").to_pylist(), found.column("payload").to_pylist(), strict=True
        )


def _from_outside(event: _Request, strategies: set[str]) -> bool:
    """Anybody may cancel an order from outside, and risk one that came from there. A strategy may
    bear the name, where nobody could send orders."""
    if isinstance(event, CancelRequestEvent):
        return event.reason == FROM_OUTSIDE
    return event.strategy_id == MANUAL and MANUAL not in strategies
