"""Waiting without threads: other threads' futures and commits, as the event loop sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request

from app.api.precedence import waiting

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession
    from app.managers.time_manager import View

T = TypeVar("T")
ENDED = frozenset({"COMPLETED", "FAILED", "STOPPED"})


class LoopBridge:
    """The server's event loop, as other threads may use it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def post(self, callback: Callable[..., object], *args: Any) -> bool:
        """Call it on the loop; False where no loop runs (yet, or any more)."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return False
        try:
            loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # closed between the question and the call
            return False
        return True

    def follow(self, source: Future[T]) -> asyncio.Future[T]:
        """A loop future with the same end; cancelling it leaves the source alone."""
        target: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def copy() -> None:
            if target.done():
                return
            if source.cancelled():
                target.cancel()
            elif (error := source.exception()) is not None:
                target.set_exception(error)
                target.exception()  # whoever waits raises it; nobody waiting is no fault
            else:
                target.set_result(source.result())

        source.add_done_callback(lambda _: self.post(copy))
        return target


class LongPolls:
    """Readers that wait for a later view. One commit listener, only while somebody waits."""

    def __init__(self, bridge: LoopBridge) -> None:
        self._bridge = bridge
        self._waiting: dict[asyncio.Future[None], tuple[int, int]] = {}  # epoch and seq
        self._session: ReplaySession | None = None
        self._remove: Callable[[], None] | None = None
        self._posted = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(
        self, session: ReplaySession, after: int, wait_s: float, request: Request
    ) -> None:
        """Until the session's view is later than ``after`` or of another epoch, it ended or was
        replaced, time is over, the server closes, or the caller has gone."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listen_to(session)
        self._waiting[future] = session.view().epoch, after
        self._look()  # a commit before the listener stood would be missed
        gone = asyncio.ensure_future(_until_disconnected(request))
        try:
            with waiting(request):
                await asyncio.wait({future, gone}, timeout=wait_s, return_when="FIRST_COMPLETED")
        finally:
            gone.cancel()
            self._waiting.pop(future, None)
            if not self._waiting:
                self._stop_listening()

    def on_change(self, session: ReplaySession) -> None:
        """A session began, changed its state or ended: who waits for another is answered."""
        if self._session is session:
            self._look()
        else:
            self.wake_all()

    def wake_all(self) -> None:
        """Answer everybody now: the session was replaced, or the server closes."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _listen_to(self, session: ReplaySession) -> None:
        if self._session is session:
            return
        self.wake_all()  # they wait for a session that was replaced
        self._stop_listening()
        self._session = session
        self._remove = session.add_commit_listener(self._on_commit)

    def _stop_listening(self) -> None:
        if self._remove is not None:
            self._remove()
        self._remove = self._session = None

    def _on_commit(self, _: View) -> None:
        """On the merge thread: one wake-up is under way at most, however fast it commits."""
        if not self._posted:
            self._posted = self._bridge.post(self._look)

    def _look(self) -> None:
        self._posted = False
        if self._session is None:
            return
        view = self._session.view()
        ended = self._session.state in ENDED
        for future, (epoch, after) in self._waiting.items():
            if (ended or view.seq > after or view.epoch != epoch) and not future.done():
                future.set_result(None)


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
