"""uvicorn's WebSocket protocol, and a way past a client that stopped reading."""

from __future__ import annotations

from starlette.websockets import WebSocket
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_EXTENSION = "tapedeck.hang_up"
LINGER_S = 30.0


class StreamProtocol(WebSocketsSansIOProtocol):
    """What is sent waits until the client has read: a farewell to one that does not would
    wait for ever, and its connection stay open."""

    async def run_asgi(self) -> None:
        self.scope["extensions"] = {
            **(self.scope.get("extensions") or {}), _EXTENSION: {"call": self.hang_up},
        }  # fmt: skip
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # refused: else it is logged as an error as well

    def send_receive_event_to_app(self) -> None:
        """Text that is not UTF-8 goes on with surrogates: no JSON, and refused as such."""
        if self.curr_msg_data_type != "text" or self.close_sent:
            super().send_receive_event_to_app()
            return
        text = b"".join(self.frames).decode(errors="surrogateescape")
        self.frames = []
        self.queue.put_nowait({"type": "websocket.receive", "text": text})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def hang_up(self) -> None:
        """Let what is sent from now on pass, and drop the line if it was not read in time."""
        self.writable.set()
        self.loop.call_later(LINGER_S, self.transport.abort)


def hang_up(websocket: WebSocket) -> None:
    """As ``StreamProtocol.hang_up``, where the server runs it."""
    extension = (websocket.scope.get("extensions") or {}).get(_EXTENSION)
    if extension is not None:
        extension["call"]()
