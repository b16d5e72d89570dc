"""The OpenAPI page: what FastAPI cannot know of this server's answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import MEDIA_TYPE
from app.api.schemas import Problem

ARROW = "application/vnd.apache.arrow.stream"
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_MEANINGS = {
    401: "The key is missing or wrong.",
    403: "A page of another origin called, or by a name that is not this machine's.",
    404: "No such thing; `detail` names the nearest.",
    409: "Illegal in the state of the session or run, which is given.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Malformed: which field, what came, what is allowed.",
    500: "A fault of the server; its log has it.",
    503: "Not now: the server shuts down, cannot start a session, or cannot use its runs.",
}
_ALWAYS = (401, 403, 422, 500)
DESCRIPTION = """
Replays recorded markets under a simulated clock. Times are RFC 3339 in UTC, prices and sizes
numbers; unknown fields and parameters are refused; errors are `application/problem+json`.
Before any call is reached a connection may be answered 400 (no HTTP), 408 (too late), 414 (URL
too long), 431 (headers too large) or 503 (too many connections), and closes.
Lists of items are an Arrow IPC stream where `Accept` is `application/vnd.apache.arrow.stream`.

Answers of session data carry the headers `Tapedeck-Time`, `Tapedeck-Epoch` and `Tapedeck-Seq` of
the view they show; `?after=SEQ&wait_s=10` waits for a later one.

`WS /api/v1/stream` (`?encoding=json|msgpack`) greets with a `hello`; send
`{"action": "subscribe", "channels": ["bars_1m", "trades", "quotes", "status"], "symbols": ["*"],
"delivery": "lossless"}`, or `"delivery": "conflate", "interval_ms": 100`. Frames: `hello`,
`slices`, `status`, `snapshot`, `end`, `error`. `{"action": "resume", "epoch": 1, "after": 45}`,
alone or with the members of a subscription, goes on after a reconnect.
"""


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a call may answer with, besides those that every call may."""
    return {
        status: {"description": _MEANINGS[status], **_PROBLEM}
        for status in sorted({*statuses, *_ALWAYS})
    }


def with_arrow(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The answer also comes as Arrow."""
    stream = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": "The items.", "content": {ARROW: stream}}, **responses}


def install(app: FastAPI, max_wait_s: float) -> None:
    """Complete the page: the problem's schema, the key, and limits that settings give."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app, max_wait_s)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way


def _build(app: FastAPI, max_wait_s: float) -> dict[str, Any]:
    page = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = page.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "TAPEDECK_API_KEY; only where the server has one.",
        }
    }
    page["security"] = [{}, {"key": []}]
    for path in page["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "wait_s":
                    _limit(parameter["schema"], max_wait_s)
    return page


def _limit(schema: dict[str, Any], most: float) -> None:
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") == "number":
            choice["maximum"] = most
