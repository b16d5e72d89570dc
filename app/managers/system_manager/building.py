"""Builds and wires all that a session is made of; as often as it is executed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from app.catalog.store import Catalog, daily_closes
from app.feed.sources import ParquetCandleSource
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.data_feed_loop import READERS, DataFeedLoop
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.session_data import SessionData
from app.managers.system_manager.branch import Branch
from app.managers.system_manager.config import ResolvedConfig, SessionDefaults
from app.managers.system_manager.market import corporate_actions, stream_dates
from app.managers.system_manager.plan import TradingPlan, open_desk
from app.managers.system_manager.reader import SessionReader
from app.managers.time_manager import TimeManager, Wall
from app.model import Dictionary, Stream, StreamType
from app.trading.adjust import Split, split_table

# Rows of all streams together that are read ahead of the merge, where row groups are larger.
_HELD_ROWS = 3_000_000
_LEAST_PART_ROWS = 1024
_FIRST_ROWS = 65_536  # of all streams, that are worked off before more of any
_LEAST_FIRST_ROWS = 64


class Start(NamedTuple):
    """How an execution begins."""

    epoch: int
    speed: float
    paused: bool


class _Known(NamedTuple):
    """What is looked up in the catalog once a session, however often it is executed."""

    daily: dict[str, dict[int, float]]
    splits: tuple[Split, ...]
    with_bars: tuple[bool, ...]  # by symbol


class SessionBuilder:
    """The same session again at every call of ``build``, but for its epoch and speed."""

    def __init__(
        self, config: ResolvedConfig, defaults: SessionDefaults, catalog: Catalog,
        plan: TradingPlan | None, wall: Wall | None, before_upkeep: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        self.config = config
        self._defaults, self._catalog, self._plan = defaults, catalog, plan
        self._wall, self._before_upkeep = wall, before_upkeep
        self._numbers: Iterator[int] = itertools.count(1)  # of commands
        actions = corporate_actions(catalog, config.symbols, config.days[-1].date)
        self._known = _Known(
            {symbol: daily_closes(catalog, symbol) for symbol in config.symbols},
            tuple(split_table(actions, config.symbols, config.days, config.calendar.zone.key)),
            tuple(
                any(s.symbol == name and s.type is not StreamType.QUOTE for s in config.streams)
                for name in config.symbols
            ),
        )

    def dates(self) -> dict[Stream, frozenset[int]]:
        """By stream, the days on which the catalog has rows of it."""
        return {stream: stream_dates(self._catalog, stream) for stream in self.config.streams}

    def build(self, start: Start) -> Branch:
        """An execution from the session's start; StateError while another one is live."""
        config, defaults = self.config, self._defaults
        words = Dictionary()
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="CatalogReader")
        time_manager = TimeManager(config.days, config.first_day, start.epoch)
        data = SessionData(time_manager, config.symbols, config.history_days, defaults.tick_rows)
        sources = self._sources(words, pool)
        coordinator = BacktestStreamCoordinator(
            time_manager, data, speed=start.speed, look_back_ns=config.look_back_ns,
            counted_from_ns=config.counted_from_ns, words=words, queue_rows=defaults.buffer_rows,
            wall=self._wall, start_paused=start.paused, numbers=self._numbers,
        )  # fmt: skip
        try:
            return self._wire(sources, pool, coordinator, time_manager, data)
        except BaseException:
            coordinator.close()  # or no other session could ever be made
            raise

    def _sources(self, words: Dictionary, pool: ThreadPoolExecutor) -> list[ParquetCandleSource]:
        config = self.config
        per_stream = self._defaults.buffer_rows // (2 * len(config.streams))
        rows = self._defaults.read_rows
        read_rows = max(1, min(rows, per_stream))
        part_rows = max(_LEAST_PART_ROWS, _HELD_ROWS // len(config.streams))
        first_rows = max(_LEAST_FIRST_ROWS, _FIRST_ROWS // len(config.streams))
        return [
            ParquetCandleSource(
                self._catalog, stream, config.from_ns(stream), config.reads_until_ns(stream),
                rows=min(rows, part_rows), read_rows=read_rows, part_rows=part_rows,
                first_rows=first_rows, words=words, pool=pool,
            )
            for stream in config.streams
        ]  # fmt: skip

    def _wire(
        self, sources: list[ParquetCandleSource], pool: ThreadPoolExecutor,
        coordinator: BacktestStreamCoordinator, time_manager: TimeManager, data: SessionData,
    ) -> Branch:  # fmt: skip
        config, known = self.config, self._known
        book = DayBook(config.days, config.symbols, known.daily, known.with_bars)
        for source in sources:
            coordinator.register_stream(
                source.stream.symbol, source.stream.type, sequenced=source.sequenced
            )
        upkeep = DataUpkeepThread(
            coordinator, config.days, config.streams, config.derived_intervals, book,
            config.symbols, self._before_upkeep,
        )  # fmt: skip
        coordinator.attach_upkeep(upkeep)
        integral = {source.stream: source.integral for source in sources}
        reader = SessionReader(
            time_manager, data, book, coordinator.source_words, integral, known.splits
        )
        feed = DataFeedLoop(coordinator, sources, pool)
        desk = None
        if self._plan is not None:
            for chair in (self._plan.chairs or {}).values():
                chair.bind(coordinator.window_wait)
            desk = open_desk(
                self._plan, config, self._catalog, data, book, coordinator.delivered_words,
                lambda: coordinator.view.digest,
            )  # fmt: skip
            between, words = self._plan.between, coordinator.delivered_words
            coordinator.attach_worker(desk if between is None else between(desk, words))
        return Branch(coordinator, reader, data, feed, desk)
