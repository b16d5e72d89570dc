"""Bodies of the calls about a session's engine: account, positions, orders, fills, signals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.api.schemas import Answer, Body, CommandInfo, Time

SideName = Literal["buy", "sell"]
TypeName = Literal[
    "market", "limit", "stop", "stop_limit", "trailing_stop", "market_on_open", "market_on_close"
]  # fmt: skip
TifName = Literal["day", "gtc", "ioc", "fok"]
OrderStateName = Literal[
    "new", "accepted", "working", "partially_filled", "filled", "cancelled", "expired", "rejected"
]  # fmt: skip
OrderFilterName = Literal[
    "open", "new", "accepted", "working", "partially_filled", "filled", "cancelled", "expired",
    "rejected",
]  # fmt: skip
Price = Annotated[float, Field(gt=0, le=1e8, allow_inf_nan=False)]


class OrderStart(Body):
    """An order from outside, judged by risk and filled like any strategy's."""

    symbol: str = Field(min_length=1, max_length=64, examples=["AIG"])
    side: SideName
    quantity: float = Field(
        ge=1e-8, le=1e10, allow_inf_nan=False, description="Unsigned, in shares."
    )
    type: TypeName = "market"
    limit_price: Price | None = Field(None, description="Of limit and stop_limit.")
    stop_price: Price | None = Field(None, description="Of stop and stop_limit.")
    trail: Price | None = Field(None, description="Of trailing_stop: distance in currency.")
    trail_bps: Price | None = Field(None, description="Of trailing_stop: in basis points instead.")
    tif: TifName = "day"
    reduce_only: bool = False
    post_only: bool = False
    take_profit: Price | None = Field(
        None, description="With it the order is a bracket's entry; an exit at this limit."
    )
    stop_loss: Price | None = Field(
        None, description="With it the order is a bracket's entry; an exit at this stop."
    )
    exit_tif: TifName | None = Field(
        None, description="Of a bracket's exits; null: the entry's, day for ioc and fok."
    )
    tag: str = Field("", max_length=64, description="Yours; it comes back with the order.")


class OrderStep(Answer):
    """One state that an order has been in."""

    time: Time
    state: OrderStateName
    filled: float
    reason: str


class Order(Answer):
    id: str
    strategy: str = Field(description='"manual" for those that came over HTTP.')
    symbol: str
    side: SideName
    type: TypeName
    quantity: float
    filled: float
    average_price: float | None = Field(description="Of its fills; null before the first.")
    state: OrderStateName
    limit_price: float | None
    stop_price: float | None
    trail: float | None
    trail_in_bps: bool
    tif: TifName
    reduce_only: bool
    post_only: bool
    role: Literal["single", "entry", "take_profit", "stop_loss", "oco"]
    group: str | None = Field(description="Of a bracket or of orders that cancel one another.")
    parent: str | None = Field(description="Of a bracket's child: the entry's id.")
    tag: str
    created: Time
    updated: Time
    code: str | None = Field(description="Why it was rejected.")
    reason: str = Field(description="In a sentence, where there is something to say.")
    history: list[OrderStep] = Field(description="Its states, oldest first.")


class _At(Answer):
    time: Time = Field(description="All that follows from data released until then is in it.")
    epoch: int
    seq: int = Field(description="Slices delivered until then; what a long poll comes after.")


class Orders(_At):
    orders: list[Order] = Field(description="Oldest first.")


class OrderAnswer(_At):
    order: Order
    exits: list[Order] = Field(description="Of a bracket's entry: its other orders.")


class OrderCommandAnswer(OrderAnswer):
    command: CommandInfo = Field(description="When it took effect.")


class Reason(Answer):
    """What one slice meant for an order."""

    time: Time = Field(description="When the prices were known.")
    start: Time = Field(description="When their data began.")
    source: str = Field(description="quotes, trades, bars or official_close; else empty.")
    code: str = Field(description="fills, fills_partly, or why not.")
    reason: str = Field(description="In a sentence.")
    prices: dict[str, float] = Field(description="What was compared, by name.")


class Why(_At):
    order: Order
    slices: list[Reason] = Field(
        description="Of its price source, since it came to rest; the newest, oldest first."
    )


class Fill(Answer):
    id: str
    order: str
    strategy: str
    symbol: str
    side: SideName
    quantity: float
    price: float
    commission: float
    fees: float
    slippage: float = Field(description="Currency a share that the model added.")
    time: Time = Field(description="When it was known.")
    price_time: Time = Field(description="When the price was.")
    source: str = Field(description="quotes, trades, bars or official_close.")
    flags: list[str]
    tag: str


class Fills(_At):
    fills: list[Fill] = Field(description="Oldest first.")


class Signal(Answer):
    id: str
    strategy: str
    symbol: str
    direction: int = Field(description="1 long, -1 short, 0 flat.")
    strength: float
    time: Time
    tag: str
    outcome: str | None = Field(description="Its order's id, or the code of its refusal.")


class Signals(_At):
    signals: list[Signal] = Field(description="Oldest first.")


class Position(Answer):
    strategy: str
    symbol: str
    quantity: float = Field(description="Signed: negative is short.")
    average_price: float
    mark: float | None = Field(description="The last eligible price.")
    market_value: float
    unrealised: float
    realised: float
    fees: float
    stale: bool = Field(description="The symbol's data has ended.")


class Positions(_At):
    positions: list[Position]


class Account(_At):
    run: str | None = Field(description="The id of the run's record.")
    currency: str
    initial_cash: float
    cash: float
    equity: float
    gross_exposure: float
    net_exposure: float
    realised: float
    unrealised: float
    fees: float
    open_orders: int
    optimistic: bool = Field(description="Fills may be at prices that nobody could have had.")
    halts: list[str] = Field(description="Codes of limits that keep it from trading now.")
