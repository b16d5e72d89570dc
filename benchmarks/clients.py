"""Pollers and stream clients in a process of their own: an open-loop, bounded generator.

    python -m benchmarks.clients '{"base": "http://127.0.0.1:8000", "seconds": 5, ...}'

``polls``: clients, requests a second of all together, and the paths they ask in turn. A request is
due at its time whether the last one was answered or not, and its latency counts from then; what
more than ``MOST_WAITING`` others wait before is left out and counted. ``streams``: clients, and
what they subscribe to. Says "ready", waits for a line, and prints one line of JSON after its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PREFIX = "/api/v1"
MOST_WAITING = 2000
DRAIN_S = 5.0  # for the last answers
_STEP_S = 0.001


class Poller(asyncio.Protocol):
    """One connection, one request at a time; those that are due meanwhile wait in line."""

    def __init__(self, latencies: list[float], head: bytes) -> None:
        self._latencies = latencies
        self._head = head
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._asked: float | None = None
        self._buffer = bytearray()
        self._needed = 0
        self._transport: Any = None
        self.errors = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting) + (self._asked is not None)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.errors += self.waiting
        self._waiting.clear()
        self._asked = None

    def ask(self, due_s: float, path: bytes) -> None:
        self._waiting.append((due_s, path))
        if self._asked is None:
            self._next()

    def _next(self) -> None:
        self._asked, path = self._waiting.popleft()
        self._transport.write(b"GET " + path + self._head)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._needed:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._needed = end + 4 + self._length(bytes(self._buffer[:end]))
        if len(self._buffer) >= self._needed:
            self._answered()

    def _length(self, head: bytes) -> int:
        self.errors += not head.startswith(b"HTTP/1.1 200")
        lines = head.lower().split(b"\r\n")
        return next(int(x[15:]) for x in lines if x.startswith(b"content-length:"))

    def _answered(self) -> None:
        self._buffer.clear()
        self._needed = 0
        assert self._asked is not None
        self._latencies.append(time.perf_counter() - self._asked)
        self._asked = None
        if self._waiting:
            self._next()

    def close(self) -> None:
        self._transport.close()


class _Seqs(msgspec.Struct):
    """Of a frame only what is needed to know what came."""

    type: str
    seqs: list[int] = []


class Streamer:
    """One stream client: when each frame came, and of which slices."""

    def __init__(self, socket: ClientConnection, encoding: str) -> None:
        self._socket = socket
        packed = encoding == "msgpack"
        decoder = msgspec.msgpack.Decoder if packed else msgspec.json.Decoder
        self._decode = decoder(_Seqs).decode
        self.came: list[tuple[int, int]] = []  # last sequence of a frame, and when it came
        self.bytes = 0
        self.holes = 0
        self._last = 0

    async def run(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._socket:
                now_ns = time.monotonic_ns()
                self.bytes += len(frame)
                found = self._decode(frame)  # type: ignore[arg-type]
                if found.type == "end":
                    return
                if found.type == "error":
                    raise RuntimeError(f"refused: {frame!r}")
                if found.type == "slices":
                    self.holes += found.seqs[0] != self._last + 1
                    self._last = found.seqs[-1]
                    self.came.append((self._last, now_ns))


async def open_streams(base: str, wish: dict[str, Any]) -> list[Streamer]:
    found = []
    url = f"{base.replace('http', 'ws', 1)}{PREFIX}/stream?encoding={wish['encoding']}"
    subscription = {"action": "subscribe"} | wish["subscription"]
    for _ in range(wish["clients"]):
        socket = await connect(url, max_size=None, compression=None, close_timeout=0.5)
        await socket.recv()  # hello
        await socket.send(json.dumps(subscription))
        found.append(Streamer(socket, wish["encoding"]))
    return found


async def open_pollers(base: str, clients: int, latencies: list[float]) -> list[Poller]:
    at = urlsplit(base)
    host, port = at.hostname or "", at.port or 80
    head = f" HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Poller(latencies, head), host, port)
        for _ in range(clients)
    ]
    return [protocol for _, protocol in made]


async def generate(pollers: list[Poller], wish: dict[str, Any], seconds: float) -> tuple[int, int]:
    """Ask at ``rate`` a second; how many were due, and how many of them were left out."""
    paths = [(PREFIX + path).encode() for path in wish["paths"]]
    rate, began, due, left_out = float(wish["rate"]), time.perf_counter(), 0, 0
    while (now := time.perf_counter()) < began + seconds:
        while began + due / rate <= now:
            if sum(p.waiting for p in pollers) < MOST_WAITING:
                poller = pollers[due % len(pollers)]
                poller.ask(began + due / rate, paths[due % len(paths)])
            else:
                left_out += 1
            due += 1
        await asyncio.sleep(_STEP_S)
    return due, left_out


async def drain(pollers: list[Poller]) -> None:
    until = time.perf_counter() + DRAIN_S
    while any(p.waiting for p in pollers) and time.perf_counter() < until:
        await asyncio.sleep(_STEP_S)


async def work(wish: dict[str, Any]) -> dict[str, Any]:
    latencies: list[float] = []
    polls, streams = wish.get("polls"), wish.get("streams")
    pollers = await open_pollers(wish["base"], polls["clients"], latencies) if polls else []
    streamers = await open_streams(wish["base"], streams) if streams else []
    reading = [asyncio.ensure_future(one.run()) for one in streamers]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    found: dict[str, Any] = {}
    if polls:
        due, left_out = await generate(pollers, polls, wish["seconds"])
        await drain(pollers)
        errors = sum(p.errors for p in pollers)
        found = {"offered": due, "left_out": left_out, "errors": errors,
                 "latencies_ms": [round(s * 1e3, 3) for s in latencies]}  # fmt: skip
    elif reading:
        await asyncio.wait(reading, timeout=wish["seconds"])
    for one in reading:
        one.cancel()
    ends = await asyncio.gather(*reading, return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            raise error  # cut off, or not to be read
    for poller in pollers:
        poller.close()
    return found | {
        "frames": [one.came for one in streamers], "bytes": sum(s.bytes for s in streamers),
        "holes": sum(s.holes for s in streamers),
    }  # fmt: skip


def main() -> None:
    found = uvloop.run(work(json.loads(sys.argv[1])))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
