"""Answers of the calls about a session's engine, typed."""

from __future__ import annotations

from app.client.answers import Answer, Command, Nanoseconds, _Moment


class _Settled(Answer, frozen=True):
    """One committed view: all that follows from what was released until then is in it."""

    time_ns: Nanoseconds
    epoch: int
    seq: int

    time = _Moment("time_ns")


class Account(_Settled, frozen=True):
    """Money at the prices of now; ``realised`` is before costs."""

    run: str | None
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
    optimistic: bool
    halts: list[str]


class Position(Answer, frozen=True):
    """``quantity`` below 0 is short; ``mark`` is None before the symbol's first price."""

    strategy: str
    symbol: str
    quantity: float
    average_price: float
    mark: float | None
    market_value: float
    unrealised: float
    realised: float
    fees: float
    stale: bool


class Positions(_Settled, frozen=True):
    """By strategy and symbol."""

    positions: list[Position]


class OrderStep(Answer, frozen=True):
    """A state that an order was in."""

    time_ns: Nanoseconds
    state: str
    filled: float
    reason: str

    time = _Moment("time_ns")


class Order(Answer, frozen=True):
    """An order as it stands, with its history, oldest first."""

    id: str
    strategy: str
    symbol: str
    side: str
    type: str
    quantity: float
    filled: float
    average_price: float | None
    state: str
    limit_price: float | None
    stop_price: float | None
    trail: float | None
    trail_in_bps: bool
    tif: str
    reduce_only: bool
    post_only: bool
    role: str
    group: str | None
    parent: str | None
    tag: str
    created_ns: Nanoseconds
    updated_ns: Nanoseconds
    code: str | None
    reason: str
    history: list[OrderStep]

    created = _Moment("created_ns")
    updated = _Moment("updated_ns")

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("filled", "cancelled", "expired", "rejected")


class Orders(_Settled, frozen=True):
    """Oldest first."""

    orders: list[Order]


class OrderAnswer(_Settled, frozen=True):
    """An order and a bracket's exits; ``command`` is there after it was sent or cancelled."""

    order: Order
    exits: list[Order]
    command: Command | None = None


class Reason(Answer, frozen=True):
    """What one slice meant for an order; ``start_ns`` is when its data began."""

    time_ns: Nanoseconds
    start_ns: Nanoseconds
    source: str
    code: str
    reason: str
    prices: dict[str, float]

    time = _Moment("time_ns")
    start = _Moment("start_ns")


class Why(_Settled, frozen=True):
    """Oldest first."""

    order: Order
    slices: list[Reason]


class Fill(Answer, frozen=True):
    """``time_ns`` is when it was known, ``price_time_ns`` when the price was."""

    id: str
    order: str
    strategy: str
    symbol: str
    side: str
    quantity: float
    price: float
    commission: float
    fees: float
    slippage: float
    time_ns: Nanoseconds
    price_time_ns: Nanoseconds
    source: str
    flags: list[str]
    tag: str

    time = _Moment("time_ns")
    price_time = _Moment("price_time_ns")


class Fills(_Settled, frozen=True):
    """Oldest first."""

    fills: list[Fill]


class Signal(Answer, frozen=True):
    """``outcome``: its order's id, or the code of its refusal; None where neither came."""

    id: str
    strategy: str
    symbol: str
    direction: int
    strength: float
    time_ns: Nanoseconds
    tag: str
    outcome: str | None

    time = _Moment("time_ns")


class Signals(_Settled, frozen=True):
    """Oldest first."""

    signals: list[Signal]
