"""Making a prepared cache: the feeding side runs without a clock, and what it makes is written.

The same intake, upkeep and merge as in a session, so what is kept is what a session would play.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Condition
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from app.catalog.schema import NO_TIME_NS
from app.errors import CatalogError
from app.feed.queues import StreamQueue
from app.feed.sources import END_NS, ParquetCandleSource
from app.managers.data_manager.data_feed_loop import DataFeedLoop
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.feeding import Feeding
from app.managers.data_manager.intake import Taken
from app.managers.data_manager.merge import CHUNK_ROWS, Merged
from app.managers.data_manager.prepared import (
    LOST,
    SCHEMA,
    Manifest,
    by_stream,
    hash_of,
    write_manifest,
)
from app.managers.data_manager.session_data import SessionData, read_rows
from app.managers.time_manager import TimeManager
from app.model import ITEM, Batch, Dictionary, Ints, Items, Stream, join_items
from app.runs.digest import DeliveredWords
from app.times import MINUTE_NS

_BYTES = np.dtype(("S", ITEM.itemsize))
OnThrough = Callable[[int], None]


class Wanted(NamedTuple):
    """What a cache is made of; ``cuts_ns`` are the times at which a session may begin or end."""

    streams: Sequence[Stream]
    symbols: Sequence[str]
    intervals: Sequence[int]
    with_bars: Sequence[bool]
    counted_from_ns: int
    cuts_ns: Ints
    versions: dict[str, str]
    sources_hash: str
    queue_rows: int


class _Recorder(Feeding):
    """The feeding side of a session that nobody plays."""

    def __init__(self, time_manager: TimeManager, wanted: Wanted, words: Dictionary) -> None:
        data = SessionData(time_manager, wanted.symbols, 0, 0)
        super().__init__(
            Condition(), time_manager, data, wanted.counted_from_ns, wanted.queue_rows, words
        )
        self._last_day = len(time_manager.days) - 1
        self._recorded = False
        self._error: BaseException | None = None
        self._place = {stream: number for number, stream in enumerate(wanted.streams)}
        self._cuts_ns = wanted.cuts_ns
        self._torn = np.zeros(len(wanted.cuts_ns), bool)
        self._highest_ns = np.full(len(wanted.streams), np.iinfo(np.int64).min)
        self._lost: list[np.ndarray] = []

    # -- told by other threads ---------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._lock.notify_all()

    def request_roll(self, day: int) -> None:
        with self._lock:
            self._recorded = day == self._last_day
            self._lock.notify_all()

    def _judge(self, batch: Batch) -> Taken:
        """Called by the feed loop only, so that a stream's rows come in source order."""
        starts, timed = batch.starts_ns, batch.items["release_ns"] != NO_TIME_NS
        if timed.all():
            self._look_for_tears(self._place[batch.stream], starts)
        else:
            self._torn[:] = True  # which day such a row is counted for hangs on those before it
        taken = super()._judge(batch)
        if len(taken.discarded):
            self._lost.append(self._lost_of(batch.stream, taken))
        return taken

    def has_room(self) -> bool:
        """Nobody waits for a first slice here: chunks are to be whole."""
        with self._lock:
            return self._has_room()

    def _look_for_tears(self, place: int, starts: Ints) -> None:
        """A row that stands behind one from after a cut belongs to both of its sides."""
        reached = np.maximum.accumulate(np.append(self._highest_ns[place], starts))
        self._highest_ns[place] = reached[-1]
        behind = starts < reached[:-1]
        if not behind.any():
            return
        lows = self._cuts_ns.searchsorted(starts[behind], "right")
        highs = self._cuts_ns.searchsorted(reached[:-1][behind], "right")
        for low, high in np.unique(np.stack([lows, highs], axis=1), axis=0).tolist():
            self._torn[low:high] = True

    def _lost_of(self, stream: Stream, taken: Taken) -> np.ndarray:
        lost = np.zeros(len(taken.discarded), LOST)
        timed = taken.released_ns != NO_TIME_NS
        lost["stream"], lost["reason"] = self._place[stream], taken.discarded
        lost["start_ns"] = np.where(
            timed, taken.released_ns - stream.interval_min * MINUTE_NS, NO_TIME_NS
        )
        lost["released_ns"] = np.where(timed, taken.released_ns, taken.known_ns)
        return lost

    # -- taken by the builder ------------------------------------------------------------------

    def chunks(self) -> Iterator[tuple[Merged, int]]:
        """What was merged, and through when; all of it."""
        while self.merger.merged_through_ns < END_NS:
            with self._lock:
                self._lock.wait_for(lambda: self._error is not None or self._has_chunk())
                self._check()
                merged = self.merger.take(END_NS)
                self.merger.take_fresh()
                self.make_room()
            yield merged, self.merger.merged_through_ns
        with self._lock:
            self._lock.wait_for(lambda: self._error is not None or self._recorded)
            self._check()

    def _has_chunk(self) -> bool:
        """Whether there are rows for a whole chunk, or no more will come; under the lock."""
        merger = self.merger
        full = merger.queued_rows >= CHUNK_ROWS or not self._has_room()
        return merger.can_merge and (full or merger.horizon_ns == END_NS)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """No more is taken; whoever feeds is told so."""
        with self._lock:
            self.close_feeding()

    @property
    def torn_ns(self) -> tuple[int, ...]:
        return tuple(self._cuts_ns[self._torn].tolist())

    @property
    def lost(self) -> bytes:
        return b"".join(one.tobytes() for one in self._lost)


def prepare(
    path: Path, manifest_path: Path, time_manager: TimeManager, wanted: Wanted,
    sources: Sequence[ParquetCandleSource], pool: ThreadPoolExecutor, words: Dictionary,
    on_through: OnThrough,
) -> Manifest:  # fmt: skip
    """Read all of ``sources`` and write a cache of it; CatalogError where it cannot be kept.

    ``words`` is the sources' own. What is there of the same name is replaced once all is written.
    """
    recorder = _Recorder(time_manager, wanted, words)
    for source in sources:
        recorder.register_stream(
            source.stream.symbol, source.stream.type, sequenced=source.sequenced
        )
    days = time_manager.days
    book = DayBook(days, wanted.symbols, {}, wanted.with_bars)
    upkeep = DataUpkeepThread(
        recorder, days, wanted.streams, wanted.intervals, book, wanted.symbols
    )
    recorder.upkeep = upkeep
    for stream in upkeep.derived_streams:
        recorder.register_derived(stream)
    feed = DataFeedLoop(recorder, sources, pool)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    upkeep.start()
    feed.start()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        numbered = DeliveredWords(words)
        written = _write_chunks(temporary, recorder, numbered, on_through)
        manifest = Manifest(
            versions=wanted.versions, sources=wanted.sources_hash, days=tuple(days),
            sequenced=tuple(source.sequenced for source in sources),
            torn_ns=recorder.torn_ns, words=numbered.delivered.words, through_ns=written.through_ns,
            words_known=written.words_known, rows=written.rows,
            records=tuple(book.kept(day) for day in range(len(days))), lost=recorder.lost,
            file_bytes=temporary.stat().st_size, file_hash=hash_of(temporary),
        )  # fmt: skip
        temporary.replace(path)
        write_manifest(manifest_path, manifest)
        return manifest
    except OSError as error:
        raise CatalogError(f"the cache cannot be written to {path}: {error}") from error
    finally:
        feed.stop()
        upkeep.stop()
        recorder.stop()
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


class _Written(NamedTuple):
    """By batch: see ``Manifest``."""

    through_ns: list[int]
    words_known: list[int]
    rows: int


def _write_chunks(
    path: Path, recorder: _Recorder, words: DeliveredWords, on_through: OnThrough
) -> _Written:
    through, known, rows = [], [], 0
    numbers = {key: number for number, key in enumerate(recorder.merger.queues)}
    with pa.ipc.new_file(str(path), SCHEMA) as writer:
        for merged, through_ns in recorder.chunks():
            items = merged.in_order().items
            if not len(items) and through_ns < END_NS:
                continue
            places = _by_stream(items, merged, recorder.merger.queues, numbers)
            words.renumber(items)
            records = pa.Array.from_buffers(
                SCHEMA.field("item").type, len(items), [None, pa.py_buffer(items)]
            )
            writer.write_batch(pa.record_batch([records, pa.array(places)], schema=SCHEMA))
            through.append(through_ns)
            known.append(len(words.delivered))
            rows += len(items)
            on_through(through_ns)
    return _Written(through, known, rows)


def _by_stream(
    items: Items, merged: Merged, queues: Mapping[Stream, StreamQueue], numbers: dict[Stream, int]
) -> Ints:
    """The column ``by_stream``."""
    by_key: dict[int, list[Items]] = {}
    named: dict[int, Stream] = {}
    for stream, rows in merged.parts:
        part = read_rows(rows)
        key = int(part["symbol"][0]) << 16 | stream.code
        named[key] = stream
        by_key.setdefault(key, []).append(part)
    keys, which = np.unique(
        items["symbol"].astype(np.int64) << 16 | items["stream"], return_inverse=True
    )
    places = np.arange(len(items))
    for number, key in enumerate(keys.tolist()):
        if queues[named[key]].sequenced:  # they may stand otherwise than at the source
            mine = np.flatnonzero(which == number)
            places[mine] = _as_at_source(items, mine, join_items(by_key[key]))
    return by_stream(np.array([numbers[named[k]] for k in keys.tolist()], np.int64)[which], places)


def _as_at_source(items: Items, order: Ints, source: Items) -> Ints:
    """The places, in the order of the same rows in ``source``."""
    placed = np.empty_like(order)
    by_bytes = np.argsort(items[order].view(_BYTES), kind="stable")
    placed[np.argsort(source.view(_BYTES), kind="stable")] = order[by_bytes]
    return placed
