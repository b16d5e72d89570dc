"""Calls that control the replay session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI
from starlette.responses import Response

from app.api.answers import OrjsonResponse, days_body, maybe, plan_body, session_body
from app.api.answers import day_text as text_of_day
from app.api.auth import PREFIX
from app.api.documents import answers
from app.api.problems import invalid
from app.api.schemas_session import (
    Clock,
    CommandAnswer,
    Days,
    Plan,
    Session,
    SessionStart,
    SpeedChange,
    Step,
    StepAnswer,
    Streams,
)
from app.api.services import Services
from app.api.session_start import misfits, start
from app.api.work import Act, Key, Wait, begin_work, command_body
from app.errors import StateError
from app.managers.system_manager import State
from app.model import parse_channel

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession


def add_session_routes(app: FastAPI, services: Services) -> None:
    """Create and read a session; its days and its plan."""
    manager = services.manager

    @app.post(
        PREFIX + "/session", status_code=201, response_model=Session, tags=["session"],
        summary="Create and start a session", responses=answers(404, 409, 413, 415, 503),
    )  # fmt: skip
    async def start_session(body: SessionStart) -> Response:
        """409 while another is STARTING, RUNNING, PAUSED or STOPPING.

        With a `config` it trades, and leaves the record of a `run`; any other does with `record`.
        """
        errors = misfits(body)
        if errors:
            return invalid(errors)
        services.check_open()
        session = await asyncio.to_thread(start, services, body)
        headers = {"Location": PREFIX + "/session"}
        return OrjsonResponse(session_body(session.status()), 201, headers)

    @app.get(
        PREFIX + "/session", response_model=Session, tags=["session"],
        summary="The live or last session", responses=answers(),
    )  # fmt: skip
    async def get_session() -> Response:
        """STOPPED with null fields where there has been none."""
        session = manager.session
        return OrjsonResponse(session_body(None if session is None else session.status()))

    @app.get(
        PREFIX + "/session/days", response_model=Days, tags=["session"],
        summary="Records of the trading days", responses=answers(409),
    )  # fmt: skip
    async def get_days() -> Response:
        session = services.session()

        def read() -> Response:
            return OrjsonResponse(days_body(session, session.day_records()[1]))

        return await asyncio.to_thread(read)  # many days of many symbols take their time

    @app.get(
        PREFIX + "/session/plan", response_model=Plan, tags=["session"],
        summary="What the session replays", responses=answers(409),
    )  # fmt: skip
    async def get_plan() -> Response:
        """Symbols, intervals, and the calendar's days from the first to the last."""
        return OrjsonResponse(plan_body(services.session()))


def add_clock_routes(app: FastAPI, services: Services) -> None:
    """Where the clock stands, and what is read ahead of it."""

    @app.get(
        PREFIX + "/time", response_model=Clock, tags=["session"],
        summary="Simulated time and the exchange's hours", responses=answers(),
    )  # fmt: skip
    async def get_time() -> Response:
        return OrjsonResponse(_clock_body(services.manager.session))

    @app.get(
        PREFIX + "/streams", response_model=Streams, tags=["session"],
        summary="What is read and waits, stream by stream", responses=answers(409),
    )  # fmt: skip
    async def get_streams() -> Response:
        return OrjsonResponse(_streams_body(services.session()))


def add_command_routes(app: FastAPI, services: Services) -> None:
    """Commands: numbered, applied between slices, answered with when they took effect."""

    @app.post(
        PREFIX + "/session/pause", response_model=CommandAnswer, tags=["session"],
        summary="Pause", responses=answers(409, 503),
    )  # fmt: skip
    async def pause() -> Response:
        return await _command(services, lambda session: session.pause())

    @app.post(
        PREFIX + "/session/resume", response_model=CommandAnswer, tags=["session"],
        summary="Go on", responses=answers(409, 503),
    )  # fmt: skip
    async def resume() -> Response:
        return await _command(services, lambda session: session.resume())

    @app.patch(
        PREFIX + "/session", response_model=CommandAnswer, tags=["session"],
        summary="Change the speed", responses=answers(409, 413, 415, 503),
    )  # fmt: skip
    async def change(body: SpeedChange) -> Response:
        """At once, running or paused."""
        return await _command(services, lambda session: session.set_speed(body.speed))

    @app.post(
        PREFIX + "/session/stop", response_model=CommandAnswer, tags=["session"],
        summary="Stop", responses=answers(),
    )  # fmt: skip
    async def stop() -> Response:
        """Idempotent. What was delivered stays readable until the next session."""
        session = services.manager.session
        if session is None:
            return OrjsonResponse(session_body(None) | {"command": None})
        outcome = await asyncio.to_thread(session.stop)
        return OrjsonResponse(command_body(session, outcome))


def add_step_route(app: FastAPI, services: Services) -> None:
    """The command that takes its time."""

    @app.post(
        PREFIX + "/session/step", response_model=StepAnswer, tags=["session"],
        summary="Step by slices, minutes or days",
        responses=answers(409, 413, 415, 503)
        | {202: {"model": Session, "description": "Still going on; the session as it is."}},
    )  # fmt: skip
    async def step(body: Step, wait_s: Wait = None, idempotency_key: Key = None) -> Response:
        """From PAUSED, at speed 0, then PAUSED again. A caller that goes away cancels nothing."""
        services.check_wait(wait_s)
        work = begin_work(
            services,
            lambda session: session.step(body.unit, body.count),
            idempotency_key,
            orjson.dumps(body.model_dump()),
            lambda error: _refused_step(error, services.count_work() > 1),
        )
        done, _ = await asyncio.wait({work}, timeout=wait_s)
        if done:
            return OrjsonResponse(work.result())
        status = services.session().status()
        if status.state == "PAUSED":  # accepted: it begins as soon as the command is applied
            status = status._replace(state=State.RUNNING)
        return OrjsonResponse(session_body(status), 202)


def _refused_step(error: StateError, stepping: bool) -> StateError:
    if error.state != "RUNNING":
        return error
    if stepping:
        return StateError("a step is going on; pause it or wait", error.state)
    return StateError("the session is RUNNING; pause it before a step", error.state)


async def _command(services: Services, act: Act) -> Response:
    services.check_open()
    session = services.session()
    outcome = await services.bridge.follow(act(session))
    return OrjsonResponse(command_body(session, outcome))


def _clock_body(session: ReplaySession | None) -> dict[str, Any]:
    if session is None:
        fields = ("time", "trading_day", "is_open", "open", "close", "next_open", "speed")
        return dict.fromkeys(fields) | {"state": "STOPPED"}
    clock = session.clock()
    return {
        "time": maybe(clock.time_ns),
        "trading_day": text_of_day(clock.trading_day),
        "is_open": clock.is_open,
        "open": maybe(clock.open_ns),
        "close": maybe(clock.close_ns),
        "next_open": maybe(clock.next_open_ns),
        "speed": clock.speed,
        "state": str(clock.state),
    }


def _streams_body(session: ReplaySession) -> dict[str, Any]:
    return {
        "streams": [
            {
                "symbol": s.symbol, "stream": s.channel, "queued": s.queued,
                "oldest": maybe(s.oldest_ns), "newest": maybe(s.newest_ns),
                "complete_through": maybe(s.complete_through_ns),
                "delivered": s.delivered, "ended": s.ended,
                "days": [
                    [text_of_day(first), text_of_day(last)]
                    for first, last in session.data_days(s.symbol, parse_channel(s.channel)[0])
                ],
            }
            for s in session.stream_stats()
        ]
    }  # fmt: skip
