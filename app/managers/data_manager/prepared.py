"""A prepared cache: what the feeding side once made of a catalog, in the order it is played.

Two files. The Arrow IPC file has a record batch for each chunk: ``item``, the 72-byte records in
the total order, and ``by_stream``, their places stream by stream, each in source order: the number
of the stream above 32 bits of place, so that they rise. The manifest beside it has all else, what
it was made of, and the hash of the Arrow file.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from blake3 import blake3

from app.calendar import TradingDay
from app.damage import UNREADABLE
from app.errors import CatalogError
from app.feed.queues import Rows, StreamQueue
from app.feed.sources import END_NS
from app.managers.data_manager.day_book import KeptDay
from app.managers.data_manager.merge import Merger, QueueFigures
from app.managers.data_manager.session_data import LateRows
from app.model import ITEM, Ints, Items, Stream, copy_of

SCHEMA = pa.schema(
    [
        pa.field("item", pa.binary(ITEM.itemsize), nullable=False),
        pa.field("by_stream", pa.int64(), nullable=False),
    ]
)
LOST = np.dtype(
    [("stream", "<i4"), ("reason", "<i4"), ("start_ns", "<i8"), ("released_ns", "<i8")]
)  # a row that was not taken; the stream by its place among the session's
_HASH_BYTES = 32
_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Of one cache. ``versions`` and ``sources`` say what it hangs on."""

    versions: dict[str, str]
    sources: str  # a hash of the pieces that were read
    days: tuple[TradingDay, ...]
    sequenced: tuple[bool, ...]  # by stream
    torn_ns: tuple[int, ...]  # where a session cannot begin or end: rows are not in order there
    words: list[str]  # of texts, by their number: by first appearance
    through_ns: list[int]  # by batch: all released by then is in it or before it
    words_known: list[int]  # by batch: so many words had appeared after it
    rows: int
    records: tuple[KeptDay, ...]
    lost: bytes
    file_bytes: int
    file_hash: str


def by_stream(numbers: Ints, places: Ints) -> Ints:
    """The column of that name: rows by the numbers of their streams, then as they come."""
    order = np.argsort(numbers, kind="stable")
    column: Ints = numbers[order] << _PLACE_BITS | places[order]
    return column


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace it as one; the last act of a build."""
    payload = msgspec.msgpack.encode(manifest)
    temporary = path.with_suffix(".msgpack.tmp")
    temporary.write_bytes(blake3(payload).digest() + payload)
    temporary.replace(path)


def read_manifest(path: Path) -> Manifest | None:
    """None where there is none; CatalogError where it is damaged."""
    if not path.is_file():
        return None
    try:
        content = path.read_bytes()
        payload = content[_HASH_BYTES:]
        if blake3(payload).digest() != content[:_HASH_BYTES]:
            raise CatalogError(f"{path} is damaged: its content is not what its hash says")
        return msgspec.msgpack.decode(payload, type=Manifest)
    except msgspec.DecodeError as error:
        raise CatalogError(f"{path} is of another version: {error}") from error
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error}") from error


def hash_of(path: Path) -> str:
    """BLAKE3 of a file's content; read by all processors."""
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()


@lru_cache(maxsize=64)
def _hash_of_version(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    """Once a process: whoever replaces the file makes another version of it."""
    del size, mtime_ns, inode
    return hash_of(path)


class Batches:
    """The chunks of a cache, mapped into memory. Immutable; any number of sessions read it."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """CatalogError where the file is not the one that the manifest tells of."""
        self.manifest = manifest
        try:
            found = path.stat()
            content = _hash_of_version(path, found.st_size, found.st_mtime_ns, found.st_ino)
            if content != manifest.file_hash:
                raise CatalogError(
                    f"{path} is damaged: it has {found.st_size} bytes, "
                    f"{manifest.file_bytes} were written, or their content differs"
                )
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        except UNREADABLE as error:
            raise CatalogError(f"{path} cannot be read: {error}") from error

    def __getitem__(self, number: int) -> tuple[Items, Ints]:
        """The items of a chunk in the total order, and their places stream by stream."""
        batch = self._reader.get_batch(number)
        items: Items = np.frombuffer(batch.column(0).buffers()[1], ITEM, batch.num_rows)
        return items, batch.column(1).to_numpy()


class PreparedRows:
    """What is taken of one chunk; see ``Merge``. Its rows are looked at when they are read."""

    def __init__(
        self, items: Items, by_stream: Ints, low: int, high: int, merger: PreparedMerger
    ) -> None:
        self._chunk, self._by_stream = items, by_stream
        self._low, self._high = low, high
        self._merger = merger
        self.words_known: int | None = None  # None: its words are to be numbered

    @cached_property
    def parts(self) -> list[tuple[Stream, LateRows]]:
        """The rows of each stream, in source order."""
        places = self._by_stream & _PLACE
        numbers = self._by_stream >> _PLACE_BITS
        if self._high - self._low < len(places):
            inside = (places >= self._low) & (places < self._high)
            places, numbers = places[inside], numbers[inside]
        if not len(places):
            return []
        firsts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()]
        streams = [self._merger.streams[number] for number in numbers[firsts].tolist()]
        parts = zip(streams, firsts, [*firsts[1:], len(places)], strict=True)
        return [
            (stream, rows)
            for stream, low, high in parts
            if len(rows := self._merger.read_of(stream, LateRows(self._chunk, places[low:high])))
        ]

    def in_order(self) -> Rows:
        """All in the total order; not to be written to but where words are to be numbered."""
        items = self._chunk[self._low : self._high]
        release = np.ascontiguousarray(items["release_ns"])
        return Rows(release, items if self.words_known is not None else copy_of(items))

    def __iter__(self) -> Iterator[tuple[Stream, LateRows]]:
        return iter(self.parts)


class PreparedMerger(Merger):
    """In place of the queues: chunks that were merged before. Under the coordinator's lock."""

    def __init__(
        self, batches: Batches, first_ns: int, last_ns: int, look_back_ns: int,
        from_ns: Mapping[Stream, int],
    ) -> None:  # fmt: skip
        """The items released in [first_ns, last_ns]; those of a stream in ``from_ns`` from there.

        What is released by ``look_back_ns`` is taken by itself, and not delivered.
        """
        super().__init__()
        self.streams: list[Stream] = []  # as they are registered
        self._batches, self._last_ns = batches, last_ns
        self._from_ns = from_ns
        self._through_ns = batches.manifest.through_ns
        self._number = bisect_left(self._through_ns, first_ns)
        self._items, self._by_stream = batches[self._number]
        release = self._items["release_ns"]
        self._at = bisect_left(release, first_ns)
        # Words are numbered by first appearance: as they are where nothing is left out before.
        from_start = not self._number and not self._at
        self._numbered = from_start and (not len(release) or bool(release[0] > look_back_ns))
        self._taken: PreparedRows | None = None

    def register(self, queue: StreamQueue, derived: bool = False) -> None:
        super().register(queue, derived)
        self.streams.append(queue.stream)

    def read_of(self, stream: Stream, rows: LateRows) -> LateRows:
        """Those of a stream's rows that the session reads: ticks have no look-back."""
        from_ns = self._from_ns.get(stream)
        return rows if from_ns is None else rows.since(from_ns)

    @property
    def can_merge(self) -> bool:
        return self.merged_through_ns < END_NS

    def take(self, limit_ns: int) -> PreparedRows:
        """The next items up to the end of a chunk, or released up to ``limit_ns``."""
        whole_ns = self._through_ns[self._number]
        through_ns = min(whole_ns, self._last_ns, limit_ns)
        low = self._at
        self._at = bisect_right(self._items["release_ns"], through_ns, low)
        self._taken = PreparedRows(self._items, self._by_stream, low, self._at, self)
        if self._numbered:
            self._taken.words_known = self._batches.manifest.words_known[self._number]
        if through_ns >= self._last_ns:
            through_ns = END_NS
        elif through_ns == whole_ns:
            self._number, self._at = self._number + 1, 0
            self._items, self._by_stream = self._batches[self._number]
        self.merged_through_ns = max(self.merged_through_ns, through_ns)
        return self._taken

    def take_fresh(self) -> PreparedRows:
        """What was taken last; before anything was there is nothing to ask for."""
        if self._taken is None:
            raise AssertionError("nothing was taken")
        return self._taken

    def figures(self) -> list[QueueFigures]:
        for queue in self.queues.values():
            queue.complete_through_ns = self.merged_through_ns
        return super().figures()
