"""Answers of the calls about runs, typed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from app.client.answers import Answer, Nanoseconds, Progress, _MaybeMoment, _shown, to_datetime
from app.notebook import fields_html, rows_html


class Run(Answer, frozen=True):
    """A run in the server's store. ``state`` is queued, running, completed, stopped, failed,
    interrupted or broken."""

    id: str
    name: str
    state: str
    cause: str | None = None
    created_ns: Nanoseconds | None = None
    started_ns: Nanoseconds | None = None
    finished_ns: Nanoseconds | None = None
    events: int | None = None
    digest: str | None = None
    events_digest: str | None = None

    created = _MaybeMoment("created_ns")
    started = _MaybeMoment("started_ns")
    finished = _MaybeMoment("finished_ns")

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("queued", "running")

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        return fields_html(f"Run {self.id}: {self.state}", self._fields())

    def _fields(self) -> list[tuple[str, Any]]:
        return [
            ("cause", self.cause), ("created", _shown(self.created_ns)),
            ("finished", _shown(self.finished_ns)), ("events", self.events),
            ("digest", self.digest), ("events digest", self.events_digest),
        ]  # fmt: skip


class RunDetail(Run, frozen=True):
    """``progress`` is there while it runs, ``summary`` and ``files`` when it has ended; ``kind``
    is backtest, or replay where nothing traded; ``resumed_ns`` says when it was."""

    kind: str | None = None
    resumed_ns: tuple[Nanoseconds, ...] = ()
    progress: Progress | None = None
    config: dict[str, Any] | None = None
    summary: dict[str, Any] | None = None
    files: tuple[str, ...] = ()

    def _fields(self) -> list[tuple[str, Any]]:
        done = None if self.progress is None else self.progress.fraction
        numbers = (self.summary or {}).get("statistics", {})
        return [
            *super()._fields(), ("done", None if done is None else f"{done:.0%}"),
            *numbers.items(), ("files", ", ".join(self.files) or None),
        ]  # fmt: skip


class Runs(Answer, frozen=True):
    """Newest first."""

    runs: list[Run]

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        rows = [(r.id, r.state, _shown(r.created_ns), r.events, r.cause) for r in self.runs]
        return rows_html("Runs", ("id", "state", "created", "events", "cause"), rows)


class DayResult(Answer, frozen=True):
    """``pnl`` is the change of equity since the last point of the day before."""

    day: date
    pnl: float


class EquityCurve(Answer, frozen=True):
    """The account of a run at times at which it changed: ``times_ns``, ``equity`` and
    ``drawdown`` are of one length.

    ``drawdown`` is a fraction, 0 or below; ``rows`` is how many points the run has left, of which
    these are some. ``days`` has those on which the account changed.
    """

    id: str
    initial_cash: float
    rows: int
    times_ns: list[Nanoseconds]
    equity: list[float]
    drawdown: list[float]
    days: list[DayResult]

    @property
    def times(self) -> list[datetime]:
        """``times_ns`` as aware datetimes."""
        return [to_datetime(ns) for ns in self.times_ns]


class Configs(Answer, frozen=True):
    """Names in the server's folder that ``start_trading`` and ``submit_run`` take."""

    configs: list[str]
