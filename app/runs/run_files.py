"""A run's tables, their digest and their Parquet files, of batches of events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import compress
from pathlib import Path
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

_TYPES = pa.array([topic.topic() for topic in TOPICS])
_VERSIONS = np.array([topic.VERSION for topic in TOPICS], np.int16)
_OF_ORDERS = np.isin(np.arange(len(TOPICS)), [kind_of(topic) for topic in OrderBook.TOPICS])


class RunFiles:
    """What is written of a run into ``folder``; with None its events are only hashed.

    ``write`` each batch once, in order: an event's place is its sequence number, from 1. RunError
    where a file cannot be written. ``close`` leaves Parquet files. With ``anew`` the streams are
    written beside those that are there, until ``take_the_place``.
    """

    def __init__(self, folder: Path | None, anew: bool = False) -> None:
        self._folder = folder
        self._written = 0
        self._digest = EventsDigest()
        self._rows = _Rows()
        self._streams: dict[str, StreamFile] = {}
        self._early: dict[str, EarlyParquet] = {}
        if folder is not None:
            self._streams = {table: StreamFile(folder, table, anew) for table in TABLES}
            # Of orders only the last rows are kept: these are known in the end.
            self._early = {t: EarlyParquet(folder, t) for t in TABLES if t != "orders"}
        self.whole = bool(self._streams)  # after a failed write no later event leaves a gap

    @property
    def digest(self) -> str:
        """The digest of all events."""
        return self._digest.text()

    def write(self, events: Sequence[EventBase], equity: Sequence[EquityEvent]) -> None:
        """The next events, and the next rows of the curve; they then outlive the process."""
        records = Records(events) if events else None
        first = self._written + 1
        if records is not None:
            self._hash(records)
            self._written += len(events)
        if not self.whole:
            return
        self.whole = False
        if equity:
            self._write("equity", batch_of_equity(equity))
        if records is not None:
            for table, batch in self._rows.batches(first, records):
                self._write(table, batch)
        self.whole = True

    def _write(self, table: str, batch: Any) -> None:
        self._streams[table].write(batch)
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

    def take_the_place(self) -> None:
        """Of the streams that were there; RunError where that cannot be."""
        for stream in self._streams.values():
            stream.take_the_place()

    def leave(self) -> None:
        """End the streams as they are: others go on."""
        for stream in self._streams.values():
            stream.close()

    def close(self) -> None:
        """Turn the streams into Parquet; any number of times."""
        try:
            self.leave()
        finally:
            for early in self._early.values():
                early.end()
        if self._folder is not None:
            self._seal(self._folder)

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
