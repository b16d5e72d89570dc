"""The terms of one entry in its instrument: lot, sizes, notional, price band, short or not.

An instrument's terms come before the section's. What the section allows and the instrument does
not is not allowed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from app.trading.context import RunContext
from app.trading.orders import Order, OrderType
from app.trading.sections import RiskSection
from app.trading.services.risk.codes import Code, Refusal, above, cash, number, percent
from app.trading.services.risk.line import reserve_price

_OFF = 1e-6  # of a tick or lot: more than floats err


class Terms(NamedTuple):
    """What holds for the orders of one symbol; 0 or None checks nothing."""

    tick: float
    lot: float
    min_quantity: float
    max_quantity: float | None
    min_notional: float
    band_pct: float | None
    shortable: bool


def terms_of(symbol: str, section: RiskSection, context: RunContext) -> Terms:
    checks, instrument = section.orders, context.instruments.get(symbol)
    allowed = section.shortable
    shortable = allowed == "all" or (allowed != "none" and symbol in allowed)
    if instrument is None:
        return Terms(
            checks.tick, checks.lot, checks.min_quantity, checks.max_quantity,
            checks.min_notional, checks.price_band_pct, shortable,
        )  # fmt: skip
    return Terms(
        instrument.tick, instrument.lot, instrument.min_quantity or checks.min_quantity,
        instrument.max_quantity or checks.max_quantity,
        instrument.min_notional or checks.min_notional, checks.price_band_pct,
        shortable and instrument.shortable,
    )  # fmt: skip


def is_multiple(value: float, unit: float) -> bool:
    """Whether a price lies on its tick, or a quantity on its lot; a unit of 0 takes any."""
    if unit <= 0:
        return True
    steps = value / unit
    return abs(steps - round(steps)) <= _OFF


def round_down(quantity: float, lot: float) -> float:
    """To whole lots, towards zero; to 1e-8 where there is no lot."""
    unit = lot if lot > 0 else 1e-8
    found = math.floor(quantity / unit + _OFF) * unit
    return found if found % 1 == 0 else round(found, 8)  # whole numbers are round, and often come


def check_terms(order: Order, opening: float, mark: float, terms: Terms) -> Refusal | None:
    """An order of which ``opening`` opens a position; its closing part is free.

    A lot is kept by the whole order or by what it opens; the smallest size holds for the whole,
    the largest and the notional for what it opens.
    """
    if math.isnan(mark):
        text = "no bar or trade has come yet, so it has no price; wait for the first"
        return Refusal(Code.NO_PRICE, f"{order.symbol}: {text}")
    refusal = _quantity(order, opening, terms)
    if refusal is None and terms.min_notional > 0:
        refusal = _notional(order, opening, mark, terms)
    if refusal is None and terms.band_pct is not None and order.limit_price is not None:
        refusal = _band(order, mark, terms.band_pct, order.limit_price)
    return refusal


def _quantity(order: Order, opening: float, terms: Terms) -> Refusal | None:
    lot, least, most = terms.lot, terms.min_quantity, terms.max_quantity
    if not is_multiple(opening, lot) and not is_multiple(order.quantity, lot):
        came = f"quantity {number(order.quantity)} came"
        return Refusal(Code.LOT, f"{came}; allowed: multiples of the lot {number(lot)}")
    if least and above(least, order.quantity):
        came = f"quantity {number(order.quantity)} came"
        return Refusal(Code.MIN_QUANTITY, f"{came}; allowed: at least {number(least)}")
    if most is not None and above(opening, most):
        came = f"it opens {number(opening)}"
        return Refusal(Code.MAX_QUANTITY, f"{came}; allowed: at most {number(most)} an order")
    return None


def _notional(order: Order, opening: float, mark: float, terms: Terms) -> Refusal | None:
    notional = opening * reserve_price(order, mark)
    if not above(terms.min_notional, notional):
        return None
    text = f"its notional is {cash(notional)}; allowed: at least {cash(terms.min_notional)}"
    return Refusal(Code.MIN_NOTIONAL, text)


def _band(order: Order, mark: float, band: float, limit: float) -> Refusal | None:
    """A limit is compared with the last price, that of a stop-limit with its stop."""
    base = order.stop_price if order.type is OrderType.STOP_LIMIT else mark
    assert base is not None
    sign = order.side.sign
    edge = base * (1 + sign * band)
    if not above(sign * limit, sign * edge):
        return None
    what = "its stop" if order.type is OrderType.STOP_LIMIT else "the last price"
    word = "above" if sign > 0 else "below"
    text = (
        f"its limit {number(limit)} is more than {percent(band)} {word} {what} {number(base)}; "
        f"allowed: {number(edge)} or {'less' if sign > 0 else 'more'}"
    )
    return Refusal(Code.PRICE_BAND, text)
