"""What a caller may get wrong, and what it is told."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import Fake
from tests.api.talk import START

JSON = {"Content-Type": "application/json"}


def check(answer: httpx.Response, status: int, *words: str) -> Any:
    """It is a problem of this status that says these words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:tapedeck:problem:")
    assert body["title"]
    for word in words:
        assert word in answer.text
    return body


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"speed": "60"}, ["body.speed", '"60"']),
        ({"speed": -1}, ["body.speed", "-1", "at least 0"]),
        ({"speed": 1e7}, ["body.speed", "1000000"]),
        ({"speed": True}, ["body.speed"]),
        ({"symbols": []}, ["body.symbols"]),
        ({"symbols": "AIG"}, ["body.symbols", "a list"]),
        ({"symbols": [1]}, ["body.symbols.0"]),
        ({"start": None}, ["body.start"]),
        ({"start": 20131007}, ["body.start", "20131007"]),
        ({"hours": "all day"}, ["body.hours", "regular"]),
        ({"start_paused": 1}, ["body.start_paused", "true or false"]),
        ({"derived_intervals": [5.5]}, ["body.derived_intervals.0", "a whole number"]),
        ({"derived_intervals": [1]}, ["body.derived_intervals.0"]),
        ({"history_days": -1}, ["body.history_days"]),
        ({"colour": "red"}, ["body.colour", "red", "no field of this name"]),
        ({"symbols": ["x" * 500]}, ["body.symbols.0", "..."]),
    ],
)
def test_bad_fields_are_named(fake: Fake, change: dict[str, Any], words: list[str]) -> None:
    body = check(fake.http.post("/session", json=START | change), 422, *words)
    assert {"field", "message", "came", "allowed"} == set(body["errors"][0])
    assert fake.manager.session is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"speed": NaN}', b'{"speed": Infinity}', b'{"speed": 1', b"", b"[]", b"7", b"null",
        b'{"speed": "\\ud800"}', b"\xff\xfe", b'{"speed": ' + b"9" * 5000 + b"}",
        b'{"speed": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"speed": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_bodies_that_are_no_json_object(fake: Fake, body: bytes) -> None:
    check(fake.http.patch("/session", content=body, headers=JSON), 422, "body")


@pytest.mark.parametrize(
    "body", [b'{"speed": 1, "speed": 2}', b'{"a": [{"speed": {}, "b": 1, "\\u0073peed": "x"}]}']
)
def test_a_key_that_is_there_twice(fake: Fake, body: bytes) -> None:
    check(fake.http.patch("/session", content=body, headers=JSON), 422, "'speed' is there twice")


def test_other_media_types_are_refused(fake: Fake) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        answer = fake.http.patch("/session", content=b'{"speed":1}', headers={"Content-Type": kind})
        check(answer, 415, kind, "application/json")
    answer = fake.http.patch(
        "/session",
        content=b'{"speed":1}',
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    check(answer, 409)


def test_unknown_query_parameters_are_refused_everywhere(fake: Fake) -> None:
    paths = [
        "/session", "/session/days", "/time", "/streams", "/session/data", "/catalog", "/health",
        "/ready", "/metrics", "/session/data/A/bars", "/session/data/A/quality",
    ]  # fmt: skip
    for path in paths:
        check(fake.http.get(path, params={"colour": "red"}), 422, "query.colour", "red")
    for path in ("/session/pause", "/session/resume", "/session/stop", "/session/step"):
        check(fake.http.post(path, params={"force": "1"}), 422, "query.force")
    check(fake.http.get("/session/data?after=1&after=2"), 422, "more than once")


def test_calls_without_parameters_refuse_a_body(fake: Fake) -> None:
    fake.start(start_paused=True)
    for path in ("/session/pause", "/session/resume", "/session/stop"):
        check(fake.http.post(path, json={"now": True}), 422, "takes no body", "now")
    assert fake.http.post("/session/stop", json={}).status_code == 200


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/session/data/A/bars?limit=0", ["query.limit", "at least 1"]),
        ("/session/data/A/bars?limit=10001", ["query.limit", "10001", "10000"]),
        ("/session/data/A/bars?limit=1_000", ["query.limit", "1_000"]),
        ("/session/data/A/bars?limit=5.0", ["query.limit"]),
        ("/session/data/A/bars?limit=" + "9" * 5000, ["query.limit", "..."]),
        (
            "/session/data/A/bars?interval=5",
            ["1m, a derived interval of this session, or 1d"],
        ),
        ("/session/data/A/bars?since=2013-10-07T09:30:00", ["since", "zone"]),
        ("/session/data/A/bars?since=2013-10-07T09:30:00+00:00", ["since", "%2B"]),
        ("/session/data/A/bars?day=2013-13-01", ["day", "2013-13-01"]),
        ("/session/data/A/bars?day=monday", ["day", "monday"]),
        ("/session/data?symbols=A,,B", ["symbols", "A,,B"]),
        ("/session/data?after=-1", ["query.after"]),
        ("/session/data?after=x", ["query.after"]),
        ("/session/data?after=1&wait_s=nan", ["query.wait_s"]),
        ("/session/data?after=1&wait_s=61", ["wait_s", "61", "60"]),
        ("/session/data?wait_s=1", ["wait_s", "after"]),
    ],
)
def test_bad_queries_say_what_is_allowed(fake: Fake, path: str, words: list[str]) -> None:
    fake.start()
    check(fake.http.get(path), 422, *words)


def test_unknown_paths_and_methods(fake: Fake) -> None:
    body = check(fake.http.get("/sesion"), 404, "/api/v1/sesion")
    assert "/api/v1/session" in body["nearest"]
    check(fake.http.get("/session/"), 404)
    answer = fake.http.delete("/session")
    body = check(answer, 405, "DELETE")
    assert body["allowed"] == ["GET", "PATCH", "POST"]
    assert answer.headers["allow"] == "GET, PATCH, POST"
    assert fake.http.get("/session/step").headers["allow"] == "POST"


def test_body_of_10_mb_is_refused(fake: Fake) -> None:
    check(fake.http.post("/session", content=b"x" * 10_000_000, headers=JSON), 413, "1048576")

    def chunks() -> Iterator[bytes]:
        yield from [b" " * 100_000] * 20

    check(fake.http.post("/session", content=chunks(), headers=JSON), 413, "1048576")
    check(fake.http.post("/session/stop", content=chunks(), headers=JSON), 413)
    assert fake.http.get("/session").status_code == 200


class Heard(logging.Handler):
    """The first record, whenever it comes."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.text = logging.Formatter().format(record)
        self.came.set()


def test_unforeseen_errors_are_logged_and_say_nothing(fake: Fake) -> None:
    session = fake.start()
    session.broken = ZeroDivisionError("a secret of the inside")
    heard = Heard()
    logging.getLogger("uvicorn.error").addHandler(heard)
    try:
        body = check(fake.http.get("/session"), 500)
        assert heard.came.wait(5)
    finally:
        logging.getLogger("uvicorn.error").removeHandler(heard)
        session.broken = None
    assert "secret" not in str(body)
    assert "Traceback" not in str(body)
    assert "a secret of the inside" in heard.text
    assert "Traceback" in heard.text
    assert fake.http.get("/session").status_code == 200


def test_garbage_on_the_socket_leaves_the_server_up(fake: Fake) -> None:
    host, port = fake.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall(b"\x16\x03\x01 not HTTP at all\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert fake.http.get("/health").json() == {"status": "ok"}
