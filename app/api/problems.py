"""Errors as ``application/problem+json`` (RFC 9457): what came, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.errors import (
    CatalogError,
    NotFoundError,
    RequestError,
    RunError,
    SettingsError,
    StateError,
    TapedeckError,
    nearest,
)

MEDIA_TYPE = "application/problem+json"
_URN = "urn:tapedeck:problem:"
_LIMITS = {
    "expected": "{}", "ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}",
    "min_length": "at least {}{}", "max_length": "at most {}{}",
    "pattern": "text as {}",
}  # fmt: skip
_TYPES = {
    "string": "text", "list": "a list", "bool": "true or false", "int": "a whole number",
    "int_from": "a whole number", "float": "a number", "finite": "a finite number",
    "model": "an object", "model_attributes": "an object", "dict": "an object",
}  # fmt: skip
_SHOWN = 200  # characters of an input that are repeated in an answer


class NoSessionError(StateError):
    """The call is about a session, and there has been none."""

    def __init__(self) -> None:
        super().__init__("there is no session; POST /api/v1/session starts one", "STOPPED")


class ClosingError(TapedeckError):
    """The server shuts down and takes no more commands."""


class UnavailableError(TapedeckError):
    """Nothing wrong with the call: the server cannot serve it now."""


# The first class that fits wins.
_KINDS: tuple[tuple[type[TapedeckError], int, str, str], ...] = (
    (NoSessionError, 409, "no-session", "No session"),
    (StateError, 409, "illegal-state", "Illegal in this state"),
    (NotFoundError, 404, "not-found", "Not found"),
    (RequestError, 422, "invalid-request", "Invalid request"),
    (CatalogError, 422, "catalog", "The catalog cannot be used"),
    (SettingsError, 422, "settings", "A setting does not allow it"),
    (RunError, 503, "runs", "The runs cannot be used"),
    (ClosingError, 503, "closing", "Shutting down"),
    (UnavailableError, 503, "unavailable", "Unavailable"),
)


def problem(
    status: int,
    kind: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> Response:
    """An answer that says what is wrong; ``extra`` members stand beside the standard ones."""
    body = {"type": _URN + kind, "title": title, "status": status, "detail": detail, **extra}
    return Response(
        orjson.dumps(body, default=str), status, dict(headers or {}), media_type=MEDIA_TYPE
    )


def invalid(errors: Sequence[Mapping[str, Any]]) -> Response:
    """422 from ``{field, message, came, allowed}`` of every field that is wrong."""
    detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
    return problem(422, "invalid-request", "Invalid request", detail, errors=list(errors))


def field_error(field: str, message: str, came: Any, allowed: str) -> dict[str, Any]:
    """One entry of ``errors`` in a 422."""
    return {"field": field, "message": message, "came": shorten(came), "allowed": allowed}


def shorten(value: Any) -> Any:
    """The input as it came; text of it where it is long."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def of_error(error: TapedeckError) -> Response:
    """The problem that an error of the tree is to a caller."""
    for cls, status, kind, title in _KINDS:
        if isinstance(error, cls):
            extra: dict[str, Any] = (
                {"state": str(error.state)} if isinstance(error, StateError) else {}
            )
            return problem(status, kind, title, str(error), **extra)
    return problem(500, "failed", "Failed", str(error))


def validation_errors(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """pydantic's errors in the words of this contract."""
    return [
        field_error(
            ".".join(map(str, e["loc"])), str(e["msg"]).removeprefix("Value error, "),
            None if e["type"] in ("missing", "json_invalid") else e.get("input"), _allowed(e),
        )
        for e in errors
    ]  # fmt: skip


def _allowed(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "extra_forbidden":
        return "no field of this name"
    if kind == "missing":
        return "required"
    if kind == "json_invalid":
        return f"JSON ({context.get('error', 'RFC 8259')})"
    if kind == "value_error":
        return str(context.get("error", ""))
    unit = " characters" if kind.startswith("string") else " entries"
    found = [
        words.format(_number(context[k]), unit) for k, words in _LIMITS.items() if k in context
    ]
    return ", ".join(found) or _TYPES.get(kind.rpartition("_")[0], kind.replace("_", " "))


def _number(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    async def on_tapedeck(_: Request, error: Exception) -> Response:
        assert isinstance(error, TapedeckError)
        return of_error(error)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(validation_errors(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _of_http(request, error)

    async def on_unforeseen(_: Request, __: Exception) -> Response:
        # Starlette raises it again after this answer; uvicorn logs its stack and hangs up.
        return problem(
            500, "internal", "Internal error", "an unforeseen error; the server's log has it",
            {"Connection": "close"},
        )  # fmt: skip

    app.add_exception_handler(TapedeckError, on_tapedeck)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_unforeseen)


def _of_http(request: Request, error: HTTPException) -> Response:
    path, method = request.url.path, request.method
    if error.status_code == 404:
        known = sorted({str(getattr(r, "path", "")) for r in request.app.routes})
        close = nearest(path, known)
        return problem(
            404, "not-found", "Not found", f"no such call: {path}; /docs lists all", nearest=close
        )
    if error.status_code == 405:
        allowed = _methods(request)
        return problem(
            405, "method", "Method not allowed",
            f"{method} {path}: allowed is {', '.join(allowed)}",
            {"Allow": ", ".join(allowed)}, allowed=allowed,
        )  # fmt: skip
    phrase = HTTPStatus(error.status_code).phrase
    kind = phrase.lower().replace(" ", "-")
    return problem(error.status_code, kind, phrase, str(error.detail), error.headers)


def _methods(request: Request) -> list[str]:
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)
