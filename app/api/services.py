"""What the routes share: manager, stream hub, waiting callers; made once a server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from app.api.auth import Key
from app.api.hub import Hub
from app.api.idempotency import IdempotencyKeys
from app.api.metrics import SessionCollector, build_registry
from app.api.problems import ClosingError, NoSessionError
from app.api.rates import Rates
from app.api.waiting import LongPolls, LoopBridge
from app.errors import RequestError
from app.managers.system_manager.run_queue import RunQueue

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession, SystemManager
    from settings import Settings

log = logging.getLogger(__name__)
DEFAULT_POLL_S = 10.0
CLOSE_S = 1.0  # for the session to stop and its callers to be answered
RUNS_S = 0.5  # for runs to see that they are to stop; then they are killed
SETTLE_S = 0.2  # for stream clients to take their last frames


class Services:
    """Belongs to the loop that ``open`` runs on."""

    def __init__(self, settings: Settings, manager: SystemManager) -> None:
        self.settings = settings
        self.manager = manager
        self.bridge = LoopBridge()
        self.polls = LongPolls(self.bridge)
        self.keys: IdempotencyKeys[dict[str, Any]] = IdempotencyKeys()
        self.runs = RunQueue(settings)
        self.run_keys: IdempotencyKeys[dict[str, Any]] = IdempotencyKeys()
        self.registry = build_registry()
        rates = Rates(self.registry)
        self.hub = Hub(
            self.bridge,
            rates,
            patience_s=settings.stream_lossless_patience_seconds,
            client_bytes=settings.stream_client_queue_bytes,
            resume_rows=settings.stream_resume_rows,
            lockstep_s=settings.lockstep_patience_seconds,
            lockstep_policy=settings.lockstep_policy,
        )
        self.hub.on_change = self.polls.on_change
        self.registry.register(SessionCollector(manager, self.hub, rates))
        secret = settings.tapedeck_api_key
        self.key = None if secret is None else Key(secret.get_secret_value())
        self.max_wait_s = settings.http_max_wait_seconds
        self.closing = False
        self._work: set[asyncio.Future[dict[str, Any]]] = set()
        manager.on_session(self._on_session)

    def _on_session(self, session: ReplaySession) -> None:
        """On the thread that starts it, before its first slice."""
        self.bridge.post(self.keys.clear)
        self.hub.on_session(session)

    async def open(self) -> None:
        """Take the running loop as the server's."""
        self.bridge.bind(asyncio.get_running_loop())
        self.hub.start()
        self.runs.open()

    async def close(self) -> None:
        """Refuse commands, answer who waits, stop session and runs, let the streams settle.

        Any number of times; bounded, whatever hangs.
        """
        if self.closing:
            return
        self.closing = True
        self.polls.wake_all()
        stops = {
            asyncio.ensure_future(asyncio.to_thread(self.manager.close)): "the session",
            asyncio.ensure_future(asyncio.to_thread(self.runs.close, RUNS_S)): "a run",
        }
        done, late = await asyncio.wait(stops, timeout=CLOSE_S)
        for stop in late:
            log.warning("%s did not stop within %g s", stops[stop], CLOSE_S)
        for stop in done:
            if error := stop.exception():
                log.error("%s did not stop cleanly", stops[stop], exc_info=error)
        await self.hub.close(SETTLE_S)

    def hold(self, work: asyncio.Future[dict[str, Any]]) -> None:
        """Keep work alive until it is done: its callers may all have gone."""
        self._work.add(work)
        work.add_done_callback(self._let_go)

    def count_work(self) -> int:
        """Steps that are not answered yet."""
        return len(self._work)

    def _let_go(self, work: asyncio.Future[dict[str, Any]]) -> None:
        self._work.discard(work)
        if not work.cancelled():
            work.exception()  # whoever waits raises it

    def check_open(self) -> None:
        """ClosingError where the server takes no more commands."""
        if self.closing:
            raise ClosingError("the server shuts down and takes no more commands")

    def session(self) -> ReplaySession:
        """The live or last session; NoSessionError where there is none."""
        session = self.manager.session
        if session is None:
            raise NoSessionError
        return session

    def check_wait(self, wait_s: float | None) -> None:
        if wait_s is not None and not 0 <= wait_s <= self.max_wait_s:
            raise RequestError(f"wait_s is {wait_s:g}; allowed: 0 to {self.max_wait_s:g} seconds")

    async def polled(
        self, request: Request, after: int | None, wait_s: float | None
    ) -> ReplaySession:
        """The session, once it has a view after ``after`` or the wait is over."""
        session = self.session()
        if after is None:
            if wait_s is not None:
                raise RequestError("wait_s goes with after: the seq that a later view is wanted of")
            return session
        self.check_wait(wait_s)
        if not self.closing:
            limit_s = min(DEFAULT_POLL_S, self.max_wait_s) if wait_s is None else wait_s
            await self.polls.wait(session, after, limit_s, request)
        return self.session()
