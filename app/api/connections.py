"""uvicorn's HTTP protocol with bounds: on connections, a request's head, and everybody's time."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.api.headers import HEADERS
from app.api.problems import problem

_PIECE_BYTES = 4096  # looked at in one go


class ConnectionLimits(NamedTuple):
    """What the settings allow."""

    connections: int
    url_bytes: int
    header_bytes: int
    request_s: float  # for a request to come in
    send_s: float  # for an answer to be taken, piece by piece


class GuardedProtocol(HttpToolsProtocol):
    """One connection. A refusal says what is allowed, and closes it."""

    def __init__(
        self, *args: Any, limits: ConnectionLimits, open_now: set[GuardedProtocol], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._limits, self._open = limits, open_now
        self._head_bytes = 0  # of headers that are known
        self._raw_bytes = 0  # received since a request began, while its head is not whole
        self._in_head = True
        self._refused = False
        self._active: RequestResponseCycle | None = None  # is being answered; ``cycle`` came last
        self._arrival: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    # -- life ----------------------------------------------------------------------------

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._open.add(self)
        most = self._limits.connections
        if len(self._open) > 2 * most:  # even those that are to be told
            transport.abort()
        elif len(self._open) > most:
            self.app = _Busy(most)
            self.ws_protocol_class = None
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._give_up_answer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """The transport goes on without this protocol."""
        if not self._refused:
            self._leave()
            super().handle_websocket_upgrade()

    def _leave(self) -> None:
        self._open.discard(self)
        self._arrived()
        self._unstall()

    # -- time ----------------------------------------------------------------------------

    def _expect(self) -> None:
        if self._arrival is None:
            self._arrival = self.loop.call_later(self._limits.request_s, self._on_late)

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _on_late(self) -> None:
        self._arrival = None
        self._refuse(
            408, "late", "Request timeout",
            f"the request did not come within {self._limits.request_s:g} seconds "
            "(HTTP_MAX_REQUEST_SECONDS)",
        )  # fmt: skip

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        self._unstall()
        super().resume_writing()

    def _await_reader(self) -> None:
        """The caller must take what was sent, or lose the connection."""
        if self._stall is None:
            self._stall = self.loop.call_later(self._limits.send_s, self._on_stall)

    def _on_stall(self) -> None:
        self._stall = None
        self._give_up_answer()
        self.transport.abort()

    def _give_up_answer(self) -> None:
        """Nothing more can be written: whoever makes the answer is told that nobody waits."""
        if self._active is not None:
            self._active.disconnected = True
            self._active.message_event.set()

    def _unstall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._close_in_time()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._close_in_time()

    def _close_in_time(self) -> None:
        """A transport that closes waits for ever for a caller that does not read."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._await_reader()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    # -- the request -----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._expect()
        for at in range(0, len(data), _PIECE_BYTES):
            if self._refused or self not in self._open:
                return
            piece = data[at : at + _PIECE_BYTES]
            super().data_received(piece)
            self._count_head(len(piece))

    def _count_head(self, received: int) -> None:
        """A line of the head that has no end is told by nothing else."""
        self._raw_bytes += received if self._in_head else 0
        if self._raw_bytes > self._limits.url_bytes + self._limits.header_bytes + _PIECE_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._raw_bytes = True, 0, 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        most = self._limits.url_bytes
        if len(self.url) > most:
            self._refuse(
                414, "url", "URI too long",
                f"the URL is longer than {most} bytes, the most allowed (HTTP_MAX_URL_BYTES)",
            )  # fmt: skip

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4  # ": " and the line's end
        if self._head_bytes > self._limits.header_bytes:
            self._refuse_head()
        else:
            super().on_header(name, value)

    def _refuse_head(self) -> None:
        self._refuse(
            431, "headers", "Request header fields too large",
            f"the headers are larger than {self._limits.header_bytes} bytes, the most allowed "
            "(HTTP_MAX_HEADER_BYTES)",
        )  # fmt: skip

    def on_headers_complete(self) -> None:
        self._in_head, self._raw_bytes = False, 0
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            self._arrived()
            super().on_message_complete()

    # -- refusals ----------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Of what the parser could not read; once, whatever follows it."""
        self._refuse(400, "http", "Bad request", msg)

    def _refuse(self, status: int, kind: str, title: str, detail: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._arrived()
        if self._active is not None and not self._active.response_complete:
            self._give_up_answer()
            if self._active.response_started:
                self.transport.abort()  # an answer is half out: no other can follow it
                return
        answer = problem(status, kind, title, detail, {**HEADERS, "connection": "close"})
        self.transport.write(STATUS_LINE[status] + _raw_headers(answer) + bytes(answer.body))
        self.transport.close()
        self._close_in_time()


def _raw_headers(answer: Response) -> bytes:
    lines = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
    return b"".join(lines) + b"\r\n"


class _Busy:
    """What a connection too many is answered with."""

    def __init__(self, most: int) -> None:
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem(
            503, "too-many-connections", "Too many connections",
            f"{self._most} connections are open, the most that HTTP_MAX_CONNECTIONS allows",
            {**HEADERS, "connection": "close", "retry-after": "1"},
        )  # fmt: skip
        await answer(scope, receive, send)
