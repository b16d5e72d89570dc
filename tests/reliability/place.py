"""A server in a process of its own, whose threads, files and memory can be counted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.api.talk import START
from tests.cli.served import COMMAND, ROOT, base_url
from tests.until import WAIT_S, until

SLACK_KB = 60_000  # what an allocator keeps, and the first use of things, take
KEY_OF_HANDSHAKE = b"dGhlIHNhbXBsZSBub25jZQ=="


class Use(NamedTuple):
    """What a process holds."""

    threads: int
    files: int
    memory_kb: int


def use_of(pid: int) -> Use:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Use(int(fields["Threads"]), files, int(fields["VmRSS"].split()[0]))


class ServerProcess:
    """``tapedeck serve`` over a catalog; settings by name."""

    def __init__(self, work: Path, catalog: Path, **settings: object) -> None:
        work.mkdir(exist_ok=True)
        self.log = work / "serve.log"
        named = {name.upper(): str(value) for name, value in settings.items()}
        environment = os.environ | {
            "PYTHONPATH": str(ROOT), "TAPEDECK_CACHE_DIR": str(work / "cache"),
            "TAPEDECK_RUNS_DIR": str(work / "runs"), **named,
        }  # fmt: skip
        command = [*COMMAND, "serve", "--port", "0", "--catalog", str(catalog)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        self.url = base_url(self.process.stdout)
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=30)

    def close(self) -> None:
        """It ends well, having said nothing of errors."""
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        said = self.log.read_text()
        assert code == 0, said
        assert "Traceback" not in said, said

    @property
    def use(self) -> Use:
        return use_of(self.process.pid)

    def comes_back_to(self, before: Use) -> None:
        """No more threads and files than before, and little more memory."""

        def back() -> bool:
            now = self.use
            return now.threads <= before.threads and now.files <= before.files

        try:
            until(back)
        except AssertionError as error:
            raise AssertionError(f"it does not come back: {before} to {self.use}") from error
        grown_kb = self.use.memory_kb - before.memory_kb
        assert grown_kb < SLACK_KB, f"{grown_kb} KB more"

    # -- sessions --------------------------------------------------------------------------

    def start(self, **more: object) -> Any:
        self.http.post("/session/stop").raise_for_status()
        answer = self.http.post("/session", json={**START, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def run_out(self) -> Any:
        """The session at its end."""
        seen = self.http.get("/session").json()
        end_s = time.monotonic() + WAIT_S
        while seen["state"] not in ("COMPLETED", "FAILED", "STOPPED"):
            assert time.monotonic() < end_s, seen
            self.http.get("/session/data", params={"after": seen["seq"], "wait_s": 0.5})
            seen = self.http.get("/session").json()
        assert seen["state"] == "COMPLETED", seen
        return seen

    def digest(self) -> str:
        """Of a session that nobody disturbs."""
        self.start()
        return str(self.run_out()["digest"])

    # -- raw lines -------------------------------------------------------------------------

    def line(self, sent: bytes = b"", buffer: int | None = None) -> socket.socket:
        """A TCP connection on which this was sent."""
        return open_line(self.url, sent, buffer)

    def stream(self, buffer: int | None = None) -> socket.socket:
        """A line that has become a WebSocket; ``hello`` is not read."""
        return open_stream(self.url, buffer)


def open_line(url: str, sent: bytes = b"", buffer: int | None = None) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    line = socket.socket()
    line.settimeout(WAIT_S)
    if buffer is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.connect((host, int(port)))
    line.sendall(sent)
    return line


def open_stream(url: str, buffer: int | None = None) -> socket.socket:
    handshake = (
        b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: " + KEY_OF_HANDSHAKE + b"\r\n\r\n"
    )
    line = open_line(url, handshake, buffer)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = line.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 101"), head
    return line


def reset(line: socket.socket) -> None:
    """Close without a farewell, as a machine that is switched off."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.close()


def rest_of(line: socket.socket) -> bytes:
    """All that comes until the server ends the connection; TimeoutError where it does not."""
    got = b""
    try:
        while more := line.recv(65_536):
            got += more
    except (ConnectionResetError, BrokenPipeError):
        pass
    return got


def frame(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    """A WebSocket frame of a client, its mask nought."""
    head = bytes([(0x80 if final else 0) | opcode])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 2**16:
        head += bytes([bit | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + len(payload).to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


def close_code(data: bytes) -> int | None:
    """Of the close frame that ends what a server sent; None where there is none."""
    at = 0
    while at + 2 <= len(data):
        opcode, size = data[at] & 0x0F, data[at + 1] & 0x7F
        at += 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + wide], "big"), at + wide
        if opcode == 8:
            return int.from_bytes(data[at : at + 2], "big")
        at += size
    return None
