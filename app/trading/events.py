"""Every event of the bus: frozen, with a schema version, and never changed after creation.

``ts_event_ns`` is the T at which an event is known. ``ts_created_ns`` is wall time, and the only
field that differs between two runs of the same input. Market data is not an event of its own
kind per row: it goes by reference, as a run of slices of a window (``data_events``).

``TOPICS`` lists what may be published.
"""

from __future__ import annotations

from time import time_ns
from typing import ClassVar

import msgspec

from app.trading.orders import Order, OrderState, OrderType, Side

MANUAL = "manual"  # the strategy id of orders from outside
FROM_OUTSIDE = "requested_outside"  # the reason of cancels from outside


class EventBase(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="type"):
    """What all events have. ``VERSION`` grows when a field changes its meaning or goes."""

    VERSION: ClassVar[int] = 1

    ts_event_ns: int
    ts_created_ns: int = msgspec.field(default_factory=time_ns)

    @classmethod
    def topic(cls) -> str:
        """Its name in files and in HTTP."""
        return str(cls.__struct_config__.tag)


# -- life of a run -----------------------------------------------------------------------------


class ControlEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="control"):
    """``engine_ready`` before the first event, ``eof`` after the last one."""

    kind: str


class BacktestStartEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="backtest_start"):
    """The run begins."""

    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    seed: int


class BacktestEndEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="backtest_end"):
    """The run is over: ``completed``, ``stopped`` or ``failed`` with its cause."""

    outcome: str
    cause: str | None = None


class DayOpenEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="day_open"):
    """A trading day begins, before its first instant. ``day`` indexes ``RunContext.days``."""

    day: int
    date: str
    open_ns: int
    close_ns: int
    end_ns: int
    half_day: bool


class SessionCloseEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="session_close"):
    """The regular close, after the slice that is released at it."""

    day: int


class DayEndEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="day_end"):
    """All of the day is delivered; the roll comes next."""

    day: int


class CorporateActionEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="corporate_action"):
    """On the ex-date, before its first item. A split of 7:1 has ``ratio`` 7, a cash dividend 0.47
    a share has ``amount`` 0.47."""

    symbol: str
    kind: str  # split or dividend
    ratio: float = 1.0
    amount: float = 0.0


# -- time --------------------------------------------------------------------------------------


class ScheduleEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="schedule"):
    """A wish for a ``TimerEvent`` at ``at_ns``: before the slice of that time, or after it."""

    owner: str
    token: str
    at_ns: int
    before_slice: bool = False


class TimerEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="timer"):
    """The time that ``owner`` asked for has come."""

    owner: str
    token: str


class ValuationTriggerEvent(
    EventBase, frozen=True, gc=False, kw_only=True, tag="valuation_trigger"
):
    """The portfolio publishes its state."""


class RiskEvaluationTriggerEvent(
    EventBase, frozen=True, gc=False, kw_only=True, tag="risk_trigger"
):
    """Risk evaluates all signals and orders that came since the last one, together."""


# -- wishes ------------------------------------------------------------------------------------


class SignalEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="signal"):
    """A view on a symbol, sized by risk: direction 1 long, -1 short, 0 flat; strength (0, 1]."""

    signal_id: str
    strategy_id: str
    symbol: str
    direction: int
    strength: float = 1.0
    tag: str = ""


class OrderRequestEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="order_request"):
    """Orders that are approved or refused as one: a single, a bracket or an OCO group."""

    strategy_id: str
    orders: tuple[Order, ...]


class ModifyRequestEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="modify_request"):
    """New terms of a working order; None leaves one as it is. ``quantity`` is the new total."""

    strategy_id: str
    order_id: str
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    trail: float | None = None


class CancelRequestEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="cancel_request"):
    """A wish to cancel an order; goes to execution without risk's leave."""

    strategy_id: str
    order_id: str
    reason: str = "requested"


# -- what risk and execution say ---------------------------------------------------------------


class OrderApprovedEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="order_approved"):
    """Risk lets these orders rest from now on. ``signal_id`` where risk made them of a signal."""

    orders: tuple[Order, ...]
    signal_id: str | None = None


class ModifyApprovedEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="modify_approved"):
    """Risk lets an order have these terms."""

    strategy_id: str
    order_id: str
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    trail: float | None = None


class OrderRejectedEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="order_rejected"):
    """A refusal by risk or execution: a stable ``code`` and a sentence.

    ``request`` says what was refused: ``order``, ``signal`` (``order_id`` is the signal's id),
    ``modify`` or ``cancel``; an order lives on when its modify or cancel is refused.
    """

    order_id: str
    strategy_id: str
    symbol: str
    code: str
    reason: str
    by: str  # risk or execution
    request: str = "order"


class OrderUpdateEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="order_update"):
    """An order's new state, with its terms as they are now."""

    order_id: str
    strategy_id: str
    symbol: str
    state: OrderState
    quantity: float
    filled: float
    reason: str = ""
    limit_price: float | None = None
    stop_price: float | None = None


class FillEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="fill"):
    """One execution. ``quantity`` is unsigned, ``fee`` and ``commission`` are in currency, rounded
    to its minor unit; ``price_time_ns`` is when the price was, ``arrival_price`` the price known
    when the order came to rest. ``flags``: optimistic, ambiguous, partial."""

    fill_id: str
    order_id: str
    strategy_id: str
    symbol: str
    side: Side
    quantity: float
    price: float
    commission: float
    fees: float
    slippage: float  # currency a share that the model added, adverse is positive
    price_time_ns: int
    arrival_price: float | None
    order_type: OrderType
    source: str  # quotes, trades, bars or official_close
    flags: tuple[str, ...] = ()
    tag: str = ""


# -- accounts ----------------------------------------------------------------------------------


class PositionState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One position of one strategy; ``quantity`` is signed, ``mark`` None before the first."""

    strategy_id: str
    symbol: str
    quantity: float
    average_price: float
    mark: float | None
    market_value: float
    unrealised: float
    realised: float
    fees: float
    stale: bool = False


class PortfolioStateEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="portfolio_state"):
    """The account at T. ``cash`` is exact; what hangs on marks is rounded to 1e-6.

    ``positions`` are those that a fill or a corporate action touched since the last such event,
    closed ones too: an account of hundreds of symbols is not told anew at every T.
    """

    cash: str
    equity: float
    gross_exposure: float
    net_exposure: float
    realised: float
    unrealised: float
    fees: float
    positions: tuple[PositionState, ...]


class CashEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="cash"):
    """Cash that came or went without a fill: dividend, split_fraction, borrow or interest."""

    kind: str
    amount: str
    symbol: str | None = None
    strategy_id: str | None = None
    quantity: float = 0.0


class RoundTripEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="round_trip"):
    """A lot, or part of one, that was closed. ``pnl`` is after all its costs; ``mae`` and ``mfe``
    are the worst and best P&L a share by marks while it was open, and by the exit price."""

    strategy_id: str
    symbol: str
    side: Side
    quantity: float
    entry_ns: int
    entry_price: float
    exit_price: float
    pnl: float
    costs: float
    mae: float | None
    mfe: float | None


class StaleSymbolEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="stale_symbol"):
    """A symbol's data has ended while a position in it is open."""

    symbol: str
    last_ns: int | None


class RiskHaltEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="risk_halt"):
    """A loss limit was broken, or a symbol halted; ``action``: block, cancel or flatten."""

    scope: str
    code: str
    action: str
    reason: str
    active: bool = True


class WarningEvent(EventBase, frozen=True, gc=False, kw_only=True, tag="warning"):
    """Something a user should know: a code and a sentence; counted in the summary."""

    code: str
    text: str
    symbol: str | None = None
    strategy_id: str | None = None


TOPICS: tuple[type[EventBase], ...] = (
    ControlEvent, BacktestStartEvent, BacktestEndEvent, DayOpenEvent, SessionCloseEvent,
    DayEndEvent, CorporateActionEvent, ScheduleEvent, TimerEvent, ValuationTriggerEvent,
    RiskEvaluationTriggerEvent, SignalEvent, OrderRequestEvent, ModifyRequestEvent,
    CancelRequestEvent, OrderApprovedEvent, ModifyApprovedEvent, OrderRejectedEvent,
    OrderUpdateEvent, FillEvent, PortfolioStateEvent, CashEvent, RoundTripEvent,
    StaleSymbolEvent, RiskHaltEvent, WarningEvent,
)  # fmt: skip
