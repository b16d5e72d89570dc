"""The wall clock of a source's rows: which of two equal wall times each one is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from app.catalog.importers.cast import Mask
from app.catalog.importers.localtime import resolve
from app.model import Ints
from app.times import MINUTE_NS


@dataclass
class _Place:
    """Where the rows of one symbol have got to in one file."""

    wall_ns: int
    twofold: bool  # that wall time comes twice
    second: bool = False  # the clock has been put back
    ordered: bool = True  # no step back but that one


class WallClock:
    """Wall times of rows in source order to UTC.

    A wall time that comes twice is taken as its first occurrence, unless the rows
    of its symbol, in order until then, step back by a minute or more within the
    repeated hour: from there on it is the second. (Steps of less are jitter.)
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._places: dict[int, _Place] = {}

    def start_file(self) -> None:
        """Forget the order of the rows so far: a file begins."""
        self._places.clear()

    def to_utc(self, wall_ns: Ints, symbols: Ints, use: Mask) -> tuple[Ints, Mask, Mask, Mask]:
        """UTC, and masks: never shown by the clock, taken as first, taken as second occurrence.

        ``symbols`` numbers each row's symbol; rows outside ``use`` count for nothing.
        """
        found = resolve(wall_ns, self._zone)
        twofold: Mask = (found.second_ns > found.first_ns) & use
        second: Mask = np.zeros(len(wall_ns), bool)
        counted = np.flatnonzero(use & ~found.missing)
        if len(counted):
            order = counted[np.argsort(symbols[counted], kind="stable")]
            cuts = np.flatnonzero(np.diff(symbols[order])) + 1
            for rows in np.split(order, cuts):
                second[rows] = self._walk(int(symbols[rows[0]]), wall_ns[rows], twofold[rows])
        utc = np.where(second, found.second_ns, found.first_ns)
        return utc, found.missing & use, twofold & ~second, second

    def _walk(self, symbol: int, wall_ns: Ints, twofold: Mask) -> Mask:
        """Of one symbol's rows, which are second occurrences; remembers where it got to."""
        place = self._places.setdefault(symbol, _Place(int(wall_ns[0]), bool(twofold[0])))
        back = np.diff(wall_ns, prepend=place.wall_ns) <= -MINUTE_NS
        inside = twofold & np.concatenate(([place.twofold], twofold[:-1]))
        second: Mask = np.zeros(len(wall_ns), bool)
        # Nothing changes but at steps back and where a repeated hour begins.
        edges = [0, *np.flatnonzero(back | (twofold & ~inside)).tolist(), len(wall_ns)]
        for low, high in pairwise(edges):
            if low == high:
                continue
            if not inside[low]:
                place.second = False
                place.ordered = place.ordered and not back[low]
            elif back[low]:
                place.second = place.second or place.ordered
            second[low:high] = place.second
        place.wall_ns, place.twofold = int(wall_ns[-1]), bool(twofold[-1])
        return second & twofold
