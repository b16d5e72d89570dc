"""The calls that go anywhere in a session's time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from app.client import answers
from app.client.calls import Call, json_of, when_text
from app.errors import RequestError

_SESSION = json_of(answers.Session)


class Price(TypedDict, total=False):
    """The next 1m bar that closes, or eligible trade, beyond a price."""

    symbol: str
    above: float
    below: float


Event = Literal["fill", "gap", "close"]


def seek(
    time: str | datetime, *, wait_s: float | None = None, idempotency_key: str | None = None
) -> Call[answers.Session]:
    """Goes to a time, ahead or behind, and answers when the session is PAUSED there.

    Behind now the next epoch begins. After ``wait_s`` the answer comes as it is (state RUNNING)
    and the seek goes on. Calls with the same ``idempotency_key`` are one seek.
    """
    return _go("seek", {"time": when_text(time)}, wait_s, idempotency_key)


def run_to(
    time: str | datetime | None = None,
    *,
    until: Event | Price | None = None,
    wait_s: float | None = None,
    idempotency_key: str | None = None,
) -> Call[answers.Session]:
    """Runs on to a time or an event, at speed 0, and answers when the session is PAUSED there.

    ``until`` is "fill", "gap", "close", or a price: ``{"symbol": "SPY", "above": 168.9}``. The
    session is COMPLETED where it never comes. The rest as of ``seek``.
    """
    if (time is None) == (until is None):
        raise RequestError("run_to takes one of time and until")
    body = {"until": until} if time is None else {"time": when_text(time)}
    return _go("run-to", body, wait_s, idempotency_key)


def _go(
    name: str, body: dict[str, Any], wait_s: float | None, key: str | None
) -> Call[answers.Session]:
    headers = {} if key is None else {"Idempotency-Key": key}
    params = {} if wait_s is None else {"wait_s": f"{wait_s:g}"}
    return Call("POST", f"/session/{name}", _SESSION, params, body, headers, wait_s=wait_s)
