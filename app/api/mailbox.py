"""From other threads to the loop: news in order, piece by piece, what is little at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock

from app.api.few import FEW_ROWS
from app.api.tap import Asked, Delivered, News
from app.api.waiting import LoopBridge
from app.api.windows import PIECE_ROWS, join

WorkOff = Callable[[News, int], Iterator[None]]


class Mailbox:
    """Belongs to the loop, but for ``put``. ``work_off`` yields where others may have a turn."""

    def __init__(self, bridge: LoopBridge, work_off: WorkOff) -> None:
        self._bridge = bridge
        self._work_off = work_off
        self._lock = Lock()
        self._waiting: deque[tuple[News, int]] = deque()
        self._posted = False
        self._news = asyncio.Event()
        self._resting = False  # the task has nothing to do
        self._task: asyncio.Task[None] | None = None

    def put(self, news: News, rows: int) -> None:
        """Any thread; the loop is woken once for all that it finds."""
        with self._lock:
            self._waiting.append((news, rows))
            wake = not self._posted
            self._posted = True
        if wake and not self._bridge.post(self._look):
            with self._lock:
                self._posted = False  # no loop yet: ``start`` looks

    def start(self) -> None:
        """Begin to work off what waits, on the running loop."""
        self._news.set()
        self._task = asyncio.get_running_loop().create_task(self._pump(), name="stream pump")

    async def settle(self, settle_s: float) -> None:
        """Until all that came before is worked off, ``settle_s`` seconds at most."""
        if self._task is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(Asked(done), 0)
        await asyncio.wait({done, self._task}, timeout=settle_s, return_when="FIRST_COMPLETED")

    async def stop(self) -> None:
        """Work off nothing more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _look(self) -> None:
        """Work off what is little at once: to wake the task costs as much."""
        with self._lock:
            little = bool(self._waiting) and self._waiting[0][1] <= FEW_ROWS
        batch = self._take() if little and self._resting else None
        if batch is not None:
            for _ in self._work_off(*batch):
                pass
        with self._lock:
            self._posted = bool(self._waiting)
        if self._posted:
            self._news.set()

    async def _pump(self) -> None:
        while True:
            self._resting = True
            await self._news.wait()
            self._resting = False
            self._news.clear()
            while batch := self._take():
                for _ in self._work_off(*batch):
                    await asyncio.sleep(0)  # others get their turn between two pieces
                await asyncio.sleep(0)

    def _take(self) -> tuple[News, int] | None:
        """The next news; consecutive small windows come as one."""
        with self._lock:
            if not self._waiting:
                self._posted = False
                return None
            news, rows = self._waiting.popleft()
            if not isinstance(news, Delivered):
                return news, rows
            windows = [news.window]
            while self._waiting and rows < PIECE_ROWS:
                after, more = self._waiting[0]
                if not isinstance(after, Delivered) or rows + more > PIECE_ROWS:
                    break
                windows.append(after.window)
                rows += more
                self._waiting.popleft()
        return news._replace(window=join(windows)), rows
