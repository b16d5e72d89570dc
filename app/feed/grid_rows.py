"""Rows of several symbols laid out on the days' grid, as columns, for all that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.day_table import Grid
from app.feed.queues import BEFORE_ALL_NS
from app.model import Flag, Floats, Ints, Items, StreamType, empty_items, join_items, pick_items
from app.times import MINUTE_NS

_USED = {StreamType.BAR: 6, StreamType.TRADE: 2}  # of FIELDS, the first so many


class Waiting(NamedTuple):
    """Rows that were laid out before and are to be again."""

    items: Items
    complete_through_ns: int  # as it was then


NONE_WAITING = Waiting(empty_items(), BEFORE_ALL_NS)


class GridRows(NamedTuple):
    """Rows within parts of the days: each symbol's together, rising in time."""

    parts: list[list[Items]]  # by symbol as given, what its rows are
    symbols: Ints  # by symbol as given, its number in the rows
    edges: Ints  # by symbol as given, its first row; and len(of)
    columns: Floats  # (columns used, rows)
    flags: Any
    of: Ints  # of which symbol
    starts_ns: Ints
    part: Ints  # of the grid
    begins: Any  # whether it is the first of its symbol and part
    fresh: Any  # whether it was not laid out before

    def last(self, symbol: int, count: int) -> Items:
        """Copies of a symbol's last rows."""
        parts = self.parts[symbol]
        rows = parts[-1] if len(parts[-1]) >= count else join_items(parts)
        return rows[len(rows) - count :].copy()


def lay_out(
    grid: Grid, source: StreamType, waiting: Sequence[Items], fresh: Sequence[Items]
) -> GridRows:
    """By symbol the rows that waited, and those that came; rows outside of parts are left out."""
    parts = [[items for items in pair if len(items)] for pair in zip(waiting, fresh, strict=True)]
    counts = [len(before) + len(came) for before, came in zip(waiting, fresh, strict=True)]
    used, total = _USED[source], sum(counts)
    columns, starts_ns = np.empty((used, total)), np.empty(total, np.int64)
    flags, is_fresh = np.empty(total, np.uint16), np.ones(total, bool)
    high = 0
    for before, came in zip(waiting, fresh, strict=True):
        is_fresh[high : high + len(before)] = False
        for items in (before, came):
            low, high = high, high + len(items)
            columns[:, low:high] = items["v"][:, :used].T
            starts_ns[low:high] = items["release_ns"]
            flags[low:high] = items["flags"]
    if source is StreamType.BAR:
        starts_ns -= MINUTE_NS
    edges = np.cumsum([0, *counts])
    of = np.repeat(np.arange(len(counts)), counts)
    part, inside = grid.part_of(starts_ns)
    inside &= flags & Flag.POST_CLOSE == 0
    symbols = np.array([int(rows[0]["symbol"][0]) if rows else 0 for rows in parts], np.int64)
    if not inside.all():
        bounds = edges.tolist()
        parts = [
            [pick_items(join_items(rows), inside[low:high])]
            for rows, low, high in zip(parts, bounds[:-1], bounds[1:], strict=True)
        ]
        columns, starts_ns, flags = columns[:, inside], starts_ns[inside], flags[inside]
        of, part, is_fresh = of[inside], part[inside], is_fresh[inside]
        edges = of.searchsorted(np.arange(len(counts) + 1))
    begins = np.ones(len(of), bool)
    begins[1:] = (part[1:] != part[:-1]) | (of[1:] != of[:-1])
    return GridRows(parts, symbols, edges, columns, flags, of, starts_ns, part, begins, is_fresh)
