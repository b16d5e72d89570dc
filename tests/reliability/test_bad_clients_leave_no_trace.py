"""Whatever clients do, the replay is the same, and threads, files and memory come back."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.api import sockets
from app.api.sockets import StreamProtocol
from tests.api.conftest import Fake
from tests.api.small_catalog import build
from tests.api.talk import rows_of, talk
from tests.api.test_slow_clients import WINDOWS, playing
from tests.reliability.place import ServerProcess, close_code, frame, open_stream, reset, rest_of
from tests.until import until

SUBSCRIBE = json.dumps({"action": "subscribe", "channels": ["bars_1m", "status"]}).encode()
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    work = tmp_path_factory.mktemp("bad")
    one = ServerProcess(
        work, build(work / "catalog"), http_max_request_seconds=1, http_max_send_seconds=1,
        stream_lossless_patience_seconds=1, stream_client_queue_bytes=65_536, log_level="error",
    )  # fmt: skip
    yield one
    one.close()


@pytest.fixture(scope="module")
def truth(process: ServerProcess) -> str:
    """The digest of a session that nobody disturbs; the server is warm then."""
    with talk(process.url) as one:
        one.subscribe("bars_1m")
        return process.digest()


@pytest.fixture
def no_trace(process: ServerProcess, truth: str) -> Iterator[ServerProcess]:
    before = process.use
    yield process
    assert process.digest() == truth
    process.comes_back_to(before)


def test_200_connections_open_and_close_while_a_session_runs(
    no_trace: ServerProcess, truth: str
) -> None:
    dice = random.Random(1)

    def come_and_go(number: int) -> None:
        kind = number % 5
        if kind < 2:
            line = no_trace.stream()
            line.sendall(frame(TEXT, SUBSCRIBE))
            if kind == 0:
                line.recv(10)
        else:
            texts = (b"", b"GET /api/v1/ses", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            line = no_trace.line(texts[kind - 2])
        (reset if dice.random() < 0.5 else type(line).close)(line)

    with talk(no_trace.url) as good:
        good.subscribe("bars_1m")
        good.until("end")  # of the session before
        no_trace.start()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(come_and_go, range(200)))
        frames = good.until("end")
    assert frames[-1]["digest"] == truth
    assert len(rows_of(frames, "bars_1m")) == 3 * 2 * 390


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /api/v1/session HTTP/1.1\r\nHost: local",
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{",
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_half_open_connections_are_closed(no_trace: ServerProcess, sent: bytes) -> None:
    lines = [no_trace.line(sent) for _ in range(20)]
    for line in lines:
        assert rest_of(line).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        line.close()


def test_a_request_that_drips_is_ended(no_trace: ServerProcess) -> None:
    line = no_trace.line(b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\n")
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.02):
            try:
                line.send(b"X-Drop: 1\r\n")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert rest_of(line).startswith(b"HTTP/1.1 408")
    finally:
        over.set()
        thread.join(10)
        line.close()


def test_callers_that_do_not_read_lose_their_connection(no_trace: ServerProcess) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    before = no_trace.use
    lines = [no_trace.line(request * 200, buffer=4096) for _ in range(10)]
    until(lambda: no_trace.use.files >= before.files + len(lines), "their connections")
    no_trace.comes_back_to(before)
    for line in lines:
        line.close()


def test_a_stream_reader_that_drips_disturbs_nobody(no_trace: ServerProcess, truth: str) -> None:
    line = no_trace.stream(buffer=4096)
    wish = {"action": "subscribe", "channels": ["bars_1m", "bars_5m", "trades", "quotes"]}
    line.sendall(frame(TEXT, json.dumps(wish).encode()))
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            while not over.wait(0.01) and line.recv(1):
                pass

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        no_trace.start()
        assert no_trace.run_out()["digest"] == truth
    finally:
        over.set()
        thread.join(10)
        reset(line)


def clients(process: ServerProcess) -> int:
    """Stream clients that the server knows."""
    lines = process.http.get("/metrics").text.splitlines()
    (found,) = (line for line in lines if line.startswith("tapedeck_stream_clients "))
    return int(float(found.split()[1]))


def send_until_cut_off(process: ServerProcess, sent: bytes) -> None:
    """Over and over, reading nothing, until the server knows this client no more."""
    line = process.stream(buffer=4096)
    assert clients(process) == 1
    line.settimeout(0.2)

    def is_cut_off() -> bool:
        with suppress(OSError):  # it hung up, or reads no more
            for _ in range(50):
                line.sendall(sent)
        return clients(process) == 0

    until(is_cut_off)
    reset(line)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("pings", frame(PING, b"x" * 125) * 500),
        ("empty fragments", frame(TEXT, b"", final=False) + frame(0, b"", final=False) * 5000),
        ("refused messages", frame(TEXT, b'{"action": "resume", "epoch": 9, "after": 9}') * 100),
        ("subscriptions", frame(TEXT, SUBSCRIBE) * 100),
    ],
)
def test_floods_that_read_nothing_are_ended(
    no_trace: ServerProcess, kind: str, sent: bytes
) -> None:
    """With no session at work, nothing else would ever cut them off."""
    before = no_trace.use
    del kind
    send_until_cut_off(no_trace, sent)
    no_trace.comes_back_to(before)


@pytest.mark.parametrize("full", [False, True])
def test_a_client_that_was_switched_off_is_found_out(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """It answers no ping; what was sent to it may lie in its machine's buffers, or in ours."""
    monkeypatch.setattr(sockets, "LINGER_S", 0.2)
    server = fake.server._server
    server.config.ws_ping_interval, server.config.ws_ping_timeout = 0.2, 0.5
    hub, session = server._services.hub, fake.start()
    line = open_stream(fake.url, buffer=4096)
    line.sendall(frame(TEXT, SUBSCRIBE))
    until(lambda: session.window_rows() is not None, "its subscription")
    with playing(session, WINDOWS if full else 0):
        until(lambda: not hub.clients, "its end")
    assert full is (session.held_asks > 0)
    until(
        lambda: not any(isinstance(c, StreamProtocol) for c in server.server_state.connections),
        "its line's end",
    )
    line.close()


def bad_frames() -> dict[str, tuple[bytes, set[int | None]]]:
    """What is sent, and with which code the server closes."""
    return {
        "reserved opcode": (frame(3, b"x"), {1002}),
        "reserved bits": (bytes([0xF1, 0x81, 0, 0, 0, 0, 65]), {1002}),
        "not masked": (frame(TEXT, b"{}", masked=False), {1002}),
        "a continuation of nothing": (frame(0, b"x"), {1002}),
        "a long ping": (bytes([0x89, 0xFE, 0, 200]) + bytes(204), {1002}),
        "a close of one byte": (frame(CLOSE, b"x"), {1002}),
        "not UTF-8": (frame(TEXT, b"\xff\xfe"), {1003, 1007}),
        "too large": (frame(BINARY, b"x" * 70_000), {1009}),
        "a length of 2**63": (bytes([0x82, 0xFF]) + b"\x80" + bytes(11), {1002, 1009}),
        "no JSON": (frame(TEXT, b"GET / HTTP/1.1"), {1003}),
        "no object": (frame(TEXT, b"[]"), {1008}),
        "no such action": (frame(TEXT, b'{"action": "destroy"}'), {1008}),
        "deep": (frame(TEXT, b"[" * 60_000), {1003}),
        "binary": (frame(BINARY, b"\x93\x01\x02\x03"), {1003}),
    }


@pytest.mark.parametrize("name", bad_frames())
def test_bad_frames_close_with_a_code(no_trace: ServerProcess, name: str) -> None:
    sent, codes = bad_frames()[name]
    line = no_trace.stream()
    line.sendall(sent)
    got = b""
    while close_code(got) is None and (more := line.recv(65_536)):
        got += more
    assert close_code(got) in codes
    line.close()


GREETINGS: dict[str, Callable[[], bytes]] = {
    "TLS": lambda: (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.Random(2).randbytes(500)
    ),
    "HTTP/2": lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": lambda: b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing but zeros": lambda: bytes(4096),
    "HTTP/9": lambda: b"GET / HTTP/9.9\r\n\r\n",
    "two lengths": lambda: (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
    ),
    "length and chunks": lambda: (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a length that is none": lambda: b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a header without a colon": lambda: b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "a NUL": lambda: b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", GREETINGS)
def test_what_is_no_http_is_refused(no_trace: ServerProcess, name: str) -> None:
    line = no_trace.line(GREETINGS[name]())
    got = rest_of(line)
    assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n"), got[:200]
    assert b"application/problem+json" in got
    line.close()
