"""One order against one bar.

Every rule is written for a buyer; a seller's prices are mirrored (negated, high and low swapped).

- Market: the open.
- Limit: the open where it is not above the limit, else the limit where low < limit. A low that
  only touches the limit counts with ``touch``. An open that equals the limit fills.
- Stop: the worse of open and stop; reached by a touch, for that is the worse for its owner.
- Stop-limit: triggered at the open, its limit works the whole bar. Triggered inside, it fills in
  that bar only where it surely could: all of the bar lies within the limit (at the stop), or the
  close does, which comes after the trigger (at the limit). Else it rests as a limit.
- Trailing stop: as a stop at its level; without a level the open sets it, and only what follows
  can reach it. Levels move after the test (``judge.trailed``).
- ``inside``: the order came to rest within this bar, so its open does not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.trading.orders import OrderType
from app.trading.services.execution.codes import FILLS, Why
from app.trading.services.execution.outcome import MISS, Outcome
from app.trading.services.execution.working import WorkingOrder

# A member found through its class costs a call.
_MARKET = OrderType.MARKET
_LIMIT = OrderType.LIMIT
_STOP_LIMIT = OrderType.STOP_LIMIT
_MARKET_ON_OPEN = OrderType.MARKET_ON_OPEN


def level_from(order: WorkingOrder, price: float) -> float:
    """A trailing stop's level for a best price: ``trail`` above it for a buyer, else below."""
    trail = order.trail or 0.0
    if order.order.trail_in_bps:
        return price * (1 + order.sign * trail / 10_000)
    return price + order.sign * trail


def match_bar(
    order: WorkingOrder, values: Sequence[float], touch: bool, inside: bool = False
) -> Outcome:
    """What a bar (open, high, low, close, ...) does to an order that may fill on it."""
    sign, kind = order.sign, order.type
    if kind is _MARKET:  # for both sides alike
        return Outcome(FILLS, values[0], True, True)
    if sign > 0:
        bar = values[0], values[1], values[2], values[3]
    else:
        bar = -values[0], -values[2], -values[1], -values[3]
    if kind is _LIMIT:
        found = _limit(sign * _term(order.limit), bar, touch)
    elif kind is _STOP_LIMIT:
        limit = sign * _term(order.limit)
        if order.triggered:
            found = _limit(limit, bar, touch)
        else:
            found = _stop_limit(sign * _term(order.stop), limit, bar, touch, inside)
    elif order.is_stop and not order.triggered:
        found = _stop(order, values[0], bar, inside)
    else:
        found = Outcome(FILLS, bar[0], True, kind is not _MARKET_ON_OPEN)
    if sign < 0 and found.why is FILLS:
        return Outcome(found.why, -found.price, found.at_once, found.takes)
    return found


def _limit(limit: float, bar: tuple[float, float, float, float], touch: bool) -> Outcome:
    open_, _, low, _ = bar
    if open_ <= limit:
        return Outcome(FILLS, open_, True)
    if low < limit or (touch and low == limit):
        return Outcome(FILLS, limit)
    return MISS[Why.LIMIT_TOUCHED if low == limit else Why.LIMIT_NOT_REACHED]


def _stop(
    order: WorkingOrder, open_price: float, bar: tuple[float, float, float, float], inside: bool
) -> Outcome:
    open_, high, _, _ = bar
    level = order.stop if order.stop is not None else level_from(order, open_price)
    stop = order.sign * level
    if not inside and open_ >= stop:
        return Outcome(FILLS, open_, True, True)
    return Outcome(FILLS, stop, False, True) if high >= stop else MISS[Why.STOP_NOT_REACHED]


def _stop_limit(
    stop: float, limit: float, bar: tuple[float, float, float, float], touch: bool, inside: bool
) -> Outcome:
    open_, high, _, close = bar
    if not inside and open_ >= stop:
        found = _limit(limit, bar, touch)
        if found.why is not FILLS:
            return _TRIGGERED
        return Outcome(found.why, found.price, found.at_once, takes=found.at_once)
    if high < stop:
        return MISS[Why.STOP_NOT_REACHED]
    if high <= limit:
        return Outcome(FILLS, stop, False, True)
    if close < limit or (touch and close == limit):
        return Outcome(FILLS, limit)
    return _TRIGGERED


_TRIGGERED = MISS[Why.TRIGGERED]


def _term(value: float | None) -> float:
    """A price that admission saw to be there."""
    assert value is not None
    return value
