"""SIGTERM is answered within two seconds, and so is everybody who waits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.server import run
from app.errors import SettingsError
from settings import load_settings
from tests.api.conftest import Fake
from tests.api.fake_manager import bar_window
from tests.api.small_catalog import build
from tests.api.talk import START, close_of, talk, talk_little
from tests.api.test_long_polls import Waiting
from tests.api.test_requests import check

_SERVE = (
    "from app.api.server import run; from settings import load_settings; run(load_settings(None))"
)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, on a free port."""
    environment = {
        "DATA_CATALOG_URI": str(build(tmp_path / "catalog")), "TAPEDECK_PORT": "0",
        "TAPEDECK_CACHE_DIR": str(tmp_path / "cache"), "PATH": os.environ["PATH"],
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2], env=environment,
    ) as one:  # fmt: skip
        yield one
        one.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("Tapedeck serves http://127.0.0.1:")
    return first.split()[-1].removesuffix("/api/v1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_with_everything_pending(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    url = url_of(process)
    api = url + "/api/v1"
    assert httpx.post(api + "/session", json=START | {"speed": 1}, timeout=60).status_code == 201
    found: list[httpx.Response] = []
    polls = [
        threading.Thread(
            target=lambda: found.append(
                httpx.get(api + "/session/data?after=1000000&wait_s=60", timeout=20)
            )
        )
        for _ in range(3)
    ]
    with talk(url) as reading, talk_little(url) as stalled:
        reading.subscribe("bars_1m")
        stalled.subscribe("bars_1m", "trades", "quotes")
        for poll in polls:
            poll.start()
        # Once this is answered the polls, sent before on other connections, are under way.
        httpx.get(api + "/session/data?after=1000000&wait_s=0.3", timeout=20)
        began = time.monotonic()
        process.send_signal(number)
        code = process.wait(10)
        took_s = time.monotonic() - began
        frames, close, _ = close_of(reading)
    for poll in polls:
        poll.join(5)
    # Two seconds are asked of a quiet machine; who waited for a poll to end would need sixty.
    assert (code, took_s < 8) == (0, True), f"exit code {code} after {took_s:.2f} s"
    assert [answer.status_code for answer in found] == [200] * 3
    assert frames[-1]["type"] == "end"
    assert frames[-1]["state"] == "STOPPED"
    assert close == 1012


def test_a_pending_step_is_answered(fake: Fake) -> None:
    session = fake.start(start_paused=True)
    found: list[httpx.Response] = []
    body = {"unit": "day"}
    caller = threading.Thread(
        target=lambda: found.append(
            httpx.post(fake.url + "/api/v1/session/step", json=body, timeout=60)
        )
    )
    caller.start()
    session.until(lambda: bool(session.pending))
    poll = Waiting(fake.url + "/api/v1/session/data?after=9&wait_s=60", session)
    fake.server.ask_to_stop()
    caller.join(5)
    assert poll.result()["seq"] == 0
    assert found[0].json()["interrupted"] is True
    fake.server.join(2)


def test_commands_are_refused_while_it_closes(fake: Fake) -> None:
    session = fake.start(start_paused=True)
    stopping = threading.Event()
    go_on = threading.Event()
    stop = session.stop

    def slowly() -> object:
        stopping.set()
        go_on.wait(5)
        return stop()

    session.stop = slowly  # type: ignore[assignment, method-assign]
    fake.server.ask_to_stop()
    assert stopping.wait(5)
    check(fake.http.post("/session/step", json={"unit": "bar"}), 503, "shuts down")
    check(fake.http.post("/session", json=START), 503, "shuts down")
    check(httpx.get(fake.url + "/ready", timeout=60), 503, "shuts down")
    assert fake.http.get("/session/data?after=5&wait_s=60").status_code == 200
    go_on.set()
    fake.server.join(2)


def test_stream_client_that_does_not_read_does_not_hold_the_end() -> None:
    fake = Fake()
    session = fake.start()
    with talk_little(fake.url) as slow:
        slow.subscribe("bars_1m")
        for number in range(20):
            session.deliver(bar_window(1 + 1000 * number, 1000))
        began = time.monotonic()
        fake.server.ask_to_stop()
        fake.server.join(5)
        assert time.monotonic() - began < 2
    fake.close()


def test_a_port_that_is_taken_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = load_settings(
            None, tapedeck_port=port, tapedeck_cache_dir=tmp_path, data_catalog_uri=str(tmp_path)
        )
        with pytest.raises(SettingsError, match=f"port {port}; set TAPEDECK_PORT"):
            run(settings)
