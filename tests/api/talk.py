"""A stream client for tests: frames in, frames out, nothing assumed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Frame = dict[str, Any]
START = {"symbols": ["*"], "start": "2013-10-07", "end": "2013-10-08", "speed": 0}


class Talk:
    """One open WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello = self.receive()

    def receive(self) -> Frame:
        """The next frame, decoded."""
        data = self.socket.recv(timeout=60)
        frame: Frame = json.loads(data) if isinstance(data, str) else msgspec.msgpack.decode(data)
        return frame

    def send(self, message: Frame | str | bytes) -> None:
        self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    def subscribe(self, *channels: str, **more: Any) -> Frame:
        """Subscribe, to status too: the first such frame says that the server has read it."""
        self.send({"action": "subscribe", "channels": [*channels, "status"], **more})
        return self.receive() if self.hello["session"]["id"] else {}

    def until(self, kind: str) -> list[Frame]:
        """Frames up to and with the first of this type."""
        frames = [self.receive()]
        while frames[-1]["type"] != kind:
            frames.append(self.receive())
        return frames


@contextmanager
def talk(url: str, query: str = "", **options: Any) -> Iterator[Talk]:
    """Connect to the stream of a server."""
    address = url.replace("http", "ws", 1) + "/api/v1/stream" + query
    with connect(address, **{"max_size": None, "close_timeout": 0.5, **options}) as socket:
        yield Talk(socket)


@contextmanager
def talk_little(url: str) -> Iterator[Talk]:
    """As ``talk``, with so small buffers that the server soon feels it when nothing is read."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        line.connect((host, int(port)))
        with talk(url, sock=line, max_queue=1, ping_interval=None) as one:
            yield one


def close_of(one: Talk) -> tuple[list[Frame], int, str]:
    """All frames up to the end of the connection, and with which code and reason it closed."""
    frames: list[Frame] = []
    with pytest.raises(ConnectionClosed) as closed:
        frames.extend(iter(one.receive, None))
    assert closed.value.rcvd is not None
    return frames, closed.value.rcvd.code, closed.value.rcvd.reason


def slices_of(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame["type"] == "slices"]


def rows_of(frames: list[Frame], channel: str) -> list[tuple[int, str, Any]]:
    """(seq, symbol, ts) of every row of a channel, in order."""
    return [
        (frame["seqs"][at], symbol, ts)
        for frame in slices_of(frames)
        if channel in frame
        for at, symbol, ts in zip(
            frame[channel]["slice"], frame[channel]["symbol"], frame[channel]["ts"], strict=True
        )
    ]
