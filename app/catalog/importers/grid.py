"""The grid that the bars of a source lie on."""

from __future__ import annotations

import numpy as np

from app.errors import CatalogError
from app.model import Ints
from app.times import MINUTE_NS

_LEAST_BARS = 20  # so few may lie on a coarser grid by chance


class MinuteGrid:
    """Finds bars that are not of one minute: all of a symbol's lie on a coarser grid."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}  # first minute, gcd, bars

    def add(self, names: list[str], codes: Ints, ts: Ints) -> None:
        for code in np.unique(codes).tolist():
            minutes = ts[codes == code] // MINUTE_NS
            first, step, bars = self._seen.get(names[code], (int(minutes[0]), 0, 0))
            step = int(np.gcd.reduce(minutes - first, initial=step))
            self._seen[names[code]] = (first, step, bars + len(minutes))

    def check(self) -> None:
        for symbol, (_, step, bars) in sorted(self._seen.items()):
            if bars >= _LEAST_BARS and step > 1:
                raise CatalogError(
                    f"the bars of {symbol} are {step} minutes apart (all {bars} of them); only "
                    "bars of one minute can be imported, longer ones are derived from them"
                )
