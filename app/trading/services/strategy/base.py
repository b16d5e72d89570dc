"""What a user's strategy derives from: callbacks, of which only overridden ones cost anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from app.trading.data_events import BarEvent, QuoteEvent, TradeEvent
from app.trading.events import FillEvent, OrderRejectedEvent, OrderUpdateEvent

if TYPE_CHECKING:
    from app.trading.services.strategy.ctx import Context
    from app.trading.services.strategy.slabs import SliceView


class Strategy:
    """Derive from it, declare parameters as ``Param``s, and override what is needed.

    State is the instance. ``__init__`` takes no arguments and already finds the parameters set.
    ``intervals`` names the bars that ``on_bar`` and ``on_slice`` get, in minutes; those beyond 1
    are bars that the run derives. All items of the strategy's symbols come as they are delivered:
    trades, quotes, bars by interval, each by symbol; those between close and end of day are
    marked ``post_close``.
    """

    intervals: ClassVar[tuple[int, ...]] = (1,)

    def on_start(self, ctx: Context) -> None:
        """Once, before warm-up and the first day."""

    def on_day_start(self, ctx: Context) -> None:
        """Before a trading day's first item; splits have taken effect, schedules are armed."""

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        """A bar is complete. With ``bar.is_warmup`` it is from before the start."""

    def on_slice(self, ctx: Context, slice: SliceView) -> None:
        """Once at each T at which a symbol has an item, as columns; after the callbacks by row."""

    def on_trade(self, ctx: Context, trade: TradeEvent) -> None:
        """A trade, at its own time."""

    def on_quote(self, ctx: Context, quote: QuoteEvent) -> None:
        """A quote, at its own time."""

    def on_order(self, ctx: Context, update: OrderUpdateEvent) -> None:
        """An order of this strategy was accepted, works, was cancelled or has expired."""

    def on_fill(self, ctx: Context, fill: FillEvent) -> None:
        """An execution; ``ctx.position`` has it already."""

    def on_reject(self, ctx: Context, rejection: OrderRejectedEvent) -> None:
        """A signal, an order or a change of one was refused: ``code`` and ``reason`` say why."""

    def on_timer(self, ctx: Context, name: str) -> None:
        """The time of a schedule has come; after all items of that time."""

    def on_day_end(self, ctx: Context) -> None:
        """All of a trading day has been delivered."""

    def on_end(self, ctx: Context) -> None:
        """Once, at the end of a run that did not fail; nothing can be ordered any more."""


CALLBACKS: dict[str, int] = {  # how many arguments come after self
    "on_start": 1, "on_day_start": 1, "on_bar": 2, "on_slice": 2, "on_trade": 2, "on_quote": 2,
    "on_order": 2, "on_fill": 2, "on_reject": 2, "on_timer": 2, "on_day_end": 1, "on_end": 1,
}  # fmt: skip


def overridden(strategy: type[Strategy]) -> frozenset[str]:
    """The callbacks that a class has of its own."""
    return frozenset(n for n in CALLBACKS if getattr(strategy, n) is not getattr(Strategy, n))
