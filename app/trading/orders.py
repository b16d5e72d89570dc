"""Orders: what a strategy asks for, in the field's standard terms."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Side(StrEnum):
    """Buy or sell; a short sale is a sale that leaves a negative position."""

    BUY = "buy"
    SELL = "sell"

    def __init__(self, name: str) -> None:
        self.sign = 1 if name == "buy" else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """How an order finds its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    MARKET_ON_OPEN = "market_on_open"
    MARKET_ON_CLOSE = "market_on_close"


class TimeInForce(StrEnum):
    """How long an order works."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderState(StrEnum):
    """Where an order stands; the last four are final."""

    NEW = "new"
    ACCEPTED = "accepted"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    def __init__(self, name: str) -> None:
        self.final = name in ("filled", "cancelled", "expired", "rejected")
        self.at_work = name in ("working", "partially_filled")  # whether data may fill it


class Role(StrEnum):
    """An order's part in its group."""

    SINGLE = "single"
    ENTRY = "entry"  # of a bracket: its children start to work with its fills
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    OCO = "oco"  # one of several of which the first to fill cancels the others


class Order(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order as it was asked for. ``order_id`` is stable across runs.

    ``quantity`` is unsigned. Prices are in the instrument's currency. ``trail`` is the distance
    of a trailing stop, in currency, or in basis points of the price with ``trail_in_bps``.
    """

    order_id: str
    strategy_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: float
    created_ns: int
    limit_price: float | None = None
    stop_price: float | None = None
    trail: float | None = None
    trail_in_bps: bool = False
    tif: TimeInForce = TimeInForce.DAY
    reduce_only: bool = False
    post_only: bool = False
    role: Role = Role.SINGLE
    group_id: str | None = None  # a bracket or an OCO group
    parent_id: str | None = None  # of a bracket's child: its entry
    tag: str = ""

    @property
    def signed_quantity(self) -> float:
        return self.quantity * self.side.sign
