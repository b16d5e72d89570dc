"""A run without a server: the same replay, the same engine, from a configuration to a result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from app.errors import RequestError, SessionFailedError
from app.managers.lifecycle import State
from app.managers.system_manager.answers import Progress
from app.managers.system_manager.candles import Candles
from app.managers.system_manager.config import resolve
from app.managers.system_manager.plan import TradingPlan, session_config
from app.managers.system_manager.session import ReplaySession
from app.managers.system_manager.system_manager import SystemManager
from app.notebook import fields_html
from app.progress import progress_bar
from app.runs.folder import RunFolder
from app.runs.store import RunStore
from app.trading.config import read_config_file
from app.trading.sections import BacktestConfig
from app.trading.services.strategy import check_strategies
from settings import Settings, load_settings

if TYPE_CHECKING:
    import pyarrow as pa

_PROGRESS_S = 0.25
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class BacktestResult:
    """What a run came to; ``summary`` is that of its folder's summary.json."""

    run_id: str | None
    outcome: str  # completed, stopped or failed
    cause: str | None
    folder: Path | None
    summary: dict[str, Any]
    digest: str
    events_digest: str | None

    @property
    def report(self) -> Path | None:
        """The run's report.html, where it left one."""
        found = None if self.folder is None else self.folder / "report.html"
        return found if found is not None and found.is_file() else None

    def table(self, name: str) -> pa.Table:
        """A table of the run's record as Arrow, such as "fills", "orders" or "equity".

        Its columns are listed in docs/runs.md; times are timestamp[ns, UTC].
        """
        if self.folder is None:
            raise RequestError("the run left no record; its tables are nowhere")
        return RunFolder(self.folder).table(name)

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        statistics = self.summary.get("statistics", {})
        return fields_html(
            f"Run {self.run_id or ''}: {self.outcome}",
            [("cause", self.cause), *statistics.items(), ("digest", self.digest),
             ("events digest", self.events_digest), ("report", self.report)],
        )  # fmt: skip


def open_store(settings: Settings, folder: str | Path | None = None) -> RunStore:
    """The store of runs that the settings name, or that of another folder."""
    url = settings.tapedeck_runs_database_url
    root = Path(settings.tapedeck_runs_dir if folder is None else folder)
    return RunStore(root, None if url is None else url.get_secret_value())


class BacktestEngine:
    """One run of a configuration in this process; a process runs one at a time."""

    def __init__(self, plan: TradingPlan, settings: Settings) -> None:
        self._plan = plan
        self._manager = SystemManager.from_settings(settings)
        self._candles = Candles()
        self._stopped = False
        self._lock = Lock()

    @classmethod
    def from_config(
        cls, path: str | Path, overrides: Sequence[str] = (), *, catalog: str | None = None,
        runs: str | Path | None = None, report: bool = True, settings: Settings | None = None,
        within: Path | None = None, queued: str | None = None,
    ) -> BacktestEngine:  # fmt: skip
        """A run of a YAML file; what is not given here or there is the setting's.

        ``overrides`` are as of ``--set``: "risk.cash_buffer_pct=0.05". With ``within``, nothing
        outside of that folder is read. ``queued`` is the id of a run that waits in the store.
        Raises ConfigError, which names every line that is wrong.
        """
        settings = load_settings() if settings is None else settings
        file = read_config_file(path, overrides, within)
        config = file.config
        uri = catalog or config.data.catalog or settings.data_catalog_uri
        settings = settings.model_copy(update={"data_catalog_uri": uri})
        store = open_store(settings, runs)
        return cls(TradingPlan(config, file.folder, store, report, queued), settings)

    @property
    def config(self) -> BacktestConfig:
        return self._plan.config

    def feed_candles(self, symbol: str, candles: Any) -> Self:
        """Run on these 1m bars, and on nothing that the catalog has of the symbol; see
        ``Candles.add``. Before ``check`` and ``run``; of other symbols the catalog is read,
        which is not needed where there are none.
        """
        named = self.config.data.symbols
        if symbol not in named and named != ["*"]:
            raise RequestError(f"data.symbols does not name {symbol!r}; it has {named}")
        self._candles.add(symbol, candles)
        self._manager.put_over(self._candles)
        return self

    def check(self) -> list[str]:
        """Look at all that a run needs, without running; lines that say what it would be."""
        config = self._plan.config
        catalog = self._manager.catalog()
        resolved = resolve(session_config(config), self._manager.defaults, catalog)
        check_strategies(config.strategies, self._plan.folder)
        days = resolved.days[resolved.first_day :]
        return [
            f"{len(days)} trading days of {resolved.calendar.name}, {days[0].date} to "
            f"{days[-1].date}",
            f"{len(resolved.symbols)} symbols, {len(resolved.streams)} streams",
            f"strategies: {', '.join(s.id for s in config.strategies)}",
        ]

    def run(self, progress: OnProgress | bool | None = None) -> BacktestResult:
        """Run to the end; ``progress`` is told a few times a second. Blocks.

        ``progress=True`` shows a bar, in a terminal or a notebook.
        """
        if isinstance(progress, bool):
            with progress_bar(self.config.backtest.name, progress) as tell:
                return self._run(lambda now: tell(now.fraction, f"{now.items_delivered:,} items"))
        return self._run(progress)

    def _run(self, progress: OnProgress | None) -> BacktestResult:
        try:
            session = self._start()
            ended = False
            while not ended:
                ended = session.wait(_PROGRESS_S)
                self._tell(session, progress)
            return self._result(session)
        finally:
            self._manager.close()

    async def run_async(self, progress: OnProgress | bool | None = None) -> BacktestResult:
        """As ``run``, for an event loop; cancelling it stops the run."""
        work = asyncio.ensure_future(asyncio.to_thread(self.run, progress))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            await work
            raise

    def stop(self) -> None:
        """End the run early; it is recorded as stopped. Any thread, any number of times."""
        with self._lock:
            self._stopped = True
            session = self._manager.session
        if session is not None:
            session.stop()

    def _tell(self, session: ReplaySession, progress: OnProgress | None) -> None:
        """Let caller and store see how far it is; stop it where the store was told to."""
        now = session.status().progress
        if progress is not None:
            progress(now)
        record = None if session.desk is None else session.desk.record
        if record is not None and not session.ended:
            record.note_progress(now)
            if record.cancelled:
                session.stop()

    def _start(self) -> ReplaySession:
        with self._lock:
            if self._stopped:
                raise SessionFailedError("the run was stopped before it began")
        wish = session_config(self._plan.config, speed=0)
        session = self._manager.start_session(wish, self._plan)
        self._stop_if_told(session)
        return session

    def _stop_if_told(self, session: ReplaySession) -> None:
        """It was told to while it started."""
        with self._lock:
            if self._stopped:
                session.stop()

    def _result(self, session: ReplaySession) -> BacktestResult:
        status, desk = session.status(), session.desk
        assert desk is not None
        outcome = {State.COMPLETED: "completed", State.FAILED: "failed"}.get(
            status.state, "stopped"
        )
        record = desk.record
        return BacktestResult(
            None if record is None else record.run_id,
            outcome,
            status.error,
            None if record is None else record.folder,
            {} if record is None else record.summary,
            status.digest,
            None if record is None else record.events_digest,
        )
