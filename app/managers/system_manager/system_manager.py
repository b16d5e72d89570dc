"""The system manager: one session at a time, built and wired here and nowhere else."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from app.catalog.location import redact_uri
from app.catalog.store import Catalog, daily_closes
from app.errors import CatalogError, StateError
from app.feed.sources import ParquetCandleSource
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.data_feed_loop import READERS, DataFeedLoop
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.session_data import SessionData
from app.managers.lifecycle import State
from app.managers.system_manager.config import (
    ResolvedConfig,
    SessionConfig,
    SessionDefaults,
    resolve,
)
from app.managers.system_manager.market import corporate_actions
from app.managers.system_manager.plan import TradingPlan, open_desk
from app.managers.system_manager.reader import SessionReader
from app.managers.system_manager.session import ReplaySession
from app.managers.time_manager import TimeManager, Wall
from app.model import Dictionary, StreamType
from app.trading.adjust import split_table

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

_START_WAIT_S = 30.0


class SystemManager:
    """Holds the catalog and the session; thread-safe."""

    def __init__(
        self,
        catalog_uri: str | None,
        defaults: SessionDefaults,
        cache_dir: Path | None = None,
        wall: Wall | None = None,
        before_upkeep: Callable[[], None] | None = None,
    ) -> None:
        self.session: ReplaySession | None = None
        self._uri = catalog_uri
        self.defaults = defaults
        self._cache_dir = cache_dir
        self._wall = wall
        self._before_upkeep = before_upkeep
        self._catalog: Catalog | None = None
        self._callbacks: list[Callable[[ReplaySession], None]] = []
        self._numbers = itertools.count(1)
        self._lock = Lock()
        self._closed = False

    @classmethod
    def from_settings(cls, settings: Settings) -> SystemManager:
        """A manager for the catalog and the defaults that the settings name."""
        defaults = SessionDefaults(
            speed=settings.data_manager_backtest_speed,
            calendar=settings.session_calendar,
            hours=settings.session_hours,
            derived_intervals=tuple(settings.data_upkeep_derived_intervals),
            history_days=settings.session_history_days,
            grace_s=settings.market_close_grace_seconds,
            buffer_rows=settings.feed_buffer_rows,
            read_rows=settings.feed_read_rows,
            tick_rows=settings.tick_keep_rows,
        )
        return cls(settings.data_catalog_uri, defaults, Path(settings.tapedeck_cache_dir))

    @property
    def is_running(self) -> bool:
        """Whether a session is live: neither ended nor absent."""
        return self.session is not None and not self.session.ended

    def catalog(self) -> Catalog:
        """The catalog as it is now; CatalogError where it cannot be read. Blocks."""
        if self._uri is None:
            raise CatalogError("no catalog is configured; set DATA_CATALOG_URI to a folder or URI")
        if self._catalog is None:
            self._catalog = Catalog.open(self._uri, self._cache_dir)
        else:
            self._catalog.refresh()
        return self._catalog

    def ready(self) -> str | None:
        """None when a session can be started, else why not. Blocks."""
        if self._closed:
            return "the server is shutting down"
        try:
            symbols = self.catalog().symbols
        except CatalogError as error:
            return str(error)
        return None if symbols else f"the catalog {redact_uri(self._uri or '')} has no data"

    def on_session(self, callback: Callable[[ReplaySession], None]) -> None:
        """Call ``callback`` with each new session before its first slice."""
        self._callbacks.append(callback)

    def start_session(
        self, config: SessionConfig, plan: TradingPlan | None = None
    ) -> ReplaySession:
        """Start a session and wait until it runs; StateError while another one is live. Blocks.

        With a ``plan`` it trades.
        """
        with self._lock:
            if self._closed:
                raise StateError("the server is shutting down", State.STOPPING)
            last = self.session
            if last is not None and not last.ended:
                raise StateError(
                    f"session {last.id} is {last.state}; stop it before another is started",
                    last.state,
                )
            catalog = self.catalog()
            resolved = resolve(config, self.defaults, catalog)
            _tell_short_look_back(resolved, catalog)
            if last is not None:
                last.close()
            session = self._build(resolved, catalog, plan)
            try:
                for callback in self._callbacks:
                    callback(session)
                session.start()
            except BaseException:
                session.close()
                raise
            self.session = session
        session.wait_started(_START_WAIT_S)
        return session

    def _build(
        self, config: ResolvedConfig, catalog: Catalog, plan: TradingPlan | None
    ) -> ReplaySession:
        daily = {symbol: daily_closes(catalog, symbol) for symbol in config.symbols}
        words = Dictionary()
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="CatalogReader")
        per_stream = self.defaults.buffer_rows // (2 * len(config.streams))
        rows = self.defaults.read_rows
        read_rows = max(1, min(rows, per_stream))
        sources = [
            ParquetCandleSource(
                catalog, stream, config.from_ns(stream), config.reads_until_ns(stream),
                rows=rows, read_rows=read_rows, words=words, pool=pool,
            )
            for stream in config.streams
        ]  # fmt: skip
        time_manager = TimeManager(config.days, config.first_day)
        data = SessionData(
            time_manager, config.symbols, config.history_days, self.defaults.tick_rows
        )
        coordinator = BacktestStreamCoordinator(
            time_manager, data, speed=config.speed, look_back_ns=config.look_back_ns,
            counted_from_ns=config.counted_from_ns, words=words,
            queue_rows=self.defaults.buffer_rows, wall=self._wall,
            start_paused=config.start_paused,
        )  # fmt: skip
        try:
            return self._wire(
                config, sources, pool, coordinator, time_manager, data, daily, plan, catalog
            )
        except BaseException:
            coordinator.close()  # or no other session could ever be made
            raise

    def _wire(
        self, config: ResolvedConfig, sources: list[ParquetCandleSource], pool: ThreadPoolExecutor,
        coordinator: BacktestStreamCoordinator, time_manager: TimeManager, data: SessionData,
        daily: dict[str, dict[int, float]], plan: TradingPlan | None, catalog: Catalog,
    ) -> ReplaySession:  # fmt: skip
        with_bars = [
            any(s.symbol == name and s.type is not StreamType.QUOTE for s in config.streams)
            for name in config.symbols
        ]
        book = DayBook(config.days, config.symbols, daily, with_bars)
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
        actions = corporate_actions(catalog, config.symbols, config.days[-1].date)
        splits = split_table(actions, config.symbols, config.days, config.calendar.zone.key)
        reader = SessionReader(time_manager, data, book, coordinator.source_words, integral, splits)
        feed = DataFeedLoop(coordinator, sources, pool)
        desk = None
        if plan is not None:
            desk = open_desk(
                plan, config, catalog, data, book, coordinator.delivered_words,
                lambda: coordinator.view.digest,
            )  # fmt: skip
            coordinator.attach_worker(desk)
        return ReplaySession(f"s{next(self._numbers)}", config, coordinator, reader, feed, desk)

    def close(self) -> None:
        """Stop the session and refuse further ones; any thread, any number of times."""
        self._closed = True
        with self._lock:
            session = self.session
        if session is not None:
            session.close()


def _tell_short_look_back(config: ResolvedConfig, catalog: Catalog) -> None:
    """Log the symbols that have bars of fewer days than the look-back was asked for."""
    epoch = date(1970, 1, 1)
    wanted = {(day.date - epoch).days for day in config.days[: config.first_day]}
    short = []
    for stream in config.streams:
        if stream.type is StreamType.BAR:
            pieces = catalog.pieces(stream.channel, stream.symbol)
            there = wanted.intersection(d for piece in pieces for d in piece.days)
            if len(there) < config.history_days:
                short.append(f"{stream.symbol} {len(there)}")
    if short:
        log.info("look-back of fewer than %d days: %s", config.history_days, ", ".join(short))
