"""The system manager: one session at a time, built and wired here and nowhere else."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from app.calendar import zone_of
from app.catalog.location import redact_uri
from app.catalog.store import Catalog
from app.errors import CatalogError, StateError
from app.managers.lifecycle import State
from app.managers.right_of_way import RightOfWay
from app.managers.system_manager.building import SessionBuilder, Start
from app.managers.system_manager.candles import Candles
from app.managers.system_manager.config import (
    ResolvedConfig,
    SessionConfig,
    SessionDefaults,
    resolve,
)
from app.managers.system_manager.plan import TradingPlan
from app.managers.system_manager.preparing import (
    PreparedReport,
    Progress,
    prepare_cache,
    whole_range,
)
from app.managers.system_manager.session import ReplaySession
from app.managers.system_manager.session_record import RecordPlan, SessionRecord
from app.managers.time_manager import Wall
from app.model import StreamType

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
        self.right_of_way = RightOfWay()  # of who is answered while a session plays
        self._uri = catalog_uri
        self.defaults = defaults
        self._cache_dir = cache_dir
        self._wall = wall
        self._before_upkeep = before_upkeep
        self._catalog: Catalog | None = None
        self._candles: Candles | None = None
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
            max_symbols=settings.session_max_symbols,
            from_cache=settings.session_from_cache,
        )
        return cls(settings.data_catalog_uri, defaults, Path(settings.tapedeck_cache_dir))

    @property
    def is_running(self) -> bool:
        """Whether a session is live: neither ended nor absent."""
        return self.session is not None and not self.session.ended

    def put_over(self, candles: Candles) -> None:
        """Sessions from now on see these candles in place of their symbols in the catalog."""
        self._candles = candles

    def catalog(self) -> Catalog:
        """The catalog as it is now; CatalogError where it cannot be read. Blocks."""
        if self._candles is not None:
            return self._candles.over(None if self._uri is None else self._own_catalog())
        return self._own_catalog()

    def _own_catalog(self) -> Catalog:
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
        self, config: SessionConfig, plan: TradingPlan | None = None,
        record: RecordPlan | None = None,
    ) -> ReplaySession:  # fmt: skip
        """Start a session and wait until it runs; StateError while another one is live. Blocks.

        With a ``plan`` it trades. One that does not leaves a record where ``record`` says so.
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
            catalog = self._catalog_of(plan)
            resolved = resolve(config, self.defaults, catalog)
            _tell_short_look_back(resolved, catalog)
            if last is not None:
                last.close()
            kept = None if record is None else record.begin(resolved, catalog, self.defaults)
            try:
                session = self._open(resolved, catalog, plan, kept)
                self._start(session)
            except BaseException as error:
                if kept is not None:
                    kept.finish("failed", error)
                raise
            self.session = session
        session.wait_started(_START_WAIT_S)
        return session

    def prepare(
        self, symbols: Sequence[str], start: str | None, end: str | None, progress: Progress
    ) -> PreparedReport:
        """Write the cache that sessions of these symbols over some of these days are played from.

        None: the catalog's first and last date. All else is as the defaults say. Blocks.
        """
        catalog = self.catalog()
        first, last = whole_range(catalog, symbols, zone_of(self.defaults.calendar))
        wish = SessionConfig(symbols, start or first, end or last)
        return prepare_cache(catalog, wish, self.defaults, progress)

    def _start(self, session: ReplaySession) -> None:
        try:
            for callback in self._callbacks:
                callback(session)
            session.start()
        except BaseException:
            session.close()
            raise

    def _catalog_of(self, plan: TradingPlan | None) -> Catalog:
        """That of the manager, or the one that a plan names."""
        if plan is None or plan.catalog is None:
            return self.catalog()
        return Catalog.open(plan.catalog, self._cache_dir)

    def _open(
        self, config: ResolvedConfig, catalog: Catalog, plan: TradingPlan | None,
        record: SessionRecord | None,
    ) -> ReplaySession:  # fmt: skip
        builder = SessionBuilder(
            config, self.defaults, catalog, plan, self._wall, self.right_of_way,
            self._before_upkeep,
        )  # fmt: skip
        branch = builder.build(Start(1, config.speed, config.start_paused))
        number = next(self._numbers)
        chairs = None if plan is None else plan.chairs
        return ReplaySession(f"s{number}", config, branch, builder, builder.dates(), record, chairs)

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
