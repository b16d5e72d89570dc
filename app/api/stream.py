"""``WS /stream``: one task reads what the client says, one writes what waits for it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.api.auth import PREFIX, deny
from app.api.clients import Client, clip_reason
from app.api.frames import CODECS, Codec
from app.api.messages import (
    Fail,
    Leave,
    Message,
    RefusalError,
    Resume,
    ViolationError,
    read_message,
    read_quick,
    subscription_of,
)
from app.api.problems import field_error, invalid, problem
from app.api.services import Services
from app.api.sockets import hang_up, protocol_of
from app.trading.services.strategy.line import Ack, Read

log = logging.getLogger(__name__)


def add_stream_route(app: FastAPI, services: Services) -> None:
    """The WebSocket."""

    async def upgrade(_: Request) -> Response:
        return problem(
            426, "upgrade", "Upgrade required", "the stream is a WebSocket: open it as ws://...",
            {"Upgrade": "websocket"},
        )  # fmt: skip

    app.add_route(PREFIX + "/stream", upgrade, include_in_schema=False)

    @app.websocket(PREFIX + "/stream")
    async def stream(websocket: WebSocket) -> None:
        codec = _codec(websocket.query_params)
        refusal = codec if isinstance(codec, Response) else _no_room(services)
        if refusal is not None:
            await deny(websocket, refusal)
        elif not isinstance(codec, Response):
            await websocket.accept()
            await _serve(websocket, codec, services)


def _codec(query: QueryParams) -> Codec | Response:
    wrong = [
        field_error(f"query.{name}", "unknown query parameter", value, "encoding")
        for name, value in query.multi_items()
        if name != "encoding"
    ]
    names = query.getlist("encoding") or ["json"]
    if len(names) > 1 or names[0] not in CODECS:
        came = ",".join(names)
        wrong.append(field_error("query.encoding", "unknown encoding", came, "json, msgpack"))
    return invalid(wrong) if wrong else CODECS[names[0]]


def _no_room(services: Services) -> Response | None:
    most = services.settings.stream_max_clients
    if services.closing:
        return problem(503, "closing", "Shutting down", "the server shuts down")
    if len(services.hub.clients) >= most:
        return problem(
            503, "too-many-clients", "Too many stream clients",
            f"{most} clients are connected, the most that STREAM_MAX_CLIENTS allows",
        )  # fmt: skip
    return None


async def _serve(websocket: WebSocket, codec: Codec, services: Services) -> None:
    client = services.hub.join(codec)
    client.line = protocol = protocol_of(websocket)
    if protocol is not None:
        protocol.listen(lambda data: _take_quick(data, client, services))
    reader: asyncio.Future[Any] = asyncio.ensure_future(_read(websocket, client, services))
    writer: asyncio.Future[Any] = asyncio.ensure_future(_write(websocket, client))
    try:
        ends: set[asyncio.Future[Any]] = {reader, writer, client.cut}
        await asyncio.wait(ends, return_when="FIRST_COMPLETED")
    finally:
        services.hub.leave(client)
        for task in (reader, writer):
            task.cancel()
        found = await asyncio.gather(reader, writer, return_exceptions=True)
    for end in found:
        if isinstance(end, ViolationError):
            log.debug("a stream client broke the protocol: %s", end)
            await _say_goodbye(websocket, end.close, str(end), codec.frame(_error(end)), codec)
            return
        if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect):
            log.error("a stream client's connection failed", exc_info=end)
            client.cut_off(1011, "internal error")
    if client.cut.done():
        await _say_goodbye(websocket, *client.cut.result())


async def _read(websocket: WebSocket, client: Client, services: Services) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text: str | None = message.get("text")
        data: Any = message.get("bytes") if text is None else text
        try:
            _obey(read_message(data, client.codec.name), client, services)
        except RefusalError as refusal:
            client.say(client.codec.frame(_error(refusal) | refusal.extra))


def _take_quick(data: str | bytes, client: Client, services: Services) -> bool:
    """Answers to turns are worth a way of their own; all else is for ``_read``."""
    message = read_quick(data, client.codec.name)
    if message is None or client.cut.done():
        return False
    try:
        services.hub.lockstep.hear(client, message)
    except RefusalError as refusal:
        client.say(client.codec.frame(_error(refusal) | refusal.extra))
    return True


def _obey(message: Message, client: Client, services: Services) -> None:
    if isinstance(message, Ack | Read | Leave | Fail):
        services.hub.lockstep.hear(client, message)
    elif isinstance(message, Resume):
        own = subscription_of(message) if message.channels is not None else None
        if own is None and message.symbols is not None:
            raise ViolationError("malformed", "symbols without channels")
        services.hub.resume(client, own, message.epoch, message.after, message.session)
    elif message.delivery == "lockstep":
        services.hub.join_lockstep(client, message)
    else:
        services.hub.lockstep.leave(client)
        services.hub.subscribe(client, subscription_of(message))


async def _write(websocket: WebSocket, client: Client) -> None:
    while True:
        frame = await client.next_frame()
        await client.codec.send(websocket, frame)
        client.sent()
        await asyncio.sleep(0)  # a fast client must not keep the loop to itself


def _error(error: ViolationError | RefusalError) -> dict[str, Any]:
    return {"type": "error", "code": error.code, "detail": str(error)}


async def _say_goodbye(
    websocket: WebSocket, code: int, reason: str, frame: bytes = b"", codec: Codec | None = None
) -> None:
    """Close, also past a client that does not read what was sent before."""
    hang_up(websocket)
    try:
        if frame and codec is not None:
            await codec.send(websocket, frame)
        await websocket.close(code, clip_reason(reason))
    except (WebSocketDisconnect, RuntimeError) as error:
        log.debug("a stream client left before it was told why: %r", error)
