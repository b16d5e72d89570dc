"""A configuration behind the stream of a running server: its strategies, free-running."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Self

from app.catalog.store import Catalog
from app.client import End, Stream, Tapedeck
from app.errors import SessionFailedError, StateError
from app.live.feeder import Feeder
from app.live.market import LiveMarket
from app.live.server import Offer, find_offer, look_back, official_closes, start_session
from app.live.windows import WindowMaker
from app.managers.system_manager.backtest import BacktestResult, open_store
from app.managers.system_manager.beginning import run_spec
from app.managers.system_manager.config import SessionDays, resolve_days
from app.managers.system_manager.desk import TradingDesk
from app.managers.system_manager.market import corporate_actions, halts
from app.managers.system_manager.plan import TradingPlan, session_config
from app.managers.system_manager.recording import Recording
from app.managers.system_manager.system_manager import SystemManager
from app.model import Dictionary
from app.trading.buffer import BufferedEngine
from app.trading.bus import EventBus, Handler
from app.trading.config import read_config_file
from app.trading.context import CorporateAction, RunContext
from app.trading.events import (
    EventBase,
    FillEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    SignalEvent,
    WarningEvent,
)
from app.trading.live import FreeRunner
from app.trading.service import BacktestService
from settings import Settings, load_settings

log = logging.getLogger(__name__)

Tell = Callable[[EventBase], None]
TOLD = (SignalEvent, OrderApprovedEvent, OrderRejectedEvent, FillEvent, WarningEvent)


class Teller(BacktestService):
    """Tells somebody outside what a run does, as it happens."""

    NAME, RANK = "teller", 99

    def __init__(self, event_bus: EventBus, tell: Tell) -> None:
        super().__init__(event_bus)
        self._tell = tell

    @classmethod
    def from_config(cls, section: Tell, event_bus: EventBus) -> Self:
        """``section`` is what is called with each event."""
        return cls(event_bus, section)

    def handlers(self) -> Mapping[type, Handler]:
        return dict.fromkeys(TOLD, self._tell)


class LiveRun:
    """One run of a configuration behind a server's session, from its beginning to its end."""

    def __init__(
        self, plan: TradingPlan, settings: Settings, url: str, api_key: str | None = None,
        catalog: str | None = None,
    ) -> None:  # fmt: skip
        self._plan, self._settings = plan, settings
        self._url, self._api_key, self._catalog = url, api_key, catalog
        self._stream: Stream | None = None
        self._stopped = False
        self._digest = ""  # of the server's session, once it has ended
        self._lock = Lock()

    @classmethod
    def from_config(
        cls, path: str | Path, url: str, overrides: Sequence[str] = (), *,
        api_key: str | None = None, catalog: str | None = None, runs: str | Path | None = None,
        record: bool = True, report: bool = True, settings: Settings | None = None,
    ) -> Self:  # fmt: skip
        """A run of a YAML file behind the server at ``url``.

        Corporate actions and halts are not on the stream: ``catalog`` is where they are read
        from, None for none. ``record=False`` leaves no folder. Raises ConfigError.
        """
        settings = load_settings() if settings is None else settings
        file = read_config_file(path, overrides)
        store = open_store(settings, runs) if record else None
        plan = TradingPlan(file.config, file.folder, store, report)
        return cls(plan, settings, url, api_key, catalog)

    def run(
        self, tell: Tell | None = None, *, start: bool = False, speed: float | None = None
    ) -> BacktestResult:
        """Follow the server's session to its end; blocks. ``tell`` gets what is in ``TOLD``.

        With ``start`` the session that the configuration asks for is started first, at
        ``speed``; else there must be one. StateError or RequestError where the session does not
        fit, ServerProblem or ConnectionProblem where the server cannot be asked: then nothing has
        run. What goes wrong later is the result's ``cause``.
        """
        config = self._plan.config
        wish = session_config(config, speed, start_paused=True)
        span = resolve_days(wish, SystemManager.from_settings(self._settings).defaults)
        with Tapedeck(self._url, self._api_key) as deck:
            if start:
                start_session(deck, wish)
            offer = find_offer(deck, config.data, span)
            context, market, maker = self._market(deck, offer, span)
            desk = self._desk(context, market)
            if tell is not None:
                Teller.from_config(tell, desk.bus).attach()
            return self._play(deck, offer, span, desk, market, maker, start)

    def stop(self) -> None:
        """End the run early; it is recorded as stopped. Any thread, any number of times."""
        with self._lock:
            self._stopped = True
        self._leave()

    def _leave(self) -> None:
        """End the reading of the stream."""
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    # -- set-up --------------------------------------------------------------------------------

    def _market(
        self, deck: Tapedeck, offer: Offer, span: SessionDays
    ) -> tuple[RunContext, LiveMarket, WindowMaker]:
        """The context of the run, its look-back loaded."""
        run, data = self._plan.config.backtest, self._plan.config.data
        actions, stops = self._side_tables(offer, span)
        words = Dictionary()
        market = LiveMarket(
            offer.symbols, span.days, words=words, keep_days=data.history_days,
            streams=offer.streams, calendar=span.calendar, actions=actions,
            report=self._plan.store is not None and self._plan.report,
        )  # fmt: skip
        maker = WindowMaker(offer.symbols, span.days, words)
        for items in look_back(deck, offer, span, maker):
            market.load(items)
        context = RunContext(
            run_id=run.name, symbols=offer.symbols, days=span.days, first_day=span.first_day,
            market=market, seed=run.seed, currency=run.currency, minor_digits=run.minor_digits,
            zone=span.calendar.zone.key, actions=actions, halts=stops,
            intervals=(1, *sorted(data.derived_intervals)),
        )  # fmt: skip
        return context, market, maker

    def _side_tables(
        self, offer: Offer, span: SessionDays
    ) -> tuple[tuple[CorporateAction, ...], tuple[tuple[str, int, int], ...]]:
        if self._catalog is None:
            log.info("no catalog is named: no corporate actions and no halts are known")
            return (), ()
        catalog = Catalog.open(self._catalog, Path(self._settings.tapedeck_cache_dir))
        until = span.days[-1].date
        return corporate_actions(catalog, offer.symbols, until), halts(catalog, offer.symbols)

    def _desk(self, context: RunContext, market: LiveMarket) -> TradingDesk:
        plan, record = self._plan, None
        if plan.store is not None:
            handle = plan.store.create(run_spec(plan.config, plan.folder))
            record = Recording(
                plan.store, handle, plan.config, context, market, lambda: self._digest, plan.report
            )
        try:
            return TradingDesk(
                plan.config, plan.folder, context, record,
                make_engine=lambda bus: BufferedEngine(bus, market),
            )  # fmt: skip
        except BaseException as error:
            if record is not None:
                record.finished("failed", _text(error), context.days[context.first_day].first_ns)
            raise

    # -- the run -------------------------------------------------------------------------------

    def _play(
        self, deck: Tapedeck, offer: Offer, span: SessionDays, desk: TradingDesk,
        market: LiveMarket, maker: WindowMaker, resumes: bool,
    ) -> BacktestResult:  # fmt: skip
        def note_closes(day: int) -> None:
            for symbol, close in official_closes(deck, offer, span.days[day]).items():
                market.note_close(symbol, day, close)

        runner = FreeRunner(desk.engine, failed=self._leave)
        feeder = Feeder(runner, maker, span, note_closes)
        outcome, cause = "failed", ""
        try:
            desk.prepare()
            feeder.begin(desk.strategy_ids)
            with self._listen(deck, offer) as stream:
                if resumes:
                    deck.resume()
                feeder.follow(stream)
            outcome, cause = self._outcome(feeder.end)
        except BaseException as error:
            cause = _text(error)
            if not isinstance(error, Exception):
                raise
        finally:
            outcome, said = self._finish(desk, runner, outcome, cause)
        return _result(desk, outcome, said, self._digest)

    def _listen(self, deck: Tapedeck, offer: Offer) -> Stream:
        """The stream from the session's first slice on."""
        channels = [*offer.channels, "status"]
        stream = deck.stream(channels, offer.symbols, resume=True, after=0)
        with self._lock:
            self._stream = stream
            stopped = self._stopped
        there = stream.hello.session if stream.hello is not None else None
        if there is None or there.id != offer.session_id:
            stream.close()
            raise StateError("another session was started at the server", "STOPPED")
        if stopped:
            stream.close()
        return stream

    def _outcome(self, end: End | None) -> tuple[str, str]:
        """What the end of the stream means for the run."""
        if end is None:
            return ("stopped", "") if self._stopped else ("failed", "the stream was left")
        self._digest = str(end.raw.get("digest") or "")
        return ("completed" if end.state == "COMPLETED" else "stopped"), ""

    def _finish(
        self, desk: TradingDesk, runner: FreeRunner, outcome: str, cause: str
    ) -> tuple[str, str | None]:
        """Settle what was fed, then end the record; the run's outcome and its cause."""
        try:
            runner.close(outcome, cause=cause)
        except SessionFailedError as error:
            outcome, cause = "failed", _text(error.__cause__ or error)
        desk.close(outcome, cause or None)
        return outcome, cause or None


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _result(desk: TradingDesk, outcome: str, cause: str | None, digest: str) -> BacktestResult:
    record = desk.record
    return BacktestResult(
        None if record is None else record.run_id,
        outcome,
        cause,
        None if record is None else record.folder,
        {} if record is None else record.summary,
        digest,
        None if record is None else record.events_digest,
    )
