"""The feed loop: reads the catalog's streams ahead of the clock and feeds the coordinator.

Its own asyncio loop on its own thread, reading in a small pool. It always reads
the streams that are furthest behind, so no queue fills while another starves,
and stops while the queues hold their bound of rows. Streams of few rows are read
several at a time: a hop between threads costs more than their rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from heapq import heapify, heappop, heappush
from threading import Thread

from app.feed.sources import END_NS, ParquetCandleSource
from app.managers.data_manager.feeding import Feeding
from app.model import Batch, empty_items
from app.times import DAY_NS

log = logging.getLogger(__name__)

READERS = 2
_MOST_ROWS = 16_384  # of streams that are read together
_Waiting = tuple[int, int, ParquetCandleSource]  # complete through, number, source


class DataFeedLoop(Thread):
    """One a session. Whatever goes wrong while reading fails the session."""

    def __init__(
        self,
        coordinator: Feeding,
        sources: Sequence[ParquetCandleSource],
        pool: ThreadPoolExecutor,
    ) -> None:
        super().__init__(name="DataFeedLoop", daemon=True)
        self._coordinator = coordinator
        # Furthest behind first; equals by their number.
        self._waiting: list[_Waiting] = [
            (s.complete_through_ns, n, s) for n, s in enumerate(sources)
        ]
        heapify(self._waiting)
        self._most_rows = min(_MOST_ROWS, coordinator.most_rows // (2 * READERS))
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Event()
        self._stopping = False

    def run(self) -> None:
        try:
            asyncio.run(self._feed())
        except BaseException as error:
            self._coordinator.fail(error)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """End soon; any thread, any number of times."""
        self._stopping = True
        self._wake()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                loop.call_soon_threadsafe(self._room.set)

    async def _feed(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._coordinator.on_room(self._wake)
        # Said first, or nothing is merged before every stream was read once.
        self._coordinator.take_batches(
            [Batch(s.stream, empty_items(), s.complete_through_ns) for _, _, s in self._waiting]
        )
        reading: dict[asyncio.Future[list[Batch]], list[_Waiting]] = {}
        while (self._waiting or reading) and not self._stopping:
            while self._waiting and len(reading) < READERS and self._coordinator.has_room():
                group = self._next_group()
                reading[self._loop.run_in_executor(self._pool, _read, group)] = group
            if not reading:
                await self._wait_for_room()
                continue
            done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                self._take(reading.pop(future), future.result())
        for future in reading:
            future.cancel()

    def _next_group(self) -> list[_Waiting]:
        """The stream that is furthest behind, and others of its day while their rows are few."""
        group = [heappop(self._waiting)]
        last_ns, rows = group[0][0] + DAY_NS, group[0][2].next_rows
        while self._waiting and self._waiting[0][0] < last_ns:
            rows += self._waiting[0][2].next_rows
            if rows > self._most_rows:
                break
            group.append(heappop(self._waiting))
        return group

    async def _wait_for_room(self) -> None:
        self._room.clear()
        if not self._coordinator.has_room() and not self._stopping:
            await self._room.wait()

    def _take(self, group: list[_Waiting], batches: list[Batch]) -> None:
        self._coordinator.take_batches(batches)
        for (_, number, source), batch in zip(group, batches, strict=True):
            if batch.complete_through_ns != END_NS:
                heappush(self._waiting, (batch.complete_through_ns, number, source))


def _read(group: list[_Waiting]) -> list[Batch]:
    return [source.read_next() for _, _, source in group]
