"""The stream over a WebSocket: an iterator, and its async twin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from threading import Event
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from app.client.answers import Session
from app.client.messages import Hello, Message
from app.client.problems import StreamHoleProblem
from app.client.stream import StreamProtocol

_BROKEN = (WebSocketException, OSError, TimeoutError, EOFError)
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)  # below it the library logs handshakes, and with them the key
_CLOSE_S = 0.5  # leaving a busy stream, whose queue is full, the server's answer is never read


def _options(headers: dict[str, str], timeout_s: float) -> dict[str, Any]:
    """No limit on frames, which are as large as a window; a consumer may be slow to read pongs."""
    return {
        "additional_headers": headers, "open_timeout": timeout_s, "close_timeout": _CLOSE_S,
        "max_size": None, "compression": None, "ping_timeout": None,
        "logger": _log,
    }  # fmt: skip


class Stream:
    """Messages of the stream, one by one, until the session's end; connected when made.

    Close it, or use it in a ``with``; ``close`` may be called from another thread. Where the
    session had ended before, and none was started since, its ``End`` comes at once.
    """

    def __init__(
        self,
        protocol: StreamProtocol,
        headers: dict[str, str],
        timeout_s: float,
        session: Callable[[], Session],
    ) -> None:
        self._protocol = protocol
        self._ask_session = session
        self._timeout_s = timeout_s
        self._options = _options(headers, timeout_s)
        self._closed = Event()
        self._stack = ExitStack()
        try:
            self._socket = self._open()
        except _BROKEN as error:
            raise protocol.problem_of(error) from error

    @property
    def hello(self) -> Hello | None:
        """The server's greeting."""
        return self._protocol.hello

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Message:
        while not (self._closed.is_set() or self._protocol.ended):
            try:
                message = self._protocol.take(self._socket.recv())
                if self._protocol.is_old and self._protocol.outlives(self._ask_session()):
                    continue
                return message
            except (ConnectionClosed, StreamHoleProblem) as error:
                if not self._closed.is_set():
                    self._reconnect(error)
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Leaves the stream; the iteration ends."""
        self._closed.set()
        self._stack.close()

    def _open(self) -> ClientConnection:
        """Connects, takes the greeting, and subscribes or resumes."""
        socket: ClientConnection = self._stack.enter_context(
            connect(self._protocol.url, **self._options)
        )
        try:
            socket.send(self._protocol.greet(socket.recv(self._timeout_s)))
        except BaseException:
            self._stack.close()
            raise
        return socket

    def _reconnect(self, error: Exception) -> None:
        self._stack.close()
        while not self._closed.wait(self._protocol.lost(error)):
            try:
                self._socket = self._open()
            except _BROKEN as again:
                error = again
            else:
                return


class AsyncStream:
    """As ``Stream``, for ``async for``; connects at ``async with`` or the first message."""

    def __init__(
        self,
        protocol: StreamProtocol,
        headers: dict[str, str],
        timeout_s: float,
        session: Callable[[], Awaitable[Session]],
    ) -> None:
        self._protocol = protocol
        self._ask_session = session
        self._timeout_s = timeout_s
        self._options = _options(headers, timeout_s)
        self._closed = False
        self._stack = AsyncExitStack()
        self._socket: AsyncConnection | None = None

    @property
    def hello(self) -> Hello | None:
        """The server's greeting, once connected."""
        return self._protocol.hello

    async def __aenter__(self) -> AsyncStream:
        await self._first()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Message:
        while not (self._closed or self._protocol.ended):
            socket = await self._first()
            try:
                message = self._protocol.take(await socket.recv())
                if self._protocol.is_old and self._protocol.outlives(await self._ask_session()):
                    continue
                return message
            except (ConnectionClosed, StreamHoleProblem) as error:
                if not self._closed:
                    await self._reconnect(error)
        await self.close()
        raise StopAsyncIteration

    async def close(self) -> None:
        """Leaves the stream; the iteration ends."""
        self._closed = True
        await self._stack.aclose()

    async def _first(self) -> AsyncConnection:
        if self._socket is None:
            try:
                self._socket = await self._open()
            except _BROKEN as error:
                raise self._protocol.problem_of(error) from error
        return self._socket

    async def _open(self) -> AsyncConnection:
        socket = await self._stack.enter_async_context(
            connect_async(self._protocol.url, **self._options)
        )
        try:
            greeting = await asyncio.wait_for(socket.recv(), self._timeout_s)
            await socket.send(self._protocol.greet(greeting))
        except BaseException:
            await self._stack.aclose()
            raise
        return socket

    async def _reconnect(self, error: Exception) -> None:
        await self._stack.aclose()
        while not self._closed:
            await asyncio.sleep(self._protocol.lost(error))
            try:
                self._socket = await self._open()
            except _BROKEN as again:
                error = again
            else:
                return
