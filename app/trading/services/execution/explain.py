"""Why an order did or did not fill: its whole price source since it came to rest, judged again.

The rows come from the run's ``MarketReader``, the judgement from the functions that the run uses.
What hangs on other orders (a pool's liquidity, a group's rivals) is seen in what did not happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from app.model import Ints, Items, StreamType, pick_items
from app.trading.adjust import split_ratios
from app.trading.context import RunContext
from app.trading.events import EventBase, FillEvent
from app.trading.orders import Order, OrderType
from app.trading.sections import ExecutionSection
from app.trading.services.execution.codes import SENTENCES, Reason, Reject, Why
from app.trading.services.execution.history import History
from app.trading.services.execution.judge import judge, trailed
from app.trading.services.execution.outcome import Row, Source
from app.trading.services.execution.tape import (
    Records,
    halts_of,
    source_of,
    starts_of,
    usability,
)
from app.trading.services.execution.working import WorkingOrder

_NAMES = {
    Source.BARS: ("open", "high", "low", "close", "volume"),
    Source.TRADES: ("price", "size"),
    Source.QUOTES: ("bid", "bid_size", "ask", "ask_size"),
}
_TICKS = {Source.TRADES: StreamType.TRADE, Source.QUOTES: StreamType.QUOTE}
_NOT_MET = frozenset({Why.BEGAN_BEFORE, Why.WAITS_FOR_CLOSE})


class Explanation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one row of the price source did to an order.

    ``time_ns`` is when the row was known, ``start_ns`` when its data began. ``prices``: the
    row's, by field, with the ``limit`` and ``stop`` that they were compared with; of a fill its
    ``price`` and ``quantity``.
    """

    time_ns: int
    start_ns: int
    source: str
    code: str
    sentence: str
    prices: dict[str, float]


class _Part(NamedTuple):
    """Rows of one day that could meet the order."""

    day: int
    records: Records
    start_ns: Ints
    release_ns: Ints
    usable: list[Why]


def explain(
    order: Order, events: Iterable[EventBase], context: RunContext, section: ExecutionSection,
    now_ns: int, newest: int = 1000,
) -> list[Explanation]:  # fmt: skip
    """Why ``order`` did or did not fill, oldest first, at most the ``newest`` rows.

    ``order`` is as it was approved. ``events``: all that the run published about it, in order
    (OrderUpdateEvent, ModifyApprovedEvent, FillEvent, OrderRejectedEvent); of a bracket's exit
    the fills of its entry as well; those of other orders are passed over. Only rows that
    ``context.market`` still keeps at ``now_ns`` can be judged.
    """
    history = History(order, events, context, section)
    end_ns = now_ns if history.ended_ns is None else min(now_ns, history.ended_ns)
    if history.rested_ns is None:
        why = Why.WAITS_FOR_ENTRY if history.order.is_child else Why.NOT_AT_REST
        return [_explanation(why, end_ns, end_ns, "", {})]
    parts = list(_parts(history, context, end_ns))
    story = _Story(history, section)
    # Of the slice in which it ended, rows may have come after its end.
    alive = sum(int(part.release_ns.searchsorted(end_ns)) for part in parts)
    skip = max(0, alive - newest)
    for part in parts:
        passed = min(skip, len(part.usable))
        story.tell(part, passed)
        skip -= passed
    return story.finished(end_ns)[-newest:]


def _explanation(
    why: Why, time_ns: int, start_ns: int, source: str, prices: dict[str, float]
) -> Explanation:
    return Explanation(
        time_ns=time_ns, start_ns=start_ns, source=str(source), code=why.value,
        sentence=SENTENCES[why], prices=prices,
    )  # fmt: skip


def _parts(history: History, context: RunContext, end_ns: int) -> Iterator[_Part]:
    """The order's price source day by day, while it was at work."""
    symbol, rested_ns = history.order.index, history.rested_ns
    assert rested_ns is not None
    halts = [halt for halt in halts_of(context) if halt[0] == symbol]
    for day in range(context.day_at(rested_ns), context.day_at(end_ns) + 1):
        source = source_of(context, symbol, day)
        if source is None:
            continue
        items = _items(context, symbol, source, day, end_ns)
        items = pick_items(items, items["release_ns"] >= history.meets_from_ns(source))
        ratios = split_ratios(context, day)
        usable = usability(items, source, halts, ratios)
        starts = starts_of(items, source)
        yield _Part(day, Records(source, items), starts, items["release_ns"], usable)


def _items(context: RunContext, symbol: int, source: Source, day: int, end_ns: int) -> Items:
    last_ns = min(end_ns, context.days[day].end_ns)
    if source is not Source.BARS:
        return context.market.ticks(symbol, _TICKS[source], last_ns)
    items = context.market.bars(symbol, 1, last_ns)
    return pick_items(items, starts_of(items, source) >= context.days[day].first_ns)


class _Story:
    """Judges rows in order, with the order as it stood at each."""

    def __init__(self, history: History, section: ExecutionSection) -> None:
        self._history, self._order = history, history.order
        self._touch = section.fill_on_touch
        self._told: list[Explanation] = []

    def tell(self, part: _Part, skip: int) -> None:
        """Judge a day's rows; of the first ``skip`` only what they do to the order counts."""
        self._history.begin_day(part.day)
        for at in range(self._pass(part, skip), len(part.usable)):
            told = self._tell_row(part.records.row(at), part.usable[at])
            if told is not None and at >= skip:
                self._told.append(told)

    def finished(self, end_ns: int) -> list[Explanation]:
        """All that was told, with fills that no row made which can be judged."""
        self._history.advance(end_ns + 1)
        fills = [_of_fill(fill, fill.price_time_ns, {}) for fill in self._history.untaken]
        return sorted(self._told + fills, key=lambda told: told.time_ns)

    def _pass(self, part: _Part, skip: int) -> int:
        """Pass over whole slices of the first ``skip`` rows; how many rows these are.

        A trailing level moves with each row, so none is passed over.
        """
        order, release_ns = self._order, part.release_ns
        first = skip
        if skip < len(release_ns):
            first = int(release_ns.searchsorted(release_ns[skip]))
        if not first or order.type is OrderType.TRAILING_STOP:
            return 0
        last_ns = int(release_ns[first - 1])
        self._history.begin_slice(last_ns)
        self._history.advance(last_ns + 1)
        self._history.untaken.clear()
        order.met |= any(
            why is Why.FILLS and start >= order.from_ns
            for why, start in zip(part.usable[:first], part.start_ns[:first], strict=True)
        )
        return first

    def _tell_row(self, row: Row, usable: Why) -> Explanation | None:
        """What a row did to the order; None where it was not at work any more."""
        order, now_ns = self._order, row.release_ns
        self._history.begin_slice(now_ns)
        if not order.at_work:
            return None
        prices = _prices(order, row)
        fill, why = None, usable
        if usable is Why.FILLS:
            outcome = judge(order, row, self._touch)
            why = outcome.why
        if why is Why.FILLS:
            # The policy prices bars anew, but there is one a time; ticks may be many.
            price = None if row.source is Source.BARS else outcome.price
            fill = self._history.take_fill(now_ns, price)
            why = self._hindrance(now_ns) if fill is None else why
        if usable is Why.FILLS and why not in _NOT_MET:
            self._follow(row, why)
        if fill is not None:
            return _of_fill(fill, row.start_ns, prices)
        return _explanation(why, now_ns, row.start_ns, row.source, prices)

    def _hindrance(self, now_ns: int) -> Why:
        """What kept a row from filling the order, though its prices did not."""
        reason = self._history.take(
            now_ns, Reason.NOTHING_TO_REDUCE, Reason.SIBLING_FILLED, Reason.EXIT_FILLED,
            Reason.TRIGGERED,
        )  # fmt: skip
        if reason == Reason.NOTHING_TO_REDUCE:
            return Why.NOTHING_TO_REDUCE
        if reason in (Reason.SIBLING_FILLED, Reason.EXIT_FILLED):
            return Why.SIBLING_FIRST
        return Why.NO_LIQUIDITY

    def _follow(self, row: Row, why: Why) -> None:
        """The order after a row that it met; a trailing level moves after the test."""
        order, now_ns = self._order, row.release_ns
        order.met = True
        if why is Why.FILLS:
            self._history.take(now_ns, Reason.NOTHING_TO_REDUCE)
        elif why is Why.TRIGGERED:
            self._history.take(now_ns, Reason.TRIGGERED)
        elif why is Why.WOULD_TAKE:
            self._history.take(now_ns, Reject.POST_ONLY_WOULD_TAKE)
        elif order.type is OrderType.TRAILING_STOP and not order.triggered:
            order.stop = round(trailed(order, row), 8)
        if order.at_once:
            self._history.take(now_ns, Reason.NOT_FILLED_AT_ONCE)


def _of_fill(fill: FillEvent, start_ns: int, prices: dict[str, float]) -> Explanation:
    why = Why.PARTLY if "partial" in fill.flags else Why.FILLS
    found = {**prices, "price": fill.price, "quantity": fill.quantity}
    return _explanation(why, fill.ts_event_ns, start_ns, fill.source, found)


def _prices(order: WorkingOrder, row: Row) -> dict[str, float]:
    """What was compared: null sides of a quote are left out."""
    values = dict(zip(_NAMES[row.source], row.values, strict=False))
    terms = {"limit": order.limit, "stop": order.stop}
    return {k: v for k, v in {**values, **terms}.items() if v is not None and v == v}
