"""Who goes first where calls and a replay share the interpreter: calls, within a bound.

A thread that wants the interpreter lock waits for every other one that works, many times within one
answer. So the replay's threads stand aside, between two pieces of their work, while a call is
being answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, local
from typing import ParamSpec, TypeVar

MOST_S = 0.1  # that a thread stands aside at once
P = ParamSpec("P")
T = TypeVar("T")


class RightOfWay:
    """The calls that are being answered. ``enter`` and ``leave`` belong to one thread."""

    def __init__(self) -> None:
        self._free = Event()
        self._free.set()
        self._calls = 0

    def enter(self) -> None:
        """A call is being answered from now on."""
        self._calls += 1
        if self._calls == 1:
            self._free.clear()

    def leave(self) -> None:
        """It is no more."""
        self._calls -= 1
        if not self._calls:
            self._free.set()

    @property
    def is_free(self) -> bool:
        """Whether no call is being answered; any thread."""
        return self._free.is_set()

    def wait_free(self, most_s: float) -> None:
        """Until no call is being answered, ``most_s`` seconds at most; any thread."""
        self._free.wait(most_s)


class GiveWay:
    """One thread's stops between two pieces of its work.

    However many call, it goes on for at least half of the time: it stands aside no longer than it
    went on since, of which ``MOST_S`` are saved up at most.
    """

    def __init__(self, way: RightOfWay, now_s: Callable[[], float] = time.monotonic) -> None:
        self._way, self._now_s = way, now_s
        self._saved_s, self._since_s = MOST_S, now_s()

    def __call__(self) -> None:
        if self._way.is_free:
            return
        began_s = self._now_s()
        most_s = min(MOST_S, self._saved_s + began_s - self._since_s)
        self._way.wait_free(most_s)
        self._since_s = self._now_s()
        self._saved_s = max(0.0, most_s - (self._since_s - began_s))


class GivingPool(ThreadPoolExecutor):
    """A pool whose threads give way before each piece of their work."""

    def __init__(self, threads: int, name: str, way: RightOfWay) -> None:
        self._own = local()
        super().__init__(threads, name, self._begin, (way,))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def work() -> T:
            self._own.give_way()
            return fn(*args, **kwargs)

        return super().submit(work)

    def _begin(self, way: RightOfWay) -> None:
        self._own.give_way = GiveWay(way)
