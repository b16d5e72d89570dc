"""The audit: every event of a run into its folder, in sequence, and their digest.

Events are gathered and written in batches: of a fixed number, and with the first event that is
made ``flush_s`` or more after the last one that was flushed. What was flushed is with the
operating system; a process that is killed loses what came since. How batches are cut shows in no
finished file.
"""

from __future__ import annotations

from datetime import date
from itertools import compress
from pathlib import Path
from time import time_ns
from typing import Any

import numpy as np
import pyarrow as pa

from app.runs.early import EarlyParquet
from app.runs.events_digest import EventsDigest, Records, kind_of
from app.runs.orders import OrderBook
from app.runs.streams import StreamFile, seal
from app.runs.tables import (
    EVENTS,
    TABLES,
    batch_of_equity,
    batch_of_objects,
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

BATCH_EVENTS = 16_384
FLUSH_S = 0.25
_TYPES = pa.array([topic.topic() for topic in TOPICS])
_VERSIONS = np.array([topic.VERSION for topic in TOPICS], np.int16)
_OF_ORDERS = np.isin(np.arange(len(TOPICS)), [kind_of(topic) for topic in OrderBook.TOPICS])


class AuditWriter:
    """Writes into ``folder``; with None it only counts events and hashes them.

    ``add`` takes each event once, in order: its place is its sequence number, from 1. RunError
    where a file cannot be written. ``close`` leaves Parquet files.
    """

    def __init__(self, folder: Path | None, flush_s: float = FLUSH_S) -> None:
        self.folder = folder
        self._flush_ns = int(flush_s * SECOND_NS)
        self._since_ns = time_ns()  # of the last flush
        self._due_ns = self._since_ns + self._flush_ns
        self._flushed = 0
        self._waiting: list[EventBase] = []
        self._equity: list[EquityEvent] = []
        self._digest = EventsDigest()
        self._rows = _Rows()
        self._files: dict[str, StreamFile] = {}
        self._early: dict[str, EarlyParquet] = {}
        if folder is not None:
            self._files = {table: StreamFile(folder, table) for table in TABLES}
            # Of orders only the last rows are kept: these are known in the end.
            self._early = {t: EarlyParquet(folder, t) for t in TABLES if t != "orders"}
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
        on_time = self._since_ns <= event.ts_created_ns < self._due_ns
        if not on_time or len(waiting) >= BATCH_EVENTS:  # wall time may be set back
            self.flush()

    def add_equity(self, event: EquityEvent) -> None:
        """The next rows of the equity curve; not an event of the sequence."""
        if self._files:
            self._equity.append(event)

    def flush(self) -> None:
        """Write what waits; it then outlives the process."""
        events, self._waiting = self._waiting, []
        equity, self._equity = self._equity, []
        first = self._flushed + 1
        if events:
            self._since_ns = events[-1].ts_created_ns
            self._due_ns = self._since_ns + self._flush_ns
            records = Records(events)
            self._hash(records)
            self._flushed += len(events)
        if self._whole:
            self._whole = False
            if equity:
                self._write("equity", batch_of_equity(equity))
            if events:
                for table, batch in self._rows.batches(first, records):
                    self._write(table, batch)
            self._whole = True

    def _write(self, table: str, batch: Any) -> None:
        self._files[table].write(batch)
        early = self._early.get(table)
        if early is not None:
            early.add(batch)

    def _hash(self, records: Records) -> None:
        lines, start = records.lines, 0
        for end in records.ends[records.of(DayEndEvent)].tolist():
            self._digest.add(lines[start:end])
            self._digest.end_day()
            start = end
        self._digest.add(lines[start:])

    def close(self) -> None:
        """Write what waits and turn the streams into Parquet; any number of times."""
        try:
            self.flush()
            for file in self._files.values():
                file.close()
        finally:
            for early in self._early.values():
                early.end()
        if self.folder is not None:
            self._seal(self.folder)

    def _seal(self, folder: Path) -> None:
        """All tables at the same time; nothing more is written once this returns or raises."""
        early = self._early.values()
        for file in early:
            file.begin()
        try:
            seal(folder, but=[table for table, file in self._early.items() if file.begun])
        finally:
            for file in early:
                file.wait()
        for file in early:
            file.finish()


class _Rows:
    """What events are in each table."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._orders = OrderBook()

    def batches(self, first: int, records: Records) -> list[tuple[str, Any]]:
        """Table and record batch of events whose sequence numbers begin with ``first``."""
        return [
            ("events", self._events(first, records)),
            ("orders", self._order_rows(records)),
            ("fills", _topic_rows("fills", first, records, FillEvent)),
            ("positions", _position_rows(first, records)),
            ("round_trips", _topic_rows("round_trips", first, records, RoundTripEvent)),
        ]

    def _events(self, first: int, records: Records) -> Any:
        kinds = records.kinds
        columns = [
            pa.array(np.arange(first, first + len(kinds))),
            self._days(records),
            times(records.ts_event_ns),
            times(records.ts_created_ns),
            _TYPES.take(pa.array(kinds)),
            pa.array(_VERSIONS[kinds]),
            texts(records.lines, records.ends),
        ]
        return pa.record_batch(columns, schema=EVENTS)

    def _days(self, records: Records) -> Any:
        """The trading day of each: of the last day that was opened."""
        opened = records.of(DayOpenEvent)
        days = [self._day, *(date.fromisoformat(records.events[at].date) for at in opened.tolist())]
        self._day = days[-1]
        numbers = opened.searchsorted(np.arange(len(records.kinds)), "right")
        return pa.array(days, pa.date32()).take(pa.array(numbers))

    def _order_rows(self, records: Records) -> Any:
        takers = self._orders.takers
        for event in compress(records.events, _OF_ORDERS[records.kinds].tolist()):
            takers[type(event)](event)
        return self._orders.batch()


def _topic_rows(table: str, first: int, records: Records, topic: type[EventBase]) -> Any:
    """A row an event: all its fields but ``ts_created_ns``."""
    places = records.of(topic)
    events = [records.events[at] for at in places.tolist()]
    return batch_of_objects(table, places + first, records.ts_event_ns[places], events)


def _position_rows(first: int, records: Records) -> Any:
    states = records.of(PortfolioStateEvent)
    told = [records.events[at].positions for at in states.tolist()]
    places = states.repeat([len(positions) for positions in told])
    positions = [position for each in told for position in each]
    return batch_of_objects("positions", places + first, records.ts_event_ns[places], positions)
