"""Prices known now, without waiting for data: the last eligible one, or the last quote's."""

from __future__ import annotations

import math

from app.model import StreamType, pick_items
from app.trading.context import RunContext
from app.trading.marks import Marks
from app.trading.services.execution.codes import Why
from app.trading.services.execution.fills import Price
from app.trading.services.execution.liquidity import row_size
from app.trading.services.execution.outcome import Row, Source
from app.trading.services.execution.tape import Tapes, usability
from app.trading.services.execution.ticks import tick_price
from app.trading.services.execution.working import WorkingOrder

_NEWEST = 64  # quotes looked at for the last one with two sides


class Known:
    """What an order would trade at now; bounded by the time that is asked for."""

    def __init__(self, context: RunContext, tapes: Tapes, last: Marks) -> None:
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
        if source is None or math.isnan(last):
            return None
        return Price(last, True, source, self._last.time_ns(order.index))

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
