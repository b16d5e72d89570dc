"""Whatever is too large, too many or too late is refused with what is allowed, and costs nobody."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import Fake
from tests.api.small_catalog import build
from tests.api.talk import START, close_of, talk
from tests.api.test_requests import JSON, check
from tests.conftest import StartServer
from tests.reliability.place import rest_of
from tests.until import until

URL_BYTES, HEADER_BYTES, BODY_BYTES, CONNECTIONS = 300, 1500, 2000, 5


@pytest.fixture(scope="module")
def tight() -> Iterator[Fake]:
    one = Fake(
        http_max_url_bytes=URL_BYTES, http_max_header_bytes=HEADER_BYTES,
        http_max_body_bytes=BODY_BYTES, http_max_connections=CONNECTIONS,
        http_max_request_seconds=5, stream_max_frame_bytes=1024, stream_max_clients=2,
    )  # fmt: skip
    yield one
    one.close()


def raw(fake: Fake, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and problem of what the server answers before it closes the line."""
    host, _, port = fake.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(sent)
        head, _, body = rest_of(line).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(one.lower().split(": ", 1) for one in lines)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    found = json.loads(body)
    assert found["status"] == int(first.split()[1])
    return found["status"], headers, found


def test_a_url_of_the_largest_size_and_one_byte_more(tight: Fake) -> None:
    path = "/api/v1/" + "x" * (URL_BYTES - len("/api/v1/"))
    assert httpx.get(tight.url + path, timeout=60).status_code == 404
    check(
        httpx.get(tight.url + path + "x", timeout=60),
        414,
        "HTTP_MAX_URL_BYTES",
        f"than {URL_BYTES} bytes",
    )
    status, _, found = raw(tight, b"GET /" + b"x" * 100_000)  # which has no end
    assert (status, found["type"]) == (414, "urn:tapedeck:problem:url")


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Large: " + b"x" * HEADER_BYTES + b"\r\n\r\n",
        b"X-Small: 1\r\n" * (HEADER_BYTES // 12 + 1) + b"\r\n",
        b"X-Endless: " + b"x" * 100_000,
        b"x" * 100_000,
    ],
    ids=["one", "many", "a value without an end", "a name without an end"],
)
def test_headers_that_are_too_large(tight: Fake, headers: bytes) -> None:
    status, _, found = raw(tight, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + headers)
    assert status == 431
    assert f"{HEADER_BYTES} bytes, the most allowed (HTTP_MAX_HEADER_BYTES)" in found["detail"]


def test_headers_up_to_the_limit_are_taken_request_after_request(tight: Fake) -> None:
    with httpx.Client(base_url=tight.url, timeout=60) as client:
        for _ in range(20):  # of one connection
            headers = {"X-Large": "x" * (HEADER_BYTES - 400)}
            assert client.get("/health", headers=headers).status_code == 200
            body = json.dumps({"speed": 1, "pad": "x" * (BODY_BYTES - 100)})
            answer = client.patch("/api/v1/session", content=body, headers=JSON)
            assert answer.status_code == 422


def test_a_body_that_is_too_large(tight: Fake) -> None:
    body = b" " * (BODY_BYTES + 1)
    check(tight.http.post("/session", content=body, headers=JSON), 413, str(BODY_BYTES))
    chunks = (b" " * 100 for _ in range(100))
    check(tight.http.post("/session", content=chunks, headers=JSON), 413, str(BODY_BYTES))


def test_a_connection_too_many(tight: Fake) -> None:
    tight.http.close()
    tight.http = httpx.Client(base_url=tight.url + "/api/v1", timeout=10)
    host, _, port = tight.url.removeprefix("http://").partition(":")

    def answered() -> bool:
        return httpx.get(tight.url + "/health", timeout=60).status_code == 200

    until(answered, "an end of the connections of before")
    lines = [socket.create_connection((host, int(port)), timeout=20) for _ in range(CONNECTIONS)]
    try:
        answer = httpx.get(tight.url + "/health", timeout=60)
        check(answer, 503, f"{CONNECTIONS} connections are open", "HTTP_MAX_CONNECTIONS")
        assert answer.headers["retry-after"] == "1"
        with (
            pytest.raises(Exception, match="503"),
            talk(tight.url),  # is refused before it is a stream client
        ):
            pass
    finally:
        for line in lines:
            line.close()
    until(answered, "room")
    with talk(tight.url), talk(tight.url):
        until(answered, "room beside stream clients, who are counted by themselves")


def test_a_message_too_large_and_a_client_too_many(tight: Fake) -> None:
    with talk(tight.url) as one, talk(tight.url):
        with pytest.raises(Exception, match="503"), talk(tight.url):
            pass
        one.send(b"x" * 2000)
        assert close_of(one)[1] == 1009


def test_a_message_of_too_many_fragments(tight: Fake) -> None:
    with talk(tight.url) as one:
        with suppress(ConnectionClosed):
            one.socket.send(iter([""] * 1100))
        assert close_of(one)[1] == 1009


def test_a_session_of_too_many_symbols(server: StartServer, tmp_path: Path) -> None:
    url = server(build(tmp_path / "catalog", minutes=10), session_max_symbols=2)
    with httpx.Client(base_url=url + "/api/v1", timeout=20) as client:
        answer = client.post("/session", json=START)
        check(answer, 422, "would have 3 symbols", "allowed: up to 2 (SESSION_MAX_SYMBOLS)")
        answer = client.post("/session", json=START | {"symbols": ["AIG", "BAC"]})
        assert answer.status_code == 201
