"""Prices known now, without waiting for data: the last eligible one, or the last quote's."""

from __future__ import annotations

from app.model import Floats, Ints, StreamType, Window, pick_items
from app.trading.adjust import split_ratios
from app.trading.context import RunContext
from app.trading.events import MarketEvent
from app.trading.marks import Marks, Prices, eligible_prices
from app.trading.services.execution.codes import Why
from app.trading.services.execution.fills import Price
from app.trading.services.execution.liquidity import row_size
from app.trading.services.execution.outcome import Row, Source
from app.trading.services.execution.tape import Tapes, usability
from app.trading.services.execution.ticks import tick_price
from app.trading.services.execution.working import WorkingOrder

_NEWEST = 64  # quotes looked at for the last one with two sides
_MOST_NOTED = 200_000  # items of windows that are held until their marks are worked out


class LastPrices:
    """The last eligible price of each symbol, as ``Marks`` has it, quick to ask at every slice."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._marks = Marks(len(context.symbols))
        self._window: Window | None = None
        self._low = self._high = self._held = 0
        self._eligible: Prices | None = None
        self._of_symbol: dict[int, tuple[Ints, Floats]] = {}

    def note(self, event: MarketEvent) -> None:
        """These slices have been delivered."""
        if event.window is not self._window:
            self._leave()
            self._window, self._low = event.window, event.low
        self._high = event.high

    def split(self, symbol: int, ratio: float) -> None:
        """A split takes effect, before its day's first window."""
        self._leave()
        self._marks.split(symbol, ratio)

    def price(self, symbol: int) -> tuple[float, int] | None:
        """A symbol's last price and its release time; None before the first."""
        window = self._window
        if window is not None:
            rows, prices = self._rows(window, symbol)
            at = int(rows.searchsorted(window.bounds[self._high])) - 1
            if at >= 0 and rows[at] >= window.bounds[self._low]:
                return float(prices[at]), int(window.items["release_ns"][rows[at]])
        price = self._marks.price(symbol)
        return None if price != price else (price, self._marks.time_ns(symbol))

    def _rows(self, window: Window, symbol: int) -> tuple[Ints, Floats]:
        """A symbol's eligible rows of the window, and their prices."""
        found = self._of_symbol.get(symbol)
        if found is None:
            if self._eligible is None:
                ratios = split_ratios(self._context, window.day)
                self._eligible = eligible_prices(window, ratios)
            mine = self._eligible.symbol == symbol
            found = self._eligible.row[mine], self._eligible.price[mine]
            self._of_symbol[symbol] = found
        return found

    def _leave(self) -> None:
        """The window is over; its last prices become marks, sooner or later."""
        window = self._window
        if window is None:
            return
        self._window, self._eligible = None, None
        self._of_symbol.clear()
        self._marks.note(MarketEvent(window, self._low, self._high))
        self._held += len(window.items)
        if self._held > _MOST_NOTED:
            self._marks.price(0)
            self._held = 0


class Known:
    """What an order would trade at now; bounded by the time that is asked for."""

    def __init__(self, context: RunContext, tapes: Tapes, last: LastPrices) -> None:
        self._market, self._tapes, self._last = context.market, tapes, last

    def price(self, order: WorkingOrder, now_ns: int) -> Price | None:
        """A quote's opposite side, else the last price; None where there is neither."""
        source = self._tapes.source(order.index)
        if source is Source.QUOTES:
            row = self._quote(order.index, now_ns)
            if row is not None:
                spread = row.values[2] - row.values[0]
                size = row_size(row, order.sign)
                price = tick_price(row, order.sign)
                return Price(price, True, source, row.start_ns, size, spread)
        last = self._last.price(order.index)
        if source is None or last is None:
            return None
        return Price(last[0], True, source, last[1])

    def _quote(self, symbol: int, now_ns: int) -> Row | None:
        items = self._market.ticks(symbol, StreamType.QUOTE, now_ns)
        items = pick_items(items, slice(max(0, len(items) - _NEWEST), None))
        usable = usability(items, Source.QUOTES)
        for at in range(len(items) - 1, -1, -1):
            if usable[at] is Why.FILLS:
                time_ns = int(items["release_ns"][at])
                values = tuple(items["v"][at].tolist())
                return Row(Source.QUOTES, time_ns, time_ns, values, int(items["flags"][at]))
        return None
