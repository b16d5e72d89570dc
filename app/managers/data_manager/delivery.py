"""What follows from a window: consumers take it, listeners hear of the commit."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from threading import Condition, Lock
from typing import Protocol, runtime_checkable

from app.managers.data_manager.merge import Chunk
from app.managers.lifecycle import ENDED, State
from app.managers.time_manager import View
from app.model import Slice, Window

log = logging.getLogger(__name__)

Listener = Callable[[View], None]


class WindowConsumer(Protocol):
    """Takes windows on the merge thread. Whatever it raises fails the session."""

    def window_rows(self) -> int | None:
        """At most so many rows a window; None for any."""

    def holding(self) -> float | None:
        """None to go on, else the seconds after which to ask again; the clock is held meanwhile."""

    def on_window(self, window: Window) -> None:
        """A window that is committed; must not block, must not write to it."""

    def on_state(self, state: State, view: View, why: str) -> None:
        """State, day or speed changed."""


@runtime_checkable
class Cutter(Protocol):
    """A consumer that must have the clock stand at a slice: a window ends there."""

    def cut(self, chunk: Chunk, end: int) -> int:
        """The slice before which a window from ``chunk.at`` ends; ``end`` at most."""


class Delivery:
    """The consumers and listeners of one session, called on the merge thread."""

    def __init__(self) -> None:
        self.consumers: tuple[WindowConsumer, ...] = ()
        self._cutters: tuple[Cutter, ...] = ()  # those of them that are
        self._listeners: tuple[Listener, ...] = ()
        self._changing = Lock()
        self._last: tuple[State, View] | None = None

    def attach(self, consumer: WindowConsumer) -> None:
        """Add a consumer; one that comes after the end is told so."""
        with self._changing:
            self._take((*self.consumers, consumer))
            last = self._last
        if last is not None:
            consumer.on_state(*last, "end")

    def detach(self, consumer: WindowConsumer) -> None:
        with self._changing:
            self._take(tuple(c for c in self.consumers if c is not consumer))

    def _take(self, consumers: tuple[WindowConsumer, ...]) -> None:
        self.consumers = consumers
        self._cutters = tuple(c for c in consumers if isinstance(c, Cutter))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every commit, until the function given back is called."""
        with self._changing:
            self._listeners = (*self._listeners, listener)

        def remove() -> None:
            with self._changing:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return remove

    def window_rows(self) -> int | None:
        if not self.consumers:
            return None
        bounds = [n for c in self.consumers if (n := c.window_rows()) is not None]
        return min(bounds, default=None)

    def cut(self, chunk: Chunk, end: int) -> int:
        """The slice before which the next window ends."""
        for cutter in self._cutters:
            end = cutter.cut(chunk, end)
        return end

    def held_s(self) -> float | None:
        """Seconds after which to ask again, None when nobody holds the clock."""
        if not self.consumers:
            return None
        holds = [s for c in self.consumers if (s := c.holding()) is not None]
        return min(holds, default=None)

    def window(self, window: Window, view: View) -> None:
        for consumer in self.consumers:
            consumer.on_window(window)
        self._tell(view)

    def state(self, state: State, view: View, why: str) -> None:
        for consumer in self.consumers:
            consumer.on_state(state, view, why)
        self._tell(view)

    def end(self, state: State, view: View) -> None:
        """Tell every one that it is over; one that fails keeps none of the others from it."""
        with self._changing:
            self._last = (state, view)
            told = [partial(c.on_state, state, view, "end") for c in self.consumers]
            told += [partial(listener, view) for listener in self._listeners]
        for tell in told:
            try:
                tell()
            except Exception:
                log.exception("a consumer failed at the session's end")

    def reopen(self) -> None:
        """It was not over yet."""
        with self._changing:
            self._last = None

    def _tell(self, view: View) -> None:
        for listener in self._listeners:
            listener(view)


class MergedStream:
    """The slices of a session as an iterator for a thread of this process.

    It is lossless: when ``most_windows`` wait unread, the clock is held.
    """

    def __init__(self, delivery: Delivery, wake: Callable[[], None], most_windows: int = 8) -> None:
        self._delivery = delivery
        self._wake = wake
        self._most_windows = most_windows
        self._windows: deque[Window] = deque()
        self._changed = Condition()
        self._ended = False

    def window_rows(self) -> int | None:
        return None

    def holding(self) -> float | None:
        return 1.0 if len(self._windows) >= self._most_windows and not self._ended else None

    def on_window(self, window: Window) -> None:
        with self._changed:
            if not self._ended:
                self._windows.append(window)
                self._changed.notify()

    def on_state(self, state: State, view: View, why: str) -> None:
        if state in ENDED:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def close(self) -> None:
        """Read no more; the clock goes on without this reader."""
        with self._changed:
            self._ended = True
            self._windows.clear()
            self._changed.notify()
        self._delivery.detach(self)
        self._wake()

    def __iter__(self) -> Iterator[Slice]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._windows or self._ended)
                if not self._windows:
                    return
                window = self._windows.popleft()
            self._wake()
            yield from window.slices()
