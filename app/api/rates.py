"""How fast windows are delivered, measured on the merge thread."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock

from prometheus_client import CollectorRegistry, Histogram

SPAN_S = 5.0  # items/s are of so many seconds
_BUCKETS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)


class Rates:
    """Totals, the present rate, and how long a window and a slice of it take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.items_total = 0
        self.slices_total = 0
        self._began_s: float | None = None
        self._recent: deque[tuple[float, int]] = deque()
        self._lock = Lock()
        self._window_s = Histogram(
            "tapedeck_window_seconds", "Time to deliver one window of slices.",
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._slice_s = Histogram(
            "tapedeck_slice_seconds", "Time to deliver a slice, mean of its window.",
            buckets=(1e-7, 3e-7, 1e-6, 3e-6, *_BUCKETS), registry=registry,
        )  # fmt: skip

    def begin(self) -> None:
        """The next window is about to be made."""
        self._began_s = time.perf_counter()

    def end(self, items: int, slices: int) -> None:
        """It was delivered."""
        now_s = time.perf_counter()
        if self._began_s is not None:
            self._window_s.observe(now_s - self._began_s)
            self._slice_s.observe((now_s - self._began_s) / slices)
        with self._lock:
            self.items_total += items
            self.slices_total += slices
            self._recent.append((now_s, items))
            self._forget(now_s)

    def items_per_second(self) -> float:
        """Mean of the last ``SPAN_S`` seconds."""
        with self._lock:
            self._forget(time.perf_counter())
            return sum(items for _, items in self._recent) / SPAN_S

    def _forget(self, now_s: float) -> None:
        while self._recent and self._recent[0][0] <= now_s - SPAN_S:
            self._recent.popleft()
