"""Which rows of one stream are sound and in order, judged in source order.

Judged per stream, before any merge: so nothing depends on batch sizes, on other
streams or on a clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from app.catalog.schema import NO_TIME_NS
from app.feed.soundness import all_sound, invalid_rows
from app.feed.sources import CandleSource
from app.model import Batch, Floats, Ints, Items, Stream, StreamType, pick_items
from app.times import MINUTE_NS

TAKEN, LATE, DUPLICATE, INVALID = range(4)


class RowJudge:
    """Judges the rows of one stream. Not thread-safe: one caller at a time.

    Invalid: see ``invalid_rows``; with ``on_grid`` also a bar off the minute grid, which would
    be known only after the bucket that it belongs to. Late: released below the stream's
    highest release so far. Duplicate: a bar with the release of an earlier one; equal ticks
    are real.
    """

    def __init__(self, kind: StreamType, on_grid: bool = False) -> None:
        self._kind = kind
        self._on_grid = on_grid and kind is StreamType.BAR
        self._latest_ns = NO_TIME_NS

    def takes_all(self, release_ns: Ints, columns: Floats) -> bool:
        """Whether all of the next rows are sound and in order; if not, nothing has happened.

        ``columns`` are their values, one after the other.
        """
        if not len(release_ns):
            return True
        bars = self._kind is StreamType.BAR
        step = release_ns[1:] > release_ns[:-1] if bars else release_ns[1:] >= release_ns[:-1]
        fits = int(release_ns[0]) > self._latest_ns - (not bars) and bool(step.all())
        if not fits or release_ns[0] == NO_TIME_NS or not all_sound(self._kind, columns):
            return False
        if self._on_grid and (release_ns % MINUTE_NS).any():
            return False
        self._latest_ns = int(release_ns[-1])
        return True

    def judge(self, items: Items) -> Any:
        """For each of the next rows TAKEN, or why not."""
        fate = np.full(len(items), TAKEN, np.int8)
        fate[invalid_rows(self._kind, items)] = INVALID
        if self._on_grid:
            fate[items["release_ns"] % MINUTE_NS != 0] = INVALID
        valid = np.flatnonzero(fate == TAKEN)
        if not len(valid):
            return fate
        times = items["release_ns"][valid]
        before = np.maximum.accumulate(np.concatenate(([self._latest_ns], times)))
        fate[valid[times < before[:-1]]] = LATE
        if self._kind is StreamType.BAR:
            fate[valid[times == before[:-1]]] = DUPLICATE
        self._latest_ns = int(before[-1])
        return fate


class JudgedSource:
    """A source less the rows that are not sound or not in order; ``discarded`` counts them."""

    def __init__(self, source: CandleSource) -> None:
        self.stream: Stream = source.stream
        self.sequenced: bool = getattr(source, "sequenced", False)
        self.discarded = {"late": 0, "duplicate": 0, "invalid": 0}
        self._source = source
        self._judge = RowJudge(source.stream.type)

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        batch = await anext(self._source)
        fate = self._judge.judge(batch.items)
        taken = fate == TAKEN
        if taken.all():
            return batch
        for reason, number in (("late", LATE), ("duplicate", DUPLICATE), ("invalid", INVALID)):
            self.discarded[reason] += int(np.count_nonzero(fate == number))
        sequence = None if batch.sequence is None else batch.sequence[taken]
        return batch._replace(items=pick_items(batch.items, taken), sequence=sequence)
