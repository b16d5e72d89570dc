"""Calls that read go before the replay; those that wait for it, and those that command, do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.conftest import Fake
from tests.api.fake_manager import FakeSession, bar_window


def told(session: FakeSession, fake: Fake, name: str) -> list[bool]:
    """Whether the way is free whenever the session is asked so."""
    found: list[bool] = []
    asked: Callable[..., Any] = getattr(session, name)

    def ask(*args: Any) -> Any:
        found.append(fake.manager.right_of_way.is_free)
        return asked(*args)

    setattr(session, name, ask)
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [("/session/data", "summary"), ("/session/data/A/trades", "ticks"), ("/session", "status")],
)
def test_a_call_that_reads_goes_first(fake: Fake, path: str, name: str) -> None:
    session = fake.start()
    free = told(session, fake, name)
    assert fake.http.get(path).status_code == 200
    assert free
    assert not any(free)
    assert fake.manager.right_of_way.is_free


@pytest.mark.parametrize("path", ["/session/data/NONE/quality", "/nowhere", "/session?x=1"])
def test_a_call_that_fails_leaves_the_way(fake: Fake, path: str) -> None:
    session = fake.start()
    session.broken = RuntimeError("as in a fault")
    assert fake.http.get(path).status_code >= 400
    assert fake.manager.right_of_way.is_free


def test_a_command_does_not_stop_what_it_waits_for(fake: Fake) -> None:
    session = fake.start()
    free = told(session, fake, "resume")
    assert fake.http.post("/session/resume").status_code == 200
    assert free == [True]


def test_a_long_poll_stops_nobody_while_it_waits(fake: Fake) -> None:
    session = fake.start()
    free = told(session, fake, "summary")
    answers: list[httpx.Response] = []
    url = fake.url + "/api/v1/session/data?after=0&wait_s=30"
    poll = threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=60)))
    poll.start()
    session.until(lambda: session.listeners > 0)
    fake.manager.right_of_way.wait_free(60)
    assert fake.manager.right_of_way.is_free
    session.deliver(bar_window(1, 1))
    poll.join(60)
    assert answers[0].json()["seq"] == 1
    assert free == [False]  # once it is woken it goes first again
    assert fake.manager.right_of_way.is_free
