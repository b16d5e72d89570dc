"""What makes a session trade: a run's configuration, and where its record goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.catalog.store import Catalog
from app.errors import RequestError
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.session_data import SessionData
from app.managers.data_manager.worker import WindowWorker
from app.managers.system_manager.beginning import begin_run
from app.managers.system_manager.config import ResolvedConfig, SessionConfig
from app.managers.system_manager.desk import TradingDesk
from app.managers.system_manager.lockstep import Chair
from app.managers.system_manager.market import CatalogMarket, corporate_actions, halts
from app.managers.system_manager.recording import Recording
from app.model import Dictionary
from app.runs.store import RunStore
from app.trading.context import RunContext
from app.trading.sections import BacktestConfig

Between = Callable[[TradingDesk, Dictionary], WindowWorker]


@dataclass(frozen=True)
class TradingPlan:
    """A loaded configuration; ``folder`` is where its strategy files are relative to."""

    config: BacktestConfig
    folder: Path
    store: RunStore | None = None  # None: the run leaves no record
    report: bool = True
    queued: str | None = None  # the id of a run that waits in the store
    watched: bool = False  # whether account, orders and fills are read while it trades
    catalog: str | None = None  # another than the manager's
    between: Between | None = None  # what stands before the desk, and hands on to it
    chairs: Mapping[str, Chair] | None = None  # of the strategies that play in lockstep
    all_inside: bool = False  # these too are played inside, by the files that they name


def session_config(
    config: BacktestConfig, speed: float | None = None, start_paused: bool = False
) -> SessionConfig:
    """The session that a run's configuration asks for."""
    run, data = config.backtest, config.data
    return SessionConfig(
        symbols=data.symbols, start=run.start, end=run.end, streams=data.streams, speed=speed,
        calendar=run.calendar, hours=run.hours, derived_intervals=data.derived_intervals,
        history_days=data.history_days, start_paused=start_paused,
        allow_missing=data.allow_missing,
    )  # fmt: skip


def open_desk(
    plan: TradingPlan, resolved: ResolvedConfig, catalog: Catalog, data: SessionData,
    book: DayBook, words: Dictionary, digest: Callable[[], str],
) -> TradingDesk:  # fmt: skip
    """The trading half of a session, its record begun."""
    config = plan.config
    market = CatalogMarket(catalog, resolved, data, book, words)
    context = RunContext(
        run_id=config.backtest.name,
        symbols=resolved.symbols,
        days=resolved.days,
        first_day=resolved.first_day,
        market=market,
        seed=config.backtest.seed,
        currency=config.backtest.currency,
        minor_digits=config.backtest.minor_digits,
        zone=resolved.calendar.zone.key,
        actions=corporate_actions(catalog, resolved.symbols, resolved.days[-1].date),
        halts=halts(catalog, resolved.symbols),
        intervals=(1, *resolved.derived_intervals),
    )
    if plan.store is None:
        return _desk(plan, context, None)
    settings = {
        "market_close_grace_seconds": resolved.calendar.grace_s, "tick_keep_rows": data.keep_ticks,
    }  # fmt: skip
    handle = begin_run(
        plan.store, config, plan.folder, resolved, catalog, settings, plan.queued, plan.report
    )
    record = Recording(
        plan.store, handle, config, context, market, digest, plan.report, told=plan.watched
    )
    try:
        return _desk(plan, context, record)
    except BaseException as error:
        record.finished("failed", f"{type(error).__name__}: {error}", resolved.look_back_ns)
        if plan.queued is None and isinstance(error, RequestError):
            plan.store.delete(record.run_id)  # a start that is refused is no run
        raise


def _desk(plan: TradingPlan, context: RunContext, record: Recording | None) -> TradingDesk:
    return TradingDesk(
        plan.config, plan.folder, context, record, watched=plan.watched, lines=plan.chairs,
        all_inside=plan.all_inside,
    )  # fmt: skip
