"""Windows cut, joined and kept: what the stream sends on, resumes from and conflates."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator

import numpy as np

from app.api.frames import Run, Selection
from app.model import Ints, Items, Window, empty_items, join_items, pick_items

PIECE_ROWS = 4096  # encoded at one go: a few milliseconds, and below 1 MiB, what clients take
_CODES = 1 << 16  # that a row's ``stream`` can be


def run_of(window: Window) -> Run:
    """The window as the encoder takes it."""
    seqs = np.arange(window.first_seq, window.last_seq + 1)
    return Run(window.epoch, seqs, window.times_ns, window.items, window.slice_of_rows())


def pieces(window: Window, rows: int = PIECE_ROWS) -> Iterator[Window]:
    """The window in parts of at most ``rows`` rows; a slice is never split."""
    bounds, slices = window.bounds, len(window.times_ns)
    if bounds[-1] <= rows:
        yield window
        return
    first = 0
    while first < slices:
        # numpy's own search gives the interpreter lock away
        last = bisect_right(bounds, int(bounds[first]) + rows, first) - 1
        last = max(last, first + 1)
        yield window.part(first, last)
        first = last


def join(windows: list[Window]) -> Window:
    """Consecutive windows of one epoch as one."""
    if len(windows) == 1:
        return windows[0]
    offsets = np.cumsum([0, *(len(w.items) for w in windows)])
    bounds = [w.bounds[:-1] + o for w, o in zip(windows, offsets[:-1].tolist(), strict=True)]
    return windows[-1]._replace(
        first_seq=windows[0].first_seq,
        times_ns=np.concatenate([w.times_ns for w in windows]),
        bounds=np.concatenate([*bounds, offsets[-1:]]),
        items=np.concatenate([w.items for w in windows]),
        block=None,
    )


class Ring:
    """The newest slices of an epoch, at most ``rows`` rows, for clients that come back."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._windows: deque[Window] = deque()
        self._held = 0
        self.epoch = 0
        self.from_seq = 0  # every slice after this one is held
        self.last_seq = 0

    def reset(self, epoch: int, seq: int = 0) -> None:
        """A new epoch, or a new session, of which ``seq`` is the last slice not to be held."""
        self._windows.clear()
        self._held = 0
        self.epoch, self.from_seq, self.last_seq = epoch, seq, seq

    def append(self, window: Window) -> None:
        if window.epoch != self.epoch or window.first_seq != self.last_seq + 1:
            self.reset(window.epoch, window.first_seq - 1)
        for piece in pieces(window):
            self._windows.append(piece)
            self._held += len(piece.items)
        self.last_seq = window.last_seq
        while self._held > self._rows:
            self._drop(self._held - self._rows)

    def _drop(self, rows: int) -> None:
        """Forget the oldest slices, until so many rows are gone or the first window is."""
        oldest = self._windows.popleft()
        slices = len(oldest.times_ns)
        gone = min(int(np.searchsorted(oldest.bounds, rows)), slices)
        self._held -= int(oldest.bounds[gone])
        self.from_seq = oldest.first_seq + gone - 1
        if gone < slices:
            self._windows.appendleft(oldest.part(gone, slices))

    def after(self, seq: int) -> list[Window]:
        """The slices after ``seq``, which must be in [from_seq, last_seq]."""
        found = [w for w in self._windows if w.last_seq > seq]
        if found and found[0].first_seq <= seq:
            found[0] = found[0].part(seq + 1 - found[0].first_seq, len(found[0].times_ns))
        return found


class Newest:
    """The newest row of each symbol and channel: all that conflating clients are sent."""

    def __init__(self, symbols: int) -> None:
        self._symbols = symbols
        self._base = np.full(_CODES, -1, np.int64)  # by stream code: its first place; -1: none yet
        self._rows = empty_items()  # by channel, in it by symbol
        self._seqs = np.zeros(0, np.int64)  # of their slices; 0: no row yet
        self._waiting: list[Window] = []  # consecutive ones, looked at together
        self._waiting_rows = 0
        self.epoch = 0

    def clear(self) -> None:
        self._seqs[:] = 0
        self._waiting, self._waiting_rows = [], 0

    def update(self, window: Window) -> None:
        """Done for every window, whoever listens; of small ones, for many at once."""
        if self._waiting and window.first_seq != self._waiting[-1].last_seq + 1:
            self._look()
        self._waiting.append(window)
        self._waiting_rows += len(window.items)
        if self._waiting_rows >= PIECE_ROWS:
            self._look()

    def _look(self) -> None:
        """At the windows that wait: only the last row of each symbol is copied."""
        if not self._waiting:
            return
        window = join(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        self.epoch = window.epoch
        places = self._places(window.items)
        last = np.full(len(self._rows), -1, np.int64)
        # Of an index that comes more than once numpy assigns the last value: the newest.
        last[places] = np.arange(len(places))
        found = np.flatnonzero(last >= 0)
        last = last[found]
        self._rows[found] = pick_items(window.items, last)
        self._seqs[found] = window.first_seq + np.searchsorted(window.bounds, last, "right") - 1

    def _places(self, items: Items) -> Ints:
        """Of each row the place of its symbol and channel; channels get theirs as they come."""
        codes = items["stream"]
        base = self._base[codes]
        if base.min(initial=0) < 0:
            new = np.unique(codes[base < 0])
            self._base[new] = len(self._rows) + self._symbols * np.arange(len(new))
            more = self._symbols * len(new)
            self._rows = join_items([self._rows, empty_items(more)])
            self._seqs = np.concatenate([self._seqs, np.zeros(more, np.int64)])
            base = self._base[codes]
        places: Ints = base + items["symbol"]
        return places

    def since(self, seq: int, selection: Selection) -> Run | None:
        """Rows that are newer than slice ``seq``, by slice, for this selection."""
        self._look()
        newer = np.zeros(len(self._rows), np.bool_)
        for channel in selection.channels:
            base = int(self._base[channel.code])
            if base >= 0:
                part = slice(base, base + self._symbols)
                newer[part] = self._seqs[part] > seq
                if selection.mask is not None:
                    newer[part] &= selection.mask
        if not newer.any():
            return None
        found = np.flatnonzero(newer)
        found = found[np.argsort(self._seqs[found], kind="stable")]
        items, stamps = pick_items(self._rows, found), self._seqs[found]
        seqs, first, slice_no = np.unique(stamps, return_index=True, return_inverse=True)
        return Run(self.epoch, seqs, items["release_ns"][first], items, slice_no)
