"""A small real server that speaks what a test scripts: what was asked is recorded."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.conftest import StartServer

PREFIX = "/api/v1"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str  # as on the wire, percent-encoded
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Connection:
    """What a stream connection is sent; then it is closed, or held open."""

    frames: list[Any]
    close: int | None = 1000
    reason: str = ""
    refuse: Response | None = None


@dataclass
class Script:
    """The server's part of a dialogue."""

    url: str = ""
    answers: dict[str, Response] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: deque[Connection] = field(default_factory=deque)
    said: list[dict[str, Any]] = field(default_factory=list)  # by stream clients
    handshakes: list[dict[str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    def answer(
        self, call: str, body: Any, status: int = 200, kind: str = "application/json"
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[call] = Response(content, status, media_type=kind)

    async def http(self, request: Request) -> Response:
        content = await request.body()
        path = request.scope["raw_path"].decode().removeprefix(PREFIX)
        self.asked.append(
            Asked(
                request.method, path, dict(request.query_params), dict(request.headers),
                json.loads(content) if content else None,
            )
        )  # fmt: skip
        return self.answers.get(f"{request.method} {path}", Response(status_code=404))

    async def stream(self, websocket: WebSocket) -> None:
        script = self.connections.popleft()
        self.handshakes.append(dict(websocket.headers))
        self.queries.append(websocket.url.query)
        if script.refuse is not None:
            await websocket.send_denial_response(script.refuse)
            return
        await websocket.accept()
        frames = deque(script.frames)
        await self._send(websocket, frames.popleft())
        try:
            self.said.append(json.loads(await websocket.receive_text()))
            while frames:
                await self._send(websocket, frames.popleft())
            if script.close is None:
                await websocket.receive()
            else:
                await websocket.close(script.close, script.reason)
        except WebSocketDisconnect:
            self.said.append({"action": "left"})

    async def _send(self, websocket: WebSocket, frame: Any) -> None:
        if isinstance(frame, bytes):
            await websocket.send_bytes(frame)
        else:
            await websocket.send_text(frame if isinstance(frame, str) else json.dumps(frame))


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture
def script() -> Iterator[Script]:
    """A script, and the server that follows it at ``script.url``."""
    found = Script()
    methods = ["GET", "POST", "PATCH"]
    app = Starlette(
        routes=[
            WebSocketRoute(PREFIX + "/stream", found.stream),
            Route("/{path:path}", found.http, methods=methods),
        ]
    )
    config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", lifespan="off")
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert server.listens.wait(10)
        try:
            yield found
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def real_url(server: StartServer, small_catalog: Path) -> str:
    """A real server over the small catalog."""
    return server(small_catalog)
