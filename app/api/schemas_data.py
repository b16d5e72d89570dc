"""Bodies of the calls about market data."""

from __future__ import annotations

from pydantic import Field

from app.api.schemas import Answer, Day, Size, Time


class Bar(Answer):
    ts: Time = Field(description="Start of the bar.")
    open: float
    high: float
    low: float
    close: float
    volume: Size
    vwap: float | None
    minutes: int = Field(description="Minutes that had data.")
    complete: bool = Field(description="No minute was missing.")
    partial: bool = Field(description="The short last bucket of its part of the day.")
    post_close: bool = Field(description="Within the grace after the close.")


class Trade(Answer):
    ts: Time
    price: float
    size: Size
    exchange: str | None
    conditions: str | None


class Quote(Answer):
    """A side that is missing is null."""

    ts: Time
    bid: float | None
    bid_size: Size | None
    ask: float | None
    ask_size: Size | None


class SymbolData(Answer):
    last: float | None = Field(description="The newest eligible trade or bar close.")
    bar: Bar | None
    trade: Trade | None
    quote: Quote | None
    open: float | None = Field(description="Of the day's regular 1m bars, as high, low, volume.")
    high: float | None
    low: float | None
    volume: Size | None
    bars: int | None = Field(description="How many regular 1m bars the day has; null at none.")
    quality: float | None = Field(description="Per cent of the minutes expected by now.")
    prev_close: float | None = Field(description="Official close of the day before.")


class Data(Answer):
    """One committed view."""

    time: Time
    epoch: int
    seq: int
    trading_day: Day | None
    symbols: dict[str, SymbolData]


class _Items(Answer):
    symbol: str
    time: Time = Field(description="Simulated now; no item was released later.")


class Bars(_Items):
    interval: str
    bars: list[Bar] = Field(description="Oldest first.")


class Trades(_Items):
    trades: list[Trade] = Field(description="Oldest first.")


class Quotes(_Items):
    quotes: list[Quote] = Field(description="Oldest first.")


class Gap(Answer):
    """A run of missing minutes."""

    start: Time
    end: Time
    minutes: int


class Quality(Answer):
    symbol: str
    day: Day | None
    quality: float | None = Field(description="100 x received / expected; null at expected 0.")
    received: int
    expected: int = Field(description="Regular minutes that have ended.")
    gaps: list[Gap]


class CatalogEntry(Answer):
    first: Time | None
    last: Time | None
    days: int
    rows: int


class Catalog(Answer):
    symbols: dict[str, dict[str, CatalogEntry]] = Field(description="By symbol and dataset.")
    broken: list[str] = Field(description="A sentence for each file that cannot be used.")
