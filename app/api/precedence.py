"""Calls that only read go before the replay, from their arrival until their answer is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.managers.right_of_way import RightOfWay

_KEY = "tapedeck.precedence"


class _Call:
    """One call, and whether it is being worked on."""

    def __init__(self, way: RightOfWay) -> None:
        self._way = way
        self._at_work = False

    def begin(self) -> None:
        if not self._at_work:
            self._at_work = True
            self._way.enter()

    def end(self) -> None:
        if self._at_work:
            self._at_work = False
            self._way.leave()


class Precedence:
    """Middleware. What changes something may wait for the replay, which then must go on."""

    def __init__(self, app: ASGIApp, way: RightOfWay) -> None:
        self._app = app
        self._way = way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        scope[_KEY] = call = _Call(self._way)

        async def told(message: Message) -> None:
            call.end()  # the answer is made; its reader may be slow
            await send(message)

        call.begin()
        try:
            await self._app(scope, receive, told)
        finally:
            call.end()


@contextmanager
def waiting(request: Request) -> Iterator[None]:
    """A call waits for the replay, and has no precedence meanwhile."""
    call: _Call | None = request.scope.get(_KEY)
    if call is not None:
        call.end()
    try:
        yield
    finally:
        if call is not None:
            call.begin()
