"""A lockstep client's end of the line: turns one after another, each answered before the next.

The socket is read by the thread that asks, for a thread more would cost each turn two hand-overs.
"""

from __future__ import annotations

import socket as sockets
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from app.client.address import server_url, stream_url
from app.client.problems import (
    ConnectionProblem,
    ServerProblem,
    StreamClosedProblem,
    refused_stream,
    unreachable,
)

_READ_BYTES = 2**18
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class LockstepSocket:
    """Messages both ways, in msgpack. Close it, or use it in a ``with``; ``close`` may be called
    from another thread, and ends a ``receive`` with StreamClosedProblem."""

    def __init__(self, url: str, api_key: str | None = None, timeout_s: float = 30.0) -> None:
        self.url = stream_url(server_url(url), "msgpack")
        self._protocol = ClientProtocol(parse_uri(self.url), max_size=None)
        self._frames: deque[bytes] = deque()
        self._parts: list[bytes] = []
        try:
            self._socket = _connect(self.url, timeout_s)
        except OSError as error:
            raise unreachable(self.url, error) from error
        try:
            self._shake_hands(api_key)
            self.hello = self.receive()
            self._socket.settimeout(None)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> LockstepSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def send(self, message: Mapping[str, Any]) -> None:
        """One message; StreamClosedProblem where the line is gone."""
        self._protocol.send_binary(_pack(message))
        self._flush()

    def receive(self) -> dict[str, Any]:
        """The next message; waits for it."""
        while not self._frames:
            self._read()
        message: dict[str, Any] = _unpack(self._frames.popleft())
        return message

    def close(self) -> None:
        """Leave; the server is told, if it still listens."""
        try:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()
            self._socket.shutdown(sockets.SHUT_RDWR)
        except (OSError, StreamClosedProblem):
            return  # it has gone already
        finally:
            self._socket.close()

    # -- how -------------------------------------------------------------------------------------

    def _shake_hands(self, api_key: str | None) -> None:
        request = self._protocol.connect()
        if api_key is not None:
            request.headers["Authorization"] = f"Bearer {api_key}"
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            self._read()
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            raise refused_stream(self.url, error)
        if error is not None:
            raise ConnectionProblem(f"{self.url}: {error}") from error

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise StreamClosedProblem(f"the line broke: {error}", 1006) from error
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in _DATA:
                self._parts.append(bytes(event.data))
                if event.fin:
                    self._frames.append(b"".join(self._parts))
                    self._parts.clear()
        self._flush()
        if self._protocol.state is State.CLOSED and not self._frames:
            raise self._closed()

    def _flush(self) -> None:
        try:
            for data in self._protocol.data_to_send():
                if data:
                    self._socket.sendall(data)
        except OSError as error:
            raise StreamClosedProblem(f"the line broke: {error}", 1006) from error

    def _closed(self) -> StreamClosedProblem:
        code, reason = self._protocol.close_code or 1006, self._protocol.close_reason
        told = f"the stream closed with code {code}"
        return StreamClosedProblem(f"{told}: {reason}" if reason else told, code)


def check_frame(frame: Mapping[str, Any]) -> None:
    """ServerProblem where a message is an error."""
    if frame.get("type") == "error":
        raise ServerProblem(0, str(frame.get("code")), str(frame.get("detail")), dict(frame))


def _connect(url: str, timeout_s: float) -> sockets.socket:
    uri = parse_uri(url)
    line = sockets.create_connection((uri.host, uri.port), timeout_s)
    line.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    if uri.secure:
        return ssl.create_default_context().wrap_socket(line, server_hostname=uri.host)
    return line
