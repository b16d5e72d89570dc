"""Events as the records that are kept of them, and the digest of a run's records.

    d_0 = H("tapedeck-events-1" NUL)
    d_k = H(d_(k-1), H(records of day k))

H is BLAKE3. A record is an event's payload and a line feed, in sequence order; a day's records
end with its ``DayEndEvent``. Wall time is in no payload. docs/runs.md describes it for other
programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from blake3 import blake3

from app.model import Ints
from app.runs.tables import every_second
from app.trading.events import TOPICS, EventBase

EVENTS_DIGEST_VERSION = "te1"
_SEED = b"tapedeck-events-1\0"
_LINE_FEED = ord("\n")
_KINDS = {topic: kind for kind, topic in enumerate(TOPICS)}
_HEADS = np.array([len(f'{{"type":"{t.topic()}","ts_event_ns":') for t in TOPICS])
_CREATED = len(',"ts_created_ns":')
_POWERS = 10 ** np.arange(1, 20, dtype=np.uint64)
_encode_lines = msgspec.json.Encoder().encode_lines


class Records:
    """Events one after the other: what all of them have as columns, and their records.

    At least one. ``kinds`` are places in ``TOPICS``. ``lines`` are the payloads, each with a line
    feed: an event as JSON, its fields as declared, without ``ts_created_ns``. ``ends``: where each
    line ends.
    """

    def __init__(self, events: Sequence[Any]) -> None:
        self.events = events
        self.kinds = self._column(map(_KINDS.__getitem__, map(type, events)))
        self.ts_event_ns = self._column(map(attrgetter("ts_event_ns"), events))
        self.ts_created_ns = self._column(map(attrgetter("ts_created_ns"), events))
        self.lines, self.ends = self._encode()

    def of(self, topic: type[EventBase]) -> Ints:
        """Where the events of a topic are."""
        return np.flatnonzero(self.kinds == kind_of(topic))

    def _column(self, values: map[int]) -> Ints:
        return np.fromiter(values, np.int64, len(self.events))

    def _encode(self) -> tuple[memoryview, Ints]:
        """Before ``ts_created_ns`` stand only the type and ``ts_event_ns``: where it begins is
        known, and need not be looked for."""
        whole = _encode_lines(self.events)
        ends = np.flatnonzero(np.frombuffer(whole, np.uint8) == _LINE_FEED) + 1
        left_out = _CREATED + _lengths(self.ts_created_ns)
        cuts = np.zeros(2 * len(ends) + 2, np.int32)
        cuts[1:-1:2] = _HEADS[self.kinds] + _lengths(self.ts_event_ns)
        cuts[3:-1:2] += ends[:-1]
        cuts[2:-1:2] = cuts[1:-1:2] + left_out
        cuts[-1] = len(whole)
        ends = ends - left_out.cumsum()
        return memoryview(every_second(whole, cuts).buffers()[2])[: ends[-1]], ends


def kind_of(topic: type[EventBase]) -> int:
    """Its place in ``TOPICS``."""
    return _KINDS[topic]


def _lengths(values: Ints) -> Ints:
    """Characters of each number as text."""
    digits = _POWERS.searchsorted(np.abs(values).view(np.uint64), "right") + 1
    return digits + (values < 0)


def payload_of(event: EventBase) -> bytes:
    """One event's payload."""
    return bytes(Records([event]).lines[:-1])


class EventsDigest:
    """The chain. ``add`` in sequence order, ``end_day`` after each ``DayEndEvent``."""

    def __init__(self) -> None:
        self._chain: bytes = blake3(_SEED).digest()
        self._day = blake3()
        self._day_is_empty = True

    def add(self, records: bytes | memoryview) -> None:
        """Hash records, none of them later than the day's ``DayEndEvent``."""
        if records:
            self._day.update(records)
            self._day_is_empty = False

    def end_day(self) -> None:
        """Close the day's link of the chain; the next day begins."""
        self._chain = self._link()
        self._day = blake3()
        self._day_is_empty = True

    def text(self) -> str:
        """``te1:`` and the hex of the chain, what came since the last day's end as a last link."""
        last = self._chain if self._day_is_empty else self._link()
        return f"{EVENTS_DIGEST_VERSION}:{last.hex()}"

    def _link(self) -> bytes:
        return bytes(blake3(self._chain + self._day.digest()).digest())
