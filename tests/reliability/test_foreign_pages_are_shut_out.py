"""A page of another origin can neither command the server nor read from it; nor does what the
server shows run what is not its own."""

from __future__ import annotations

import re

import httpx
import pytest

from app.api.headers import HEADERS, page_policy
from tests.api.conftest import Fake
from tests.api.test_auth import BEARER

EVIL = {"Origin": "http://evil.example"}


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD"])
def test_no_answer_allows_another_origin_to_read_it(fake: Fake, method: str) -> None:
    for path in ("/session", "/session/data", "/metrics", "/login", "/nothing"):
        asked = EVIL | {"Access-Control-Request-Method": "POST"}
        answer = fake.http.request(method, path, headers=asked)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_commands_of_other_origins_are_refused_with_the_cookie_too(locked: Fake) -> None:
    cookie = httpx.post(locked.url + "/login", json={"key": "correct-horse"}, timeout=60).headers[
        "set-cookie"
    ]
    with_cookie = {"Cookie": cookie.split(";")[0]}
    for headers in (EVIL, EVIL | BEARER, EVIL | with_cookie, {"Origin": "null"} | with_cookie):
        assert locked.http.post("/session/stop", headers=headers).status_code == 403
    assert locked.http.post("/session/stop", headers=with_cookie).status_code == 200


def test_every_answer_tells_a_browser_to_load_and_keep_nothing(fake: Fake, locked: Fake) -> None:
    session = fake.start()
    answers = [
        fake.http.get("/session"), fake.http.get("/nothing"), fake.http.post("/session", json={}),
        fake.http.get("/session", headers={"Host": "evil.example"}), fake.http.get("/stream"),
        locked.http.get("/session"), *(
            httpx.get(fake.url + path, timeout=60)
            for path in ("/metrics", "/openapi.json", "/" + "x" * 20_000)
        ),
    ]  # fmt: skip
    session.broken = ZeroDivisionError("inside")
    answers.append(fake.http.get("/session"))
    session.broken = None
    expected = {200, 401, 403, 404, 414, 422, 426, 500}
    assert {answer.status_code for answer in answers} == expected
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, answer.request.url
        assert "server" not in answer.headers


def test_the_page_runs_its_own_script_alone(fake: Fake) -> None:
    answer = httpx.get(fake.url + "/docs", timeout=60)
    script, style = (
        re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.S) for tag in ("script", "style")
    )
    assert answer.headers["content-security-policy"] == page_policy(script, style)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert " onclick=" not in answer.text
