"""The way in: registering streams, pushing rows, and waiting when the queues are full."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Condition, Thread
from typing import Any

from app.day_table import DayTable
from app.errors import BehindHorizonError, RequestError, StreamClosedError
from app.feed.queues import StreamQueue
from app.feed.rows import rows_to_items
from app.feed.soundness import invalid_rows
from app.feed.sources import END_NS
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread, Work
from app.managers.data_manager.discards import DiscardLog
from app.managers.data_manager.intake import Intake, Taken
from app.managers.data_manager.merge import Merger
from app.managers.data_manager.session_data import SessionData
from app.managers.time_manager import TimeManager
from app.model import Batch, Dictionary, Items, Stream, StreamType

Rows = Items | Sequence[Mapping[str, Any]]


class Feeding:
    """The coordinator's intake side. Any thread may feed; each stream by one at a time."""

    upkeep: DataUpkeepThread | None = None

    def __init__(
        self,
        changed: Condition,
        time_manager: TimeManager,
        data: SessionData,
        counted_from_ns: int,
        queue_rows: int,
        words: Dictionary | None,
        merger: Merger | None = None,
    ) -> None:
        self.merger = Merger() if merger is None else merger
        self.source_words = Dictionary() if words is None else words
        self.symbols = data.symbols
        self.discards = DiscardLog()
        self._lock = changed
        self._session = data
        self.most_rows = queue_rows
        self._counted_from_ns = counted_from_ns
        self._table = DayTable(time_manager.days)
        self._intakes: dict[Stream, Intake] = {}
        self._ended: set[Stream] = set()
        self._dropped: set[Stream] = set()
        self._started = False
        self._closed = False
        self.needed_ns = 0  # how far the merge needs the sources to be known
        self._on_room: Callable[[], None] | None = None

    def register_stream(
        self, symbol: str, kind: StreamType, interval_min: int | None = None, *,
        sequenced: bool = False,
    ) -> Stream:  # fmt: skip
        """Open a stream for feeding; only 1m bars, trades and quotes come from outside."""
        interval = (1 if kind is StreamType.BAR else 0) if interval_min is None else interval_min
        if kind is StreamType.BAR and interval != 1:
            raise RequestError(
                f"bars of {interval} minutes cannot be fed: only 1m bars, trades and quotes are "
                "inputs; longer bars are derived from them (derived_intervals)"
            )
        stream = Stream(symbol, kind, interval)
        with self._lock:
            late = self._started and self.upkeep is not None
            if stream in self._dropped or late:
                what = "was dropped" if stream in self._dropped else "comes after the start"
                raise StreamClosedError(
                    f"stream {symbol} {stream.channel} {what}: streams are registered before "
                    "the worker is started, and once"
                )
        number = self._open(stream, sequenced)
        self._intakes[stream] = Intake(stream, number, self._table, self._counted_from_ns)
        return stream

    def register_derived(self, stream: Stream) -> None:
        """Open a stream whose rows are not judged here: the upkeep thread's, or a cache's."""
        self._open(stream, False, derived=True)

    def _open(self, stream: Stream, sequenced: bool, derived: bool = False) -> int:
        number = self._session.numbers.get(stream.symbol)
        if number is None:
            raise RequestError(f"symbol {stream.symbol!r} is none of this session's symbols")
        with self._lock:
            self.merger.register(StreamQueue(stream, number, sequenced), derived)
            self._session.add_stream(stream)
        return number

    def deregister_stream(self, symbol: str, kind: StreamType, interval_min: int = 1) -> None:
        """Drop a stream with what still waits in its queue; the others no longer wait for it."""
        stream = Stream(symbol, kind, interval_min if kind is StreamType.BAR else 0)
        with self._lock:
            if stream not in self.merger.queues:
                raise StreamClosedError(f"stream {stream} is not registered")
            self.merger.deregister(stream)
            self._intakes.pop(stream, None)
            self._dropped.add(stream)
            self._lock.notify_all()
        if self.upkeep is not None:
            self.upkeep.offer([Work(stream, _no_items(), _no_items(), END_NS)])

    def is_stream_active(self, symbol: str, kind: StreamType, interval_min: int = 1) -> bool:
        """Registered, and not ended."""
        stream = Stream(symbol, kind, interval_min if kind is StreamType.BAR else 0)
        with self._lock:
            return stream in self.merger.queues and stream not in self._ended

    # -- pushed in by a program ----------------------------------------------------------

    def feed_data_list(
        self, symbol: str, kind: StreamType, rows: Rows, *, complete_through_ns: int | None = None
    ) -> None:
        """Append rows to a 1m bar, trade or quote stream; never ends it.

        Rows are mappings with ``ts`` (aware datetime or int ns; a bar's start) and the
        fields of the stream, or an ``ITEM`` array. Without ``complete_through_ns`` the stream
        is complete up to just before the last row. Waits while the queue is full.
        """
        stream = Stream(symbol, kind, 1 if kind is StreamType.BAR else 0)
        items = rows_to_items(kind, rows, self.source_words)
        if complete_through_ns is None:
            sound = items["release_ns"][~invalid_rows(kind, items)]
            complete_through_ns = int(sound.max()) - 1 if len(sound) else 0
        self.wait_for_room(stream)
        self.take_batch(Batch(stream, items, complete_through_ns))

    def feed_stream(self, symbol: str, kind: StreamType, lists: Iterable[Rows]) -> Thread:
        """Feed lists of rows from an iterable, on a thread of its own, then end the stream."""

        def feed() -> None:
            try:
                for rows in lists:
                    self.feed_data_list(symbol, kind, rows)
                self.end_stream(symbol, kind)
            except Exception as error:
                self.fail(error)

        thread = Thread(target=feed, name=f"Feed-{symbol}-{kind}", daemon=True)
        thread.start()
        return thread

    def end_stream(self, symbol: str, kind: StreamType) -> None:
        """Nothing more comes of this stream: the others need not wait for it."""
        stream = Stream(symbol, kind, 1 if kind is StreamType.BAR else 0)
        self.take_batch(Batch(stream, _no_items(), END_NS))

    def fail(self, error: BaseException) -> None:
        raise error

    # -- for every feeder ------------------------------------------------------------------

    def take_batch(self, batch: Batch) -> None:
        """Judge rows of a source stream and queue those that are taken."""
        self.take_batches([batch])

    def take_batches(self, batches: Sequence[Batch]) -> None:
        """Rows of several source streams, or of one in order; all at once, as to others."""
        judged = [self._judge(batch) for batch in batches]
        with self._lock:
            for batch, taken in zip(batches, judged, strict=True):
                self._queue(batch, taken)
            if self.upkeep is not None:
                self.upkeep.offer(
                    Work(batch.stream, taken.items, taken.auctions, batch.complete_through_ns)
                    for batch, taken in zip(batches, judged, strict=True)
                )
            if self.merger.can_merge or any(b.complete_through_ns == END_NS for b in batches):
                self._lock.notify_all()

    def _judge(self, batch: Batch) -> Taken:
        stream = batch.stream
        intake = self._intakes.get(stream)
        if intake is None or stream in self._ended:
            what = "has ended" if stream in self._ended else "is not registered"
            raise StreamClosedError(f"stream {stream.symbol} {stream.channel} {what}: not fed")
        return intake.take(batch.items, batch.sequence)

    def _queue(self, batch: Batch, taken: Taken) -> None:
        """Under the lock."""
        stream, through_ns = batch.stream, batch.complete_through_ns
        if self._closed or stream not in self.merger.queues:
            raise StreamClosedError(f"{stream.symbol} {stream.channel}: the session takes none")
        self._refuse_past(stream, taken.items)
        self.discards.add(taken.known_ns, taken.discarded)
        if through_ns == END_NS:
            self._ended.add(stream)
        self.merger.push(stream, taken.items, through_ns, taken.sequence)

    def offer_derived(self, made: Iterable[Batch]) -> None:
        """Queue derived bars; called by the upkeep thread."""
        with self._lock:
            for stream, items, through_ns, _ in made:
                if stream in self.merger.queues:
                    self._refuse_past(stream, items)
                    self.merger.push(stream, items, through_ns)
            if self.merger.can_merge:
                self._lock.notify_all()

    def _refuse_past(self, stream: Stream, items: Items) -> None:
        through = self.merger.queues[stream].complete_through_ns
        if len(items) and int(items["release_ns"][0]) <= through:
            raise BehindHorizonError(
                f"{stream.symbol} {stream.channel}: a row released at "
                f"{int(items['release_ns'][0])} ns came after the stream was declared complete "
                f"through {through} ns; push in order, or declare less"
            )

    # -- backpressure ------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether the catalog's next rows may be queued: below the bound, or as far as the merge
        needs them.

        Before the first rows are merged only these: everybody waits for the first slice.
        """
        with self._lock:
            return self._has_room() if self.merger.merged_rows else self._needs_rows()

    def _has_room(self) -> bool:
        return self.merger.queued_rows < self.most_rows or self._needs_rows()

    def _needs_rows(self) -> bool:
        needed_ns = max(self.needed_ns, self.merger.merged_through_ns)
        return self._closed or self.merger.source_horizon_ns <= needed_ns

    @property
    def all_read(self) -> bool:
        """Whether every source stream has ended; under the lock."""
        return self._intakes.keys() <= self._ended

    def wait_for_room(self, stream: Stream) -> None:
        """Block until there is room. Never while another stream starves: it would wait for ever."""
        with self._lock:
            if stream in self.merger.queues:
                self._lock.wait_for(self._has_room)

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` (quick, any thread) whenever rows were taken from the queues."""
        self._on_room = callback

    def make_room(self) -> None:
        self._lock.notify_all()
        if self._on_room is not None:
            self._on_room()

    def close_feeding(self) -> None:
        """No feeder waits any more; under the lock."""
        self._closed = True
        if self._on_room is not None:
            self._on_room()


def _no_items() -> Items:
    return rows_to_items(StreamType.BAR, (), Dictionary())
