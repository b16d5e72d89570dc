"""Bodies of the calls about the session."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.api.schemas import Answer, Body, CommandInfo, Day, HoursName, Size, StateName, Time
from app.api.schemas_data import Gap
from app.managers.time_manager.time_manager import MAX_SPEED

# For the page only: the errors of a time that is none are better said in words.
_MOMENT = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?$"

Speed = Annotated[
    float,
    Field(
        ge=0, le=MAX_SPEED, allow_inf_nan=False,
        description="Market seconds a wall second; 0 is as fast as possible.",
    ),
]  # fmt: skip


class SessionStart(Body):
    """A replay session to create and start: of symbols, start and end, or of a configuration
    that says these and what trades. Null is the server's setting."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["symbols", "start", "end"]}, {"required": ["config"]}]
        }
    )

    symbols: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = Field(
        None, min_length=1, max_length=100_000, examples=[["AIG", "BAC"]],
        description='Symbols as in the catalog; ["*"] is all of them.',
    )  # fmt: skip
    start: str | None = Field(
        None, max_length=64, examples=["2013-10-07"], json_schema_extra={"pattern": _MOMENT},
        description="First trading date (snaps forward), or a time with a zone.",
    )  # fmt: skip
    end: str | None = Field(
        None, max_length=64, examples=["2013-10-08"], json_schema_extra={"pattern": _MOMENT},
        description="Last trading date, inside (snaps backward), or a time with a zone.",
    )  # fmt: skip
    streams: list[str] | None = Field(
        None, min_length=1, max_length=3, examples=[["bars_1m"]],
        description="bars_1m, trades, quotes. Null: symbol by symbol what the catalog has.",
    )  # fmt: skip
    speed: Speed | None = Field(None, examples=[0])
    calendar: str | None = Field(
        None, max_length=64, examples=["XNYS"], description="MIC of an exchange, or 24/7."
    )
    hours: HoursName | None = Field(None, description="Which hours of a day are delivered.")
    derived_intervals: list[Annotated[int, Field(ge=2, le=1440)]] | None = Field(
        None, max_length=100, examples=[[5, 15]],
        description="Intervals in minutes of the bars that are derived from 1m bars.",
    )  # fmt: skip
    history_days: int | None = Field(
        None, ge=0, le=250, description="Trading days of look-back before the start."
    )
    start_paused: bool = Field(False, description="Begin PAUSED, before the first slice.")
    allow_missing: bool = Field(
        False, description="A named stream may be absent for a symbol in the whole range."
    )
    config: str | None = Field(
        None, min_length=1, max_length=255, examples=["run.yaml"],
        description="A file in the folder of configurations (TAPEDECK_CONFIGS_DIR): the session "
        "trades. With it go only set, record, speed and start_paused.",
    )  # fmt: skip
    set: list[Annotated[str, Field(max_length=1000)]] | None = Field(
        None, max_length=100, examples=[["risk.cash_buffer_pct=0.05"]],
        description="With config: values in place of the file's, as key.path=value.",
    )  # fmt: skip
    record: bool | None = Field(
        None, description="Whether it leaves the record of a run. Null: with a config it does."
    )


class Step(Body):
    """How far to go from PAUSED."""

    unit: Literal["slice", "bar", "day"] = Field(
        description="A slice; up to the next 1m boundary; or to a day's end, before its roll."
    )
    count: int = Field(1, ge=1, le=1_000_000, description="How many of them.")


class SpeedChange(Body):
    """What can be changed of a live session."""

    speed: Speed


class Progress(Answer):
    days_done: int = Field(description="Trading days that are finished.")
    days_total: int
    items_delivered: int
    fraction: float | None = Field(description="0 to 1.")
    eta_s: float | None = Field(description="Wall seconds to the end, null while unknown.")


class Discarded(Answer):
    """Items that were not delivered, by reason."""

    before_hours: int
    in_break: int
    after_hours: int
    late: int
    duplicate: int
    invalid: int


class Session(Answer):
    """The session, or STOPPED and nulls where there is none."""

    id: str | None
    state: StateName
    time: Time | None
    epoch: int | None = Field(description="Rises by one with every seek.")
    seq: int | None = Field(description="Slices delivered in this epoch.")
    speed: float | None = Field(description="Market seconds a wall second; 0: no limit.")
    lag_ms: float | None = Field(description="Wall milliseconds behind the schedule.")
    trading_day: Day | None
    progress: Progress | None
    digest: str | None = Field(description="Of the items delivered.", examples=["td1:5f..."])
    discarded: Discarded | None
    error: str | None = Field(description="Why it FAILED.")
    run: str | None = Field(description="The id of its record, where it leaves one.")


class CommandAnswer(Session):
    """The session after a command."""

    command: CommandInfo | None = Field(
        description="When it took effect; null where there was no session to stop."
    )


class StepAnswer(CommandAnswer):
    """The session after a step."""

    interrupted: bool = Field(description="A pause, stop or seek ended it early.")


class SymbolDay(Answer):
    """OHLCV of the regular minutes."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: Size | None
    bars: int
    expected: int
    quality: float | None
    gaps: list[Gap]
    official_close: float | None
    close_source: str | None = Field(description="daily, auction or last_minute.")


class DayRecord(Answer):
    day: Day
    open: Time
    close: Time
    half_day: bool
    symbols: dict[str, SymbolDay]


class Days(Answer):
    days: list[DayRecord] = Field(description="Finished trading days and the running one.")


class PlannedDay(Answer):
    """A trading day as the calendar has it."""

    day: Day
    open: Time
    close: Time = Field(description="The official close.")
    half_day: bool


class Plan(Answer):
    """What the session was asked to replay, all defaults filled in."""

    id: str
    symbols: list[str]
    streams: list[str] = Field(description="Datasets that are read.", examples=[["bars_1m"]])
    intervals: list[str] = Field(description="Of its bars.", examples=[["1m", "5m", "15m", "1d"]])
    start: str = Field(description="As it was asked for.")
    end: str
    calendar: str
    time_zone: str = Field(description="Of the exchange.", examples=["America/New_York"])
    hours: HoursName
    history_days: int
    trades: bool = Field(description="It has an engine: account, positions, orders.")
    days: list[PlannedDay] = Field(description="All of its trading days, without look-back.")


class Clock(Answer):
    """Simulated time; nulls where there is no session."""

    time: Time | None
    trading_day: Day | None
    is_open: bool | None
    open: Time | None
    close: Time | None
    next_open: Time | None
    speed: float | None
    state: StateName


class StreamInfo(Answer):
    symbol: str
    stream: str = Field(examples=["bars_1m"])
    queued: int = Field(description="Rows read and not yet delivered.")
    oldest: Time | None = Field(description="Release of the first queued row.")
    newest: Time | None
    complete_through: Time | None = Field(description="No row will come at or before it.")
    delivered: int
    ended: bool
    days: list[list[str]] = Field(
        description="Runs of the session's days that the catalog has rows of: first and last.",
        examples=[[["2013-10-04", "2013-10-08"]]],
    )


class Streams(Answer):
    streams: list[StreamInfo]
