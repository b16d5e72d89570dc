"""The protocol of the stream, without a socket: what to send, what came, where it continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.client.address import stream_url
from app.client.answers import Session
from app.client.messages import End, Error, Hello, Message, Slices, Snapshot, Status, read_frame
from app.client.problems import (
    ConnectionProblem,
    ServerProblem,
    StreamClosedProblem,
    StreamHoleProblem,
    refused_stream,
    unreachable,
)
from app.errors import RequestError, TapedeckError

Delivery = Literal["lossless", "conflate"]
Encoding = Literal["msgpack", "json"]

TRIES = 8  # to reconnect, with pauses of 0.1 s that double
FIRST_PAUSE_S = 0.1
_FINAL_CODES = (1003, 1008)  # the server will not take this client: no use to come again


@dataclass(frozen=True)
class Subscription:
    """What a client wants to hear."""

    message: dict[str, Any]
    encoding: Encoding
    resume: bool
    after: int | None = None


def stream(
    channels: str | Sequence[str] = "bars_1m",
    symbols: str | Sequence[str] = "*",
    *,
    delivery: Delivery = "lossless",
    interval_ms: int | None = None,
    encoding: Encoding = "msgpack",
    resume: bool = False,
    after: int | None = None,
) -> Subscription:
    """Subscribes to the stream; iterate over what it returns for its messages.

    ``lossless`` gives every slice that has a row, ``conflate`` the newest state of each
    symbol at most every ``interval_ms``. With ``resume`` a broken connection is opened
    again and continues where it was. ``after`` is the slice after which to begin, 0 for the
    session's first: refused (``not_held``) where the server no longer holds what follows it.
    """
    if (resume or after is not None) and delivery != "lossless":
        raise RequestError("resume=True and after need delivery='lossless'; conflate keeps no rows")
    message: dict[str, Any] = {
        "channels": [channels] if isinstance(channels, str) else list(channels),
        "symbols": [symbols] if isinstance(symbols, str) else list(symbols),
        "delivery": delivery,
    }
    if interval_ms is not None:
        message["interval_ms"] = interval_ms
    return Subscription(message, encoding, resume, after)


class StreamProtocol:
    """One subscription over one or, with ``resume``, several connections."""

    def __init__(self, server: str, subscription: Subscription) -> None:
        self.url = stream_url(server, subscription.encoding)
        self.hello: Hello | None = None
        self.ended = False
        self._subscription = subscription
        self.is_old = False  # whether the end taken last is of a session that had ended before
        self._session_id: str | None = None
        self._over_id: str | None = None  # the session that had ended when the client came
        self._place = (1, 0)  # epoch and seq after which to go on
        self._chained = False  # whether the next prev_seq must be that seq
        self._asked = False  # whether the next frame may be a refusal of what was sent
        self._tries = 0

    def greet(self, frame: str | bytes) -> str:
        """Takes the server's hello; returns what to send: subscribe, or resume after a break."""
        hello = read_frame(frame)
        if isinstance(hello, Error):
            raise ServerProblem(0, str(hello.code), hello.detail, hello.raw)
        if not isinstance(hello, Hello):
            raise ConnectionProblem(f"{self.url} does not greet as a Tapedeck stream does")
        message: dict[str, Any] = {"action": "subscribe", **self._subscription.message}
        there, after = hello.session, self._subscription.after
        session_id = there.id if there else None
        goes_on = session_id is not None
        if self.hello is None:
            first = (there and there.seq) or 0 if after is None else after
            self._place = ((there and there.epoch) or 1, first)
            self._over_id = session_id if there and there.ended else None
            goes_on = goes_on and after is not None
        elif self._session_id not in (None, session_id):
            raise ConnectionProblem(
                f"the connection broke in session {self._session_id}, and the server now has "
                f"session {session_id}: what came between is lost"
            )
        if goes_on:
            epoch, seq = self._place
            message |= {"action": "resume", "epoch": epoch, "after": seq, "session": session_id}
        self.hello, self._session_id, self._asked = hello, session_id, True
        return msgspec.json.encode(message).decode()

    def take(self, frame: str | bytes) -> Message:
        """The message in a frame.

        Raises StreamHoleProblem where frames before it are missing, ServerProblem where the
        server refuses the subscription.
        """
        message = read_frame(frame)
        if isinstance(message, Hello):
            raise ConnectionProblem(f"{self.url} greeted twice")
        if isinstance(message, Error) and self._asked:
            raise ServerProblem(0, str(message.code), message.detail, message.raw)
        self._asked = False
        if isinstance(message, Slices):
            self._follow(message)
        elif isinstance(message, Snapshot):
            self._place, self._chained = (message.epoch, message.seq), False
        elif isinstance(message, Status) and message.raw.get("why") == "session":
            self._session_id = message.raw.get("id")  # a new one, counted from 0 again
            self._place, self._chained = (message.epoch or 1, 0), False
        self.ended = isinstance(message, End)
        self.is_old = self.ended and self._over_id is not None
        if not isinstance(message, Status | Error) or message.raw.get("why") == "session":
            self._over_id = None
        self._tries = 0
        return message

    def outlives(self, now: Session) -> bool:
        """Whether another session was started since: then the old one's end is not the end."""
        self.ended = now.id == self._session_id
        return not self.ended

    def _follow(self, slices: Slices) -> None:
        epoch, seq = self._place
        if self._chained and slices.epoch == epoch and slices.prev_seq != seq:
            raise StreamHoleProblem(
                f"frames are missing: after seq {seq} of epoch {epoch} came one that follows "
                f"seq {slices.prev_seq}"
            )
        if len(slices.seqs):
            self._place, self._chained = (slices.epoch, int(slices.seqs[-1])), True

    def lost(self, error: Exception) -> float:
        """The connection broke: seconds to wait before the next try, or raises what to tell."""
        problem = self.problem_of(error)
        if not self._subscription.resume or self._tries >= TRIES or self._is_final(problem):
            raise problem from error
        self._tries += 1
        return FIRST_PAUSE_S * float(2 ** (self._tries - 1))

    def problem_of(self, error: Exception) -> TapedeckError:
        """What a transport error means, in a sentence."""
        if isinstance(error, TapedeckError):
            return error
        if isinstance(error, ConnectionClosed):
            code = error.rcvd.code if error.rcvd else 1006
            words = error.rcvd.reason if error.rcvd else ""
            told = f"the stream closed before its end with code {code}"
            return StreamClosedProblem(f"{told}: {words}" if words else told, code)
        if isinstance(error, InvalidStatus):
            return refused_stream(self.url, error)
        return unreachable(self.url, error)

    def _is_final(self, problem: TapedeckError) -> bool:
        if isinstance(problem, StreamClosedProblem):
            return problem.code in _FINAL_CODES
        return isinstance(problem, ServerProblem) and problem.status < 500
