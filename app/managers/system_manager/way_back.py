"""A seek that goes back by executing the session again, from its start up to the place."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from threading import RLock
from typing import Protocol

from app.errors import StateError
from app.managers.data_manager.commands import Outcome
from app.managers.data_manager.goals import Place
from app.managers.lifecycle import ENDED
from app.managers.system_manager.branch import Branch
from app.managers.system_manager.building import Start
from app.managers.system_manager.journal import Journal, Sent

Asked = tuple[Future[Outcome], int]  # who waits for a command, and its number


class Builder(Protocol):
    """Makes the same session again."""

    def build(self, start: Start) -> Branch: ...


class StoppedError(Exception):
    """The session was stopped on its way back."""


class WayBack:
    """One execution, or more where it is aimed at an earlier place meanwhile.

    What others change, they change under the lock, and then call ``look_again``.
    """

    def __init__(
        self, lock: RLock, builder: Builder, journal: Journal, epoch: int, place: Place,
        asked: Asked, speed: float,
    ) -> None:  # fmt: skip
        self.place, self.speed = place, speed  # where to go, and the speed of afterwards
        self.asked = asked
        self.paused: list[Asked] = []  # pauses: it ends where it has come to
        self.stopped = False
        self._lock, self._builder, self._journal, self._epoch = lock, builder, journal, epoch
        self._hidden: Branch | None = None

    # -- under the lock --------------------------------------------------------------------

    def look_again(self) -> None:
        """Interrupt what is going on."""
        if self._hidden is not None:
            with suppress(StateError):  # it has ended: its thread sees that
                self._hidden.coordinator.pause()

    def set_speed(self, speed: float) -> None:
        self.speed = speed
        if self._hidden is not None:
            with suppress(StateError):
                self._hidden.coordinator.set_speed(speed)

    # -- any thread --------------------------------------------------------------------------

    def stop(self) -> None:
        """End soon, with nothing to show."""
        with self._lock:
            self.stopped, hidden = True, self._hidden
        if hidden is not None:
            hidden.stop()

    # -- on a thread of its own ----------------------------------------------------------------

    def execute(self) -> Branch:
        """A branch that stands at the place, or where a pause interrupted it.

        Raises StoppedError, or what it failed of; then nothing of it is left.
        """
        try:
            return self._execute()
        except BaseException:
            if self._hidden is not None:
                self._hidden.close()
            raise

    def _execute(self) -> Branch:
        hidden: Branch | None = None
        replayed = 0
        while True:
            if hidden is None:
                hidden, replayed = self._begin(), 0
            here, going = hidden.coordinator.place, None
            with self._lock:
                if self.paused:
                    return hidden
                wanted = self.place
                sent = self._journal.upto(wanted)[replayed:]
                stop = sent[0].place if sent else wanted
                if here < stop:
                    going = hidden.coordinator.seek(stop)
            if here > wanted:
                hidden.close()
                self._hidden = hidden = None
            elif going is not None:
                self._wait(hidden, going)
            elif sent:
                self._wait(hidden, _send(hidden, sent[0]))
                replayed += 1
            else:
                return hidden

    def _begin(self) -> Branch:
        """A branch that stands at the session's beginning."""
        speed = self.speed
        hidden = self._builder.build(Start(self._epoch, speed, paused=True))
        with self._lock:
            self._hidden = hidden
            if not self.stopped:
                hidden.start()
                if self.speed != speed:
                    hidden.coordinator.set_speed(self.speed)
        if not self.stopped:
            hidden.coordinator.wait_started()
        self._check(hidden)
        return hidden

    def _wait(self, hidden: Branch, going: Future[Outcome]) -> None:
        try:
            going.result()
        except StateError:
            self._check(hidden)
            raise
        self._check(hidden)

    def _check(self, hidden: Branch) -> None:
        """Raise what ended it."""
        coordinator = hidden.coordinator
        if coordinator.error is not None:
            raise coordinator.error
        if self.stopped or coordinator.state in ENDED:
            raise StoppedError


def _send(hidden: Branch, sent: Sent) -> Future[Outcome]:
    desk = hidden.desk
    assert desk is not None

    def again() -> None:
        hidden.note_sent(sent.event)
        desk.republish(sent.event, sent.place.now_ns, sent.orders_made)

    return hidden.coordinator.call(again)
