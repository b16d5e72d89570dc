"""How an order's terms change while it lives: by a modification, by a split."""

from __future__ import annotations

import math

from app.trading.adjust import shares_after, split_shares
from app.trading.context import Instrument
from app.trading.events import ModifyApprovedEvent
from app.trading.money import money, plus
from app.trading.orders import Role
from app.trading.services.execution.bars import level_from
from app.trading.services.execution.working import WorkingOrder

_BPS = 10_000


def modify(order: WorkingOrder, event: ModifyApprovedEvent) -> bool:
    """Give an order its new terms; whether it lost its place, as it does for all but a smaller
    quantity: it then rests anew, and may fill on data that begins from now on."""
    moved = _set_prices(order, event)
    if event.quantity is not None:
        moved |= event.quantity > order.quantity
        _set_quantity(order, event.quantity)
    return moved


def _set_prices(order: WorkingOrder, event: ModifyApprovedEvent) -> bool:
    if event.limit_price is not None:
        order.limit = event.limit_price
    if event.trail is not None:
        _set_trail(order, event.trail)
    if event.stop_price is not None:
        order.stop = event.stop_price
    return any(term is not None for term in (event.limit_price, event.stop_price, event.trail))


def _set_trail(order: WorkingOrder, trail: float) -> None:
    """Another distance from the best price so far."""
    if order.stop is not None:
        old = order.trail or 0.0
        best = order.stop - order.sign * old
        if order.order.trail_in_bps:
            best = order.stop / (1 + order.sign * old / _BPS)
        order.trail = trail
        order.stop = round(level_from(order, best), 8)
    order.trail = trail


def _set_quantity(order: WorkingOrder, quantity: float) -> None:
    """A new total. Exits that stood for the whole of an entry go on doing so."""
    if order.order.role is Role.ENTRY and order.group is not None:
        for child in order.group.others(order):
            if child.asked == order.quantity:
                child.asked = quantity
                child.quantity = quantity if not order.filled else child.quantity
    order.quantity = order.asked = quantity
    entry = order.group.entry if order.is_child and order.group is not None else None
    if entry is not None and entry.filled:
        order.quantity = min(quantity, entry.filled)


def split(order: WorkingOrder, ratio: float, instrument: Instrument) -> bool:
    """Restate an order after a split; False where no share is left of it.

    Quantities are multiplied; of what is not filled yet only whole shares stay, as in positions.
    Prices are divided; limits are rounded to the tick that is no worse for the order, stops to
    the nearest.
    """
    lot = instrument.lot
    open_quantity = split_shares(order.remaining, ratio, lot)[0]
    order.filled = float(shares_after(money(order.filled), ratio))
    order.asked = split_shares(order.asked, ratio, lot)[0]
    order.quantity = plus(order.filled, open_quantity)
    tick = instrument.tick
    if order.limit is not None:
        order.limit = to_tick(order.limit / ratio, tick, -order.sign)
    if order.stop is not None:
        order.stop = to_tick(order.stop / ratio, 0.0 if order.trail else tick, 0)
    if order.trail is not None and not order.order.trail_in_bps:
        order.trail = round(order.trail / ratio, 8)
    if order.arrival_price is not None:
        order.arrival_price = round(order.arrival_price / ratio, 8)
    return open_quantity > 0


def lot_of(order: WorkingOrder, instrument: Instrument) -> float:
    """The lot that an order keeps to; 0 where it never did (a fraction of a share)."""
    lot = instrument.lot
    if not lot:
        return 0.0
    lots = order.quantity / lot
    return lot if abs(lots - round(lots)) < 1e-9 else 0.0


def to_tick(price: float, tick: float, direction: int) -> float:
    """A price on the tick grid: the nearest (0), the one above (1) or below (-1)."""
    if not tick:
        return round(price, 8)
    ticks = round(price / tick, 6)
    whole = (math.floor, round, math.ceil)[direction + 1](ticks)
    return round(max(1, whole) * tick, 8)
