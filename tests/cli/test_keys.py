"""Keys of ``tapedeck watch``, typed at a real terminal and seen by a real server."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pytest

from app.cli.keys import _KEY, RIGHT, SHIFT_LEFT, SHIFT_RIGHT, UP, Controls
from app.client import Session, Slices, Status, Stream, Tapedeck
from tests.cli.served import COMMAND, environment
from tests.client.small_catalog import DAYS
from tests.conftest import StartServer


class Terminal:
    """``tapedeck watch`` at one end of a terminal, a person at the other."""

    def __init__(self, url: str, folder: Path) -> None:
        self._end, other = pty.openpty()
        command = [*COMMAND, "watch", url, "--interval-ms", "100"]
        known = {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(folder) | known, stdin=other, stdout=other,
            stderr=other,
        )  # fmt: skip
        os.close(other)
        self._seen, self._more = "", Condition()
        self._reader = Thread(target=self._read)  # a full terminal would hold the command up
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the other end has gone
            while text := os.read(self._end, 65536).decode("utf-8", "replace"):
                with self._more:
                    self._seen += text
                    self._more.notify_all()

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def until(self, words: str) -> None:
        """Wait until these words are shown, after those that were waited for before."""
        with self._more:
            assert self._more.wait_for(lambda: words in self._seen, 40), self._seen[-2000:]
            self._seen = self._seen.partition(words)[2]

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._end)


@pytest.fixture
def url(server: StartServer, small_catalog: Path) -> str:
    url = server(small_catalog)
    with Tapedeck(url) as deck:
        deck.start("*", *DAYS, streams=["bars_1m"], speed=60, start_paused=True)
    return url


@pytest.fixture
def terminal(url: str, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(url, tmp_path)
    try:
        yield made
    finally:
        made.close()


def until(deck: Tapedeck, stream: Stream, is_so: Callable[[Session], Any]) -> None:
    """Wait until the session is so, looking at it when the stream says that something changed."""
    if is_so(deck.session()):
        return
    for message in stream:
        if isinstance(message, Status | Slices) and is_so(deck.session()):
            return
    pytest.fail("the stream ended before")


def test_keys_move_the_session(terminal: Terminal, url: str) -> None:
    with Tapedeck(url) as deck, deck.stream(["status", "bars_1m"]) as stream:
        terminal.until("q leave")
        terminal.type("\x1b[C\x1b[C")  # right, twice, in one burst
        until(deck, stream, lambda s: s.state == "PAUSED" and ":31:" in str(s.time))
        terminal.type("\x1b[A")
        until(deck, stream, lambda s: s.state == "PAUSED" and " 20:" in str(s.time))
        terminal.type("\x1b[B")
        until(deck, stream, lambda s: s.state == "PAUSED" and " 13:" in str(s.time))
        terminal.type("+")
        until(deck, stream, lambda s: s.speed == 120)
        terminal.type("--")
        until(deck, stream, lambda s: s.speed == 30)
        terminal.type(" ")
        until(deck, stream, lambda s: s.state == "RUNNING")
        terminal.type("q")
        assert terminal.process.wait(30) == 0
        assert deck.session().state == "RUNNING"


def test_what_the_server_refuses_is_shown_and_the_picture_stays(
    terminal: Terminal, url: str
) -> None:
    terminal.until("q leave")
    terminal.type("\x1b[D")  # before the session's start
    terminal.until("outside of the session")
    terminal.type("?")
    terminal.until("q leave")
    assert terminal.process.poll() is None


def test_a_burst_is_single_keys() -> None:
    burst = [" ", RIGHT, "+", SHIFT_LEFT, UP, "0", "q", "\x1b"]
    assert _KEY.findall("".join(burst)) == burst


def test_a_dot_is_a_slice_and_shift_a_day(url: str) -> None:
    with Tapedeck(url) as deck:
        controls = Controls(deck, lambda _: None, lambda: None)
        with deck.stream(["status", "bars_1m"]) as stream:
            controls.press(".")
            until(deck, stream, lambda s: s.state == "PAUSED" and s.seq == 1)
            controls.press(SHIFT_RIGHT)
            until(deck, stream, lambda s: s.state == "PAUSED" and " 20:" in str(s.time))


def test_speeds_double_and_halve_within_what_is_allowed(url: str) -> None:
    said: list[str] = []
    with Tapedeck(url) as deck:
        controls = Controls(deck, said.append, lambda: None)
        for speed, key, then in ((0, "+", 2), (0, "-", 5e5), (1e6, "+", 1e6), (60, "0", 0)):
            deck.set_speed(speed)
            controls.press(key)
            assert deck.session().speed == then
    assert all("q leave" in text for text in said)
