"""Calls about the server itself: health, readiness, metrics, login."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import OrjsonResponse
from app.api.auth import COOKIE, PREFIX
from app.api.documents import answers
from app.api.problems import problem
from app.api.schemas import Health, Login, Ready
from app.api.services import Services

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus text.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


def add_server_routes(app: FastAPI, services: Services) -> None:
    """At the root, where probes and Prometheus look, and below the API's prefix."""

    async def health() -> Response:
        """The server lives."""
        return OrjsonResponse({"status": "ok"})

    async def ready() -> Response:
        """Whether a session can be started."""
        why_not = "the server shuts down" if services.closing else None
        why_not = why_not or await asyncio.to_thread(services.manager.ready)
        if why_not is None:
            return OrjsonResponse({"status": "ready"})
        return problem(503, "unavailable", "Not ready", why_not)

    async def metrics() -> Response:
        """What Prometheus scrapes."""
        text = await asyncio.to_thread(generate_latest, services.registry)
        return Response(text, 200, {"Content-Type": CONTENT_TYPE_LATEST})

    async def login(request: Request, body: Login) -> Response:
        """A browser's cookie for the calls and the WebSocket; nothing to do without a key."""
        key = services.key
        if key is None:
            return Response(status_code=204)
        if not key.matches(body.key):
            return problem(
                401, "key", "Wrong key", "this is not the server's key",
                {"WWW-Authenticate": 'Bearer realm="tapedeck"'},
            )  # fmt: skip
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE, key.token, path="/", httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    for prefix in ("", PREFIX):
        shown: dict[str, Any] = {"include_in_schema": not prefix, "tags": ["server"]}
        app.get(prefix + "/health", response_model=Health, responses=answers(), **shown)(health)
        app.get(prefix + "/ready", response_model=Ready, responses=answers(503), **shown)(ready)
        for path, call in (("/health", health), ("/ready", ready)):  # some probes send HEAD
            app.head(prefix + path, include_in_schema=False, response_class=Response)(call)
        app.get(prefix + "/metrics", response_class=Response, responses=_TEXT | answers(), **shown)(
            metrics
        )
        app.post(
            prefix + "/login", status_code=204, response_class=Response,
            responses=answers(401, 413, 415), **shown,
        )(login)  # fmt: skip
