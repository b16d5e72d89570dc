"""A run's record: its folder while it goes on, and at the end its numbers and its report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from blake3 import blake3

from app.calendar import TradingDay
from app.catalog.store import Catalog
from app.managers.system_manager.answers import Progress
from app.managers.system_manager.config import ResolvedConfig
from app.managers.system_manager.market import CatalogMarket
from app.model import Items
from app.runs.folder import RunHandle
from app.runs.manifest import DataFile, RunState
from app.runs.report import DayFacts, PriceColumns, ReportInput, write_report
from app.runs.spec import RunSpec, StrategyFile
from app.runs.store import RunStore
from app.runs.writer import AuditWriter
from app.times import MINUTE_NS
from app.trading.context import RunContext
from app.trading.sections import BacktestConfig

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_MOST_CHARTS = 50  # symbols with a price chart in the report: those traded most often
Digest = Callable[[], str]


class Recording:
    """One run in a store. ``finished`` is called once, on the merge thread, after all events."""

    def __init__(
        self, store: RunStore, handle: RunHandle, config: BacktestConfig, context: RunContext,
        market: CatalogMarket, digest: Digest, report: bool,
    ) -> None:  # fmt: skip
        self.run_id = handle.id
        self.folder = handle.path
        self.summary: dict[str, Any] = {}
        self.writer = AuditWriter(handle.path)
        self.events_digest: str | None = None
        self._noting, self._over = Lock(), False
        self._store, self._handle = store, handle
        self._config, self._context = config, context
        self._market, self._digest, self._report = market, digest, report

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the run to stop, through the store."""
        return self._handle.cancelled

    def note_progress(self, progress: Progress) -> None:
        """Let others see how far the run is, through the store; nothing once it has ended."""
        with self._noting:
            if not self._over:
                self._handle.note_progress(progress._asdict())

    def finished(self, outcome: str, cause: str | None, reached_ns: int) -> None:
        """Close the files, write the report, and say in the manifest how the run ended."""
        with self._noting:
            self._over = True
        try:
            self.writer.close()
        except BaseException as error:
            self._store.finish(self._handle, RunState.FAILED, cause=f"the record: {error}")
            raise
        self.events_digest = self.writer.events_digest
        digest = self._digest()
        self.summary = {"outcome": outcome, "events": self.writer.events}
        self.summary |= {"digest": digest, "events_digest": self.events_digest}
        try:
            if self._report:
                self.summary |= self._write_report(outcome, cause, reached_ns, digest)
        finally:
            self._store.finish(
                self._handle, RunState(outcome), cause=cause, events=self.writer.events,
                digest=digest, events_digest=self.events_digest, summary=self.summary,
            )  # fmt: skip

    def _write_report(
        self, outcome: str, cause: str | None, reached_ns: int, digest: str
    ) -> dict[str, Any]:
        run, context, market = self._config, self._context, self._market
        days = context.days[context.first_day :]
        traded = self._traded()
        closes = {s: market.session_bars(context.index(s), days) for s in traded}
        facts = ReportInput(
            name=run.backtest.name,
            days=[DayFacts(d.date, d.open_ns, d.close_ns) for d in days],
            zone=context.zone,
            sessions_a_year=market.sessions_a_year(),
            initial_cash=run.portfolio.initial_cash,
            symbols=context.symbols,
            strategies=[s.id for s in run.strategies],
            currency=context.currency,
            policy=str(run.execution.policy),
            outcome=outcome,
            cause=cause,
            reached_ns=None if outcome == "completed" else reached_ns,
            prices={s: _columns(bars) for s, bars in islice(closes.items(), _MOST_CHARTS)},
            coverage={s: _coverage(bars, days) for s, bars in closes.items()},
            benchmark_symbol=run.portfolio.benchmark,
            benchmark=self._benchmark(days),
            provenance={"items": digest, "events": self.events_digest or ""},
        )
        return write_report(self.folder, facts)

    def _traded(self) -> list[str]:
        """Symbols with a fill, those with most fills first."""
        column = pq.read_table(self.folder / "fills.parquet", columns=["symbol"])["symbol"]
        counts = [(row["counts"], row["values"]) for row in column.value_counts().to_pylist()]
        return [symbol for _, symbol in sorted(counts, key=lambda c: (-c[0], c[1]))]

    def _benchmark(self, days: Sequence[TradingDay]) -> Mapping[Any, float] | None:
        symbol = self._config.portfolio.benchmark
        if symbol is None:
            return None
        return self._market.daily_closes(self._context.index(symbol), days)


def begin_run(
    store: RunStore, config: BacktestConfig, folder: Path, resolved: ResolvedConfig,
    catalog: Catalog, queued: str | None = None,
) -> RunHandle:  # fmt: skip
    """A run's folder, with all that it is made of; ``queued`` is the id of one that waits."""
    if queued is not None:
        handle = store.take(queued)
        handle.note_data(data_files(catalog, resolved))
        return handle
    return store.create(run_spec(config, folder, lambda: data_files(catalog, resolved)))


def run_spec(
    config: BacktestConfig, folder: Path, data: Callable[[], Sequence[DataFile]] | None = None
) -> RunSpec:
    """What the store is to note of a configuration."""
    return RunSpec(
        name=config.backtest.name,
        config=config.model_dump(mode="json"),
        seed=config.backtest.seed,
        strategies=[StrategyFile(s.id, s.file, folder / s.file) for s in config.strategies],
        data=() if data is None else data,
    )


def data_files(catalog: Catalog, resolved: ResolvedConfig) -> list[DataFile]:
    """The files of a session's streams, with their hashes; reads them."""
    paths = {
        piece.path
        for stream in resolved.streams
        for piece in catalog.pieces(stream.channel, stream.symbol)
        if piece.last_ns >= resolved.from_ns(stream) and piece.first_ns < resolved.until_ns
    }
    return [_data_file(catalog, path) for path in sorted(paths)]


def _data_file(catalog: Catalog, path: str) -> DataFile:
    hashed, size = blake3(), 0
    with catalog.filesystem.open_input_stream(f"{catalog.root}/{path}") as source:
        while chunk := source.read(_CHUNK):
            hashed.update(chunk)
            size += len(chunk)
    return DataFile(path, size, hashed.hexdigest())


def _columns(bars: Items) -> PriceColumns:
    values = bars["v"]
    starts = bars["release_ns"] - MINUTE_NS
    return PriceColumns(starts, *(np.ascontiguousarray(values[:, i]) for i in range(4)))


def _coverage(bars: Items, days: Sequence[TradingDay]) -> float | None:
    expected = sum(len(day.regular_minutes()) for day in days)
    return 100 * len(bars) / expected if expected else None
