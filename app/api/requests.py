"""What a request must be before a call sees it: known parameters, JSON, not too large."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.json_text import read_json
from app.api.problems import field_error, invalid

_JSON = "application/json"
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def _whole(text: object) -> object:
    """pydantic would also take ``1_000``, ``1.0`` and blanks around."""
    if isinstance(text, str) and not _INTEGER.fullmatch(text):
        raise ValueError("not a whole number")
    return text


def _number(text: object) -> object:
    if isinstance(text, str) and not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return text


WHOLE = BeforeValidator(_whole)
NUMBER = BeforeValidator(_number)


class _StrictRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


class StrictRoute(APIRoute):
    """Refuses query parameters and bodies that the call does not know, and other media types."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = sorted(p.alias for p in self.dependant.query_params)
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            errors = _unknown_parameters(request, known)
            if errors:
                return invalid(errors)
            if _has_body(request):
                if takes_body:
                    _check_media_type(request)
                else:
                    await _refuse_body(request)
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def _unknown_parameters(request: Request, known: list[str]) -> list[dict[str, Any]]:
    query: bytes = request.scope["query_string"]
    if not query:
        return []
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    names = [name for name, _ in pairs]
    allowed = ", ".join(known) or "none"
    errors = [
        field_error(f"query.{name}", "unknown query parameter", value, allowed)
        for name, value in pairs
        if name not in known
    ]
    twice = sorted({name for name in names if names.count(name) > 1 and name in known})
    return errors + [
        field_error(f"query.{name}", "given more than once", names.count(name), "once")
        for name in twice
    ]


def _has_body(request: Request) -> bool:
    headers = request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _check_media_type(request: Request) -> None:
    came = request.headers.get("content-type", "")
    essence = came.split(";")[0].strip().lower()
    if essence != _JSON:
        raise HTTPException(415, f"Content-Type is {came!r}; allowed: {_JSON}", {"Accept": _JSON})


async def _refuse_body(request: Request) -> None:
    body = await request.body()
    if body.strip() not in (b"", b"{}"):
        raise RequestValidationError(
            [{"type": "extra_forbidden", "loc": ("body",), "msg": "this call takes no body",
              "input": body.decode("utf-8", "replace")}]
        )  # fmt: skip


class BodyLimit:
    """Middleware: a body above ``limit`` bytes is answered with 413, chunked ones too."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length")
        total = int(declared) if declared is not None else 0  # the HTTP parser checked it

        async def bounded() -> Message:
            nonlocal total
            if total > self._limit:
                raise self._too_large()
            message = await receive()
            if message["type"] == "http.request" and declared is None:
                total += len(message.get("body", b""))
                if total > self._limit:
                    raise self._too_large()
            return message

        await self._app(scope, bounded, send)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the body is larger than {self._limit} bytes, the most allowed")
