"""Joining a server's session by a name, and playing all its turns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from app.client.lockstep import LockstepSocket, check_frame
from app.client.problems import ConnectionProblem, StreamClosedProblem
from app.errors import RequestError, SessionFailedError
from app.lockstep.player import StrategyPlayer, Wanted

log = logging.getLogger(__name__)

TRIES = 8  # to come back, with pauses of 0.1 s that double
FIRST_PAUSE_S = 0.1
Tell = Callable[[dict[str, Any]], None]


class LockstepRun:
    """One client, from its joining to the end of a session. ``stop`` may be called by others."""

    def __init__(
        self, file: str | Path, url: str, name: str, *, class_name: str | None = None,
        api_key: str | None = None, policy: str | None = None,
    ) -> None:  # fmt: skip
        """StrategyError names file and line of what cannot be used; RequestError for a bad URL."""
        self._file, self._class_name = Path(file).resolve(), class_name
        self._url, self._name, self._api_key = url, name, api_key
        self._policy = policy
        self._wanted = Wanted(self._file, class_name, name)
        self._player: StrategyPlayer | None = None
        self._socket: LockstepSocket | None = None
        self._answer: dict[str, Any] | None = None  # the last one, should it have been lost
        self._stopped = Event()
        self.turns = 0

    def run(self, tell: Tell | None = None) -> str:
        """Play until the session's end; its state. ``tell`` gets all that is no turn. Blocks.

        ServerProblem where the server refuses the place, ConnectionProblem where it cannot be
        reached again, and what the strategy failed of.
        """
        tries = 0
        while True:
            try:
                with self._joined() as socket:
                    tries = 0
                    return self._follow(socket, tell)
            except ConnectionProblem as error:
                tries += 1
                if self._stopped.is_set():
                    return "LEFT"
                if self._socket is None or tries > TRIES or _is_final(error):
                    raise
                log.warning("%s; it tries again", error)
                self._stopped.wait(FIRST_PAUSE_S * 2 ** (tries - 1))

    def stop(self) -> None:
        """Leave the session; any thread, any number of times."""
        self._stopped.set()
        socket = self._socket
        if socket is not None:
            socket.close()

    def _joined(self) -> LockstepSocket:
        socket = LockstepSocket(self._url, self._api_key)
        self._socket = socket
        wish: dict[str, Any] = {
            "action": "subscribe", "delivery": "lockstep", "name": self._name, "rows": "records",
            "channels": sorted({*self._wanted.channels, "status"}), "calls": self._wanted.calls,
        }  # fmt: skip
        if self._policy is not None:
            wish["policy"] = self._policy
        if self._player is not None:
            wish["after"] = self._player.number
        socket.send(wish)
        return socket

    def _follow(self, socket: LockstepSocket, tell: Tell | None) -> str:
        """All frames up to the end of a session that it played in; its state."""
        while True:
            frame = socket.receive()
            kind = frame["type"]
            if kind == "turn":
                self._turn(socket, frame)
                continue
            if kind == "begin":
                self._begin(socket, frame)
            elif kind == "end" and self._player is not None:
                self._player.close()
                return str(frame["state"])
            elif kind == "slices":
                raise RequestError(
                    f"the server's session has no strategy {self._name!r} that plays in lockstep"
                )
            check_frame(frame)
            if tell is not None:
                tell(frame)

    def _begin(self, socket: LockstepSocket, frame: dict[str, Any]) -> None:
        def ask(wish: dict[str, Any]) -> dict[str, Any]:
            socket_now = self._socket or socket
            socket_now.send({"action": "read", "id": self.turns, **wish})
            while (found := socket_now.receive())["type"] != "found":
                check_frame(found)
            return found

        if self._player is not None:
            self._player.close()
        self._player = StrategyPlayer(self._file, self._class_name, frame, ask)
        self._answer = None

    def _turn(self, socket: LockstepSocket, frame: dict[str, Any]) -> None:
        player = self._player
        if player is None:
            raise SessionFailedError("the server asked for a turn of a run that it has not begun")
        if frame["turn"] != player.number or self._answer is None:
            try:
                self._answer = player.play(frame)
            except ConnectionProblem:
                raise
            except Exception as error:
                socket.send({"action": "fail", "detail": str(error)})
                raise
            self.turns += 1
        socket.send(self._answer)


def _is_final(error: ConnectionProblem) -> bool:
    """The server will not take this client: no use to come again."""
    return isinstance(error, StreamClosedProblem) and error.code in (1003, 1008, 1013)
