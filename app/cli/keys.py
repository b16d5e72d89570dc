"""Keys of the terminal, and what they do to a server's session."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select
from threading import Thread
from typing import IO, TYPE_CHECKING

from app.errors import TapedeckError
from app.times import MINUTE_NS, format_time

if TYPE_CHECKING:
    from app.client import Session, Tapedeck
    from app.client.calls import Unit

# As in the page; up and down are for terminals that give no Shift with an arrow.
HELP = (
    "space play/pause  \u2190 \u2192 bar  \u2191 \u2193 or shift+\u2190 \u2192 day  . slice  "
    "+ - speed  0 no waiting  q leave"
)
RIGHT, LEFT, UP, DOWN = "\x1b[C", "\x1b[D", "\x1b[A", "\x1b[B"
SHIFT_RIGHT, SHIFT_LEFT = "\x1b[1;2C", "\x1b[1;2D"
_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
_MOST_SPEED = 1e6
_WAIT_S = 0.0  # a step or a seek goes on; the stream tells of its end
_KEY_BYTES = 32  # of a key or a short burst of them


class Controls:
    """A key is a command to the session; what the server says to it is told."""

    def __init__(
        self, deck: Tapedeck, tell: Callable[[str], None], leave: Callable[[], None]
    ) -> None:
        self._deck = deck
        self._tell = tell
        self._keys: dict[str, Callable[[Session], object]] = {
            " ": self._play_or_pause, RIGHT: self._minute_on, LEFT: self._minute_back,
            UP: self._day_on, SHIFT_RIGHT: self._day_on, DOWN: self._day_back,
            SHIFT_LEFT: self._day_back, ".": self._slice_on, "+": self._faster, "=": self._faster,
            "-": self._slower, "0": self._no_waiting, "q": lambda _: leave(),
        }  # fmt: skip

    def greet(self) -> None:
        self._tell(HELP)

    def press(self, key: str) -> None:
        """Do what a key stands for; any other shows which there are."""
        try:
            if key in self._keys:
                self._keys[key](self._deck.session())
            self._tell(HELP)
        except TapedeckError as error:
            self._tell(" ".join(str(error).split()))

    def _play_or_pause(self, now: Session) -> None:
        if now.state == "RUNNING":
            self._deck.pause()
        else:
            self._deck.resume()

    def _minute_on(self, now: Session) -> None:
        self._step(now, "bar")

    def _slice_on(self, now: Session) -> None:
        self._step(now, "slice")

    def _day_on(self, now: Session) -> None:
        self._step(now, "day")

    def _step(self, now: Session, unit: Unit) -> None:
        if now.state == "RUNNING":
            self._deck.pause()
        self._deck.step(unit, wait_s=_WAIT_S)

    def _minute_back(self, now: Session) -> None:
        if now.time_ns is not None:
            self._deck.seek(format_time(now.time_ns - MINUTE_NS), wait_s=_WAIT_S)

    def _day_back(self, now: Session) -> None:
        del now
        opened_ns = self._deck.time().open_ns
        if opened_ns is not None:
            self._deck.seek(format_time(opened_ns), wait_s=_WAIT_S)

    def _faster(self, now: Session) -> None:
        self._deck.set_speed(min((now.speed or 1) * 2, _MOST_SPEED))

    def _slower(self, now: Session) -> None:
        self._deck.set_speed((now.speed or _MOST_SPEED) / 2)

    def _no_waiting(self, now: Session) -> None:
        del now
        self._deck.set_speed(0)


@contextmanager
def keys_of(terminal: IO[str], controls: Controls) -> Iterator[None]:
    """Press what is typed, on a thread; nothing where it is no terminal that gives single keys."""
    try:
        import termios
        import tty
    except ImportError:  # Windows: the picture without keys
        yield
        return
    if not terminal.isatty():
        yield
        return
    fd = terminal.fileno()
    before = termios.tcgetattr(fd)
    wakes, wake = os.pipe()
    thread = Thread(target=_read, args=(fd, wakes, controls), name="Keys", daemon=True)
    try:
        tty.setcbreak(fd)  # Ctrl-C stays what it is
        thread.start()
        yield
    finally:
        os.write(wake, b".")
        thread.join()
        os.close(wakes)
        os.close(wake)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _read(fd: int, wakes: int, controls: Controls) -> None:
    controls.greet()
    while True:
        ready, _, _ = select([fd, wakes], [], [])
        if wakes in ready:
            return
        typed = os.read(fd, _KEY_BYTES).decode("utf-8", "replace")
        if not typed:  # the terminal is gone
            return
        for key in _KEY.findall(typed):  # an arrow is several characters
            controls.press(key)
