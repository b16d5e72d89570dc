"""The digest of a run's events: BLAKE3 over their records, chained by trading day.

    d_0 = H("tapedeck-events-1" NUL)
    d_k = H(d_(k-1), H(records of day k))

A record is an event's payload and a line feed, in sequence order; a day's records end with its
``DayEndEvent``. Wall time is in no payload. docs/runs.md describes it for other programs.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from blake3 import blake3

from app.trading.events import EventBase

EVENTS_DIGEST_VERSION = "te1"
_SEED = b"tapedeck-events-1\0"
_CREATED = b',"ts_created_ns":'
_DIGITS = b"0123456789"
_encode = msgspec.json.Encoder().encode


def payload_of(event: EventBase) -> bytes:
    """An event as JSON, its fields as declared, without ``ts_created_ns``.

    Before that field stand only the type and ``ts_event_ns``, and a quote within a text is
    escaped: the first such name is the field itself.
    """
    head, _, tail = _encode(event).partition(_CREATED)
    return head + tail.lstrip(_DIGITS)


class EventsDigest:
    """The chain. ``add`` in sequence order, ``end_day`` after each ``DayEndEvent``."""

    def __init__(self) -> None:
        self._chain: bytes = blake3(_SEED).digest()
        self._day = blake3()
        self._day_is_empty = True

    def add(self, payloads: Sequence[bytes]) -> None:
        """Hash payloads, none of them later than the day's ``DayEndEvent``."""
        if payloads:
            self._day.update(b"\n".join(payloads) + b"\n")
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
