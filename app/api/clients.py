"""One stream client: what waits to be sent to it, bounded, and where it stands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.api.frames import Codec, Slices
from app.model import Window

if TYPE_CHECKING:
    from app.api.messages import Subscription

REASON_BYTES = 123  # the most that a close frame holds
ENTRY_BYTES = 64  # what any entry takes in the queue, however little it holds
FEW = 4


class Frame(NamedTuple):
    """A frame that is sent as it is, unless empty; ``seq``: where the client stands then."""

    data: bytes
    seq: int | None = None


class Encoded(NamedTuple):
    """Slices that several clients may share."""

    slices: Slices


class Pending(NamedTuple):
    """Slices of the ring, encoded when their turn comes."""

    window: Window


Entry = Frame | Encoded | Pending


class Line(Protocol):
    """A socket that takes frames without being awaited."""

    @property
    def can_post(self) -> bool: ...

    def post(self, frame: bytes, text: bool) -> None: ...


class _Load:
    """Entries that wait."""

    def __init__(self) -> None:
        self.bytes = 0
        self.entries = 0

    def add(self, size: int, sign: int) -> None:
        self.bytes += sign * size
        self.entries += sign

    def is_over(self, limit_bytes: int) -> bool:
        """A few may wait however large they are: a snapshot is one frame."""
        return self.bytes > limit_bytes and self.entries > FEW


class Client:
    """All but the socket. Belongs to the loop; only ``cut_off`` is asked for by others."""

    def __init__(
        self,
        codec: Codec,
        limit_bytes: int,
        on_level: Callable[[Client, bool], None],
        encode: Callable[[Client, Window], Slices | None],
    ) -> None:
        self.codec = codec
        self.subscription: Subscription | None = None
        self.queued_seq = 0  # slices up to here were sent, or wait, or had no row for it
        self.sent_seq = 0  # the last slice it was sent
        self.cut: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.on_idle: Callable[[], None] | None = None
        self.line: Line | None = None  # past the queue, while nothing waits in it
        self._limit_bytes = limit_bytes
        self._on_level = on_level
        self._encode = encode
        self._entries: deque[Entry] = deque()
        self._load = _Load()
        self._told = _Load()  # what is no slice, and so held back by nothing
        self._flying: Entry | None = None  # is being sent
        self._is_full = False
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_idle(self) -> bool:
        """Nothing waits, and nothing is on its way."""
        return self._idle.is_set()

    def push(self, entry: Entry) -> None:
        """Send it at once where it can be, else let it wait its turn. A lossless client over its
        limit holds the replay.

        Nothing holds back what is no slice: answers to its own messages, snapshots, changes of
        state. A client that leaves too much of that unread is cut off.
        """
        if self.cut.done():
            return
        line = self.line
        if line is not None and self._idle.is_set() and line.can_post:
            frame = self._render(entry)
            if frame is not None:
                line.post(frame, self.codec.is_text)
            return
        self._entries.append(entry)
        self._book(entry, 1)
        self._more.set()
        self._idle.clear()
        lossless = self.subscription is not None and self.subscription.lossless
        if (self._told if lossless else self._load).is_over(self._limit_bytes):
            limit = self._limit_bytes
            self.cut_off(1013, f"too slow: more than {limit} bytes wait for it")
        elif lossless and self._load.bytes > self._limit_bytes and not self._is_full:
            self._is_full = True
            self._on_level(self, True)

    def say(self, frame: bytes) -> None:
        """Send a frame that moves nothing."""
        self.push(Frame(frame))

    async def next_frame(self) -> bytes:
        """What is to be sent next; ``sent`` is to follow it."""
        while True:
            while not self._entries:
                self._more.clear()
                await self._more.wait()
            entry = self._entries.popleft()
            self._flying = entry
            frame = self._render(entry)
            if frame is not None:
                return frame
            self.sent()

    def _render(self, entry: Entry) -> bytes | None:
        if isinstance(entry, Frame):
            self.sent_seq = self.sent_seq if entry.seq is None else entry.seq
            return entry.data or None
        slices = entry.slices if isinstance(entry, Encoded) else self._encode(self, entry.window)
        if slices is None:
            return None
        prev_seq, self.sent_seq = self.sent_seq, slices.last_seq
        return slices.frame(self.codec, prev_seq)

    def sent(self) -> None:
        """The last of ``next_frame`` has left, or was nothing for this client."""
        if self._flying is not None:
            self._release([self._flying])
        self._flying = None
        if not self._entries:
            self._idle.set()
            if self.on_idle is not None:
                self.on_idle()

    def _book(self, entry: Entry, sign: int) -> None:
        size = _size(entry)
        self._load.add(size, sign)
        if isinstance(entry, Frame):
            self._told.add(size, sign)

    def _release(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._book(entry, -1)
        if self._is_full and self._load.bytes <= self._limit_bytes // 2:
            self._is_full = False
            self._on_level(self, False)

    def cut_off(self, code: int, reason: str) -> None:
        """Close its socket now, with nothing more sent."""
        if not self.cut.done():
            self.drop_queue()
            self.cut.set_result((code, reason))

    def drop_queue(self) -> None:
        """What waits is not sent; what is on its way goes on."""
        self._release(self._entries)
        self._entries.clear()

    def drop_slices(self) -> None:
        """Slices that wait are not sent; what else waits is."""
        self._drop(Encoded, Pending)

    def drop_pending(self) -> None:
        """Slices that were to be encoded when their turn comes are not sent."""
        self._drop(Pending)

    def _drop(self, *kinds: type[Entry]) -> None:
        dropped = [entry for entry in self._entries if isinstance(entry, kinds)]
        self._entries = deque(entry for entry in self._entries if not isinstance(entry, kinds))
        self._release(dropped)
        if not self._entries and self._flying is None:
            self._idle.set()

    async def drained(self) -> None:
        """Until nothing waits."""
        await self._idle.wait()


def _size(entry: Entry) -> int:
    if isinstance(entry, Pending):
        return 0  # the ring's memory, whoever waits
    return ENTRY_BYTES + len(entry.data if isinstance(entry, Frame) else entry.slices.tail)


def clip_reason(reason: str) -> str:
    """As much of it as a close frame holds."""
    return reason.encode()[:REASON_BYTES].decode("utf-8", "ignore")
