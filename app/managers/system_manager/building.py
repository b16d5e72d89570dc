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
from app.managers.right_of_way import GiveWay, GivingPool, RightOfWay
from app.managers.system_manager.branch import Branch
from app.managers.system_manager.config import ResolvedConfig, SessionDefaults
from app.managers.system_manager.market import corporate_actions, stream_dates
from app.managers.system_manager.plan import TradingPlan, open_desk
from app.managers.system_manager.prepared import find_prepared
from app.managers.system_manager.reader import SessionReader
from app.managers.system_manager.sources import open_sources, symbols_with_bars
from app.managers.time_manager import TimeManager, Wall
from app.model import Dictionary, Stream
from app.trading.adjust import Split, split_table


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
        plan: TradingPlan | None, wall: Wall | None, way: RightOfWay,
        before_upkeep: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self._defaults, self._catalog, self._plan = defaults, catalog, plan
        self._wall, self._give_way = wall, GiveWay(way)
        self._before_upkeep = before_upkeep or self._give_way
        self._numbers: Iterator[int] = itertools.count(1)  # of commands
        actions = corporate_actions(catalog, config.symbols, config.days[-1].date)
        self._known = _Known(
            {symbol: daily_closes(catalog, symbol) for symbol in config.symbols},
            tuple(split_table(actions, config.symbols, config.days, config.calendar.zone.key)),
            symbols_with_bars(config),
        )
        self._prepared = find_prepared(catalog, config) if defaults.from_cache else None

    def dates(self) -> dict[Stream, frozenset[int]]:
        """By stream, the days on which the catalog has rows of it."""
        return {stream: stream_dates(self._catalog, stream) for stream in self.config.streams}

    def build(self, start: Start) -> Branch:
        """An execution from the session's start; StateError while another one is live."""
        config, defaults, prepared = self.config, self._defaults, self._prepared
        words = Dictionary(() if prepared is None else prepared.words)
        pool = GivingPool(READERS, "CatalogReader", self._give_way)
        time_manager = TimeManager(config.days, config.first_day, start.epoch)
        data = SessionData(time_manager, config.symbols, config.history_days, defaults.tick_rows)
        sources = open_sources(config, defaults, self._catalog, words, pool)
        coordinator = BacktestStreamCoordinator(
            time_manager, data, speed=start.speed, look_back_ns=config.look_back_ns,
            counted_from_ns=config.counted_from_ns, words=words, queue_rows=defaults.buffer_rows,
            wall=self._wall, start_paused=start.paused, numbers=self._numbers,
            merger=None if prepared is None else prepared.merger(), give_way=self._give_way,
        )  # fmt: skip
        try:
            return self._wire(sources, pool, coordinator, time_manager, data)
        except BaseException:
            coordinator.close()  # or no other session could ever be made
            raise

    def _feed(
        self, sources: list[ParquetCandleSource], pool: ThreadPoolExecutor,
        coordinator: BacktestStreamCoordinator, book: DayBook,
    ) -> DataFeedLoop | None:  # fmt: skip
        """What feeds the coordinator; None where a prepared cache has done so already."""
        config, prepared = self.config, self._prepared
        if prepared is not None:
            for stream in prepared.streams:
                coordinator.register_derived(stream)
            prepared.fill(book, coordinator.discards)
            return None
        for source in sources:
            coordinator.register_stream(
                source.stream.symbol, source.stream.type, sequenced=source.sequenced
            )
        upkeep = DataUpkeepThread(
            coordinator, config.days, config.streams, config.derived_intervals, book,
            config.symbols, self._before_upkeep,
        )  # fmt: skip
        coordinator.attach_upkeep(upkeep)
        return DataFeedLoop(coordinator, sources, pool)

    def _wire(
        self, sources: list[ParquetCandleSource], pool: ThreadPoolExecutor,
        coordinator: BacktestStreamCoordinator, time_manager: TimeManager, data: SessionData,
    ) -> Branch:  # fmt: skip
        config, known = self.config, self._known
        book = DayBook(config.days, config.symbols, known.daily, known.with_bars)
        feed = self._feed(sources, pool, coordinator, book)
        integral = {source.stream: source.integral for source in sources}
        reader = SessionReader(
            time_manager, data, book, coordinator.source_words, integral, known.splits
        )
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
