"""Stream clients of delivery ``lockstep``: each at the barrier, or in a strategy's chair.

A name stands for a client over its connections. Where the session has a strategy of that name
that plays in lockstep, the client plays it; else it is shown slices and acknowledges them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.api.barrier import Barrier, Member
from app.api.clients import Client
from app.api.few import RowNames
from app.api.frames import Selection
from app.api.messages import (
    CALLS,
    TRY_LATER,
    Fail,
    Leave,
    RefusalError,
    Subscribe,
    Subscription,
    subscription_of,
)
from app.api.turns import TurnWire
from app.api.waiting import ENDED, LoopBridge
from app.errors import RequestError, StateError
from app.managers.system_manager.lockstep import Chair, Left, Message
from app.trading.services.strategy.line import Ack, LineError, Read, Terms

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Joined:
    """A client that has joined by a name, and where it is: one of ``member`` and ``chair``."""

    name: str
    message: Subscribe
    member: Member | None = None
    chair: Chair | None = None
    wire: TurnWire | None = None


class Lockstep:
    """All of them. Belongs to the loop, but for ``open``."""

    def __init__(
        self, bridge: LoopBridge, *, patience_s: float, policy: str, names: Callable[[], RowNames]
    ) -> None:
        self.barrier = Barrier(patience_s, lambda member: bridge.post(self._late, member))
        self._bridge, self._policy, self._patience_s = bridge, policy, patience_s
        self._names = names
        self._joined: dict[Client, Joined] = {}
        self._session: ReplaySession | None = None

    # -- sessions ------------------------------------------------------------------------------

    def open(self, session: ReplaySession) -> None:
        """A new session, before its first slice; on the thread that starts it."""
        self.barrier.open(session.symbols, frozenset(session.chairs))

    def on_open(self, session: ReplaySession) -> dict[Client, Subscription]:
        """The same, on the loop: everybody finds a place anew; what each is to be sent."""
        self._session = session
        found = {}
        for member in self.barrier.members:
            if member.client is None:
                self.barrier.remove(member)
        for client, joined in list(self._joined.items()):
            self._rise(joined)
            try:
                found[client] = self._sit(client, joined)
            except RefusalError as refusal:
                frame = {"type": "error", "code": refusal.code, "detail": str(refusal)}
                client.say(client.codec.frame(frame))
        return found

    # -- clients -------------------------------------------------------------------------------

    def join(self, client: Client, message: Subscribe) -> Subscription:
        """Give it a place; what it is to be sent of the stream. RefusalError says why not."""
        assert message.name is not None
        if any(one.name == message.name for c, one in self._joined.items() if c is not client):
            raise RefusalError("name_taken", f"{message.name!r} is here; names are unique")
        self.leave(client)
        joined = Joined(message.name, message)
        subscription = self._sit(client, joined)
        self._joined[client] = joined
        return subscription

    def after_of(self, client: Client) -> int | None:
        """The slice after which a client goes on that came back; None for one that is new."""
        joined = self._joined.get(client)
        member = None if joined is None else joined.member
        return member.acked_seq if member is not None and member.owes else None

    def leave(self, client: Client) -> None:
        """It subscribes to something else, or says that it leaves."""
        joined = self._joined.pop(client, None)
        if joined is None:
            return
        if joined.chair is not None and joined.wire is not None:
            joined.chair.hear(joined.wire, Left("left"))
        if joined.member is not None:
            self.barrier.remove(joined.member)
            self._wake()
        self._rise(joined)

    def lose(self, client: Client) -> None:
        """Its connection is gone; its place is kept."""
        joined = self._joined.pop(client, None)
        if joined is not None:
            self._rise(joined)

    def _rise(self, joined: Joined) -> None:
        if joined.chair is not None and joined.wire is not None:
            joined.chair.lose(joined.wire)
        if joined.member is not None:
            joined.member.client = None
        joined.chair = joined.wire = joined.member = None

    def _sit(self, client: Client, joined: Joined) -> Subscription:
        session, wish = self._session, subscription_of(joined.message)
        over = session is None or session.state in ENDED
        chair = None if session is None or over else session.chairs.get(joined.name)
        if chair is not None and session is not None:
            self._take(chair, session.id, client, joined)
            return Subscription((), wish.status, None, True, wish.interval_s)  # rows come in turns
        member = self.barrier.find(joined.name)
        if member is not None and member.wish != wish:  # not the client that was lost
            self.barrier.remove(member)
            member = None
        if member is None:
            member = self._member(joined)
            self.barrier.add(member)
        member.client = client
        member.policy = joined.message.policy or self._policy
        joined.member = member
        return wish

    def _member(self, joined: Joined) -> Member:
        subscription = subscription_of(joined.message)
        session = self._session
        member = Member(
            joined.name, self._policy, subscription, Selection(subscription.channels, None)
        )  # fmt: skip
        if session is not None:
            member.tune(session.symbols)
        return member

    def _take(self, chair: Chair, session_id: str, client: Client, joined: Joined) -> None:
        message = joined.message
        records = message.rows == "records"
        if records and client.codec.name != "msgpack":
            raise RefusalError("records", "rows 'records' needs ?encoding=msgpack")
        channels = subscription_of(message).channels
        terms = Terms(
            frozenset(CALLS if message.calls is None else message.calls),
            frozenset(channel.code for channel in channels),
        )
        wire = TurnWire(
            client, self._bridge, session_id, self._names, Selection(channels, None), records
        )
        try:
            chair.take(wire, terms, message.after, message.policy)
        except StateError as error:
            raise RefusalError("name_taken", str(error)) from error
        except RequestError as error:
            raise RefusalError("not_held", str(error)) from error
        joined.chair, joined.wire = chair, wire

    # -- what they say -------------------------------------------------------------------------

    def hear(self, client: Client, message: Ack | Read | Leave | Fail) -> None:
        """RefusalError where it cannot be now."""
        joined = self._joined.get(client)
        if joined is None:
            raise RefusalError("not_joined", "subscribe with delivery 'lockstep' and a name first")
        if isinstance(message, Leave):
            self.leave(client)
        elif joined.chair is not None and joined.wire is not None:
            said: Message = (
                Left(message.detail, failed=True) if isinstance(message, Fail) else message
            )
            joined.chair.hear(joined.wire, said)
        elif joined.member is not None:
            self._acknowledge(client, joined.member, message)

    def _acknowledge(self, client: Client, member: Member, message: Ack | Read | Fail) -> None:
        if not isinstance(message, Ack) or message.wishes:
            engine = self._session is not None and self._session.desk is not None
            text = f"{member.name!r} is no strategy of this session that plays in lockstep"
            raise RefusalError(
                "no_strategy", text if engine else "this session has no engine; it takes no orders"
            )
        if message.turn > client.sent_seq:
            raise RefusalError(
                "ahead", f"turn is {message.turn}; the last slice sent is {client.sent_seq}"
            )
        self.barrier.acknowledge(member, message.turn, message.until)
        self._wake()

    def _wake(self) -> None:
        if self._session is not None:
            self._session.wake()

    # -- who is late ---------------------------------------------------------------------------

    def _late(self, member: Member) -> None:
        session = self._session
        state = "is late" if member.client is not None else "has lost its connection"
        text = (
            f"lockstep client {member.name!r} {state}: it has not acknowledged slice "
            f"{member.given_seq} within {self._patience_s:g} s"
        )
        log.warning("%s; policy %s", text, member.policy)
        if session is None or member not in self.barrier.members:
            return
        if member.policy == "fail":
            session.fail(LineError(text))
        elif member.policy == "drop":
            self.barrier.remove(member)
            if member.client is not None:
                member.client.cut_off(TRY_LATER, f"late: no ack within {self._patience_s:g} s")
            self._wake()
        else:
            try:
                session.pause()
            except StateError as error:  # it is PAUSED, or over, by now
                log.info("%s", error)
