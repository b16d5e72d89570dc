"""Calls that go anywhere in a session's time."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import FastAPI
from starlette.responses import Response

from app.api.answers import OrjsonResponse, session_body
from app.api.auth import PREFIX
from app.api.documents import answers
from app.api.problems import field_error, invalid
from app.api.schemas import Body
from app.api.schemas_session import Session, StepAnswer
from app.api.schemas_transport import Price, RunTo, Seek
from app.api.services import Services
from app.api.work import Act, Key, Wait, begin_work
from app.managers.system_manager import State
from app.times import parse_time_ns

_ANSWERS = answers(404, 409, 413, 415, 503) | {
    202: {"model": Session, "description": "Still going on; the session as it is."}
}


def add_transport_routes(app: FastAPI, services: Services) -> None:
    """Seek and run-to: from RUNNING, PAUSED and COMPLETED, at speed 0, then PAUSED."""

    @app.post(
        PREFIX + "/session/seek", response_model=StepAnswer, tags=["session"],
        summary="Go to a time, ahead or behind", responses=_ANSWERS,
    )  # fmt: skip
    async def seek(body: Seek, wait_s: Wait = None, idempotency_key: Key = None) -> Response:
        """Then PAUSED, with everything up to that time shown. Behind now the next epoch begins.

        What was going on is interrupted, an earlier seek too. Orders from outside that took
        effect later are cut off.
        """
        return await _go(services, "seek", body, _seek(body), wait_s, idempotency_key)

    @app.post(
        PREFIX + "/session/run-to", response_model=StepAnswer, tags=["session"],
        summary="Run on to a time or an event", responses=_ANSWERS,
    )  # fmt: skip
    async def run_to(body: RunTo, wait_s: Wait = None, idempotency_key: Key = None) -> Response:
        """Then PAUSED; 422 for a time in the past. Where what it waits for never comes, the
        session is COMPLETED."""
        if (body.time is None) == (body.until is None):
            came = "both came" if body.time is not None else "neither came"
            return invalid([field_error("body.time", came, body.time, "one of time and until")])
        if isinstance(body.until, Price) and body.until.above is None and body.until.below is None:
            return invalid([field_error("body.until", "no price", None, "above or below, or both")])
        return await _go(services, "run-to", body, _run(body), wait_s, idempotency_key)


def _seek(body: Seek) -> Act:
    time_ns = parse_time_ns(body.time)
    return lambda session: session.seek(time_ns)


def _run(body: RunTo) -> Act:
    until = body.until
    if isinstance(until, Price):
        return lambda session: session.run_until_price(until.symbol, until.above, until.below)
    if until is not None:
        return lambda session: session.run_until(until)
    assert body.time is not None
    time_ns = parse_time_ns(body.time)
    return lambda session: session.run_to(time_ns)


async def _go(
    services: Services, name: str, body: Body, act: Act, wait_s: float | None, key: str | None
) -> Response:
    services.check_wait(wait_s)
    request = name.encode() + orjson.dumps(body.model_dump())
    work = begin_work(services, act, key, request)
    done, _ = await asyncio.wait({work}, timeout=wait_s)
    if done:
        return OrjsonResponse(work.result())
    # Accepted: it begins as soon as the command is applied.
    status = services.session().status()._replace(state=State.RUNNING)
    return OrjsonResponse(session_body(status), 202)
