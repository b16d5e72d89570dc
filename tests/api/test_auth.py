"""The key, the login cookie and foreign pages."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.api.conftest import Fake
from tests.api.talk import talk
from tests.api.test_requests import check

KEY = "correct-horse"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def locked() -> Iterator[Fake]:
    one = Fake(tapedeck_api_key=KEY)
    yield one
    one.close()


def test_every_call_needs_the_key(locked: Fake) -> None:
    for path in ("/session", "/time", "/catalog", "/session/data", "/nothing"):
        answer = locked.http.get(path)
        check(answer, 401, "Bearer")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    check(locked.http.post("/session/stop"), 401)
    check(httpx.get(locked.url + "/metrics", timeout=60), 401)
    for wrong in ("Bearer x", f"Basic {KEY}", KEY, "Bearer", f"Bearer {KEY}x"):
        check(locked.http.get("/session", headers={"Authorization": wrong}), 401)
    assert locked.http.get("/session", headers=BEARER).status_code == 200
    assert httpx.get(locked.url + "/metrics", headers=BEARER, timeout=60).status_code == 200


def test_probes_and_pages_are_open(locked: Fake) -> None:
    for path in ("/health", "/api/v1/health", "/docs", "/openapi.json"):
        assert httpx.get(locked.url + path, timeout=60).status_code == 200
    check(httpx.get(locked.url + "/ready", timeout=60), 503, "the fake has no catalog")


def test_login_gives_a_cookie_that_opens_the_stream(locked: Fake) -> None:
    check(httpx.post(locked.url + "/login", json={"key": "wrong"}, timeout=60), 401)
    check(httpx.post(locked.url + "/login", json={"key": KEY, "user": "me"}, timeout=60), 422)
    answer = httpx.post(locked.url + "/login", json={"key": KEY}, timeout=60)
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert KEY not in cookie
    pair = {"Cookie": cookie.split(";")[0]}
    assert locked.http.get("/session", headers=pair).status_code == 200
    with talk(locked.url, additional_headers=pair) as one:
        assert one.hello["version"] == 1
    with talk(locked.url, additional_headers=BEARER) as one:
        assert one.hello["type"] == "hello"
    for wrong in ({}, {"Cookie": "tapedeck=0"}):
        with pytest.raises(InvalidStatus) as caught, talk(locked.url, additional_headers=wrong):
            pass
        assert caught.value.response.status_code == 401


def test_login_without_a_key_changes_nothing(fake: Fake) -> None:
    answer = httpx.post(fake.url + "/login", json={"key": "any"}, timeout=60)
    assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)


def test_pages_of_other_origins_cannot_call(fake: Fake) -> None:
    host = fake.url.removeprefix("http://")
    for origin in ("http://evil.example", "null", f"http://{host}0",
                   "http://127.0.0.1:x"):  # fmt: skip
        check(fake.http.post("/session/stop", headers={"Origin": origin}), 403, "origin")
        with pytest.raises(InvalidStatus) as caught, talk(fake.url, origin=origin):
            pass
        assert caught.value.response.status_code == 403
    assert fake.http.post("/session/stop", headers={"Origin": fake.url}).status_code == 200
    with talk(fake.url, origin=fake.url) as one:
        assert one.hello["type"] == "hello"


def test_without_a_key_only_names_of_this_machine_are_hosts(fake: Fake, locked: Fake) -> None:
    port = fake.url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "0.0.0.0", "localhost.evil.example", ""):
        check(fake.http.get("/session", headers={"Host": host}), 403, "Host is", "localhost")
    for host in ("localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert fake.http.get("/session", headers={"Host": host}).status_code == 200
    headers = {"Host": "tapes.example", **BEARER}
    assert locked.http.get("/session", headers=headers).status_code == 200
