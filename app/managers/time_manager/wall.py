"""Wall time and waiting for it. Tests put their own in its place."""

from __future__ import annotations

import time
from threading import Condition

from app.times import SECOND_NS

_LONGEST_S = 3600.0  # then it is looked at again; threads cannot wait for ever and a day


class Wall:
    """The monotonic clock: setting the machine's time does not move it."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait(self, condition: Condition, until_ns: int | None) -> None:
        """Wait on a held condition until it is notified, or until ``until_ns``."""
        if until_ns is None:
            condition.wait()
        else:
            wait_s = max(0, until_ns - self.now_ns()) / SECOND_NS
            condition.wait(min(wait_s, _LONGEST_S))
