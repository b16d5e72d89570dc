"""Waiting for what another thread or process brings about, and tells nobody of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

WAIT_S = 60.0


def until(
    reached: Callable[[], Any], what: str = "it", limit_s: float = WAIT_S, every_s: float = 0.02
) -> Any:
    """The first answer that is true, asked for again ``every_s`` seconds."""
    end_s = time.monotonic() + limit_s
    while not (found := reached()):
        assert time.monotonic() < end_s, f"{what} did not come about"
        time.sleep(every_s)
    return found
