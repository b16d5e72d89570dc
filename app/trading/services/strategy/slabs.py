"""What strategies get of merged slices: events made in slabs of rows, and columns of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.day_table import Grid
from app.errors import RequestError
from app.model import QUOTE_CODE, TRADE_CODE, Block, Ints, Items, StreamType, Window, pick_items
from app.trading.services.strategy.columns import Bars, Quotes, Store, Trades, interval_minutes
from app.trading.services.strategy.rows import Event, Events, Made, make_events, python_numbers

ROWS = 8_192  # made at a time, whatever windows they come in
_TICKS = {TRADE_CODE: StreamType.TRADE, QUOTE_CODE: StreamType.QUOTE}


class Interest(NamedTuple):
    """Which rows a strategy wants: its symbols, and streams by callback or as slices."""

    local: Ints  # for each symbol of the run its place in the strategy's own, -1 for none
    rows: frozenset[int]  # stream codes of on_bar, on_trade and on_quote
    slices: frozenset[int]  # stream codes of on_slice

    @property
    def has_all_symbols(self) -> bool:
        return bool((self.local >= 0).all())


class SliceView:
    """All items of one T of a strategy's symbols, as columns in delivered order."""

    __slots__ = ("_at", "_slab")

    def __init__(self, slab: LaneSlab, at: int) -> None:
        self._slab, self._at = slab, at

    def bars(self, interval: str | int = 1) -> Bars:
        """Bars released at T, one of the strategy's ``intervals``."""
        code = interval if type(interval) is int else interval_minutes(interval)
        return Bars(*self._slab.span(code, self._at))

    def trades(self) -> Trades:
        return Trades(*self._slab.span(TRADE_CODE, self._at))

    def quotes(self) -> Quotes:
        return Quotes(*self._slab.span(QUOTE_CODE, self._at))


class Choice(NamedTuple):
    """Some rows of a slab; slice i has those from ``edges[i]`` to ``edges[i + 1]`` among them."""

    mask: Any
    edges: Ints

    @property
    def total(self) -> int:
        return int(self.edges[-1])


class RawRows:
    """All rows of consecutive slices, whoever wants them."""

    __slots__ = ("edges", "grid", "items", "stream")

    def __init__(self, items: Items, edges: Ints, grid: Grid) -> None:
        self.items, self.edges, self.grid = items, edges, grid
        self.stream = np.ascontiguousarray(items["stream"])

    def choose(self, interest: Interest, codes: frozenset[int]) -> Choice:
        """The rows of these stream codes and of a strategy's symbols."""
        first, *others = sorted(codes)
        mask = self.stream == first
        for code in others:
            mask |= self.stream == code
        if not interest.has_all_symbols:
            mask &= interest.local[self.items["symbol"]] >= 0
        if mask.all():
            return Choice(mask, self.edges)
        counts = np.zeros(len(mask) + 1, np.int64)
        np.cumsum(mask, out=counts[1:])
        return Choice(mask, counts[self.edges])

    def take(self, mask: Any, count: int) -> Items:
        return self.items if count == len(self.items) else pick_items(self.items, mask)


class LaneSlab:
    """What one strategy gets of a slab; slices count from the slab's first."""

    __slots__ = ("_interest", "_raw", "_spans", "edges", "events", "kinds", "sliced", "times_ns")

    def __init__(self, interest: Interest, raw: RawRows) -> None:
        self._interest, self._raw = interest, raw
        self._spans: dict[int, tuple[Store, list[int]]] = {}
        self.events: Events | list[Event] = []
        self.times_ns: Sequence[int] = ()  # of the events
        self.edges: Sequence[int] = ()  # slice i has events[edges[i]:edges[i + 1]]
        self.kinds: list[int] = []  # of the events; only one where all are of it
        self.sliced: list[bool] = []  # whether on_slice is due

    def take(self, made: Made, edges: Ints) -> None:
        """Its rows; slice i has those from edge i to edge i + 1."""
        self.events, self.times_ns, self.kinds = made
        self.edges = python_numbers(edges)

    def span(self, code: int, at: int) -> tuple[Store, int, int]:
        """Rows of one stream code in one slice."""
        found = self._spans.get(code)
        if found is None:
            found = self._spans[code] = self._make(code)
        store, edges = found
        return store, edges[at], edges[at + 1]

    def sliced_rows(self) -> tuple[Items, list[int]]:
        """All rows of the streams of on_slice; slice i has those from edge i to edge i + 1."""
        mask, edges = self._raw.choose(self._interest, self._interest.slices)
        return self._raw.take(mask, int(edges[-1])), edges.tolist()

    def _make(self, code: int) -> tuple[Store, list[int]]:
        if code not in self._interest.slices:
            raise RequestError(f"a slice has no bars of {code}m: it is none of its intervals")
        raw = self._raw
        mask, edges = raw.choose(self._interest, frozenset((code,)))
        kind = _TICKS.get(code, StreamType.BAR)
        items = raw.take(mask, int(edges[-1]))
        return Store(kind, items, raw.grid, self._interest.local), edges.tolist()


class Slab:
    """The slices ``low`` to ``high`` of a block or window, as all strategies get them.

    ``by_row``: there is one strategy, and it wants no slices.
    """

    def __init__(
        self, source: Block | Window, low: int, interests: Sequence[Interest],
        symbols: Sequence[str], grid: Grid,
    ) -> None:  # fmt: skip
        bounds = source.bounds
        first = int(bounds[low])
        high = int(bounds.searchsorted(first + ROWS, "right")) - 1
        self.source, self.low = source, low
        self.high = min(max(high, low + 1), len(source.times_ns))
        items = source.items[first : int(bounds[self.high])]
        raw = RawRows(items, bounds[low : self.high + 1] - first, grid)
        self.lanes = [LaneSlab(interest, raw) for interest in interests]
        self.times_ns: Sequence[int] = python_numbers(source.times_ns[low : self.high])
        self.by_row = len(interests) == 1 and not interests[0].slices
        if self.by_row:
            choice = raw.choose(interests[0], interests[0].rows)
            made = make_events(raw.take(choice.mask, choice.total), symbols, grid)
            self.lanes[0].take(made, choice.edges)
            return
        busy = np.zeros(self.high - low, bool)
        self._fill_rows(raw, interests, symbols, busy)
        for lane, interest in zip(self.lanes, interests, strict=True):
            if interest.slices:
                sliced = np.diff(raw.choose(interest, interest.slices).edges) > 0
                lane.sliced = sliced.tolist()
                busy |= sliced
        numbers = np.flatnonzero(busy)
        self.busy: list[int] = numbers.tolist()  # slices in which anybody is called
        self.busy_ns: list[int] = source.times_ns[low + numbers].tolist()

    def _fill_rows(
        self, raw: RawRows, interests: Sequence[Interest], symbols: Sequence[str], busy: Any
    ) -> None:
        """Events of the rows that any strategy wants, made once and shared."""
        choices = [raw.choose(i, i.rows) if i.rows else None for i in interests]
        masks = [choice.mask for choice in choices if choice is not None]
        if not masks:
            return
        union = masks[0] if len(masks) == 1 else np.logical_or.reduce(masks)
        count = int(np.count_nonzero(union))
        made = make_events(raw.take(union, count), symbols, raw.grid)
        every = made._replace(events=list(made.events[:]))
        for lane, choice in zip(self.lanes, choices, strict=True):
            if choice is None:
                continue
            mine = every
            if choice.total < count:
                mine = every.pick(np.flatnonzero(choice.mask[union]).tolist())
            lane.take(mine, choice.edges)
            busy |= np.diff(choice.edges) > 0
