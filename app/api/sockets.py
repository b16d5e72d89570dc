"""uvicorn's WebSocket protocol, and a way past a client that stopped reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import State

_EXTENSION = "tapedeck.stream"
Listener = Callable[[str | bytes], bool]
LINGER_S = 30.0
MOST_FRAGMENTS = 1000  # of one message: empty ones cost memory and count for no bytes
MOST_PONGS = 100  # that were not taken: whoever pings must read


class StreamProtocol(WebSocketsSansIOProtocol):
    """What is sent waits until the client has read: a farewell to one that does not would
    wait for ever, and its connection stay open."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn.debug = False  # it would log handshakes, and with them the callers' keys
        self._pongs = 0
        self._listener: Listener | None = None

    async def run_asgi(self) -> None:
        self.scope["extensions"] = {
            **(self.scope.get("extensions") or {}), _EXTENSION: {"protocol": self},
        }  # fmt: skip
        await super().run_asgi()
        self._drop_in_time()

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.send":
            await self.writable.wait()
            if self.close_sent:  # its own fault: what it sent was no WebSocket
                raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # refused: else it is logged as an error as well

    def send_receive_event_to_app(self) -> None:
        """Text that is not UTF-8 goes on with surrogates: no JSON, and refused as such."""
        if self._listener is not None and self._overheard(self._listener):
            return
        if self.curr_msg_data_type != "text" or self.close_sent:
            super().send_receive_event_to_app()
            return
        text = b"".join(self.frames).decode(errors="surrogateescape")
        self.frames = []
        self.queue.put_nowait({"type": "websocket.receive", "text": text})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def listen(self, listener: Listener) -> None:
        """Offer it each message that comes while none waits; what it takes goes no further."""
        self._listener = listener

    def _overheard(self, listener: Listener) -> bool:
        if self.close_sent or len(self.frames) > 1 or not self.queue.empty():
            return False
        data = self.frames[0]
        try:
            taken = listener(data.decode() if self.curr_msg_data_type == "text" else data)
        except UnicodeDecodeError:
            return False
        if taken:
            self.frames = []
        return taken

    @property
    def can_post(self) -> bool:
        """Whether a frame would leave at once."""
        open_now = self.handshake_complete and self.conn.state is State.OPEN
        gone = self.close_sent or self.transport.is_closing()  # its farewell may not have come yet
        return open_now and not gone and self.writable.is_set()

    def post(self, frame: bytes, text: bool) -> None:
        """Send a frame, where ``can_post``: without a task, and what stands between."""
        if text:
            self.conn.send_text(frame)
        else:
            self.conn.send_binary(frame)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"more than {MOST_FRAGMENTS} fragments")
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        super().handle_ping()
        self._pongs = 0 if self.writable.is_set() else self._pongs + 1
        if self._pongs > MOST_PONGS:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._drop_in_time()

    def _drop_in_time(self) -> None:
        """A transport that closes waits for ever for a client that does not read."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(LINGER_S, self.transport.abort)

    def hang_up(self) -> None:
        """Let what is sent from now on pass, and drop the line if it was not read in time."""
        self.writable.set()
        self.loop.call_later(LINGER_S, self.transport.abort)


def protocol_of(websocket: WebSocket) -> StreamProtocol | None:
    """The protocol behind it; None where another server runs the application."""
    extension = (websocket.scope.get("extensions") or {}).get(_EXTENSION)
    return None if extension is None else extension["protocol"]


def hang_up(websocket: WebSocket) -> None:
    """As ``StreamProtocol.hang_up``, where the server runs it."""
    protocol = protocol_of(websocket)
    if protocol is not None:
        protocol.hang_up()
