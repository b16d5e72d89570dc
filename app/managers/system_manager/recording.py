"""A run's record: its folder while it goes on, and at the end its numbers and its report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow.parquet as pq

from app.calendar import TradingDay
from app.managers.data_manager.goals import Place
from app.managers.system_manager.answers import Progress
from app.managers.system_manager.beginning import failing
from app.managers.time_manager import View
from app.model import Flag, Items, StreamType
from app.runs.events_digest import payload_of
from app.runs.folder import STOPPED_AGAIN, RunFolder, RunHandle
from app.runs.journal import END, Entry, JournalFile, entry_of, without_end
from app.runs.locks import RECORDER_LOCK
from app.runs.manifest import RunState
from app.runs.report import DayFacts, PriceColumns, ReportInput, write_report
from app.runs.script import ends_as_stopped
from app.runs.store import RunStore
from app.runs.verify import differs_from_prefix
from app.runs.writer import AuditWriter
from app.times import MINUTE_NS
from app.trading.context import RunContext
from app.trading.events import EventBase
from app.trading.sections import BacktestConfig

log = logging.getLogger(__name__)

_MOST_CHARTS = 50  # symbols with a price chart in the report: those traded most often
_NOTE_S = 1.0
Digest = Callable[[], str]


class ReportMarket(Protocol):
    """Where a report's prices come from."""

    def session_bars(self, symbol: int, days: Sequence[TradingDay]) -> Items:
        """All regular 1m bars of these days."""

    def daily_closes(self, symbol: int, days: Sequence[TradingDay]) -> dict[date, float]:
        """Closes by date, of the day before these too; split-adjusted to the last of them."""

    def sessions_a_year(self) -> float:
        """The average of the calendar around the run."""


class Recording:
    """One run in a store. ``finished`` is called once, on the merge thread, after all events.

    A run that was interrupted is written beside its old files, which it replaces in the end.
    With ``told`` it has a journal, as a ``CommandLog``.
    """

    def __init__(
        self, store: RunStore, handle: RunHandle, config: BacktestConfig, context: RunContext,
        market: ReportMarket, digest: Digest, report: bool, told: bool = False,
    ) -> None:  # fmt: skip
        self.run_id = handle.id
        self.folder = handle.path
        self.summary: dict[str, Any] = {}
        with failing(handle):
            self._into = handle.begin_again() if handle.resumes else handle.path
            self.writer = AuditWriter(self._into, lock=handle.path / RECORDER_LOCK)
            self._journal = _journal(handle, self._into, told)
        self._follows = handle.resumes  # its journal is that of before
        self.events_digest: str | None = None
        self._noting, self._over = Lock(), False
        self._next_note_s = 0.0
        self._store, self._handle = store, handle
        self._config, self._context = config, context
        self._market, self._digest, self._report = market, digest, report

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the run to stop, through the store."""
        return self._handle.cancelled

    def note_progress(self, progress: Progress) -> None:
        """Let others see how far the run is, through the store, at most once a second; nothing
        once it has ended."""
        with self._noting:
            if not self._over and monotonic() >= self._next_note_s:
                self._next_note_s = monotonic() + _NOTE_S
                self._handle.note_progress(progress._asdict())

    def end_with(self, digest: str) -> None:
        """Its end is known before the session's: ``digest`` is that of the items up to there."""
        self._digest = lambda: digest

    # -- what it was told ------------------------------------------------------------------------

    def applied(self, name: str, args: Mapping[str, Any], place: Place, view: View) -> None:
        """A command, or an end, at its place. What comes after its own end is none of the run."""
        told_before = self._follows and name != END
        if self._journal is not None and not self._over and not told_before:
            self._journal.write(self._entry(name, args, place, view))

    def sent(self, event: EventBase, place: Place, view: View) -> None:
        """An event from outside that is about to be published."""
        if self._journal is not None:
            entry = self._entry(event.topic(), {}, place, view)
            payload = msgspec.json.decode(payload_of(event))
            self._journal.write(msgspec.structs.replace(entry, event=payload))

    def _entry(self, name: str, args: Mapping[str, Any], place: Place, view: View) -> Entry:
        first = self._context.first_day
        return entry_of(name, args, place, first, (view.epoch, view.seq, view.digest))

    # -- the end ---------------------------------------------------------------------------------

    def finished(self, outcome: str, cause: str | None, reached_ns: int) -> None:
        """Close the files, write the report, and say in the manifest how the run ended.

        A run that was executed again and differs from what had been recorded stays interrupted,
        and says so.
        """
        with self._noting:
            self._over = True
        try:
            if self._journal is not None:
                self._journal.close()
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
            cause = self._take_the_place(outcome, cause)
        except BaseException as error:
            failed = outcome == RunState.FAILED  # of something else, which says more
            outcome, cause = RunState.FAILED, cause if failed else f"the record: {error}"
            raise
        finally:
            self._store.finish(
                self._handle, RunState(outcome), cause=cause, events=self.writer.events,
                digest=digest, events_digest=self.events_digest, summary=self.summary,
            )  # fmt: skip

    def _take_the_place(self, outcome: str, cause: str | None) -> str | None:
        """Of a run that was interrupted: put what came in the place of its old files; the cause.

        Not where it differs from them, and not where it was stopped, unless it had been before.
        """
        if not self._handle.resumes:
            return cause
        if outcome == RunState.STOPPED and not ends_as_stopped(self._handle):
            return STOPPED_AGAIN
        found = differs_from_prefix(self._handle, RunFolder(self._into))
        if found is not None:
            return found
        self._handle.adopt()
        return cause

    def _write_report(
        self, outcome: str, cause: str | None, reached_ns: int, digest: str
    ) -> dict[str, Any]:
        run, context, market = self._config, self._context, self._market
        days = context.days[context.first_day :]
        traded = self._traded()
        closes = {
            s: _until(market.session_bars(context.index(s), days), reached_ns) for s in traded
        }
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
            marks=_last_marks(context, traded, reached_ns),
            coverage={s: _coverage(bars, days, reached_ns) for s, bars in closes.items()},
            benchmark_symbol=run.portfolio.benchmark,
            benchmark=self._benchmark(days),
            provenance={"Items digest": digest, "Events digest": self.events_digest or ""},
        )
        return write_report(self._into, facts, self.folder)

    def _traded(self) -> list[str]:
        """Symbols with a fill, those with most fills first."""
        column = pq.read_table(self._into / "fills.parquet", columns=["symbol"])["symbol"]
        counts = [(row["counts"], row["values"]) for row in column.value_counts().to_pylist()]
        return [symbol for _, symbol in sorted(counts, key=lambda c: (-c[0], c[1]))]

    def _benchmark(self, days: Sequence[TradingDay]) -> Mapping[Any, float] | None:
        symbol = self._config.portfolio.benchmark
        if symbol is None:
            return None
        return self._market.daily_closes(self._context.index(symbol), days)


def _journal(handle: RunHandle, folder: Path, told: bool) -> JournalFile | None:
    """Of a run that others may tell something; of one that is resumed it begins as the old one."""
    before = handle.journal() if handle.resumes else None
    return JournalFile(folder, without_end(before or ())) if told or before is not None else None


def _columns(bars: Items) -> PriceColumns:
    values = bars["v"]
    starts = bars["release_ns"] - MINUTE_NS
    return PriceColumns(starts, *(np.ascontiguousarray(values[:, i]) for i in range(4)))


def _until(bars: Items, reached_ns: int) -> Items:
    """Those that the run came to."""
    return bars[: int(bars["release_ns"].searchsorted(reached_ns, "right"))]


def _coverage(bars: Items, days: Sequence[TradingDay], reached_ns: int) -> float | None:
    """Of the regular minutes that the run came to, per cent that have a bar."""
    expected = sum(
        int((day.regular_minutes() + MINUTE_NS <= reached_ns).sum())
        for day in days
        if day.open_ns < reached_ns
    )
    return 100 * len(bars) / expected if expected else None


def _last_marks(context: RunContext, symbols: Sequence[str], reached_ns: int) -> dict[str, float]:
    """The last eligible price of each symbol that the run came to, where it still is at hand."""
    found = {s: _last_mark(context, context.index(s), reached_ns) for s in symbols}
    return {symbol: price for symbol, price in found.items() if price is not None}


def _last_mark(context: RunContext, symbol: int, reached_ns: int) -> float | None:
    """Of its delivered 1m bars and trades: as ``app.trading.marks`` has it."""
    bars = context.market.bars(symbol, 1, reached_ns)
    bars = bars[bars["flags"] & Flag.POST_CLOSE == 0][-1:]
    trades = context.market.ticks(symbol, StreamType.TRADE, reached_ns)
    fits = (trades["flags"] & Flag.LAST != 0) & (trades["flags"] & Flag.POST_CLOSE == 0)
    trades = trades[fits][-1:]
    if len(trades) and (not len(bars) or trades["release_ns"][0] > bars["release_ns"][0]):
        return float(trades["v"][0, 0])
    return float(bars["v"][0, 3]) if len(bars) else None
