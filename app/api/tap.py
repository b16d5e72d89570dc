"""The merge thread's side of the stream: what is handed over, and the consumer that does it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.api.barrier import Barrier
from app.api.holds import HoldGate
from app.api.rates import Rates
from app.api.windows import PIECE_ROWS
from app.managers.data_manager.merge import Chunk
from app.model import Window

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession, SessionStatus
    from app.managers.system_manager.answers import Summary

LOSSLESS_WINDOW_ROWS = 2 * PIECE_ROWS


class Opened(NamedTuple):
    """A new session, before its first slice."""

    session: ReplaySession
    status: SessionStatus


class Changed(NamedTuple):
    """Its state, day, speed or epoch changed, or it ended."""

    session: ReplaySession
    status: SessionStatus
    why: str
    snapshot: Summary | None


class Delivered(NamedTuple):
    """Slices of it."""

    session: ReplaySession
    window: Window


class Asked(NamedTuple):
    """Somebody waits until all before it is worked off."""

    done: asyncio.Future[None]


News = Opened | Changed | Delivered | Asked


class Inbox(Protocol):
    """Where news goes to; any thread."""

    def has_clients(self) -> bool: ...

    def hand_over(self, news: News, rows: int) -> None: ...


class SessionTap:
    """The consumer of one session's windows. Called on its merge thread, never blocks."""

    def __init__(
        self, session: ReplaySession, inbox: Inbox, gate: HoldGate, barrier: Barrier, rates: Rates
    ) -> None:
        self._session = session
        self._inbox = inbox
        self._gate, self._barrier = gate, barrier
        self._rates = rates

    def window_rows(self) -> int | None:
        return LOSSLESS_WINDOW_ROWS if self._gate.lossless else None

    def holding(self) -> float | None:
        held = [s for s in (self._gate.holding(), self._barrier.holding()) if s is not None]
        if held:
            return min(held)
        self._rates.begin()
        return None

    def cut(self, chunk: Chunk, end: int) -> int:
        return self._barrier.cut(chunk, end)

    def on_window(self, window: Window) -> None:
        self._rates.end(len(window.items), len(window.times_ns))
        self._barrier.give(window)
        self._inbox.hand_over(Delivered(self._session, window), len(window.items))

    def on_status(self, status: SessionStatus, why: str) -> None:
        # Taken here, between two slices: on the loop it would show later ones.
        if why == "epoch":
            self._barrier.restart(status.seq or 0)
        if why == "state" and status.state == "RUNNING":
            self._barrier.resumed()
        snapshot = (
            self._session.summary(None) if why == "epoch" and self._inbox.has_clients() else None
        )
        self._inbox.hand_over(Changed(self._session, status, why, snapshot), 0)
