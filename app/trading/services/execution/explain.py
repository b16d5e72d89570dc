"""Why an order did or did not fill: its whole price source since it came to rest, judged again.

The rows come from the run's ``MarketReader``, the judgement from the functions that the run uses.
What hangs on other orders (a pool's liquidity, a group's rivals) is seen in what did not happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from app.model import Items, StreamType, pick_items
from app.trading.adjust import split_ratios
from app.trading.context import RunContext
from app.trading.events import EventBase, FillEvent
from app.trading.orders import Order, OrderType
from app.trading.sections import ExecutionSection, FillPolicy
from app.trading.services.execution.codes import SENTENCES, Reason, Why
from app.trading.services.execution.history import History
from app.trading.services.execution.judge import judge, trailed
from app.trading.services.execution.outcome import Row, Source
from app.trading.services.execution.tape import (
    Tape,
    halts_of,
    make_tape,
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
    tape: Tape
    usable: list[Why]


def explain(
    order: Order, events: Iterable[EventBase], context: RunContext, section: ExecutionSection,
    now_ns: int, newest: int = 1000,
) -> list[Explanation]:  # fmt: skip
    """Why ``order`` did or did not fill, oldest first, at most the ``newest`` rows.

    ``order`` is as it was approved. ``events``: all that the run published about it, in order
    (OrderUpdateEvent, ModifyApprovedEvent, FillEvent); of a bracket's exit the fills of its entry
    as well; those of other orders are passed over. Only rows that ``context.market`` still keeps
    at ``now_ns`` can be judged.
    """
    history = History(order, events, context, section)
    if history.rested_ns is None:
        return [_waiting(history, now_ns)]
    end_ns = now_ns if history.ended_ns is None else min(now_ns, history.ended_ns)
    parts = list(_parts(history, context, end_ns))
    story = _Story(history, section)
    skip = max(0, sum(len(part.usable) for part in parts) - newest)
    for part in parts:
        passed = min(skip, len(part.usable))
        story.tell(part, passed)
        skip -= passed
    return story.finished(end_ns)[-newest:]


def _waiting(history: History, now_ns: int) -> Explanation:
    why = Why.WAITS_FOR_ENTRY if history.order.is_child else Why.NOT_AT_REST
    return _explanation(why, now_ns, now_ns, "", {})


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
    for day in range(context.day_at(rested_ns), context.day_at(end_ns) + 1):
        source = source_of(context, symbol, day)
        if source is None:
            continue
        items = _items(context, symbol, source, day, end_ns)
        items = pick_items(items, items["release_ns"] >= history.meets_from_ns(source))
        ratios = split_ratios(context, day)
        usable = usability(items, source, halts_of(context, symbol), ratios)
        none = np.zeros(len(items), np.int64)
        yield _Part(day, make_tape(source, items, none, none), usable)


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
        self._realistic = section.policy is FillPolicy.REALISTIC
        self._fills = list(history.fills)
        self._told: list[Explanation] = []

    def tell(self, part: _Part, skip: int) -> None:
        """Judge a day's rows; of the first ``skip`` only what they do to the order counts."""
        self._history.begin_day(part.day)
        if skip:
            self._pass(part, skip)
        for at in range(skip, len(part.usable)):
            row = part.tape.row(at)
            self._tell_row(row, self._judge(row, part.usable[at]))

    def finished(self, end_ns: int) -> list[Explanation]:
        """All that was told, with fills that no row of the price source made."""
        for fill in self._fills:
            if fill.ts_event_ns <= end_ns:
                self._tell_fill(fill)
        return sorted(self._told, key=lambda told: told.time_ns)

    def _pass(self, part: _Part, count: int) -> None:
        order, tape = self._order, part.tape
        if order.type is OrderType.TRAILING_STOP:
            for at in range(count):
                self._judge(tape.row(at), part.usable[at])
        last_ns = tape.row(count - 1).release_ns
        self._history.advance(last_ns)
        order.met |= any(
            why is Why.FILLS and start_ns >= order.from_ns
            for why, start_ns in zip(part.usable[:count], tape.start_ns[:count], strict=True)
        )
        self._fills = [f for f in self._fills if f.ts_event_ns > last_ns]

    def _judge(self, row: Row, usable: Why) -> tuple[Why, dict[str, float]]:
        """What a row did by its own prices, and those; a trailing level moves after the test."""
        order = self._order
        self._history.advance(row.release_ns)
        prices = _prices(order, row)
        if not order.at_work:
            return Why.NOT_AT_REST, prices
        if usable is not Why.FILLS:
            return usable, prices
        why = judge(order, row, self._touch).why
        if why not in _NOT_MET:
            order.met = True
            if order.type is OrderType.TRAILING_STOP and not order.triggered:
                order.stop = round(trailed(order, row), 8)
        return why, prices

    def _tell_row(self, row: Row, judged: tuple[Why, dict[str, float]]) -> None:
        why, prices = judged
        if why is Why.FILLS:
            made = [f for f in self._fills if f.ts_event_ns == row.release_ns]
            if made:
                self._fills.remove(made[0])
                self._tell_fill(made[0], row, prices)
                return
            why = self._hindrance(row.release_ns)
        self._told.append(_explanation(why, row.release_ns, row.start_ns, row.source, prices))

    def _hindrance(self, time_ns: int) -> Why:
        """What kept a row from filling the order, though its prices did not."""
        reasons = {e.reason for e in self._history.updates if e.ts_event_ns == time_ns}
        if Reason.NOTHING_TO_REDUCE in reasons:
            return Why.NOTHING_TO_REDUCE
        if Reason.SIBLING_FILLED in reasons or not self._realistic:
            return Why.SIBLING_FIRST
        return Why.NO_LIQUIDITY

    def _tell_fill(
        self, fill: FillEvent, row: Row | None = None, prices: dict[str, float] | None = None
    ) -> None:
        why = Why.PARTLY if "partial" in fill.flags else Why.FILLS
        start_ns = fill.price_time_ns if row is None else row.start_ns
        found = {**(prices or {}), "price": fill.price, "quantity": fill.quantity}
        self._told.append(_explanation(why, fill.ts_event_ns, start_ns, fill.source, found))


def _prices(order: WorkingOrder, row: Row) -> dict[str, float]:
    """What was compared: null sides of a quote are left out."""
    values = dict(zip(_NAMES[row.source], row.values, strict=False))
    terms = {"limit": order.limit, "stop": order.stop}
    return {k: v for k, v in {**values, **terms}.items() if v is not None and v == v}
