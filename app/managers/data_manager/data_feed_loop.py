"""The feed loop: reads the catalog's streams ahead of the clock and feeds the coordinator.

Its own asyncio loop on its own thread, reading in a small pool. It always reads
the streams that are furthest behind, so no queue fills while another starves,
and stops while the queues hold their bound of rows.
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
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.model import Batch, empty_items

log = logging.getLogger(__name__)

READERS = 2


class DataFeedLoop(Thread):
    """One a session. Whatever goes wrong while reading fails the session."""

    def __init__(
        self,
        coordinator: BacktestStreamCoordinator,
        sources: Sequence[ParquetCandleSource],
        pool: ThreadPoolExecutor,
    ) -> None:
        super().__init__(name="DataFeedLoop", daemon=True)
        self._coordinator = coordinator
        # Furthest behind first; equals by their number.
        self._waiting = [(s.complete_through_ns, n, s) for n, s in enumerate(sources)]
        heapify(self._waiting)
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
        for _, _, source in self._waiting:
            through_ns = source.complete_through_ns
            self._coordinator.take_batch(Batch(source.stream, empty_items(), through_ns))
        reading: dict[asyncio.Task[Batch], tuple[int, ParquetCandleSource]] = {}
        while (self._waiting or reading) and not self._stopping:
            while self._waiting and len(reading) < READERS and self._coordinator.has_room():
                _, number, source = heappop(self._waiting)
                reading[asyncio.ensure_future(anext(source))] = number, source
            if not reading:
                await self._wait_for_room()
                continue
            done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._take(*reading.pop(task), task.result())
        for task in reading:
            task.cancel()

    async def _wait_for_room(self) -> None:
        self._room.clear()
        if not self._coordinator.has_room() and not self._stopping:
            await self._room.wait()

    def _take(self, number: int, source: ParquetCandleSource, batch: Batch) -> None:
        self._coordinator.take_batch(batch)
        if batch.complete_through_ns != END_NS:
            heappush(self._waiting, (batch.complete_through_ns, number, source))
