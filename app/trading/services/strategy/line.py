"""What crosses the line between a run and a strategy that plays elsewhere, and in which order.

The run asks in turns. The client answers each with an ``Ack`` that holds what it wishes; before
it may ``Read`` recorded data, bounded by the turn's own time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from app.errors import TapedeckError
from app.model import Items
from app.trading.context import Close, RunContext
from app.trading.events import (
    FillEvent,
    OrderRejectedEvent,
    OrderUpdateEvent,
)
from app.trading.orders import Order, OrderState
from app.trading.sections import StrategySection

WISHES = (
    "signal", "order", "oco", "target_position", "cancel", "cancel_all", "modify", "schedule",
    "every",
)  # fmt: skip
EVER_NS = 2**63 - 1


class LineError(TapedeckError):
    """A client that holds the barrier is late or gone, and its policy is to fail."""


class EmptyPlaceError(LineError):
    """No client came for a strategy that plays elsewhere."""


# -- to the client ---------------------------------------------------------------------------------


class Take(msgspec.Struct, frozen=True, tag="order", tag_field="what"):
    """An order of the strategy: sent just now, approved, or changed by risk."""

    order: Order
    state: OrderState


class Update(msgspec.Struct, frozen=True, tag="update", tag_field="what"):
    """An order has a new state or new terms."""

    event: OrderUpdateEvent


class Fill(msgspec.Struct, frozen=True, tag="fill", tag_field="what"):
    """An execution."""

    event: FillEvent


class Reject(msgspec.Struct, frozen=True, tag="reject", tag_field="what"):
    """A wish was refused."""

    event: OrderRejectedEvent


class Split(msgspec.Struct, frozen=True, tag="split", tag_field="what"):
    """So many new shares for one, of positions and open orders in a symbol."""

    symbol: str
    ratio: float
    lot: float


News = Take | Update | Fill | Reject | Split
Told = OrderUpdateEvent | OrderRejectedEvent | FillEvent


class Turn(NamedTuple):
    """One question: what has come since the last one, and the callback that is due.

    ``slices`` are rows by release time, the newest last.
    """

    call: str
    time_ns: int
    day: int
    news: list[News]
    event: Told | None = None  # of on_order, on_reject and on_fill
    token: str = ""  # of on_timer
    slices: tuple[tuple[int, Items], ...] = ()


class Opening(NamedTuple):
    """An execution begins: the client starts afresh."""

    run: RunContext
    section: StrategySection
    start_ns: int
    day: int


# -- from the client -------------------------------------------------------------------------------


class Terms(msgspec.Struct, frozen=True):
    """What a client says of itself as it takes its place: the callbacks that it must be asked in,
    and the stream codes whose rows it gets, each slice of them in a turn."""

    calls: frozenset[str]
    codes: frozenset[int]


class Ack(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
    tag="ack", tag_field="action",
):  # fmt: skip
    """A turn is done with. ``wishes`` are calls of ``ctx``: a name and its arguments.

    Slices released before ``until`` (ns) need no turn: they come with the next one. ``ignored``
    counts what was ordered in a warm-up.
    """

    turn: int
    # mypy knows no Literal of a tuple; msgspec does.
    wishes: tuple[tuple[Literal[WISHES], dict[str, Any]], ...] = ()  # type: ignore[valid-type]
    until: int = 0
    ignored: int = 0


class Read(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
    tag="read", tag_field="action",
):  # fmt: skip
    """A question about recorded data, within a turn. Symbols are numbers of the run's."""

    id: int
    what: Literal["bars", "trades", "quotes", "history", "history_days", "official_close"]
    symbol: int
    interval_min: int = 0
    after_ns: int = 0  # bars and ticks: those released later
    before_ns: int = EVER_NS
    count: int = 0
    day: int = 0


class Found(NamedTuple):
    """``total`` rows are there, of which ``items`` were asked for; or a close."""

    items: Items | None = None
    total: int = 0
    close: Close | None = None


class Lost(NamedTuple):
    """The client is gone for good; the run goes on without it."""

    reason: str


class Desk(Protocol):
    """The run's side of a turn, on the thread that trades."""

    def play(self, ack: Ack) -> None:
        """Do what is wished; RequestError says which wish cannot be, those before it stand."""

    def read(self, read: Read) -> Found:
        """RequestError where it cannot be answered."""


class Line(Protocol):
    """The way to one client; all of it blocks until that has answered, or its policy says."""

    def open(self, opening: Opening) -> Terms:
        """Wait until somebody has taken the place, and begin."""

    def ask(self, turn: Turn, desk: Desk) -> Ack | Lost:
        """The answer to a turn, its wishes played."""

    def tell_end(self) -> None:
        """The run is over; nothing is awaited."""


Lines = Mapping[str, Line]  # by strategy
