"""Who goes first where calls and a replay share the interpreter: calls, within a bound.

A thread that wants the interpreter lock waits for every other one that works, many times within one
answer. So the replay's threads stand aside, between two pieces of their work, while a call is
being answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import ParamSpec, TypeVar

MOST_S = 0.1  # that a thread stands aside at once
LEAST_S = 0.002  # less is not worth the stop
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
    """Where the threads of one session stop between two pieces of their work. Thread-safe.

    They stand aside together. However many call, they go on for at least half of the time: they
    stand aside no longer than they went on before, of which ``MOST_S`` are saved up at most.
    """

    def __init__(self, way: RightOfWay, now_s: Callable[[], float] = time.monotonic) -> None:
        self._way, self._now_s = way, now_s
        self._lock = Lock()
        self._aside = 0  # threads
        self._until_s = now_s() + MOST_S  # that they stand aside, or would have
        self._since_s = now_s()  # that all go on

    def __call__(self) -> None:
        if self._way.is_free:
            return
        with self._lock:
            now_s = self._now_s()
            until_s = self._until_s if self._aside else now_s + self._saved_s(now_s)
            most_s = until_s - now_s
            if most_s < LEAST_S:
                return
            self._aside += 1
            self._until_s = until_s
        self._way.wait_free(most_s)
        with self._lock:
            self._aside -= 1
            if not self._aside:
                self._since_s = self._now_s()

    def _saved_s(self, now_s: float) -> float:
        left_s = max(0.0, self._until_s - self._since_s)
        return min(MOST_S, left_s + now_s - self._since_s)


class GivingPool(ThreadPoolExecutor):
    """A pool whose threads give way before each piece of their work."""

    def __init__(self, threads: int, name: str, give_way: GiveWay) -> None:
        super().__init__(threads, name)
        self._give_way = give_way

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def work() -> T:
            self._give_way()
            return fn(*args, **kwargs)

        return super().submit(work)
