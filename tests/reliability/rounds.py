"""One round of a soak: a session with good clients, bad ones and a restless controller."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
from websockets.exceptions import ConnectionClosed

from tests.api.small_catalog import build
from tests.api.talk import START, talk
from tests.api.trading_place import CONFIG, STRATEGY
from tests.reliability.place import ServerProcess, frame, reset
from tests.until import until

MINUTES = 120  # of each of the two days
TEXT, PING = 1, 9
SPEEDS = (0, 60, 3600, 100_000, 1_000_000)
TIMES = tuple(
    f"2013-10-{day:02}T{14 + n // 60:02}:{n % 60:02}:{second:02}Z"
    for day in (7, 8) for n in (0, 7, 31, 60, 75) for second in (0, 30)
)  # fmt: skip
HOSTILE: tuple[bytes, ...] = (
    b"", b"GET /api/v1/ses", b"\x16\x03\x01 nonsense\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
)  # fmt: skip
Digests = tuple[str, str | None]  # of the items, and of a trading session's events


class WrongError(AssertionError):
    """Something is not as it was promised."""


def make_server(work: Path) -> ServerProcess:
    """A server with little patience over a small catalog, and a configuration that trades."""
    configs = work / "configs"
    configs.mkdir(parents=True)
    (configs / "once.py").write_text(STRATEGY)
    (configs / "live.yaml").write_text(CONFIG)
    return ServerProcess(
        work, build(work / "catalog", minutes=MINUTES), tapedeck_configs_dir=configs,
        http_max_request_seconds=1, http_max_send_seconds=1, log_level="error",
        stream_lossless_patience_seconds=2, stream_client_queue_bytes=262_144,
    )  # fmt: skip


class Round:
    """``dice`` decides everything but the timing of threads; ``counts`` is what was done."""

    def __init__(self, server: ServerProcess, dice: random.Random, counts: Counter[str]) -> None:
        self._server, self._dice, self._counts = server, dice, counts
        self._over = threading.Event()
        self._faults: list[BaseException] = []

    def play(self, trading: bool, clients: int) -> Digests:
        """The digests of a session that was driven about and then run to its end."""
        self._counts["sessions"] += 1
        self._begin(trading)
        acts: list[Callable[[random.Random], None]] = [
            self._follow, self._follow, self._poll, self._drop, self._stall, self._flood,
        ]  # fmt: skip
        threads = [
            threading.Thread(target=self._watched, args=(self._dice.choice(acts), n))
            for n in (self._dice.random() for _ in range(clients))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in range(self._dice.randint(3, 15)):
                self._command()
            found = self._end(trading)
        finally:
            self._over.set()
            for thread in threads:
                thread.join(60)
        if self._faults:
            raise self._faults[0]
        return found

    def straight(self, trading: bool) -> Digests:
        """The digests of a session that nobody disturbs."""
        self._begin(trading, speed=0, start_paused=False)
        return self._end(trading)

    def run(self) -> Digests:
        """Those of the same configuration as a run, in a process of its own."""
        self._counts["runs"] += 1
        answer = self._ask("POST", "/runs", json={"config": "live.yaml"})
        run = answer.json()["id"]
        ended = ("completed", "failed", "stopped", "interrupted")
        found = until(
            lambda: (body := self._ask("GET", f"/runs/{run}").json())["state"] in ended and body
        )
        return found["digest"], found["events_digest"]

    # -- the session -----------------------------------------------------------------------

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self._server.http.request(method, path, **more)
        self._counts["calls"] += 1
        if answer.status_code >= 500:
            raise WrongError(f"{method} {path} {more}: {answer.status_code} {answer.text}")
        return answer

    def _begin(self, trading: bool, **more: Any) -> None:
        wish: dict[str, Any] = {"config": "live.yaml"} if trading else dict(START)
        wish |= {"speed": self._dice.choice(SPEEDS), "start_paused": self._dice.random() < 0.5}
        self._ask("POST", "/session/stop")
        answer = self._ask("POST", "/session", json=wish | more)
        if answer.status_code != 201:
            raise WrongError(f"{wish | more}: {answer.text}")

    def _command(self) -> None:
        dice = self._dice
        step = {"unit": dice.choice(["slice", "bar"]), "count": dice.randint(1, 60)}
        method, path, body = dice.choice(
            [
                ("POST", "/session/pause", None), ("POST", "/session/resume", None),
                ("POST", "/session/step", step), ("PATCH", "/session", {"speed": 3600.0}),
                ("PATCH", "/session", {"speed": float(dice.choice(SPEEDS))}),
                ("POST", "/session/seek", {"time": dice.choice(TIMES)}),
                ("POST", "/session/seek", {"time": dice.choice(TIMES)}),
                ("POST", "/session/run-to", {"time": dice.choice(TIMES)}),
                ("POST", "/session/run-to", {"until": "close"}),
            ]
        )  # fmt: skip
        answer = self._ask(method, path, **({} if body is None else {"json": body}))
        self._counts[f"{path.rpartition('/')[2]} {answer.status_code}"] += 1
        if answer.status_code not in (200, 409, 422):
            raise WrongError(f"{method} {path} {body}: {answer.text}")

    def _end(self, trading: bool) -> Digests:
        """Run it out from wherever it stands."""
        end_s = time.monotonic() + 60
        while (now := self._ask("GET", "/session").json())["state"] != "COMPLETED":
            if now["state"] not in ("RUNNING", "PAUSED") or time.monotonic() > end_s:
                raise WrongError(f"it does not come to its end: {now}")
            self._ask("PATCH", "/session", json={"speed": 0.0})
            self._ask("POST", "/session/resume")
            self._ask("GET", "/session/data", params={"after": now["seq"], "wait_s": 0.2})
        if not trading:
            return now["digest"], None
        record = until(
            lambda: (b := self._ask("GET", f"/runs/{now['run']}").json())["events_digest"] and b
        )
        return now["digest"], record["events_digest"]

    # -- clients ---------------------------------------------------------------------------

    def _watched(self, act: Callable[[random.Random], None], seed: float) -> None:
        try:
            act(random.Random(seed))
        except BaseException as error:
            self._faults.append(error)

    def _follow(self, dice: random.Random) -> None:
        """A good stream client: it must be able to see every hole, and see none."""
        encoding = dice.choice(["json", "msgpack"])
        wish: dict[str, Any] = {"delivery": dice.choice(["lossless", "conflate"])}
        with talk(self._server.url, f"?encoding={encoding}") as one, suppress(ConnectionClosed):
            last: int | None = None
            one.subscribe("bars_1m", "bars_5m", "trades", **wish)
            while not self._over.is_set():
                try:
                    data = one.socket.recv(timeout=0.1)
                except TimeoutError:
                    continue
                found = json.loads(data) if isinstance(data, str) else msgspec.msgpack.decode(data)
                self._counts["frames"] += 1
                last = follow(last, found)

    def _poll(self, dice: random.Random) -> None:
        """Time goes back with an epoch alone."""
        seen = (0, 0)
        with httpx.Client(base_url=self._server.url + "/api/v1", timeout=30) as client:
            while not self._over.is_set():
                answer = client.get("/session/data", params={"after": seen[1], "wait_s": 0.1})
                if answer.status_code != 200:
                    raise WrongError(answer.text)
                body = answer.json()
                now = body["epoch"], body["seq"]
                if now < seen:
                    raise WrongError(f"from {seen} to {now}")
                seen = now
                self._counts["polls"] += 1
                self._over.wait(dice.random() * 0.02)

    def _drop(self, dice: random.Random) -> None:
        """Connections that come to nothing."""
        for _ in range(10):
            line = self._server.line(dice.choice(HOSTILE))
            self._over.wait(dice.random() * 0.05)
            reset(line)
            self._counts["connections dropped"] += 1

    def _stall(self, _: random.Random) -> None:
        """Subscribes to everything and reads nothing."""
        wish = {"action": "subscribe", "channels": ["bars_1m", "trades", "quotes", "status"]}
        line = self._server.stream(buffer=4096)
        line.sendall(frame(TEXT, json.dumps(wish).encode()))
        self._over.wait(60)
        reset(line)
        self._counts["clients that read nothing"] += 1

    def _flood(self, dice: random.Random) -> None:
        """Garbage, as fast as it is taken."""
        line = self._server.stream(buffer=4096)
        line.settimeout(0.1)
        with suppress(OSError):
            for _ in range(200):
                garbage = frame(dice.choice([TEXT, PING]), dice.randbytes(100))
                line.sendall(garbage)
                self._counts["bytes of garbage"] += len(garbage)
        reset(line)


def follow(last: int | None, found: dict[str, Any]) -> int | None:
    """The last slice that a client was sent, after one more frame; None where it is not known."""
    if found["type"] == "snapshot":
        return int(found["seq"])
    if found["type"] == "status" and found["why"] == "session":
        return 0
    if found["type"] != "slices":
        return last
    if last is not None and found["prev_seq"] != last:
        raise WrongError(f"a hole: {found['prev_seq']} follows {last}")
    return int(found["seqs"][-1])
