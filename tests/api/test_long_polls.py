"""?after=SEQ&wait_s=10 on the calls that read."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from app.managers.system_manager import State
from tests.api.conftest import Fake
from tests.api.fake_manager import FakeSession, bar_window
from tests.api.talk import talk
from tests.api.test_requests import check


class Waiting:
    """A poll under way on a thread."""

    def __init__(self, url: str, session: FakeSession) -> None:
        self.answer: httpx.Response | None = None
        before = session.listeners
        self._thread = threading.Thread(target=self._ask, args=(url,))
        self._thread.start()
        session.until(lambda: session.listeners > 0 or before > 0)

    def _ask(self, url: str) -> None:
        self.answer = httpx.get(url, timeout=20)

    def result(self) -> Any:
        self._thread.join(10)
        assert self.answer is not None
        assert self.answer.status_code == 200, self.answer.text
        return self.answer.json()


def poll(fake: Fake, after: int, wait_s: float = 10) -> Waiting:
    assert fake.manager.session is not None
    url = f"{fake.url}/api/v1/session/data?after={after}&wait_s={wait_s}"
    return Waiting(url, fake.manager.session)


def test_answers_when_a_later_view_is_committed(fake: Fake) -> None:
    session = fake.start()
    waiting = poll(fake, after=2)
    session.deliver(bar_window(1, 2))
    assert waiting.answer is None
    session.deliver(bar_window(3, 1))
    assert waiting.result()["seq"] == 3
    session.until(lambda: session.listeners == 0)  # nobody waits: nobody listens


def test_one_listener_for_many_who_wait(fake: Fake) -> None:
    session = fake.start()
    waiting = [poll(fake, after=0) for _ in range(5)]
    assert session.listeners == 1
    session.deliver(bar_window(1, 1))
    assert [w.result()["seq"] for w in waiting] == [1] * 5


def test_answers_at_once_where_there_is_something_later(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 5))
    assert fake.http.get("/session/data?after=4&wait_s=10").json()["seq"] == 5
    assert session.listeners == 0


def test_answers_when_time_is_over(fake: Fake) -> None:
    fake.start()
    began = time.monotonic()
    assert fake.http.get("/session/data?after=0&wait_s=0.2").json()["seq"] == 0
    assert 0.2 <= time.monotonic() - began < 5
    assert fake.http.get("/session/data?after=0&wait_s=0").status_code == 200


def test_answers_when_the_session_ends(fake: Fake) -> None:
    session = fake.start()
    waiting = poll(fake, after=100)
    session.become(State.COMPLETED, "end")
    assert waiting.result()["seq"] == 0
    assert fake.http.get("/session/data?after=100&wait_s=10").json()["seq"] == 0


def test_a_change_of_state_is_no_later_view(fake: Fake) -> None:
    session = fake.start()
    session.deliver(bar_window(1, 1))
    waiting = poll(fake, after=1)
    with talk(fake.url) as one:
        one.subscribe()
        session.become(State.PAUSED)
        session.become(State.RUNNING)
        assert [one.receive()["state"] for _ in range(2)] == ["PAUSED", "RUNNING"]
    assert fake.http.get("/session").json()["state"] == "RUNNING"
    assert waiting.answer is None
    session.deliver(bar_window(2, 1))
    assert waiting.result()["seq"] == 2


def test_answers_when_the_session_is_replaced(fake: Fake) -> None:
    old = fake.start()
    waiting = poll(fake, after=100)
    old.state = State.STOPPED  # without a word to its listeners
    fake.start()
    assert waiting.result()["seq"] == 0
    old.until(lambda: old.listeners == 0)


def test_a_poller_that_leaves_is_forgotten(fake: Fake) -> None:
    session = fake.start()
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{fake.url}/api/v1/session/data?after=5&wait_s=60", timeout=0.2)
    session.until(lambda: session.listeners == 0)


def test_the_catalog_waits_too(fake: Fake) -> None:
    assert fake.http.get("/catalog").json() == {
        "symbols": {}, "broken": ["bars_1m/X.parquet: no column ts"],
    }  # fmt: skip
    check(fake.http.get("/catalog?after=1"), 409, "No session")
    session = fake.start()
    session.deliver(bar_window(1, 2))
    assert fake.http.get("/catalog?after=1&wait_s=10").status_code == 200
    check(fake.http.get("/catalog?wait_s=1"), 422, "after")
