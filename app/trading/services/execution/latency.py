"""Messages on their way: orders, changes and cancels arrive later, in the order they were sent."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.trading.sections import ExecutionSection, FillPolicy

_MS_NS = 1_000_000
_STREAM = 10  # of the run's seed: execution's own numbers


def delays(section: ExecutionSection) -> bool:
    """Whether messages take time."""
    slow = section.latency_ms > 0 or section.latency_jitter_ms > 0
    return section.policy is FillPolicy.REALISTIC and slow


class Wire:
    """Delays messages by the latency, and a part of the jitter that the run's seed draws."""

    def __init__(self, section: ExecutionSection, seed: int) -> None:
        self.delays = delays(section)
        self._latency_ns = section.latency_ms * _MS_NS
        self._jitter_ns = section.latency_jitter_ms * _MS_NS
        sequence = np.random.SeedSequence([seed % 2**64, _STREAM])
        self._random = np.random.Generator(np.random.PCG64(sequence))
        self._messages: dict[str, Any] = {}
        self._sent = 0
        self._last_ns = 0

    def send(self, message: Any, now_ns: int) -> tuple[str, int]:
        """The token and the time of a message's arrival; none overtakes an earlier one."""
        delay_ns = self._latency_ns
        if self._jitter_ns:
            delay_ns += self._jitter_ns * self._random.random()
        self._last_ns = max(self._last_ns, now_ns + max(1, round(delay_ns)))
        self._sent += 1
        token = str(self._sent)
        self._messages[token] = message
        return token, self._last_ns

    def receive(self, token: str) -> Any:
        return self._messages.pop(token)
