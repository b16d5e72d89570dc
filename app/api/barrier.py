"""The barrier of a session's stream: clients that acknowledge a time before the next one comes.

A member is owed to from a slice with a row for it until it has acknowledged that slice; while
anybody owes, the clock stands. Members are known by name: who loses the connection keeps the
place, and what it has not acknowledged is sent again when it comes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from app.api.frames import Selection
from app.api.holds import ASK_AGAIN_S
from app.managers.data_manager.merge import Chunk
from app.model import Ints, Items, Window

if TYPE_CHECKING:
    from app.api.clients import Client
    from app.api.messages import Subscription


@dataclass(eq=False)
class Member:
    """One place at the barrier. ``client`` is None while its connection is lost."""

    name: str
    policy: str
    wish: Subscription
    selection: Selection
    client: Client | None = None
    given_seq: int = 0  # the last slice that it is to acknowledge
    acked_seq: int = 0
    until_ns: int = 0  # slices released before then need no acknowledgement
    held_s: float = 0.0  # since it was given what it owes, as far as the session ran
    told: bool = False  # its lateness has been acted on

    @property
    def owes(self) -> bool:
        return self.given_seq > self.acked_seq

    def tune(self, symbols: Sequence[str]) -> None:
        """To the symbols of a session."""
        wanted = self.wish.symbols
        mask = None if wanted is None else np.fromiter((s in wanted for s in symbols), bool)
        self.selection = Selection(self.wish.channels, mask)

    def stops(self, items: Items) -> Ints:
        """The rows that it wants, of any slices."""
        found = [self.selection.rows(channel, items) for channel in self.selection.channels]
        return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


class _Stops:
    """By member, the slices of one chunk that hold a row for it."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self._of: dict[Member, tuple[Selection, Ints]] = {}

    def of(self, member: Member) -> Ints:
        known = self._of.get(member)
        if known is None or known[0] is not member.selection:
            rows = member.stops(self.chunk.items)
            slices = np.unique(self.chunk.bounds.searchsorted(rows, "right") - 1)
            known = self._of[member] = member.selection, slices
        return known[1]


class Barrier:
    """Asked by the merge thread; told by the loop who has acknowledged what."""

    def __init__(
        self, patience_s: float, late: Callable[[Member], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._patience_s, self._late, self._clock = patience_s, late, clock
        self._lock = Lock()
        self._members: tuple[Member, ...] = ()  # by name
        self._stops: _Stops | None = None
        self._cut: tuple[Chunk, int] | None = None  # where the window of now begins
        self._asked: tuple[float, float] | None = None  # when, and for how long it was to wait

    @property
    def members(self) -> tuple[Member, ...]:
        return self._members

    # -- on the loop -------------------------------------------------------------------------

    def find(self, name: str) -> Member | None:
        return next((m for m in self._members if m.name == name), None)

    def add(self, member: Member) -> None:
        with self._lock:
            self._members = tuple(sorted((*self._members, member), key=lambda m: m.name))

    def remove(self, member: Member) -> None:
        with self._lock:
            self._members = tuple(m for m in self._members if m is not member)

    def acknowledge(self, member: Member, seq: int, until_ns: int) -> None:
        with self._lock:
            member.acked_seq = max(member.acked_seq, seq)
            member.until_ns = max(member.until_ns, until_ns)
            member.held_s, member.told = 0.0, False

    def open(self, symbols: Sequence[str], chairs: Collection[str]) -> None:
        """A new session, before its first slice: who has a chair in it is no member."""
        with self._lock:
            self._members = tuple(m for m in self._members if m.client and m.name not in chairs)
            for member in self._members:
                member.tune(symbols)
        self.restart()

    def restart(self, seq: int = 0) -> None:
        """A new session or epoch: nothing is owed, and slices up to ``seq`` are none of it."""
        with self._lock:
            self._stops = None
            for member in self._members:
                member.given_seq = member.acked_seq = seq
                member.until_ns, member.held_s, member.told = 0, 0.0, False

    # -- on the merge thread -------------------------------------------------------------------

    def cut(self, chunk: Chunk, end: int) -> int:
        """A window from ``chunk.at`` ends after the first slice that somebody must acknowledge."""
        self._cut = chunk, chunk.at
        if not self._members:
            return end
        with self._lock:
            stops = self._stops_of(chunk)
            first = [self._first(stops.of(m), chunk, m.until_ns) for m in self._members]
        return min([end, *(number + 1 for number in first if number is not None)])

    def _stops_of(self, chunk: Chunk) -> _Stops:
        if self._stops is None or self._stops.chunk is not chunk:
            self._stops = _Stops(chunk)
        return self._stops

    def _first(self, stops: Ints, chunk: Chunk, until_ns: int) -> int | None:
        low = max(chunk.at, int(chunk.times_ns.searchsorted(until_ns)))
        place = int(stops.searchsorted(low))
        return int(stops[place]) if place < len(stops) else None

    def give(self, window: Window) -> None:
        """The window that was cut last is on its way; who has a row in its last slices owes for
        it."""
        if not self._members or self._cut is None:
            return
        chunk, at = self._cut
        with self._lock:
            stops = self._stops_of(chunk)
            for member in self._members:
                mine = stops.of(member)
                place = int(mine.searchsorted(at + len(window.times_ns))) - 1
                number = int(mine[place]) - at if place >= 0 else -1
                if number >= 0 and window.times_ns[number] >= member.until_ns:
                    member.given_seq = max(member.given_seq, window.first_seq + number)

    def holding(self) -> float | None:
        """None: go on. Else seconds after which to ask again."""
        if not self._members:
            return None
        now_s = self._clock()
        with self._lock:
            owing = [m for m in self._members if m.owes]
            if self._asked is not None:
                held_s = min(now_s - self._asked[0], self._asked[1])  # more: it was paused
                for member in owing:
                    member.held_s += held_s
            if not owing:
                self._asked = None
                return None
            for member in owing:
                if member.held_s >= self._patience_s and not member.told:
                    member.told = True
                    self._late(member)
            left_s = [self._patience_s - m.held_s for m in owing if not m.told]
            wait_s = max(min([ASK_AGAIN_S, *left_s]), 0.001)
            self._asked = (now_s, wait_s)
            return wait_s

    def resumed(self) -> None:
        """The session runs again: patience begins anew."""
        with self._lock:
            self._asked = None
            for member in self._members:
                member.held_s, member.told = 0.0, False
