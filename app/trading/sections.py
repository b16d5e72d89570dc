"""The sections of a run's configuration: what may be said, its units, defaults and bounds.

Capital is stated once (``portfolio``), costs once (``execution``). A share of something is a
fraction: 0.05 is five per cent. Unknown keys are refused everywhere.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.trading.bus import Kind

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Bps = Annotated[float, Field(ge=0, le=10_000)]


class Section(BaseModel):
    """Nothing unknown, nothing converted in silence, nothing changed afterwards."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class RunSection(Section):
    """``backtest``: the run as a whole."""

    name: str = Field(default="backtest", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Part of the run's id."""
    start: str
    """A trading date, or a time with a zone."""
    end: str
    """A trading date (inside), or a time with a zone."""
    calendar: str = "XNYS"
    hours: Literal["regular", "extended", "all"] = "regular"
    seed: int = 0
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    minor_digits: int = Field(default=2, ge=0, le=8)
    """Decimals of the currency's minor unit, to which commissions are rounded."""


class DataSection(Section):
    """``data``: what is replayed."""

    catalog: str | None = None
    """A folder or URI; by default the setting DATA_CATALOG_URI."""
    symbols: list[str] = Field(min_length=1)
    """Symbols of the catalog, or ["*"]."""
    streams: list[str] | None = None
    derived_intervals: list[int] = [5, 15]
    """Minutes."""
    history_days: int = Field(default=5, ge=0, le=250)
    allow_missing: bool = False


class PortfolioSection(Section):
    """``portfolio``: capital and what it costs to borrow."""

    initial_cash: float = Field(default=100_000.0, gt=0)
    margin_interest_bps: Bps = 0.0
    """A year, on negative cash."""
    cash_interest_bps: Bps = 0.0
    """A year, on positive cash."""
    borrow_bps: Bps = 0.0
    """A year, on the market value of short positions, where the instrument says nothing."""
    benchmark: str | None = None
    """A symbol of the run that the report compares with."""


class SizingMethod(StrEnum):
    FRACTION_OF_EQUITY = "fraction_of_equity"
    FIXED_QUANTITY = "fixed_quantity"


class SizingSection(Section):
    """How risk sizes a signal of strength 1."""

    method: SizingMethod = Field(default=SizingMethod.FRACTION_OF_EQUITY, strict=False)
    value: Positive = 0.1
    """A fraction of equity, or a quantity."""


class HaltAction(StrEnum):
    BLOCK = "block"  # entries are refused
    CANCEL = "cancel"  # and open orders cancelled
    FLATTEN = "flatten"  # and positions closed at market


class LossLimit(Section):
    """A loss at which trading halts."""

    limit_pct: Fraction
    """Of the equity at the day's open (daily loss), or of its highest (drawdown)."""
    action: HaltAction = Field(default=HaltAction.BLOCK, strict=False)


class OrderChecks(Section):
    """Checks of each order, where the instrument does not say otherwise."""

    tick: NotNegative = 0.01
    """Limit and stop prices are multiples of it; 0 checks nothing."""
    lot: NotNegative = 1.0
    min_quantity: NotNegative = 0.0
    max_quantity: Positive | None = None
    price_band_pct: Positive | None = None
    """How far a limit may be from the last price on its aggressive side."""
    min_notional: NotNegative = 0.0


class RiskSection(Section):
    """``risk``: sizing and limits."""

    cash_buffer_pct: Fraction = 0.0
    """Of equity, never spent."""
    sizing: SizingSection = SizingSection()
    max_position_quantity: Positive | None = None
    """Of one symbol, all strategies together."""
    max_position_pct: Positive | None = None
    """Of equity, of one symbol."""
    gross_leverage: Positive | None = None
    net_leverage: Positive | None = None
    intraday_buying_power: Positive = 1.0
    """Times equity: gross exposure with open orders may not be above it. 1 is a cash account."""
    overnight_buying_power: Positive = 1.0
    """The same for orders that may be held through the close."""
    shortable: Literal["all", "none"] | list[str] = "none"
    """Which symbols may be sold short."""
    max_open_orders: int | None = Field(default=None, ge=1)
    """Of one strategy."""
    daily_loss: LossLimit | None = None
    drawdown: LossLimit | None = None
    orders: OrderChecks = OrderChecks()


class FillPolicy(StrEnum):
    NEXT_BAR = "next_bar"
    IMMEDIATE = "immediate"
    REALISTIC = "realistic"


class CommissionSection(Section):
    """What a fill costs: the sum of its parts, at least ``minimum`` an order's fill."""

    per_share: NotNegative = 0.0
    percent: Fraction = 0.0
    """Of the notional: 0.001 is ten basis points."""
    flat: NotNegative = 0.0
    minimum: NotNegative = 0.0


class RegulatoryFee(Section):
    """A dated fee: the newest row of a name that is not after the trading date counts."""

    name: str
    since: date = Field(strict=False)
    side: Literal["buy", "sell", "both"] = "sell"
    percent: NotNegative = 0.0
    """Of the notional."""
    per_share: NotNegative = 0.0
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
    bps: Bps = 0.0
    """``fixed_bps``: of the price. ``spread``: the assumed full spread where there are no quotes;
    half of it is paid. ``volume``: at a participation of 1; grows with its square root."""


class ExecutionSection(Section):
    """``execution``: how orders fill, and all costs."""

    policy: FillPolicy = Field(default=FillPolicy.NEXT_BAR, strict=False)
    fill_on_touch: bool = False
    """Whether a limit fills inside a bar that only touches it."""
    moc_cutoff_min: NotNegative = 10.0
    """Minutes before the close after which no market-on-close order is taken."""
    commission: CommissionSection = CommissionSection()
    regulatory: list[RegulatoryFee] = []
    slippage: SlippageSection = SlippageSection()
    participation_pct: Positive = 0.1
    """``realistic``: of a bar's, trade's or quote's size, from one pool a symbol."""
    bar_price: Literal["vwap", "typical"] = "vwap"
    """``realistic``: what a taker gets from a bar."""
    latency_ms: NotNegative = 0.0
    """``realistic``: from approval to arrival."""


class WarmupSection(Section):
    """Bars from before the start, to the strategy only."""

    bars: int | None = Field(default=None, ge=1)
    interval: str = "1m"
    days: int | None = Field(default=None, ge=1)
    allow_short: bool = False
    """Whether fewer bars than asked for are accepted."""


class StrategySection(Section):
    """One entry of ``strategies``."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
    file: str
    """A .py file, relative to the configuration."""
    name: str | None = None
    """The class in it, where it has several."""
    symbols: list[str] | None = None
    """By default all of the run."""
    params: dict[str, Any] = {}
    budget_pct: Fraction = 1.0
    """The part of equity that this strategy may use."""
    warmup: WarmupSection | None = None


class ServicesSection(Section):
    """``services``: where each runs; the result is the same."""

    execution: Kind = Field(default=Kind.INLINE, strict=False)
    portfolio: Kind = Field(default=Kind.INLINE, strict=False)
    strategy: Kind = Field(default=Kind.INLINE, strict=False)
    risk: Kind = Field(default=Kind.INLINE, strict=False)
    audit: Kind = Field(default=Kind.INLINE, strict=False)
    watchdog_s: Positive = 30.0
    """How long a handler may hold the barrier before the run fails, naming it."""


class BacktestConfig(Section):
    """A run's whole configuration."""

    version: Literal[1] = 1
    backtest: RunSection
    data: DataSection
    portfolio: PortfolioSection = PortfolioSection()
    risk: RiskSection = RiskSection()
    execution: ExecutionSection = ExecutionSection()
    strategies: list[StrategySection] = Field(min_length=1)
    services: ServicesSection = ServicesSection()
