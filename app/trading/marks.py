"""The last eligible price of each symbol, from the market data that a service was sent.

Eligible are trades that may set the last price and 1m bars, within the delivered hours: never
``post_close``, never a bar that spans a split of its day, nor a late print from before it. A note
costs next to nothing; prices are worked out when one is asked for, or when the next window begins.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from app.model import TRADE_CODE, Block, Flag, Floats, Ints, Items, Window
from app.trading.adjust import late_prints, spans_split
from app.trading.data_events import MarketEvent

_LAST, _POST_CLOSE = int(Flag.LAST), int(Flag.POST_CLOSE)  # numpy takes long over an enum's
_ROWS = 8_192  # of a block that are looked at together, whatever windows they come in
_FEW = 4  # rows; one by one is faster up to about here


class Prices(NamedTuple):
    """The eligible rows of one window, in delivered order."""

    window: Window
    release_ns: Ints
    symbol: Ints
    price: Floats
    edges: Ints  # slice i of the window has the rows edges[i] to edges[i + 1]


def eligible_prices(
    window: Window, ratios: Mapping[int, float] | None = None,
    old: Mapping[int, float] | None = None,
) -> Prices:  # fmt: skip
    """Rows of a window that may mark a position, with their symbols and prices.

    ``ratios``: the splits of the window's day by symbol index; bars that span one are left out.
    ``old``: marks of the shares before them; late prints of such shares are left out too.
    """
    return Prices(window, *_eligible(window.items, window.bounds, ratios, old))


def _eligible(
    items: Items, bounds: Ints, ratios: Mapping[int, float] | None = None,
    old: Mapping[int, float] | None = None,
) -> tuple[Ints, Ints, Floats, Ints]:  # fmt: skip
    stream, flags = np.ascontiguousarray(items["stream"]), np.ascontiguousarray(items["flags"])
    fits = stream == 1
    only_bars = fits.all()
    if not only_bars:
        fits |= (stream == TRADE_CODE) & (flags & _LAST != 0)
    fits &= flags & _POST_CLOSE == 0
    if ratios:
        fits &= ~spans_split(items, ratios)
    row = fits.nonzero()[0]
    values: Any = items["v"]
    price = values[:, 3 if only_bars else 0][row]
    if not only_bars:
        bars = (stream[row] == 1).nonzero()[0]
        if len(bars):
            price[bars] = values[row[bars], 3]
    if ratios and old:
        on_time = ~late_prints(items["symbol"][row], price, ratios, old)
        row, price = row[on_time], price[on_time]
    edges = row.searchsorted(bounds) if len(row) < len(items) else bounds
    return items["release_ns"][row], items["symbol"][row].astype(np.int64), price, edges


class _Ahead(NamedTuple):
    """The eligible rows of the slices ``low`` to ``high`` of a block, on days without splits."""

    block: Block
    low: int
    high: int
    release_ns: Ints
    symbol: Ints
    price: Floats
    edges: Ints

    def of(self, window: Window) -> Prices:
        """Those of a window that lies in it."""
        at = window.at - self.low
        edges = self.edges[at : at + len(window.times_ns) + 1]
        first, last = edges.item(0), edges.item(-1)
        return Prices(
            window, self.release_ns[first:last], self.symbol[first:last], self.price[first:last],
            edges - first,
        )  # fmt: skip


def _look_ahead(block: Block, low: int, high: int) -> _Ahead:
    """From slice ``low`` on, up to ``high`` and on to ``_ROWS`` rows, where the block has them."""
    bounds = block.bounds
    first = bounds.item(low)
    high = max(high, int(bounds.searchsorted(first + _ROWS, "right")) - 1)
    items, edges = block.items[first : bounds.item(high)], bounds[low : high + 1] - first
    return _Ahead(block, low, high, *_eligible(items, edges))


class _Newest(threading.local):
    """The newest window's prices of each thread: the services of a run are sent the same ones."""

    prices: Prices | None = None
    ahead: _Ahead | None = None


_newest = _Newest()


def _shared_prices(window: Window) -> Prices:
    """As ``eligible_prices`` on a day without splits, worked out once, and for many windows of a
    block at a time."""
    known = _newest.prices
    if known is not None and known.window is window:
        return known
    if window.block is None:
        found = eligible_prices(window)
    else:
        found = _known_ahead(window, window.block).of(window)
    _newest.prices = found
    return found


def _known_ahead(window: Window, block: Block) -> _Ahead:
    ahead, low, high = _newest.ahead, window.at, window.at + len(window.times_ns)
    if ahead is None or ahead.block is not block or low < ahead.low or high > ahead.high:
        ahead = _newest.ahead = _look_ahead(block, low, high)
    return ahead


class Marks:
    """One price a symbol, NaN before its first."""

    def __init__(self, symbols: int) -> None:
        self._prices = np.full(symbols, np.nan)
        self._times_ns = np.zeros(symbols, np.int64)
        self._known: Prices | None = None
        self._window: Window | None = None  # noted and not worked out: slices low to high of it
        self._low = self._high = 0
        self._ratios: dict[int, float] = {}  # splits of the newest day that has any
        self._old: dict[int, float] = {}  # the marks before them, by symbol
        self._split_day: int | None = None  # None until that day's first window

    def note(self, event: MarketEvent) -> None:
        """These slices have been delivered."""
        if event.window is self._window and event.low == self._high:
            self._high = event.high
            return
        if self._low != self._high:
            self._work()
        self._window, self._low, self._high = event.window, event.low, event.high

    @property
    def prices(self) -> Floats:
        """All prices as they are now; not to be written to."""
        if self._low != self._high:
            self._work()
        return self._prices

    def price(self, symbol: int) -> float:
        if self._low != self._high:
            self._work()
        found: float = self._prices.item(symbol)
        return found

    def has(self, symbol: int) -> bool:
        """Whether a row has set its price, not a caller."""
        return self._times_ns.item(symbol) > 0 or self.time_ns(symbol) > 0

    def time_ns(self, symbol: int) -> int:
        """Release of the row that set the price; 0 before the first."""
        if self._low != self._high:
            self._work()
        return self._times_ns.item(symbol)

    def set(self, symbol: int, price: float) -> None:
        """A price from elsewhere, until the next eligible one."""
        self.prices[symbol] = price

    def split(self, symbol: int, ratio: float) -> None:
        """A split takes effect: the price is divided; spanning bars and late prints do not mark.

        Called when its day opens, before the day's first window.
        """
        if self._split_day is not None:
            self._ratios, self._old, self._split_day = {}, {}, None
        self._old.setdefault(symbol, self.price(symbol))
        self.prices[symbol] /= ratio
        self._ratios[symbol] = self._ratios.get(symbol, 1.0) * ratio

    def eligible(self, window: Window) -> Prices:
        """The eligible rows of a window; not to be written to, others have them too."""
        known = self._known
        if known is None or known.window is not window:
            splits = self._ratios_on(window.day)
            known = eligible_prices(window, splits, self._old) if splits else _shared_prices(window)
            self._known = known
        return known

    def _ratios_on(self, day: int) -> Mapping[int, float] | None:
        """The splits of a window's day: those told since the day before."""
        if not self._ratios:
            return None
        if self._split_day is None:
            self._split_day = day
        return self._ratios if day == self._split_day else None

    def _work(self) -> None:
        window, low, high = self._window, self._low, self._high
        assert window is not None  # there are slices
        self._low = high
        known = self._known
        if known is None or known.window is not window:
            known = self.eligible(window)
        first, last = known.edges.item(low), known.edges.item(high)
        if len(self._prices) == 1 and first < last:
            first = last - 1  # no row before the last one counts
        if last - first > _FEW:
            symbols = known.symbol[first:last]
            self._prices[symbols] = known.price[first:last]
            self._times_ns[symbols] = known.release_ns[first:last]
            return
        for row in range(first, last):
            symbol = known.symbol.item(row)
            self._prices[symbol] = known.price.item(row)
            self._times_ns[symbol] = known.release_ns.item(row)
