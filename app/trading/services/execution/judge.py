"""One order against one row of its price source; the same for the run and for explaining it."""

from __future__ import annotations

from app.trading.orders import OrderType
from app.trading.services.execution.bars import level_from, match_bar
from app.trading.services.execution.codes import FILLS, Why
from app.trading.services.execution.outcome import BARS, MISS, QUOTES, Outcome, Row, Source
from app.trading.services.execution.tape import Tape
from app.trading.services.execution.ticks import match_tick, tick_price
from app.trading.services.execution.working import WorkingOrder

_HIGH, _LOW = 1, 2
# A member found through its class costs a call.
_MARKET_ON_CLOSE = OrderType.MARKET_ON_CLOSE
_TRAILING_STOP = OrderType.TRAILING_STOP


def judge(order: WorkingOrder, row: Row, touch: bool) -> Outcome:
    """What a usable row does to an order; changes nothing."""
    if row.start_ns < order.from_ns:
        return MISS[Why.BEGAN_BEFORE]
    if order.type is _MARKET_ON_CLOSE:
        return MISS[Why.WAITS_FOR_CLOSE]
    source = row.source
    if source is BARS:
        inside = order.entered_ns == row.release_ns
        if inside and not order.is_stop:
            return MISS[Why.ENTRY_BAR]
        found = match_bar(order, row.values, touch, inside)
    else:
        found = match_tick(order, tick_price(row, order.sign), touch or source is QUOTES)
    if found.why is FILLS and not order.met:
        if order.order.post_only and found.at_once:
            return MISS[Why.WOULD_TAKE]
        if order.at_once and not found.at_once:
            return MISS[Why.NOT_AT_ONCE]
    return found


def trailed(order: WorkingOrder, row: Row) -> float:
    """A trailing stop's level after the test: it follows the best price of the row.

    Best is the low of a bar for a buyer, the high for a seller; of the bar within which its entry
    filled only the close is sure to come later.
    """
    if row.source is not BARS:
        best = tick_price(row, order.sign)
    elif order.entered_ns == row.release_ns:
        best = row.values[3]
    else:
        best = row.values[_LOW if order.sign > 0 else _HIGH]
    level = level_from(order, best)
    if order.stop is None:
        return level
    return min(order.stop, level) if order.sign > 0 else max(order.stop, level)


def first_row(order: WorkingOrder, tape: Tape, at: int) -> int | None:
    """The first place of a tape from ``at`` on at which an order could do anything.

    Orders that rest at a price are tested by column; all others see the next row.
    """
    if order.type is _MARKET_ON_CLOSE:
        return None
    rests, rising, price = _resting(order, tape.source)
    if not rests:
        at = tape.since(at, order.from_ns)
        return at if at < tape.high else None
    seen = _column(tape.source, order.sign, rising)
    if tape.highest[seen] < price if rising else tape.lowest[seen] > price:
        return None
    at = tape.since(at, order.from_ns)
    if at == tape.high:
        return None
    column = tape.columns[seen][at - tape.low :]
    reached = column >= price if rising else column <= price
    first = int(reached.argmax())
    return at + first if reached[first] else None


def _resting(order: WorkingOrder, source: Source) -> tuple[bool, bool, float]:
    """Whether an order rests at a price, whether it waits for a rise to it, and the price."""
    if order.at_once or order.type is _TRAILING_STOP:
        return False, False, 0.0
    if order.is_stop and not order.triggered:
        assert order.stop is not None
        return True, order.sign > 0, order.stop
    if order.limit is None:
        return False, False, 0.0
    if not order.met and (order.order.post_only or source is not BARS):
        return False, False, 0.0
    return True, order.sign < 0, order.limit


def _column(source: Source, sign: int, rising: bool) -> int:
    if source is BARS:
        return _HIGH if rising else _LOW
    return 2 if source is QUOTES and sign > 0 else 0
