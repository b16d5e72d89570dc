"""The watch over inline handlers: it names the one that hangs, while it hangs.

An inline handler cannot be interrupted, and no time may be spent on watching it. So one thread a
process looks at the buses that deliver, four times a limit; a handler that stays at the same
event until the limit is over is told of. The thread ends when no bus has delivered for a while.
"""

from __future__ import annotations

import logging
from threading import Condition, Thread
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from app.times import format_time
from app.trading.bus.barrier import Barrier
from app.trading.bus.errors import HandlerError, WatchdogError
from app.trading.bus.port import Port
from app.trading.bus.turn import Turn

log = logging.getLogger(__name__)

_LOOKS = 4  # in a limit
Place = tuple[Any, int]  # differs from one call of a handler to the next


class Spot:
    """Where the inline delivery of one bus is."""

    def __init__(self, limit_s: float | None, turn: Turn, barrier: Barrier) -> None:
        self.at: Port | None = None  # whose handlers are being called
        self.watched = limit_s is None  # set back by the watch when nothing is delivered
        self.limit_s = limit_s or 0.0
        self.turn, self._barrier = turn, barrier

    def place(self) -> Place | None:
        """None while nothing is delivered; its first is None between inline handlers."""
        port = self.at
        if port is not None:
            return port.place()
        return (None, 0) if self.turn.held else None

    def tell(self, place: Place) -> None:
        """The handler that is there hangs: say so, and fail the drain as soon as it returns."""
        port = self.at
        event = port.event_at(place) if port is not None else None
        if port is None or event is None:  # it has just returned
            return
        cause = WatchdogError(f"it held the barrier for more than {self.limit_s:g} s")
        error = HandlerError(port.name, event, cause)
        self._barrier.fail(port.rank, error)
        log.warning(
            "%s holds the barrier: its handler of %s at %s runs for more than %g s",
            port.name, type(event).__name__, format_time(error.time_ns), self.limit_s,
        )  # fmt: skip


class _Look:
    """What was seen of a bus."""

    def __init__(self, limit_s: float) -> None:
        self.next_s = monotonic() + limit_s / _LOOKS
        self.place: Place | None = None
        self.since_s = 0.0
        self.told = False


class Watch:
    """The thread that looks."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._looks: WeakKeyDictionary[Spot, _Look] = WeakKeyDictionary()
        self.thread: Thread | None = None
        self._wakes_s = 0.0

    def add(self, spot: Spot) -> None:
        """Look at it until nothing is delivered there."""
        with self._changed:
            spot.watched = True
            self._looks[spot] = look = _Look(spot.limit_s)
            if self.thread is None:
                self.thread = Thread(target=self._run, name="BusWatch", daemon=True)
                self.thread.start()
            elif look.next_s < self._wakes_s:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while self._looks:
                for spot in list(self._looks):
                    self._look(spot)
                    del spot  # this thread keeps no bus alive
                self._wakes_s = min((look.next_s for look in self._looks.values()), default=0.0)
                self._changed.wait(max(0.0, self._wakes_s - monotonic()))
            self.thread = None

    def _look(self, spot: Spot) -> None:
        look, now_s = self._looks[spot], monotonic()
        if now_s < look.next_s:
            return
        look.next_s = now_s + spot.limit_s / _LOOKS
        place = spot.place()
        if place is None and look.place is None and self._is_let_go(spot):
            return
        if place is None or place[0] is None or place != look.place:
            look.place, look.since_s, look.told = place, now_s, False
        elif not look.told and now_s - look.since_s >= spot.limit_s:
            look.told = True
            spot.tell(place)

    def _is_let_go(self, spot: Spot) -> bool:
        """Look no more; a delivery that begins from now on sees the flag and asks again."""
        spot.watched, spot.turn.ready = False, 0
        if spot.place() is not None:
            spot.watched = True
            return False
        del self._looks[spot]
        return True


watch = Watch()
