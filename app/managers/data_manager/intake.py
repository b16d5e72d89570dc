"""The coordinator's intake: which rows of a stream are taken, and why others are not.

Judged per stream in source order, before the merge, in this order: invalid,
late, duplicate, hours. So nothing depends on batch sizes or on other streams.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from app.catalog.schema import NO_TIME_NS
from app.day_table import AFTER_HOURS, BEFORE_HOURS, IN_BREAK, DayTable
from app.feed.judge import RowJudge
from app.managers.data_manager.discards import REASONS
from app.model import Flag, Floats, Ints, Items, Stream, StreamType, pick_items
from app.times import MINUTE_NS, SECOND_NS

AUCTION_GRACE_NS = 600 * SECOND_NS

_TAKEN = -1
_NO_FATES: Any = np.empty(0, np.int64)
_BY_HOURS = {
    BEFORE_HOURS: REASONS.index("before_hours"),
    IN_BREAK: REASONS.index("in_break"),
    AFTER_HOURS: REASONS.index("after_hours"),
}
_BY_JUDGE = np.array([_TAKEN, *(REASONS.index(r) for r in ("late", "duplicate", "invalid"))])


class Taken(NamedTuple):
    """What an intake made of a batch."""

    items: Items
    sequence: Ints | None
    discarded: Any  # for each row not taken the number of its reason in REASONS
    known_ns: Ints  # and from when on the clock may know of it
    auctions: Items  # closing-auction trades, of any hour
    released_ns: Ints  # of each row not taken its own time


class Intake:
    """Judges one stream. Not thread-safe: one caller at a time."""

    def __init__(self, stream: Stream, symbol: int, table: DayTable, counted_from_ns: int) -> None:
        self._stream = stream
        self._symbol = symbol
        self._table = table
        self._counted_from_ns = counted_from_ns  # rows before it are look-back
        self._judge = RowJudge(stream.type, on_grid=True)
        self._highest_ns = counted_from_ns

    def take(self, items: Items, sequence: Ints | None = None) -> Taken:
        """Judge the next rows in source order. ``items`` becomes the intake's own."""
        release = np.ascontiguousarray(items["release_ns"])
        starts = release - self._stream.interval_min * MINUTE_NS
        columns = np.ascontiguousarray(items["v"].T)  # read often: that is quicker in one piece
        in_order = self._judge.takes_all(release, columns)
        items["symbol"] = self._symbol
        if in_order and self._table.delivers_all(starts, release):
            auctions = self._auctions(items)
            _normalize(items, columns)
            self._highest_ns = int(release.max(initial=self._highest_ns))
            return Taken(items, sequence, _NO_FATES, release[:0], auctions, release[:0])
        fate = self._fate(items, release, starts, in_order)
        taken = fate == _TAKEN
        auctions = self._auctions(items, taken | (fate == REASONS.index("after_hours")))
        kept = items if taken.all() else pick_items(items, taken)
        _normalize(kept, columns)
        counted = ~taken & ((starts >= self._counted_from_ns) | (release == NO_TIME_NS))
        return Taken(
            kept,
            None if sequence is None else sequence[taken],
            fate[counted],
            self._known_from(release, fate)[counted],
            auctions,
            release[counted],
        )

    def _fate(self, items: Items, release: Ints, starts: Ints, in_order: bool) -> Any:
        """For each row _TAKEN, or its reason; marks those after the close."""
        fate = np.full(len(items), _TAKEN) if in_order else _BY_JUDGE[self._judge.judge(items)]
        reasons, post_close = self._table.classify(starts, release)
        if reasons.any():
            for reason, number in _BY_HOURS.items():
                fate[(fate == _TAKEN) & (reasons == reason)] = number
        if post_close.any():
            items["flags"] |= np.where(post_close, np.uint16(Flag.POST_CLOSE), np.uint16(0))
        return fate

    def _known_from(self, release: Ints, fate: Any) -> Ints:
        """When each row's fate is known: at its time, within the day that it is counted for."""
        reached = np.maximum.accumulate(np.append(self._highest_ns, release))[1:]
        if len(reached):
            self._highest_ns = int(reached[-1])
        times = np.where(release == NO_TIME_NS, reached, release)
        after = fate == _BY_HOURS[AFTER_HOURS]
        return self._table.within_day(times, after)

    def _auctions(self, items: Items, judged: Any = True) -> Items:
        if self._stream.type is not StreamType.TRADE:
            return items[:0]
        return pick_items(items, judged & (items["flags"] & Flag.AUCTION_CLOSE != 0))


def _normalize(items: Items, columns: Floats) -> None:
    """No negative zero, and one NaN: the digest hashes these bytes. ``columns`` tell of any."""
    if np.signbit(columns).any() or np.isnan(columns).any():
        values: Any = items["v"]
        values += 0.0
        values[np.isnan(values)] = np.nan
