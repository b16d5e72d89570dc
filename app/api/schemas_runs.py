"""Bodies of the calls about runs: configurations that are carried out from beginning to end."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.schemas import Answer, Body, Day, RunStateName, Time


class RunStart(Body):
    """A configuration of the server's folder to run; code never comes over HTTP."""

    config: str = Field(
        min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["sma_cross.yaml"],
        description="A file of TAPEDECK_CONFIGS_DIR.",
    )  # fmt: skip
    set: list[Annotated[str, Field(max_length=1024)]] = Field(
        [], max_length=100, examples=[["risk.cash_buffer_pct=0.05"]],
        description="Keys of the configuration with other values; data.catalog has none.",
    )  # fmt: skip


class RunProgress(Answer):
    """How far a run is that goes on."""

    days_done: int = Field(description="Trading days that are finished.")
    days_total: int
    items_delivered: int
    fraction: float | None = Field(description="0 to 1.")
    eta_s: float | None = Field(description="Wall seconds to the end, null while unknown.")


class Run(Answer):
    """A run of the store."""

    id: str
    name: str = Field(description="From its configuration; the id where it is broken.")
    state: RunStateName
    cause: str | None = Field(description="Why it failed, was stopped, interrupted or is broken.")
    created: Time | None
    started: Time | None
    finished: Time | None
    events: int | None = Field(description="How many; null before the end, as the digests.")
    digest: str | None = Field(description="Of the items delivered.", examples=["td1:5f..."])
    events_digest: str | None = Field(description="Of all events.", examples=["te1:5f..."])


class RunDetail(Run):
    """A run, what it was made of and what it came to."""

    kind: Literal["backtest", "replay"] | None = Field(
        description="A replay has a journal, and neither events nor a report. Null where broken."
    )
    resumed: list[Time] = Field(description="When it was taken up again after an interruption.")
    progress: RunProgress | None = Field(description="While it runs.")
    config: dict[str, Any] | None = Field(
        description="Resolved, every default filled in; null where the run is broken."
    )
    summary: dict[str, Any] | None = Field(description="The report's numbers; null before the end.")
    files: list[str] = Field(description="What it left when it ended, relative to its folder.")


class Runs(Answer):
    runs: list[Run] = Field(description="Newest first.")


class Configs(Answer):
    configs: list[str] = Field(description="Names that POST /runs and POST /session take.")


class DayResult(Answer):
    day: Day = Field(description="In the exchange's time zone.")
    pnl: float = Field(description="Change of equity, from the last point of the day before.")


class EquityCurve(Answer):
    """The account of a run at times at which it changed, thinned without losing a peak."""

    id: str
    initial_cash: float
    rows: int = Field(description="How many points the run has left; fewer are answered.")
    times: list[Time]
    equity: list[float]
    drawdown: list[float] = Field(description="Below the highest equity before, as a fraction.")
    days: list[DayResult] = Field(description="Days on which the account changed.")
