"""What one row of market data does to one order, and the words in which it is said."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from app.trading.services.execution.codes import Why


class Source(StrEnum):
    """Where a price comes from."""

    QUOTES = "quotes"
    TRADES = "trades"
    BARS = "bars"
    OFFICIAL_CLOSE = "official_close"


# A member found through its class costs a call.
BARS, QUOTES = Source.BARS, Source.QUOTES


class Row(msgspec.Struct, frozen=True, gc=False):
    """One item of an order's price source; ``values`` as in ``app.model.FIELDS``."""

    source: Source
    start_ns: int
    release_ns: int
    values: tuple[float, ...]
    flags: int


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """Whether a row fills an order, and at what price before policy and slippage.

    ``at_once``: at the bar's open, or on a tick; else somewhere inside the bar. ``takes``: the
    order takes liquidity, and slippage applies.
    """

    why: Why
    price: float = 0.0
    at_once: bool = False
    takes: bool = False


MISS: dict[Why, Outcome] = {why: Outcome(why) for why in Why}
