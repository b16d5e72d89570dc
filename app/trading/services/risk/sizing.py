"""What a signal wants: a target, and the order that leads there.

The order is the target less the strategy's position less its open orders of that side, so a
signal that is repeated adds nothing. It never reduces a position of its own direction. Against
the position held, or flat, it closes: all other open orders of the strategy in the symbol are
cancelled, but market orders that close already. Entries against its direction are cancelled.
"""

from __future__ import annotations

import msgspec

from app.trading.money import minus, plus
from app.trading.sections import SizingMethod, SizingSection
from app.trading.services.risk.line import Line, OpenOrder, left_of
from app.trading.services.risk.terms import round_down


class Plan(msgspec.Struct, frozen=True, gc=False):
    """``quantity`` to buy (sign 1) or sell (-1), of which ``closing`` closes; then what is to be
    cancelled."""

    sign: int
    quantity: float
    closing: float
    cancels: tuple[OpenOrder, ...]


def target(section: SizingSection, part: float, equity: float, mark: float, lot: float) -> float:
    """Shares to hold, unsigned, in whole lots, rounded down: ``part`` (strength, and the budget)
    of a fraction of equity, or of a fixed quantity."""
    quantity = section.value * part
    if section.method is SizingMethod.FRACTION_OF_EQUITY:
        quantity *= equity / mark
    return max(0.0, round_down(quantity, lot))


def plan(line: Line, direction: int, shares: float, lot: float) -> Plan:
    """From where the line is to ``shares`` in ``direction``; flat for direction 0."""
    held = line.position
    if direction == 0 or held * direction < 0:
        return _close(line, direction, shares)
    if not (held or line.orders):
        return Plan(direction, shares, 0.0, ())
    open_quantity = plus(abs(held), line.reserved(direction).quantity)
    quantity = max(0.0, round_down(minus(shares, open_quantity), lot))
    against = [o for o in line.orders.values() if o.entry and o.order.side.sign == -direction]
    return Plan(direction, quantity, 0.0, _cancellable(line, against))


def _close(line: Line, direction: int, shares: float) -> Plan:
    """Out of the position, and ``shares`` beyond it; market orders that lead there go on."""
    held = line.position
    sign = -1 if held > 0 else 1
    if not line.orders:
        return Plan(sign, plus(abs(held), shares), abs(held), ())
    kept = line.working_market(sign, entries=direction != 0) if held else []
    at_work = left_of(kept)
    others = [o for o in line.orders.values() if o not in kept]
    return Plan(
        sign,
        max(0.0, minus(plus(abs(held), shares), at_work)),
        max(0.0, minus(abs(held), at_work)),
        _cancellable(line, others),
    )


def _cancellable(line: Line, orders: list[OpenOrder]) -> tuple[OpenOrder, ...]:
    """Without those that leave anyway: told already, or with a parent that never filled."""
    return tuple(o for o in orders if not o.leaving and not _waits(line, o))


def _waits(line: Line, one: OpenOrder) -> bool:
    parent = line.orders.get(one.order.parent_id or "")
    return parent is not None and parent.filled == 0
