"""How much of a row's volume orders may take: one pool a row, in order of arrival, for all."""

from __future__ import annotations

import math

from app.model import Flag
from app.trading.money import minus
from app.trading.services.execution.outcome import BARS, QUOTES, Row, Source

_AUCTION = Flag.AUCTION_OPEN | Flag.AUCTION_CLOSE


def row_size(row: Row, sign: int) -> float:
    """Shares behind a row: a bar's volume, a trade's size, the size that a quote shows to this
    side; 0 where it is not known."""
    if row.source is BARS:
        size = row.values[4]
    elif row.source is Source.TRADES:
        size = row.values[1]
    else:
        size = row.values[3] if sign > 0 else row.values[1]
    return size if size > 0 else 0.0


class Pools:
    """``participation_pct`` of each row's size; an auction's volume is nobody's."""

    def __init__(self, participation_pct: float) -> None:
        self._part = participation_pct
        self._row: object = None
        self._left: dict[int, float] = {}

    def available(self, row: Row, key: object, sign: int) -> float:
        """What is left of the row that ``key`` names."""
        if key != self._row:
            self._row, self._left = key, {}
        side = sign if row.source is QUOTES else 0
        if side not in self._left:
            auction = row.source is Source.TRADES and row.flags & _AUCTION
            self._left[side] = 0.0 if auction else row_size(row, sign) * self._part
        return self._left[side]

    def take(self, row: Row, key: object, sign: int, wanted: float, lot: float) -> float:
        """The most that an order gets of ``wanted``: all, or whole lots of what is left."""
        left = self.available(row, key, sign)
        taken = wanted if wanted <= left else whole_lots(left, lot)
        self._left[sign if row.source is QUOTES else 0] = minus(left, taken)
        return taken


def whole_lots(quantity: float, lot: float) -> float:
    """Rounded down to a multiple of ``lot``; a lot of 0 cuts at 1e-8."""
    step = lot or 1e-8
    return round(math.floor(quantity / step + 1e-9) * step, 8)
