"""Events of data: columns by reference on the bus, rows for a strategy.

They are outside of the events digest: where columns are cut says nothing.
"""

from __future__ import annotations

import msgspec

from app.model import Flag, Floats, Ints, Items, Window


class EquityEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The account at each T at which it changed, in order; it stands still between them."""

    times_ns: Ints
    equity: Floats
    cash: Floats
    gross: Floats
    net: Floats


class MarketEvent(msgspec.Struct, frozen=True, gc=False):
    """The slices ``low`` to ``high`` (exclusive) of a window of delivered items."""

    window: Window
    low: int
    high: int

    @property
    def items(self) -> Items:
        bounds = self.window.bounds
        return self.window.items[int(bounds[self.low]) : int(bounds[self.high])]

    @property
    def last_ns(self) -> int:
        return int(self.window.times_ns[self.high - 1])


class BarEvent(msgspec.Struct, frozen=True, gc=False):
    """A bar as a strategy gets it. ``ts_ns`` is its start, ``release_ns`` when it is complete."""

    symbol: str
    ts_ns: int
    release_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float  # NaN where there is none
    interval_min: int
    flags: int  # app.model.Flag
    is_warmup: bool = False

    @property
    def post_close(self) -> bool:
        """Within the grace after the close: it belongs to no day's regular minutes."""
        return bool(self.flags & Flag.POST_CLOSE)


class TradeEvent(msgspec.Struct, frozen=True, gc=False):
    """A trade as a strategy gets it."""

    symbol: str
    ts_ns: int
    price: float
    size: float
    flags: int

    @property
    def post_close(self) -> bool:
        """Within the grace after the close."""
        return bool(self.flags & Flag.POST_CLOSE)


class QuoteEvent(msgspec.Struct, frozen=True, gc=False):
    """A quote as a strategy gets it; a side that is not there is NaN."""

    symbol: str
    ts_ns: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
