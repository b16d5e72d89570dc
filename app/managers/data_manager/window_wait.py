"""Waiting for somebody outside, within a window: the clock stands still, commands do not all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Condition

from app.managers.data_manager.control import Control
from app.managers.data_manager.worker import OverError
from app.managers.lifecycle import State
from app.managers.time_manager import TimeManager, View, Wall
from app.times import SECOND_NS


class WindowWait:
    """Used by the merge thread; ``waits`` is read by others, under the lock."""

    def __init__(
        self, changed: Condition, time_manager: TimeManager, wall: Wall, control: Control,
        is_over: Callable[[], bool], tell: Callable[[Iterable[str]], None],
    ) -> None:  # fmt: skip
        self.waits = False
        self._changed = changed
        self._time, self._wall, self._control = time_manager, wall, control
        self._is_over, self._tell = is_over, tell

    @property
    def over(self) -> bool:
        """Whether the session delivers nothing more."""
        return self._is_over()

    @property
    def view(self) -> View:
        return self._time.view

    def wake(self) -> None:
        """Look again whether what is waited for is there; any thread."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, ready: Callable[[], object], timeout_s: float) -> bool:
        """Until ``ready``; False after ``timeout_s`` of RUNNING.

        Pauses, resumes and changes of speed take effect meanwhile; all else waits for the window's
        end. OverError where the session ends.
        """
        left_ns = int(timeout_s * SECOND_NS)
        while True:
            with self._changed:
                if ready():
                    return True
                if self.over:
                    raise OverError
                begun = self._control.state is not State.STARTING
                changes = self._control.apply(within_window=True) if begun else []
                if not self._control.has_answers:
                    left_ns = self._wait(left_ns)
                    if left_ns <= 0:
                        return bool(ready())
                    continue
            self._tell(dict.fromkeys(changes))

    def _wait(self, left_ns: int) -> int:
        """Until something has changed; what is left then. Only a session that runs counts it."""
        counts = self._control.state in (State.RUNNING, State.STARTING)
        began_ns = self._wall.now_ns()
        self.waits = True
        if self._control.state is State.STARTING:
            self._changed.notify_all()  # who waits for the start need not
        self._wall.wait(self._changed, began_ns + left_ns if counts else None)
        self.waits = False
        return left_ns - (self._wall.now_ns() - began_ns) if counts else left_ns

    def pause_now(self) -> None:
        """PAUSED from here on, unless it was so."""
        with self._changed:
            if self._control.state is not State.RUNNING:
                return
            self._control.halt()
        self._tell(["state"])
