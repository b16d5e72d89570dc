"""The barrier: one count of all events in flight, under one condition.

The count is raised before an event is queued and lowered after its handler has returned, so a
count of nought means that nobody is at work. Waiting for subscribers one after another would not
mean that: the first may be given something while one waits for the second.
"""

from __future__ import annotations

from collections import deque
from threading import Condition
from time import monotonic
from typing import Any

from app.trading.bus.errors import HandlerError, WatchdogError


class Hold:
    """What one subscriber with a thread or task of its own holds of the barrier."""

    __slots__ = ("awaited", "begun", "cut", "events", "name", "rank", "since_s")

    def __init__(self, name: str, rank: int = 0) -> None:
        self.name, self.rank = name, rank
        self.events: deque[Any] = deque()  # given and not finished; it is at the first
        self.begun = False  # whether its handler has been called with the first
        self.since_s = 0.0  # how long it is so
        self.cut = False  # given up: it counts no more, whatever it still does
        self.awaited = 0  # who waits for this subscriber only


class Barrier:
    """Who has which events in flight, and the first failure by rank."""

    def __init__(self, watchdog_s: float | None = None) -> None:
        self.count = 0
        self.closed = False
        self.stirred = False  # given to, failed or closed since ``take_failure``
        self._failure: HandlerError | None = None
        self._watchdog_s = watchdog_s
        self._failed_rank = 0
        self._changed = Condition()
        self._holds: dict[Hold, None] = {}  # those with something in flight

    def give(self, hold: Hold, events: list[Any]) -> None:
        """Raise the count, before these are queued."""
        with self._changed:
            if hold.cut:
                return
            if not hold.events:
                hold.since_s = monotonic()
                self._holds[hold] = None
            self.stirred = True
            hold.events.extend(events)
            self.count += len(events)

    def begin(self, hold: Hold) -> None:
        """The handler is called with the first event now."""
        with self._changed:
            hold.since_s, hold.begun = monotonic(), True

    def lower(self, hold: Hold, cause: BaseException | None = None, events: int = 1) -> None:
        """The handler has returned or has raised ``cause``: so many events are done with."""
        with self._changed:
            if hold.cut:
                return
            now_s = monotonic()
            if cause is None and self._is_overdue(hold, now_s):
                cause = self._complaint(hold)
            if cause is not None:
                self._fail(hold, cause)
            hold.since_s, hold.begun = now_s, False
            self._subtract(hold, events)

    def cut(self, hold: Hold, cause: BaseException | None, event: Any = None) -> None:
        """Give a subscriber up: nobody waits for it any more, and with a cause it fails."""
        with self._changed:
            if not hold.cut:
                self._cut(hold, cause, event)

    def fail(self, rank: int, error: HandlerError, *, replace: bool = False) -> None:
        """Keep this failure if it is the first by rank; or instead of the same subscriber's."""
        with self._changed:
            self.stirred = True
            if self._failure is None or rank < self._failed_rank + replace:
                self._failure, self._failed_rank = error, rank

    @property
    def has_failed(self) -> bool:
        """Whether a failure is kept."""
        return self._failure is not None

    def take_failure(self) -> HandlerError | None:
        """The first failure by rank since the last call."""
        with self._changed:
            failure, self._failure = self._failure, None
            self.stirred = self.count > 0 or self.closed
            return failure

    def close(self) -> None:
        with self._changed:
            self.closed = self.stirred = True

    def wait(self, deadline_s: float | None = None) -> bool:
        """Until nothing is in flight; False when the (monotonic) deadline has come.

        A subscriber that stays at one event for longer than the limit fails, and is cut.
        """
        with self._changed:
            while self.count:
                now_s = monotonic()
                self._cut_overdue(now_s)
                if self.count and not self._sleep(now_s, deadline_s):
                    return False
        return True

    def wait_for(self, hold: Hold, timeout_s: float | None = None) -> bool:
        """Until one subscriber has nothing in flight; False when the time is over."""
        with self._changed:
            hold.awaited += 1
            try:
                return self._changed.wait_for(lambda: not hold.events, timeout_s)
            finally:
                hold.awaited -= 1

    def _sleep(self, now_s: float, deadline_s: float | None) -> bool:
        """Until something has changed or somebody is overdue; False at the deadline."""
        if deadline_s is not None and deadline_s <= now_s:
            return False
        ends = [deadline_s] if deadline_s is not None else []
        if self._watchdog_s is not None:
            ends += [hold.since_s + self._watchdog_s for hold in self._holds]
        self._changed.wait(min(ends) - now_s if ends else None)
        return True

    def _is_overdue(self, hold: Hold, now_s: float) -> bool:
        return self._watchdog_s is not None and now_s >= hold.since_s + self._watchdog_s

    def _cut_overdue(self, now_s: float) -> None:
        for hold in [h for h in self._holds if self._is_overdue(h, now_s)]:
            self._cut(hold, self._complaint(hold))

    def _complaint(self, hold: Hold) -> WatchdogError:
        if hold.begun:
            return WatchdogError(f"it held the barrier for more than {self._watchdog_s:g} s")
        return WatchdogError(f"nobody took the event up for {self._watchdog_s:g} s")

    def _cut(self, hold: Hold, cause: BaseException | None, event: Any = None) -> None:
        if cause is not None:
            self._fail(hold, cause, event)
        hold.cut = True
        self._subtract(hold, len(hold.events))

    def _fail(self, hold: Hold, cause: BaseException, event: Any = None) -> None:
        at = event if event is not None else hold.events[0]
        self.fail(hold.rank, HandlerError(hold.name, at, cause))

    def _subtract(self, hold: Hold, events: int) -> None:
        for _ in range(events):
            hold.events.popleft()
        self.count -= events
        if not hold.events:
            self._holds.pop(hold, None)
            if not self.count or hold.awaited:
                self._changed.notify_all()
