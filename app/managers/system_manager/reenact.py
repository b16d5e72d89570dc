"""A run executed again: its desk, told anew what it was told from outside the first time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from app.managers.system_manager.desk import TradingDesk
from app.model import Dictionary, Window
from app.runs.digest import Digest
from app.runs.script import Script
from app.trading.events import BacktestEndEvent, EventBase

_EVER_NS = 2**63 - 1


class Reenactment:
    """A ``WindowWorker`` before a desk. Where the first run was stopped it ends the desk, to the
    same event, and takes nothing more: ``over``.
    """

    def __init__(self, desk: TradingDesk, words: Dictionary, script: Script) -> None:
        self.over = False
        self._desk = desk
        self._cues, self._most = deque(script.cues), script.most_events
        self._edges = 0  # openings and ends of days
        stops = any(isinstance(cue.event, BacktestEndEvent) for cue in script.cues)
        self._items = Digest(desk.context.symbols, words) if stops else None

    # -- as a window worker --------------------------------------------------------------------

    def window_rows(self) -> int | None:
        return self._desk.window_rows()

    def begin(self, day: int, now_ns: int) -> None:
        self._desk.begin(day, now_ns)
        self._edges = 1
        self._look()

    def on_window(self, window: Window) -> None:
        low, count = 0, len(window.times_ns)
        while low < count and not self.over:
            next_ns = self._next_ns()
            high = max(low, int(window.times_ns.searchsorted(next_ns, "right")))
            if high > low:
                self._hand_on(window.part(low, high))
            if high < count:
                self._act(int(window.times_ns[high]) - 1)
            low = high

    def advance(self, now_ns: int) -> None:
        self._act(now_ns)
        if not self.over:
            self._desk.advance(now_ns)
            self._look()

    def end_day(self, day: int, end_ns: int) -> None:
        self._act(_EVER_NS)
        if not self.over:
            self._desk.end_day(day, end_ns)
            self._edges += 1
            self._look()

    def open_day(self, day: int, now_ns: int) -> None:
        self._act(_EVER_NS)
        if not self.over:
            if self._items is not None:
                self._items = self._items.after_day()
            self._desk.open_day(day, now_ns)
            self._edges += 1
            self._look()

    def due_ns(self) -> int | None:
        return None if self.over else self._desk.due_ns()

    def finish(self, outcome: str, cause: BaseException | None) -> None:
        if outcome == "completed":
            self._act(_EVER_NS)
        if not self.over:
            self.over = True
            self._desk.finish(outcome, cause)

    # -- what it is told anew --------------------------------------------------------------------

    def _next_ns(self) -> int:
        """When it is to be told something, before the next opening or end of a day."""
        if self._cues and self._cues[0].edges <= self._edges:
            return self._cues[0].at_ns
        return _EVER_NS

    def _act(self, now_ns: int) -> None:
        """Tell what was told by a time up to which all slices have come."""
        while not self.over and self._next_ns() <= min(now_ns, _EVER_NS - 1):
            event = self._cues.popleft().event
            if isinstance(event, BacktestEndEvent):
                self._stop(event.ts_event_ns, event.cause)
            else:
                self._desk.publish(_same(event), event.ts_event_ns)
                self._look()

    def _stop(self, at_ns: int, cause: str | None = None) -> None:
        """End as the first run did: with its clock at this time."""
        self.over = True
        self._desk.why_stopped = cause
        if self._items is not None and self._desk.record is not None:
            self._desk.record.end_with(self._items.text())
        if self._desk.engine.now_ns < at_ns:
            self._desk.advance(at_ns)
        self._desk.finish("stopped", None)

    def _hand_on(self, window: Window) -> None:
        if self._items is not None:
            self._items = self._items.after(window.items)
            self._items.settle()  # else it would hold all of them
        self._desk.on_window(window)
        self._look()

    def _look(self) -> None:
        """Where the first run's record ends there is nothing more to compare."""
        record = self._desk.record
        if self._most is not None and record is not None and record.writer.events >= self._most:
            self._most = None
            self._stop(self._desk.engine.now_ns)


def _same(event: EventBase) -> Callable[[int], EventBase]:
    return lambda now_ns: event
