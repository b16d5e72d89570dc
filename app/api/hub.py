"""From the merge thread to the stream clients: one hand-over a window, encoded once a wish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from app.api.answers import Names, data_body, session_body, symbol_bodies
from app.api.clients import Client, Encoded, Frame, Pending
from app.api.conflation import Conflation
from app.api.few import encode_window
from app.api.frames import Codec, Slices, encode_slices
from app.api.groups import Groups, Tuned
from app.api.holds import HoldGate
from app.api.lockstep import Lockstep
from app.api.mailbox import Mailbox
from app.api.messages import (
    TRY_LATER,
    RefusalError,
    Subscribe,
    Subscription,
    subscription_of,
)
from app.api.tap import Asked, Changed, News, Opened, SessionTap
from app.api.waiting import ENDED, LoopBridge
from app.api.windows import Ring, pieces
from app.model import Window

if TYPE_CHECKING:
    from app.api.rates import Rates
    from app.managers.system_manager import ReplaySession, SessionStatus
    from app.managers.system_manager.answers import Summary

log = logging.getLogger(__name__)


class Hub:
    """All stream clients. Belongs to the loop, but for ``hand_over`` and ``on_session``."""

    def __init__(
        self,
        bridge: LoopBridge,
        rates: Rates,
        *,
        patience_s: float,
        client_bytes: int,
        resume_rows: int,
        lockstep_s: float = 10.0,
        lockstep_policy: str = "pause",
    ) -> None:
        self.clients: set[Client] = set()
        self.gate = HoldGate(
            patience_s, lambda client: bridge.post(self._cut_off, client, patience_s)
        )
        self.lockstep = Lockstep(
            bridge, patience_s=lockstep_s, policy=lockstep_policy, names=self._named
        )
        self._mailbox = Mailbox(bridge, self._work_off)
        self._rates = rates
        self._client_bytes = client_bytes
        self._session: ReplaySession | None = None
        self._names: Names | None = None
        self._ended: SessionStatus | None = None  # its last status, once its end was told
        self._ring = Ring(resume_rows)
        self._groups = Groups()
        self._conflation = Conflation(self._encode_for)
        # A session began, changed its state or ended.
        self.on_change: Callable[[ReplaySession], object] = lambda _: None

    def has_clients(self) -> bool:
        return bool(self.clients)

    # -- other threads -------------------------------------------------------------------

    def on_session(self, session: ReplaySession) -> None:
        """Tap a new session, before its first slice."""
        self.hand_over(Opened(session, session.status()), 0)
        self.lockstep.open(session)
        barrier = self.lockstep.barrier
        session.attach(SessionTap(session, self, self.gate, barrier, self._rates))

    def hand_over(self, news: News, rows: int) -> None:
        """Put it in the mailbox; any thread."""
        self.gate.add_backlog(rows)
        self._mailbox.put(news, rows)

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work off what comes, on the running loop."""
        self._mailbox.start()

    async def close(self, settle_s: float) -> None:
        """Give what was delivered ``settle_s`` seconds to leave, then stop."""
        await self._mailbox.settle(settle_s)
        waits = {asyncio.ensure_future(client.drained()) for client in self.clients}
        if waits:
            _, late = await asyncio.wait(waits, timeout=settle_s)
            for wait in late:
                wait.cancel()
        await self._mailbox.stop()

    def _work_off(self, news: News, rows: int) -> Iterator[None]:
        """Piece by piece."""
        try:
            yield from self._handle(news, rows)
        except Exception:
            log.exception("the stream could not pass on %s", type(news).__name__)
            for client in self.clients:  # whoever stayed would miss it and not know
                client.cut_off(1011, "internal error")

    def _handle(self, news: News, rows: int) -> Iterator[None]:
        try:
            if isinstance(news, Opened):
                self._open(news.session, news.status)
            elif isinstance(news, Asked):
                if not news.done.done():
                    news.done.set_result(None)
            elif news.session is not self._session:
                pass  # the last words of a session that was replaced
            elif isinstance(news, Changed):
                self._change(news)
            else:
                yield from self._deliver(news.window)
        finally:
            self.gate.add_backlog(-rows)
            if rows:
                self._wake_replay()

    # -- what is passed on -----------------------------------------------------------------

    def _open(self, session: ReplaySession, status: SessionStatus) -> None:
        self._session, self._names, self._ended = session, Names(session), None
        self._ring.reset(1)
        self._conflation.open(len(session.symbols))
        self._groups.retune(session)
        for client in self.clients:
            client.queued_seq = 0
            self._tell_session(client, status)
            self._tell_absent(client)
        for client, subscription in self.lockstep.on_open(session).items():
            if client.subscription != subscription:
                self._switch(client, subscription)
        self.on_change(session)

    def _change(self, news: Changed) -> None:
        if news.why == "end":
            self._ended = news.status
            self._conflation.flush_all()
        elif news.status.state not in ENDED:
            self._ended = None  # a seek takes up again what was completed
        if news.why == "epoch":
            self._begin_epoch(news)
        for client in self.clients:
            subscription = client.subscription
            if subscription is None:
                continue
            if news.why == "end":
                if subscription.status:  # the last change of state is one too
                    self._tell(client, "status", news.status, why="state")
                self._tell(client, "end", news.status)
            elif news.why in ("state", "day", "speed", "epoch") and subscription.status:
                self._tell(client, "status", news.status, why=news.why)
            if news.snapshot is not None:
                self._tell_snapshot(client, news.snapshot)
        if news.why in ("end", "state", "epoch"):
            self.on_change(news.session)

    def _begin_epoch(self, news: Changed) -> None:
        """Slices of the one before that were to be encoded later are not: a snapshot follows."""
        self._ring.reset(news.status.epoch, news.status.seq)
        self._conflation.clear()
        self._names = Names(news.session)
        for client in self.clients:
            client.drop_pending()

    def _deliver(self, window: Window) -> Iterator[None]:
        self._ring.append(window)
        yield from self._conflation.update(window)
        if not self.gate.lossless:
            return
        for number, piece in enumerate(pieces(window)):
            if number:
                yield
            for group in self._groups.lossless():
                assert self._names is not None
                slices = encode_window(group.codec, self._names, piece, group.selection)
                for client in group.clients:
                    if client.queued_seq < piece.last_seq:
                        client.queued_seq = piece.last_seq
                        if slices is not None:
                            client.push(Encoded(slices))

    # -- clients ---------------------------------------------------------------------------

    def join(self, codec: Codec) -> Client:
        """A new client, greeted, with nothing subscribed."""
        client = Client(codec, self._client_bytes, self._on_level, self._encode_for)
        session = self._session
        status = session.status() if session is not None else None
        hello = {"type": "hello", "version": 1, "session": session_body(status, codec.moment)}
        client.push(Frame(codec.frame(hello)))
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget it; if it held the replay, that goes on."""
        self.clients.discard(client)
        self.lockstep.lose(client)
        self._unsubscribe(client)
        client.drop_queue()
        self.gate.forget(client)
        self._wake_replay()

    def subscribe(self, client: Client, subscription: Subscription) -> None:
        """From now on it is sent this, and nothing of what it was subscribed to before."""
        self._switch(client, subscription)
        if self._ended is not None:
            if not subscription.lossless:
                self._conflation.flush(client)
            self._tell(client, "end", self._ended)

    def join_lockstep(self, client: Client, message: Subscribe) -> None:
        """A client of delivery lockstep: at the barrier, or in a strategy's chair."""
        self._check(subscription_of(message))
        subscription = self.lockstep.join(client, message)
        after = self.lockstep.after_of(client)
        if after is None:
            self.subscribe(client, subscription)
        else:
            self.resume(client, subscription, self._ring.epoch, after)

    def _named(self) -> Names:
        assert self._names is not None
        return self._names

    def _switch(self, client: Client, subscription: Subscription) -> None:
        self._check(subscription)
        self._unsubscribe(client)
        client.drop_slices()
        client.subscription = subscription
        tuned = self._groups.add(client, self._session)
        if subscription.status and self._session is not None:
            self._tell(client, "status", self._session.status(), why="subscribed")
        if subscription.lossless:
            self.gate.lossless = self._groups.count_lossless()
        else:
            self._conflation.add(client, tuned)

    def resume(
        self,
        client: Client,
        subscription: Subscription | None,
        epoch: int,
        after: int,
        session_id: str | None = None,
    ) -> None:
        """Send all slices after ``after``, then go on; RefusalError says from where it can."""
        wanted = subscription or client.subscription
        if wanted is None or not wanted.lossless:
            raise RefusalError(
                "no_subscription", "resume needs a lossless subscription: give channels"
            )
        ring, session = self._ring, self._session
        if session is not None and session_id not in (None, session.id):
            raise RefusalError(
                "not_held",
                f"session {session_id} was replaced by {session.id}, of which it can resume in "
                f"epoch {ring.epoch} after {ring.from_seq} to {ring.last_seq}",
                session=session.id,
                epoch=ring.epoch, from_seq=ring.from_seq, last_seq=ring.last_seq,
            )  # fmt: skip
        if session is None or epoch != ring.epoch or not (
            ring.from_seq <= after <= ring.last_seq
        ):  # fmt: skip
            raise RefusalError(
                "not_held",
                f"epoch {epoch} after {after} is not held; it can resume in epoch {ring.epoch} "
                f"after {ring.from_seq} to {ring.last_seq}",
                epoch=ring.epoch, from_seq=ring.from_seq, last_seq=ring.last_seq,
            )  # fmt: skip
        self._switch(client, wanted)
        client.push(Frame(b"", after))
        for window in ring.after(after):
            client.push(Pending(window))
        client.queued_seq = ring.last_seq
        if self._ended is not None:
            self._tell(client, "end", self._ended)

    def _unsubscribe(self, client: Client) -> None:
        self._groups.remove(client)
        self._conflation.remove(client)
        self.gate.lossless = self._groups.count_lossless()

    def _check(self, subscription: Subscription) -> None:
        """Refuse names that the running session has not, rather than be silent about them."""
        session = self._session
        if session is None or session.state in ENDED:
            return
        intervals = {1, *session.config.derived_intervals}
        wrong = [c.name for c in subscription.channels if c.interval_min not in {0, *intervals}]
        if wrong:
            raise RefusalError(
                "unknown_channel",
                f"this session has no {', '.join(wrong)}; its bars are "
                + ", ".join(f"bars_{n}m" for n in sorted(intervals)),
            )
        self._groups.check_symbols(subscription, session)

    def _on_level(self, client: Client, full: bool) -> None:
        self.gate.set_full(client, full)
        if not full:
            self._wake_replay()

    def _wake_replay(self) -> None:
        if self.gate.is_held and self._session is not None:
            self._session.wake()

    def _cut_off(self, client: Client, patience_s: float) -> None:
        log.warning("a stream client held the replay for %g s and is cut off", patience_s)
        client.cut_off(
            TRY_LATER, f"too slow: it held the clock for {patience_s:g} s within a minute"
        )

    def _encode_for(self, client: Client, window: Any) -> Slices | None:
        tuned = self._groups.of(client)
        if tuned is None or self._names is None:
            return None
        if isinstance(window, Window):
            return encode_window(client.codec, self._names, window, tuned.selection)
        return encode_slices(client.codec, self._names, window, tuned.selection)

    # -- frames that are no slices -----------------------------------------------------------

    def _tell(self, client: Client, kind: str, status: SessionStatus, **extra: Any) -> None:
        body = session_body(status, client.codec.moment)
        client.push(Frame(client.codec.frame({"type": kind, **extra, **body})))

    def _tell_session(self, client: Client, status: SessionStatus) -> None:
        """Whatever it subscribed to, it must know that slices are counted from 0 again."""
        frame = b""
        if client.subscription is not None:
            body = session_body(status, client.codec.moment)
            frame = client.codec.frame({"type": "status", "why": "session", **body})
        client.push(Frame(frame, 0))

    def _tell_absent(self, client: Client) -> None:
        """Symbols that it wants and that the new session has not."""
        try:
            if client.subscription is not None and self._session is not None:
                self._groups.check_symbols(client.subscription, self._session)
        except RefusalError as refusal:
            frame = {"type": "error", "code": refusal.code, "detail": str(refusal)}
            client.push(Frame(client.codec.frame(frame)))

    def _tell_snapshot(self, client: Client, snapshot: Summary) -> None:
        tuned: Tuned | None = self._groups.of(client)
        if tuned is None or self._session is None:
            return
        symbols = client.subscription.symbols if client.subscription is not None else None
        moment = client.codec.moment
        bodies = symbol_bodies(self._session, snapshot, moment, symbols)
        body = data_body(self._session, snapshot.view, bodies, moment)
        client.push(Frame(client.codec.frame({"type": "snapshot", **body}), snapshot.view.seq))
        client.queued_seq = snapshot.view.seq
