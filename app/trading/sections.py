"""The sections of a run's configuration: what may be said, its units, defaults and bounds.

Capital is stated once (``portfolio``), costs once (``execution``). A share of something is a
fraction: 0.05 is five per cent. Unknown keys are refused everywhere. The docstrings below are
the descriptions in ``docs/run.schema.json`` and ``docs/configuration.md``.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.errors import TimeError
from app.times import parse_date, parse_time_ns
from app.trading.bus import Kind
from app.trading.section_checks import Draft, cross_findings


def _moment(text: str) -> str:
    try:
        if parse_date(text) is None:
            parse_time_ns(text)
    except TimeError as error:
        raise PydanticCustomError("time", "{text}", {"text": str(error)}) from error
    return text


def _day(value: object) -> object:
    """Only text as in a file: pydantic would take seconds since the epoch too."""
    if isinstance(value, date):
        return value
    try:
        found = parse_date(value) if isinstance(value, str) else None
    except TimeError as error:
        raise PydanticCustomError("time", "{text}", {"text": str(error)}) from error
    if found is None:
        raise PydanticCustomError("day", "not a date")
    return found


Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Bps = Annotated[float, Field(ge=0, le=10_000)]
Symbol = Annotated[str, Field(min_length=1, examples=["AAPL"])]
Moment = Annotated[
    str,
    AfterValidator(_moment),
    Field(examples=["2013-10-04", "2013-10-04T09:30:00-04:00"]),
]
Day = Annotated[
    date,
    BeforeValidator(_day),
    Field(strict=False),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2013-10-04"]}),
]
Minutes = Annotated[int, Field(ge=2, le=1440)]


class Section(BaseModel):
    """Nothing unknown, nothing converted in silence, nothing changed afterwards."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False,
        use_attribute_docstrings=True,
    )  # fmt: skip


class RunSection(Section):
    """``backtest``: the run as a whole."""

    name: str = Field(
        default="backtest", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["sma-2013"]
    )
    """Part of the run's id."""
    start: Moment
    """A trading date, or a time with a zone."""
    end: Moment
    """A trading date (inside), or a time with a zone (before it)."""
    calendar: str = Field(default="XNYS", examples=["XNYS", "XLON", "24/7"])
    """The exchange calendar that says which days and hours there are."""
    hours: Literal["regular", "extended", "all"] = "regular"
    """Which hours of a day are delivered; ``extended`` is for US exchanges."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Of the run's random numbers."""
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", examples=["USD"])
    """Of cash, prices and costs; nothing is converted."""
    minor_digits: int = Field(default=2, ge=0, le=8)
    """Decimals of the currency's minor unit, to which commissions are rounded."""


class DataSection(Section):
    """``data``: what is replayed."""

    catalog: str | None = None
    """A folder or URI; by default the setting DATA_CATALOG_URI."""
    symbols: list[Symbol] = Field(min_length=1)
    """Symbols of the catalog, or ["*"] for all."""
    streams: list[Literal["bars_1m", "trades", "quotes"]] | None = Field(default=None, min_length=1)
    """What is replayed; by default all there are."""
    derived_intervals: list[Minutes] = [5, 15]
    """Minutes of the bars that are derived from 1m bars."""
    history_days: int = Field(default=5, ge=0, le=250)
    """Trading days before the start whose bars can be looked back at."""
    allow_missing: bool = False
    """Whether a symbol may lack a stream that is named."""


class PortfolioSection(Section):
    """``portfolio``: capital and what it costs to borrow."""

    initial_cash: Positive = 100_000.0
    """The run's capital."""
    margin_interest_bps: Bps = 0.0
    """A year, on negative cash."""
    cash_interest_bps: Bps = 0.0
    """A year, on positive cash."""
    borrow_bps: Bps = 0.0
    """A year, on the market value of short positions, where the instrument says nothing."""
    benchmark: Symbol | None = None
    """A symbol of the run that the report compares with."""


class SizingMethod(StrEnum):
    FRACTION_OF_EQUITY = "fraction_of_equity"
    FIXED_QUANTITY = "fixed_quantity"


class SizingSection(Section):
    """How risk sizes a signal of strength 1."""

    method: SizingMethod = Field(default=SizingMethod.FRACTION_OF_EQUITY, strict=False)
    """What ``value`` is."""
    value: Positive = 0.1
    """A fraction of equity (at most 1), or a quantity."""


class HaltAction(StrEnum):
    BLOCK = "block"  # entries are refused
    CANCEL = "cancel"  # and open orders cancelled
    FLATTEN = "flatten"  # and positions closed at market


class LossLimit(Section):
    """A loss at which trading halts."""

    limit_pct: Fraction
    """Of the equity at the day's open (daily loss), or of its highest (drawdown)."""
    action: HaltAction = Field(default=HaltAction.BLOCK, strict=False)
    """``block`` refuses entries, ``cancel`` cancels open orders too, ``flatten`` closes too."""


class OrderChecks(Section):
    """Checks of each order, where the instrument does not say otherwise."""

    tick: NotNegative = 0.01
    """Limit and stop prices are multiples of it; 0 checks nothing."""
    lot: NotNegative = 1.0
    """Quantities are multiples of it; 0 checks nothing."""
    min_quantity: NotNegative = 0.0
    """The least of one order."""
    max_quantity: Positive | None = None
    """The most of one order."""
    price_band_pct: Positive | None = None
    """How far a limit may be from the last price on its aggressive side."""
    min_notional: NotNegative = 0.0
    """The least quantity times price of one order."""


class RiskSection(Section):
    """``risk``: sizing and limits."""

    cash_buffer_pct: Fraction = 0.0
    """Of equity, never spent: buying power is counted on what is left."""
    budgets: SkipJsonSchema[dict[str, Fraction]] = Field(default={}, exclude=True)
    """By strategy: its part of equity. Made of the strategies' ``budget_pct``, not written."""
    sizing: SizingSection = SizingSection()
    """How a signal becomes a quantity."""
    max_position_quantity: Positive | None = None
    """Of one symbol, all strategies together."""
    max_position_pct: Positive | None = None
    """Of equity, of one symbol."""
    gross_leverage: Positive | None = None
    """The most that long and short positions together may be, times equity."""
    net_leverage: Positive | None = None
    """The most that long less short positions may be, times equity, either way."""
    intraday_buying_power: Positive = 1.0
    """Times equity: gross exposure with open orders may not be above it. 1 is a cash account."""
    overnight_buying_power: Positive = 1.0
    """The same for entries that may be held through the close: GTC, market-on-close, and all that
    come in the last ``overnight_from_min`` minutes of the session or after it."""
    overnight_from_min: NotNegative = 15.0
    """Minutes before the close from which on every entry must fit overnight buying power."""
    shortable: Literal["all", "none"] | list[str] = "none"
    """Which symbols may be sold short."""
    max_open_orders: int | None = Field(default=None, ge=1)
    """Of one strategy."""
    daily_loss: LossLimit | None = None
    """A halt until the day's end."""
    drawdown: LossLimit | None = None
    """A halt until the run's end."""
    orders: OrderChecks = OrderChecks()
    """Checks of each order."""


class FillPolicy(StrEnum):
    NEXT_BAR = "next_bar"
    IMMEDIATE = "immediate"
    REALISTIC = "realistic"


class CommissionSection(Section):
    """What a fill costs: the sum of its parts, at least ``minimum`` an order's fill."""

    per_share: NotNegative = 0.0
    """Currency a share."""
    percent: Fraction = 0.0
    """Of the notional: 0.001 is ten basis points."""
    flat: NotNegative = 0.0
    """Currency a fill."""
    minimum: NotNegative = 0.0
    """The least of one fill."""


class RegulatoryFee(Section):
    """A dated fee: the newest row of a name that is not after the trading date counts."""

    name: str = Field(min_length=1, examples=["SEC"])
    """Rows of one name and side replace each other in time."""
    since: Day
    """The first trading date that it counts on."""
    side: Literal["buy", "sell", "both"] = "sell"
    """Which fills pay it."""
    percent: NotNegative = 0.0
    """Of the notional: 0.001 is ten basis points."""
    per_share: NotNegative = 0.0
    """Currency a share."""
    maximum: Positive | None = None
    """Of one fill."""


class SlippageModel(StrEnum):
    NONE = "none"
    FIXED_BPS = "fixed_bps"
    SPREAD = "spread"
    VOLUME = "volume"


class SlippageSection(Section):
    """What a taker pays beyond the price it sees."""

    model: SlippageModel = Field(default=SlippageModel.NONE, strict=False)
    """What ``bps`` is of."""
    bps: Bps = 0.0
    """``fixed_bps``: of the price. ``spread``: the assumed full spread where there are no quotes;
    half of it is paid. ``volume``: at a participation of 1; grows with its square root."""


class ExecutionSection(Section):
    """``execution``: how orders fill, and all costs."""

    policy: FillPolicy = Field(default=FillPolicy.NEXT_BAR, strict=False)
    """When and at what an order fills: on data that begins after it (``next_bar``), at once
    (``immediate``, and the run is marked optimistic), or as far as the volume goes
    (``realistic``)."""
    fill_on_touch: bool = False
    """Whether a limit fills inside a bar that only touches it."""
    moc_cutoff_min: NotNegative = 10.0
    """Minutes before the close after which no market-on-close order is taken."""
    commission: CommissionSection = CommissionSection()
    """What the broker takes."""
    regulatory: list[RegulatoryFee] = []
    """Dated fees of others."""
    slippage: SlippageSection = SlippageSection()
    """What a taker pays beyond the price it sees."""
    participation_pct: Positive = 0.1
    """``realistic``: of a bar's, trade's or quote's size, from one pool a symbol."""
    bar_price: Literal["vwap", "typical"] = "vwap"
    """``realistic``: what a taker gets from a bar."""
    latency_ms: NotNegative = 0.0
    """``realistic``: from approval to arrival, of orders, changes and cancels."""
    latency_jitter_ms: NotNegative = 0.0
    """``realistic``: up to so much more, drawn evenly by the run's seed; none overtakes another."""


class WarmupSection(Section):
    """Bars from before the start, to the strategy only."""

    bars: int | None = Field(default=None, ge=1)
    """So many bars of each symbol; this or ``days``."""
    interval: str = Field(default="1m", examples=["1m", "15m"])
    """1m, or a derived interval of the run."""
    days: int | None = Field(default=None, ge=1)
    """All bars of so many trading days; this or ``bars``."""
    allow_short: bool = False
    """Whether fewer bars than asked for are accepted."""


class StrategySection(Section):
    """One entry of ``strategies``."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", examples=["sma"])
    """Its name in orders, files and reports; no other strategy of the run has it."""
    file: str = Field(default="", examples=["sma_cross.py"])
    """A .py file, relative to the configuration's folder; needed unless it plays in lockstep."""
    lockstep: bool = False
    """Whether it plays in a client of the server, which joins by this id; see docs/lockstep.md."""
    name: str | None = None
    """The class in it, where it has several."""
    symbols: list[Symbol] | None = Field(default=None, min_length=1)
    """By default all of the run."""
    params: dict[str, JsonValue] = {}
    """Values of the parameters that it declares."""
    budget_pct: Fraction = 1.0
    """The part of equity that this strategy may use."""
    warmup: WarmupSection | None = None
    """Bars that it is given before the start."""


class ServicesSection(Section):
    """``services``: where each runs; the result is the same."""

    execution: Kind = Field(default=Kind.INLINE, strict=False)
    """Of the execution simulator."""
    portfolio: Kind = Field(default=Kind.INLINE, strict=False)
    """Of the portfolio."""
    strategy: Kind = Field(default=Kind.INLINE, strict=False)
    """Of the strategies."""
    risk: Kind = Field(default=Kind.INLINE, strict=False)
    """Of the risk engine."""
    audit: Kind = Field(default=Kind.INLINE, strict=False)
    """Of the audit."""
    watchdog_s: Positive = 30.0
    """How long a handler may hold the barrier before the run fails, naming it."""


class BacktestConfig(Section):
    """A run's whole configuration."""

    version: Literal[1] = 1
    """Of this layout."""
    backtest: RunSection
    """The run as a whole."""
    data: DataSection
    """What is replayed."""
    portfolio: PortfolioSection = PortfolioSection()
    """Capital and what it costs to borrow."""
    risk: RiskSection = RiskSection()
    """Sizing and limits."""
    execution: ExecutionSection = ExecutionSection()
    """How orders fill, and all costs."""
    strategies: list[StrategySection] = Field(min_length=1)
    """What trades. They take turns by their ids, whatever their order here."""
    services: ServicesSection = ServicesSection()
    """Where each service runs; the result is the same."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = list(cross_findings(Draft(self.model_dump(mode="json"))))
        if found:
            text = "; ".join(f"{'.'.join(map(str, path))}: {said}" for path, said in found)
            raise PydanticCustomError("cross", "{text}", {"text": text})
        budgets = {strategy.id: strategy.budget_pct for strategy in self.strategies}
        # Nothing else may change a section; this one follows from its sibling.
        object.__setattr__(self, "risk", self.risk.model_copy(update={"budgets": budgets}))
        return self
