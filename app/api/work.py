"""Commands that take their time: begun once a key, carried out whether or not a caller waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Header, Query

from app.api.answers import session_body
from app.api.requests import NUMBER
from app.api.services import Services
from app.errors import StateError
from app.times import format_time

if TYPE_CHECKING:
    from app.managers.data_manager.commands import Outcome
    from app.managers.system_manager import ReplaySession

Act = Callable[["ReplaySession"], Future["Outcome"]]
Wait = Annotated[
    float | None,
    NUMBER,
    Query(ge=0, allow_inf_nan=False, description="Seconds to wait; then 202, and it goes on."),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="Repeated calls with one key and body are one command.",
    ),
]


def begin_work(
    services: Services,
    act: Act,
    key: str | None,
    request: bytes,
    refused: Callable[[StateError], StateError] = lambda error: error,
) -> asyncio.Future[dict[str, Any]]:
    """What ``act`` comes to, begun now unless its key says that an equal request began it.

    ``refused`` may say better than the session why it does not do it now.
    """

    def begin() -> asyncio.Future[dict[str, Any]]:
        services.check_open()
        session = services.session()
        work = asyncio.ensure_future(finish(session, services.bridge.follow(act(session))))
        services.hold(work)
        return work

    async def finish(session: ReplaySession, outcome: asyncio.Future[Outcome]) -> dict[str, Any]:
        try:
            found = await outcome
        except StateError as error:
            better = refused(error)
            if better is error:
                raise
            raise better from error
        return command_body(session, found) | {"interrupted": found.interrupted}

    return services.keys.once(key, request, begin)


def command_body(session: ReplaySession, outcome: Outcome) -> dict[str, Any]:
    """The session after a command, and when that took effect."""
    command = {
        "number": outcome.number, "time": format_time(outcome.time_ns), "seq": outcome.seq,
    }  # fmt: skip
    return session_body(session.status()) | {"command": command}
