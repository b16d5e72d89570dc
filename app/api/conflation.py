"""Clients that want the newest state now and then, and never hold anyone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from app.api.clients import Client, Encoded
from app.api.frames import Run, Slices
from app.api.groups import Tuned
from app.api.windows import Newest, pieces
from app.model import Window

_ROWS = 32_768  # looked at in one go: half a millisecond


class _Pace:
    """When a client was last sent something, and what it has seen."""

    def __init__(self, group: Tuned) -> None:
        self.group = group
        self.interval_s = group.subscription.interval_s
        self.seq = 0
        self.due_s = 0.0
        self.timer: asyncio.TimerHandle | None = None


class Conflation:
    """Sends each client what is newer than its last frame, at most once an interval.

    A client that is still being sent to is left alone: its next frame holds it all.
    """

    def __init__(self, encode: Callable[[Client, Run], Slices | None]) -> None:
        self._encode = encode
        self._paces: dict[Client, _Pace] = {}
        self._newest = Newest(0)
        self._last_seq = 0
        self._made: dict[tuple[Tuned, int], Slices | None] = {}  # until it changes

    def open(self, symbols: int) -> None:
        """Begin a session of so many symbols."""
        self._newest = Newest(symbols)
        self.clear()

    def clear(self) -> None:
        """Slices are counted from a new beginning."""
        self._newest.clear()
        self._made.clear()
        self._last_seq = 0
        for pace in self._paces.values():
            pace.seq = 0

    def add(self, client: Client, group: Tuned) -> None:
        """It is sent the state there is, and then what changes."""
        self._paces[client] = _Pace(group)
        client.on_idle = lambda: self._schedule(client)
        self._schedule(client)

    def remove(self, client: Client) -> None:
        pace = self._paces.pop(client, None)
        client.on_idle = None
        if pace is not None and pace.timer is not None:
            pace.timer.cancel()

    def update(self, window: Window) -> Iterator[None]:
        """Piece by piece; clients are told of the whole."""
        for number, piece in enumerate(pieces(window, _ROWS)):
            if number:
                yield
            self._newest.update(piece)
            self._last_seq = piece.last_seq
            self._made.clear()
        for client in self._paces:
            self._schedule(client)

    def flush_all(self) -> None:
        """Send what is left, without waiting for the interval."""
        for client, pace in self._paces.items():
            self._flush(client, pace)

    def flush(self, client: Client) -> None:
        """As ``flush_all``, for one that is conflated."""
        self._flush(client, self._paces[client])

    def _schedule(self, client: Client) -> None:
        pace = self._paces.get(client)
        if pace is None or pace.timer is not None or not client.is_idle:
            return
        if pace.seq >= self._last_seq:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= pace.due_s:
            self._flush(client, pace)
        else:
            pace.timer = loop.call_at(pace.due_s, self._on_timer, client, pace)

    def _on_timer(self, client: Client, pace: _Pace) -> None:
        pace.timer = None
        self._schedule(client)

    def _flush(self, client: Client, pace: _Pace) -> None:
        if pace.timer is not None:
            pace.timer.cancel()
            pace.timer = None
        key = (pace.group, pace.seq)
        if key not in self._made:
            run = self._newest.since(pace.seq, pace.group.selection)
            self._made[key] = None if run is None else self._encode(client, run)
        pace.seq = self._last_seq
        slices = self._made[key]
        if slices is not None:
            pace.due_s = asyncio.get_running_loop().time() + pace.interval_s
            client.push(Encoded(slices))
