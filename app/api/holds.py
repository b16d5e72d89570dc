"""Whether slow lossless clients hold the replay, and for how long each of them still may."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

MINUTE_S = 60.0
ASK_AGAIN_S = 0.25
LOSSLESS_BACKLOG_ROWS = 32_768  # not yet encoded, while somebody wants every slice
BACKLOG_ROWS = 1_000_000  # not yet seen by the loop, whoever listens: bounds memory


class HeldTime:
    """Seconds held within the last minute."""

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque()  # (end, length)

    def add(self, end_s: float, length_s: float) -> None:
        self._spans.append((end_s, length_s))

    def total_s(self, now_s: float) -> float:
        while self._spans and self._spans[0][0] <= now_s - MINUTE_S:
            self._spans.popleft()
        return sum(length for _, length in self._spans)


class HoldGate:
    """Asked by the merge thread before it delivers; told by the loop who is full.

    Time counts against a client from the merge thread's question to its next one, as
    long as the client was full: a pause, or a quiet market, costs nobody anything.
    """

    def __init__(
        self,
        patience_s: float,
        cut_off: Callable[[Hashable], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s = patience_s
        self._cut_off = cut_off
        self._clock = clock
        self._lock = threading.Lock()
        self._full: set[Hashable] = set()
        self._held: dict[Hashable, HeldTime] = {}
        self._asked: tuple[float, float, frozenset[Hashable]] | None = None
        self._backlog_rows = 0
        self.lossless = 0  # clients that want every slice

    @property
    def is_held(self) -> bool:
        """Whether the merge thread waits for an answer other than the last."""
        return self._asked is not None

    def set_full(self, client: Hashable, full: bool) -> None:
        """Its queue is over, or below, what may wait for it."""
        with self._lock:
            if full:
                self._full.add(client)
            else:
                self._full.discard(client)

    def forget(self, client: Hashable) -> None:
        """It has gone."""
        with self._lock:
            self._full.discard(client)
            self._held.pop(client, None)

    def add_backlog(self, rows: int) -> None:
        """So many more rows wait for the loop (negative: fewer)."""
        with self._lock:
            self._backlog_rows += rows

    def holding(self) -> float | None:
        """None: deliver. Else seconds after which to ask again."""
        now_s = self._clock()
        with self._lock:
            self._book(now_s)
            spent = {c: self._held[c].total_s(now_s) if c in self._held else 0.0
                     for c in self._full}  # fmt: skip
            for client in [c for c, s in spent.items() if s >= self._patience_s]:
                del spent[client]
                self._full.discard(client)
                self._cut_off(client)
            bound = LOSSLESS_BACKLOG_ROWS if self.lossless else BACKLOG_ROWS
            if not spent and self._backlog_rows <= bound:
                self._asked = None
                return None
            left_s = [self._patience_s - s for s in spent.values()]
            wait_s = max(min([ASK_AGAIN_S, *left_s]), 0.001)
            self._asked = (now_s, wait_s, frozenset(spent))
            return wait_s

    def _book(self, now_s: float) -> None:
        """Charge the time since the last question to those who were full at it."""
        if self._asked is None:
            return
        since_s, wait_s, clients = self._asked
        held_s = min(now_s - since_s, wait_s)  # longer: the replay was paused meanwhile
        for client in clients:
            self._held.setdefault(client, HeldTime()).add(now_s, held_s)
