"""The audit: every event of a run into its folder, in sequence, and their digest.

Events are gathered and written in batches: of a fixed number, and with the first event that is
made ``flush_s`` or more after the last one that was flushed. What was flushed is with the
operating system; a process that is killed loses what came since. How batches are cut shows in no
finished file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from time import time_ns
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from app.runs.events_digest import EventsDigest, payload_of
from app.runs.orders import OrderBook
from app.runs.streams import StreamFile, seal
from app.runs.tables import (
    EVENTS,
    TABLES,
    batch_of_equity,
    batch_of_rows,
    texts,
    times,
)
from app.times import SECOND_NS
from app.trading.data_events import EquityEvent
from app.trading.events import (
    TOPICS,
    DayEndEvent,
    DayOpenEvent,
    EventBase,
    FillEvent,
    PortfolioStateEvent,
    RoundTripEvent,
)

BATCH_EVENTS = 4096
FLUSH_S = 0.1
_TOPICS = {topic: topic.topic() for topic in TOPICS}


class AuditWriter:
    """Writes into ``folder``; with None it only counts events and hashes them.

    ``add`` takes each event once, in order: its place is its sequence number, from 1. RunError
    where a file cannot be written. ``close`` leaves Parquet files.
    """

    def __init__(self, folder: Path | None, flush_s: float = FLUSH_S) -> None:
        self.folder = folder
        self._flush_ns = int(flush_s * SECOND_NS)
        self._due_ns = time_ns() + self._flush_ns
        self._flushed = 0
        self._waiting: list[EventBase] = []
        self._equity: list[EquityEvent] = []
        self._day_ends: list[int] = []  # how many of those waiting are of days that have ended
        self._digest = EventsDigest()
        self._rows = _Rows()
        self._files: dict[str, StreamFile] = {}
        if folder is not None:
            self._files = {table: StreamFile(folder, table) for table in TABLES}
        self._whole = bool(self._files)  # after a failed write no later event leaves a gap

    @property
    def events(self) -> int:
        """How many came: the last one's sequence number."""
        return self._flushed + len(self._waiting)

    @property
    def events_digest(self) -> str:
        """The digest of all that came."""
        self.flush()
        return self._digest.text()

    def add(self, event: EventBase) -> None:
        """The next event."""
        waiting = self._waiting
        waiting.append(event)
        on_time = self._due_ns - self._flush_ns <= event.ts_created_ns < self._due_ns
        if not on_time or len(waiting) >= BATCH_EVENTS:  # wall time may be set back
            self.flush()

    def end_day(self, event: DayEndEvent) -> None:
        """The last event of a day."""
        self._day_ends.append(len(self._waiting) + 1)
        self.add(event)

    def add_equity(self, event: EquityEvent) -> None:
        """The next rows of the equity curve; not an event of the sequence."""
        if self._files:
            self._equity.append(event)

    def flush(self) -> None:
        """Write what waits; it then outlives the process."""
        events, self._waiting = self._waiting, []
        equity, self._equity = self._equity, []
        payloads = [payload_of(event) for event in events]
        first = self._flushed + 1
        if events:
            self._due_ns = events[-1].ts_created_ns + self._flush_ns
            self._hash(payloads)
            self._flushed += len(events)
        if self._whole:
            self._whole = False
            if equity:
                self._files["equity"].write(batch_of_equity(equity))
            if events:
                for table, batch in self._rows.batches(first, events, payloads):
                    self._files[table].write(batch)
            self._whole = True

    def _hash(self, payloads: Sequence[bytes]) -> None:
        start = 0
        for end in self._day_ends:
            self._digest.add(payloads[start:end])
            self._digest.end_day()
            start = end
        self._day_ends.clear()
        self._digest.add(payloads[start:])

    def close(self) -> None:
        """Write what waits and turn the streams into Parquet; any number of times."""
        self.flush()
        for file in self._files.values():
            file.close()
        if self.folder is not None:
            seal(self.folder)


class _Rows:
    """What events are in each table."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._orders = OrderBook()
        self._fills: list[tuple[Any, ...]] = []
        self._positions: list[tuple[Any, ...]] = []
        self._trips: list[tuple[Any, ...]] = []
        self._seq = 0
        self._takers: dict[type, tuple[Callable[[Any], None], ...]] = {
            **{topic: (taker,) for topic, taker in self._orders.takers.items()},
            FillEvent: (self._on_fill, self._orders.takers[FillEvent]),
            PortfolioStateEvent: (self._on_state,),
            RoundTripEvent: (self._on_trip,),
        }

    def batches(
        self, first: int, events: Sequence[EventBase], payloads: Sequence[bytes]
    ) -> list[tuple[str, Any]]:
        """Table and record batch of events whose sequence numbers begin with ``first``."""
        takers = self._takers
        for seq, event in enumerate(events, first):
            for taker in takers.get(type(event), ()):
                self._seq = seq
                taker(event)
        found = [("events", self._events(first, events, payloads))]
        for table, rows in (
            ("orders", self._orders.rows()), ("fills", _taken(self._fills)),
            ("positions", _taken(self._positions)), ("round_trips", _taken(self._trips)),
        ):  # fmt: skip
            if rows:
                found.append((table, batch_of_rows(TABLES[table], rows)))
        return found

    def _events(self, first: int, events: Sequence[EventBase], payloads: Sequence[bytes]) -> Any:
        count = len(events)
        columns = [
            pa.array(np.arange(first, first + count)),
            pa.array(self._days(events), pa.date32()),
            times(np.fromiter((e.ts_event_ns for e in events), np.int64, count)),
            times(np.fromiter((e.ts_created_ns for e in events), np.int64, count)),
            pa.array([_TOPICS[type(e)] for e in events], pa.string()),
            pa.array([e.VERSION for e in events], pa.int16()),
            texts(payloads),
        ]
        return pa.record_batch(columns, schema=EVENTS)

    def _days(self, events: Sequence[EventBase]) -> list[date | None]:
        """The trading day of each: of the last day that was opened."""
        days: list[date | None] = []
        for at, event in enumerate(events):
            if type(event) is DayOpenEvent:
                days += [self._day] * (at - len(days))
                self._day = date.fromisoformat(event.date)
        return days + [self._day] * (len(events) - len(days))

    def _on_fill(self, event: FillEvent) -> None:
        self._fills.append(_row(self._seq, event))

    def _on_trip(self, event: RoundTripEvent) -> None:
        self._trips.append(_row(self._seq, event))

    def _on_state(self, event: PortfolioStateEvent) -> None:
        for position in event.positions:
            self._positions.append((self._seq, event.ts_event_ns, *astuple(position)))


def _row(seq: int, event: EventBase) -> tuple[Any, ...]:
    """All fields but ``ts_created_ns``."""
    ts_event_ns, _, *fields = astuple(event)
    return (seq, ts_event_ns, *fields)


def _taken(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    taken = rows.copy()
    rows.clear()
    return taken
