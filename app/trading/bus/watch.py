"""The watch over inline handlers: it names the one that hangs, while it hangs.

No time may be spent on watching an inline handler. So one thread a process looks at the buses that
deliver, four times a limit; a handler that stays at the same event until the limit is over is told
of, and interrupted: in Python code at once, in a call that blocks when it returns. The thread ends
when no bus has delivered for a while.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from ctypes import c_ulong, py_object, pythonapi
from operator import length_hint
from threading import Condition, Thread
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from app.times import format_time
from app.trading.bus.barrier import Barrier
from app.trading.bus.errors import HandlerError, HandlerInterrupt, WatchdogError
from app.trading.bus.port import Port
from app.trading.bus.roster import Call, Leg
from app.trading.bus.turn import HOLDER, Turn

log = logging.getLogger(__name__)

_LOOKS = 4  # in a limit
Place = tuple[Any, int]  # differs from one call of a handler to the next


class Spot:
    """Where the inline delivery of one bus is."""

    def __init__(self, limit_s: float | None, turn: Turn, barrier: Barrier) -> None:
        self.calls: Sequence[Call | Leg] = ()  # of a round, one after another
        self.walk: Iterator[Any] | None = None  # along them; None where none is called
        self.event: Any = None  # what they are called with; a batch, of which each leg names one
        self.watched = limit_s is None  # set back by the watch when nothing is delivered
        self.limit_s = limit_s or 0.0
        self.turn, self._barrier = turn, barrier

    def place(self) -> Place | None:
        """None while nothing is delivered; its first is None between inline handlers.

        How far the walk is says it at no cost to the handlers: it differs at every call of one.
        """
        walk = self.walk
        if walk is not None:
            return walk, length_hint(walk)
        return (None, 0) if self.turn.held else None

    def tell(self, place: Place) -> None:
        """The handler that is there hangs: say so, and fail the drain as soon as it ends."""
        calls, event = self.calls, self.event
        at = len(calls) - place[1] - 1
        if at < 0 or self.place() != place:  # it has just returned
            return
        leg: Any = calls[at]
        port: Port = leg[0]
        if isinstance(event, list):
            event = event[leg[2]]
        cause = WatchdogError(f"it held the barrier for more than {self.limit_s:g} s")
        error = HandlerError(port.name, event, cause)
        self._barrier.fail(port.rank, error)
        log.warning(
            "%s holds the barrier: its handler of %s at %s runs for more than %g s",
            port.name, type(event).__name__, format_time(error.time_ns), self.limit_s,
        )  # fmt: skip

    def interrupt(self, place: Place) -> None:
        """End the handler that is there: an endless loop would hold its thread for ever.

        Should it have returned this very moment, the drain fails all the same, a few steps on.
        """
        thread = self.turn.held.get(HOLDER)
        if thread is not None and self.place() == place:
            pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread), py_object(HandlerInterrupt))


class _Look:
    """What was seen of a bus."""

    def __init__(self, next_s: float) -> None:
        self.next_s = next_s
        self.place: Place | None = None
        self.since_s = 0.0
        self.told = False


class Looks:
    """The buses that are looked at. Times are given, in (monotonic) seconds."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Spot, _Look] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._of)

    @property
    def next_s(self) -> float:
        """When the next one is to be looked at; 0 where there is none."""
        return min((look.next_s for look in self._of.values()), default=0.0)

    def add(self, spot: Spot, now_s: float) -> None:
        """Look at it until nothing is delivered there."""
        spot.watched = True
        self._of[spot] = _Look(now_s + spot.limit_s / _LOOKS)

    def look(self, now_s: float) -> None:
        """At all whose time has come."""
        for spot in list(self._of):
            if now_s >= self._of[spot].next_s:
                self._look(spot, now_s)

    def _look(self, spot: Spot, now_s: float) -> None:
        look = self._of[spot]
        look.next_s = now_s + spot.limit_s / _LOOKS
        place = spot.place()
        if place is None and look.place is None and self._is_let_go(spot):
            return
        if place is None or place[0] is None or place != look.place:
            look.place, look.since_s, look.told = place, now_s, False
        elif now_s - look.since_s >= spot.limit_s:
            if not look.told:
                look.told = True
                spot.tell(place)
            spot.interrupt(place)

    def _is_let_go(self, spot: Spot) -> bool:
        """Look no more; a delivery that begins from now on sees the flag and asks again."""
        spot.watched, spot.turn.ready = False, 0
        if spot.place() is not None:
            spot.watched = True
            return False
        del self._of[spot]
        return True


class Watch:
    """The thread that looks."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._looks = Looks()
        self.thread: Thread | None = None
        self._wakes_s = 0.0

    def add(self, spot: Spot) -> None:
        """Look at it until nothing is delivered there."""
        with self._changed:
            self._looks.add(spot, monotonic())
            if self.thread is None:
                self.thread = Thread(target=self._run, name="BusWatch", daemon=True)
                self.thread.start()
            elif self._looks.next_s < self._wakes_s:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while self._looks:
                self._looks.look(monotonic())
                self._wakes_s = self._looks.next_s
                self._changed.wait(max(0.0, self._wakes_s - monotonic()))
            self.thread = None


watch = Watch()
