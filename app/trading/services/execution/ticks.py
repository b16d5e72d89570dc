"""One order against one quote or trade.

``price`` is what the order would trade at: the opposite side of a quote, a trade's price. Every
rule is written for a buyer; a seller's prices are mirrored.

- Market: that price.
- Limit: price <= limit on quotes; price < limit on trades, or <= with ``touch``. The first price
  that the order meets is its market: it takes it, better than its limit or equal. Later it rests,
  and the market that comes to it pays its limit.
- Stop: reached where price >= stop, filled at that price, which is the worse of the two.
- Stop-limit: the price that triggers it fills it where it lies within the limit.
- Trailing stop: as a stop at its level; the first price it meets sets the level.
"""

from __future__ import annotations

from app.trading.orders import OrderType
from app.trading.services.execution.codes import FILLS, Why
from app.trading.services.execution.outcome import MISS, QUOTES, Outcome, Row
from app.trading.services.execution.working import WorkingOrder

# A member found through its class costs a call.
_LIMIT = OrderType.LIMIT
_STOP_LIMIT = OrderType.STOP_LIMIT
_MARKET_ON_OPEN = OrderType.MARKET_ON_OPEN


def tick_price(row: Row, sign: int) -> float:
    """What a buyer (sign 1) or a seller (-1) would trade at."""
    return row.values[2] if row.source is QUOTES and sign > 0 else row.values[0]


def match_tick(order: WorkingOrder, price: float, touch: bool) -> Outcome:
    """What a tick does to an order that may fill on it."""
    kind = order.type
    if kind is _LIMIT or (kind is _STOP_LIMIT and order.triggered):
        return _limit(order, price, touch)
    if order.is_stop and not order.triggered:
        if order.stop is None:
            return MISS[Why.LEVEL_SET]
        if order.sign * price < order.sign * order.stop:
            return MISS[Why.STOP_NOT_REACHED]
        if kind is _STOP_LIMIT:
            within = _limit(order, price, touch).why is FILLS
            return Outcome(FILLS, price, True, True) if within else MISS[Why.TRIGGERED]
    return Outcome(FILLS, price, True, kind is not _MARKET_ON_OPEN)


def _limit(order: WorkingOrder, price: float, touch: bool) -> Outcome:
    assert order.limit is not None
    room = order.sign * (order.limit - price)
    if room > 0 or (touch and room == 0):
        return Outcome(FILLS, order.limit if order.met else price, True)
    return MISS[Why.LIMIT_TOUCHED if room == 0 else Why.LIMIT_NOT_REACHED]
