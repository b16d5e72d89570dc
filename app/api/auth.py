"""Who may call: the key as Bearer or login cookie, and the page that a browser calls from."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.api.problems import problem

COOKIE = "tapedeck"
PREFIX = "/api/v1"
_OPEN = frozenset({"/health", "/ready", "/login"})  # also below PREFIX
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Key:
    """The server's key; every comparison takes constant time."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        # The cookie proves the key without being it.
        self.token = hmac.new(self._key, b"tapedeck login 1", hashlib.sha256).hexdigest()

    def matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._key)

    def admits(self, connection: HTTPConnection) -> bool:
        """Whether a request or WebSocket carries the key or the login cookie."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.matches(given.strip()):
            return True
        cookie = connection.cookies.get(COOKIE, "")
        return hmac.compare_digest(cookie.encode(), self.token.encode())


class Gate:
    """Middleware: 401 without the key where one is set, 403 for calls from foreign pages.

    Where there is no key and the server is ``local``, a call by another name than this
    machine's is refused: a foreign page may have its own name point here.
    """

    def __init__(self, app: ASGIApp, key: Key | None, local: bool = False) -> None:
        self._app = app
        self._key = key
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await deny(WebSocket(scope, receive, send), refusal)

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        scope = connection.scope
        path: str = scope["path"]
        host = connection.headers.get("host", "")
        if self._key is None and self._local and not is_loopback(_name_of(host)):
            return problem(
                403, "host", "Foreign host",
                f"Host is {host!r}; allowed without a key: localhost, 127.0.0.1, [::1]",
            )  # fmt: skip
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and not same_origin(connection.headers):
            return problem(
                403, "origin", "Foreign origin",
                f"the page of origin {connection.headers['origin']!r} may not call this server; "
                f"allowed: {connection.headers.get('host', '')!r}, or no Origin",
            )  # fmt: skip
        guarded = path.startswith(PREFIX + "/") or path == "/metrics"
        if self._key is None or not guarded or path.removeprefix(PREFIX) in _OPEN:
            return None
        if self._key.admits(connection):
            return None
        return problem(
            401, "key", "Key needed",
            "send the server's key as 'Authorization: Bearer ...', or log in at POST /login",
            {"WWW-Authenticate": 'Bearer realm="tapedeck"'},
        )  # fmt: skip


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return host.lower() == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name
        return False


@lru_cache(maxsize=256)
def _name_of(host: str) -> str:
    """What a ``Host`` header names, without its port; empty where it cannot be read."""
    try:
        return urlsplit("//" + host).hostname or ""
    except ValueError:
        return ""


def same_origin(headers: Headers) -> bool:
    """Whether the Origin, where there is one, is this host: browsers always send it."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        page = urlsplit(origin)
        host = urlsplit(f"{page.scheme}://{headers.get('host', '')}")
        default = _PORTS.get(page.scheme)
        return page.hostname is not None and (page.hostname, page.port or default) == (
            host.hostname, host.port or default,
        )  # fmt: skip
    except ValueError:  # a port that is no number
        return False


async def deny(websocket: WebSocket, refusal: Response) -> None:
    """Answer a WebSocket handshake with an HTTP problem."""
    await websocket.receive()
    await websocket.send_denial_response(refusal)
