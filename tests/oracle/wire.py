"""One replay over HTTP and WebSocket, with httpx and websockets alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import msgspec
from websockets.sync.client import ClientConnection, connect

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def to_ns(text: str) -> int:
    """Nanoseconds of an RFC 3339 time in UTC."""
    clock, _, fraction = text.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(clock + "+00:00") - EPOCH
    return (whole.days * 86_400 + whole.seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)


@dataclass
class Received:
    """What came over the stream, and what the session said when it had ended."""

    times: list[int] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    columns: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    days: list[dict[str, Any]] = field(default_factory=list)
    streams: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, frame: dict[str, Any]) -> None:
        """One frame of slices: flat columns whose ``slice`` points into ``times``."""
        if self.seqs:
            assert frame["prev_seq"] == self.seqs[-1], "a hole in the stream"
        self.times += frame["times"]
        self.seqs += frame["seqs"]
        for channel, rows in frame.items():
            if not isinstance(rows, dict):
                continue
            into = self.columns.setdefault(channel, defaultdict(list))
            into["release"] += [frame["times"][i] for i in rows["slice"]]
            assert {len(column) for column in rows.values()} == {len(rows["slice"])}
            for name, column in rows.items():
                if name != "slice":
                    into[name] += column


class Replay:
    """A session that is created paused, streamed without loss and run to its end."""

    def __init__(self, base_url: str, **options: Any) -> None:
        self.http = httpx.Client(base_url=base_url + "/api/v1", timeout=60)
        self._stream_url = base_url.replace("http", "ws", 1) + "/api/v1/stream?encoding=msgpack"
        self._options = {"speed": 0, "start_paused": True, **options}

    def run(self, channels: Iterable[str]) -> Received:
        found = Received()
        self._post("/session", self._options)
        with connect(self._stream_url, max_size=None) as socket:
            assert self._next(socket)["type"] == "hello"
            socket.send(msgspec.json.encode(_subscription(channels)).decode())
            # Both answers come after the subscription was read: nothing is missed.
            assert socket.ping().wait(10)
            self.get("/session")
            self._post("/session/resume", None)
            while (frame := self._next(socket))["type"] != "end":
                assert frame["type"] != "error", frame
                if frame["type"] == "slices":
                    found.take(frame)
        found.session = self.get("/session")
        found.days = self.get("/session/days")["days"]
        streams = self.get("/streams")["streams"]
        found.streams = {(s["symbol"], s["stream"]): s["delivered"] for s in streams}
        return found

    def get(self, path: str, **query: Any) -> Any:
        return _json(self.http.get(path, params=query))

    def _post(self, path: str, body: Any) -> Any:
        return _json(self.http.post(path, json=body))

    def _next(self, socket: ClientConnection) -> Any:
        message = socket.recv(timeout=60)
        assert isinstance(message, bytes), message
        return msgspec.msgpack.decode(message)


def _subscription(channels: Iterable[str]) -> dict[str, Any]:
    return {
        "action": "subscribe",
        "channels": [*channels, "status"],
        "symbols": ["*"],
        "delivery": "lossless",
    }


def _json(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()
