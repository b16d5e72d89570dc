"""The life of a replay session: its states, and the moves that are legal."""

from __future__ import annotations

from enum import StrEnum

from app.errors import StateError


class State(StrEnum):
    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPING = "STOPPING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


_MOVES: dict[State, frozenset[State]] = {
    State.STOPPED: frozenset({State.STARTING}),
    State.STARTING: frozenset({State.RUNNING, State.PAUSED, State.STOPPING, State.FAILED}),
    State.RUNNING: frozenset({State.PAUSED, State.STOPPING, State.COMPLETED, State.FAILED}),
    State.PAUSED: frozenset({State.RUNNING, State.STOPPING, State.COMPLETED, State.FAILED}),
    State.STOPPING: frozenset({State.STOPPED, State.FAILED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
}
ENDED = frozenset({State.STOPPED, State.COMPLETED, State.FAILED})


def check_move(now: State, then: State) -> None:
    """Raise StateError where a session in ``now`` may not become ``then``."""
    if then not in _MOVES[now]:
        allowed = ", ".join(sorted(_MOVES[now])) or "nothing else: start a new one"
        raise StateError(f"a {now} session cannot become {then}; it can become {allowed}", now)
