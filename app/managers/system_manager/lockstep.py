"""The places of a session's lockstep strategies: who sits there, and who is waited for.

A place belongs to the session, not to a connection, nor to one execution: a client that lost its
connection takes it again, and a session that is executed anew begins anew with the same clients.
"""

from __future__ import annotations

import logging
from collections import deque
from threading import Lock
from typing import NamedTuple, Protocol

from app.errors import RequestError, StateError
from app.managers.data_manager.window_wait import WindowWait
from app.times import format_time
from app.trading.services.strategy.line import (
    Ack,
    Desk,
    EmptyPlaceError,
    Found,
    LineError,
    Lost,
    Opening,
    Read,
    Terms,
    Turn,
)
from app.trading.services.strategy.loading import StrategyError

log = logging.getLogger(__name__)


class Rules(NamedTuple):
    """How long is waited, and what then: ``pause``, ``drop`` or ``fail``."""

    policy: str
    patience_s: float
    join_s: float  # for a client to take its place at the start


class Left(NamedTuple):
    """A client leaves on purpose, or its strategy has failed."""

    reason: str
    failed: bool = False


class Wire(Protocol):
    """To one connection, from any thread; nothing blocks, nothing raises."""

    def open(self, opening: Opening, epoch: int, number: int) -> None:
        """An execution begins; the next turn is the one after ``number``."""

    def ask(self, number: int, turn: Turn) -> None: ...

    def answer(self, id: int, found: Found) -> None: ...

    def refuse(self, detail: str, number: int) -> None: ...

    def tell_end(self) -> None: ...


Message = Ack | Read | Left


class Chair:
    """One strategy's place; a ``Line`` of the engine."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self.rules = name, rules
        self._lock = Lock()
        self._wire: Wire | None = None
        self._terms: Terms | None = None
        self._waiter: WindowWait | None = None
        self._inbox: deque[Message] = deque()
        self._opening: Opening | None = None
        self._asked: tuple[int, Turn] | None = None  # what is to be answered
        self._number = 0  # of the last turn, over all executions

    # -- on the loop -------------------------------------------------------------------------

    @property
    def is_taken(self) -> bool:
        return self._wire is not None

    def take(self, wire: Wire, terms: Terms, after: int = 0, policy: str | None = None) -> None:
        """A client sits down; one that comes again has done all turns up to ``after``.

        StateError where somebody sits there, RequestError where it is not the client that left.
        """
        with self._lock:
            if self._wire is not None:
                raise StateError(f"{self.name!r} has a client already", "taken")
            known = self._terms
            if known is not None and known != terms:
                raise RequestError(f"{self.name!r} left with other calls or channels than these")
            if self._opening is not None and after not in (self._number, self._number - 1):
                raise RequestError(
                    f"{self.name!r} was asked {self._number} turns, and this client has done "
                    f"{after}: what it has missed is not held, so a process that was started anew "
                    "cannot go on for the one before it. Stop the session and start it again: "
                    "then it can join"
                )
            self._wire, self._terms = wire, terms
            if policy is not None:
                self.rules = self.rules._replace(policy=policy)
            if self._asked is not None:  # its answer may have been lost
                wire.ask(*self._asked)
        self._wake()

    def lose(self, wire: Wire) -> None:
        """The connection is gone."""
        with self._lock:
            if self._wire is wire:
                self._wire = None

    def hear(self, wire: Wire, message: Message) -> None:
        """What its client says."""
        with self._lock:
            if self._wire is not wire:
                return
            self._inbox.append(message)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            waiter.wake()

    # -- on the merge thread -------------------------------------------------------------------

    def bind(self, waiter: WindowWait) -> None:
        """Another execution is built; it is the one that asks from now on."""
        with self._lock:
            self._waiter, self._opening, self._asked = waiter, None, None
            self._inbox.clear()

    def open(self, opening: Opening) -> Terms:
        waiter = self._waiter
        assert waiter is not None
        if not waiter.wait_for(lambda: self._wire is not None, self.rules.join_s):
            raise EmptyPlaceError(
                f"nobody took the place of strategy {self.name!r} within {self.rules.join_s:g} s "
                "(LOCKSTEP_JOIN_SECONDS); tapedeck lockstep does"
            )
        with self._lock:
            assert self._terms is not None
            self._opening = opening
            if self._wire is not None:
                self._wire.open(opening, waiter.view.epoch, self._number)
            return self._terms

    def ask(self, turn: Turn, desk: Desk) -> Ack | Lost:
        waiter = self._waiter
        assert waiter is not None
        with self._lock:
            self._number += 1
            number = self._number
            self._asked = (number, turn)
            if self._wire is not None:
                self._wire.ask(number, turn)
        if waiter.over and turn.call == "on_end":
            return Ack(turn=number)
        while True:
            message = self._next(waiter, turn)
            if isinstance(message, Lost):
                return message
            if isinstance(message, Left):
                return self._left(message)
            try:
                if isinstance(message, Read):
                    self._answer(message.id, desk.read(message))
                elif message.turn == number:
                    desk.play(message)
                    self._asked = None
                    return message
            except RequestError as error:
                self._refuse(str(error), number)

    def _next(self, waiter: WindowWait, turn: Turn) -> Message | Lost:
        """What is heard next; Lost where the policy gives the client up."""
        inbox = self._inbox
        while True:
            if inbox or waiter.wait_for(inbox.__len__, self.rules.patience_s):
                return inbox.popleft()
            said = self._late(turn)
            if self.rules.policy == "fail":
                raise LineError(said)
            if self.rules.policy == "drop":
                return Lost(said)
            log.warning("%s; the session is paused until it answers (policy pause)", said)
            waiter.pause_now()

    def _late(self, turn: Turn) -> str:
        state = "is late" if self._wire is not None else "has lost its connection"
        return (
            f"the client of strategy {self.name!r} {state}: no answer to {turn.call} at "
            f"{format_time(turn.time_ns)} within {self.rules.patience_s:g} s"
        )

    def _left(self, left: Left) -> Lost:
        if left.failed:
            raise StrategyError(left.reason)
        return Lost(f"the client of strategy {self.name!r} left")

    def _answer(self, id: int, found: Found) -> None:
        with self._lock:
            if self._wire is not None:
                self._wire.answer(id, found)

    def _refuse(self, detail: str, number: int) -> None:
        with self._lock:
            if self._wire is not None:
                self._wire.refuse(detail, number)

    def tell_end(self) -> None:
        with self._lock:
            if self._wire is not None:
                self._wire.tell_end()
