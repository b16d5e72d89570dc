"""Logs: written by one thread, in the order in which they were logged, none dropped.

A caller only puts a record on a queue, so a slow terminal or pipe holds up neither
the feed nor the merge. Each record is stamped with the wall time and, where something
is replayed, with where in it that was: session or run, simulated time, epoch, sequence.
The queue has no bound: it waits rather than drops.
"""

from __future__ import annotations

import atexit
import copy
import json
import logging
import sys
import time
from collections.abc import Callable
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple, TextIO

from app.errors import SettingsError
from app.times import format_time

LogFormat = Literal["people", "json"]


class Place(NamedTuple):
    """Where in a replay something was logged; ``seq`` counts the slices of the epoch."""

    session: str  # the session's id, or the run's
    time_ns: int | None = None  # simulated
    epoch: int | None = None
    seq: int | None = None


Where = Callable[[], Place | None]


class Logs:
    """A running set-up of the root logger: undone by ``close``, drained when the process ends."""

    def __init__(self, level: int, formatter: logging.Formatter, where: Where | None, to: TextIO):
        target = logging.StreamHandler(to)
        target.setFormatter(formatter)
        self._handler = _Stamping(target, where)
        self._root = logging.getLogger()
        self._level_before = self._root.level
        self._root.addHandler(self._handler)
        self._root.setLevel(level)
        atexit.register(self.drain)

    def drain(self) -> None:
        """Write what waits; what is logged later is written by its caller, at once."""
        self._handler.drain()

    def close(self) -> None:
        """Write what waits and leave the root logger as it was; any number of times."""
        self.drain()
        if self._handler in self._root.handlers:
            self._root.removeHandler(self._handler)
            self._root.setLevel(self._level_before)
        atexit.unregister(self.drain)


def configure_logging(
    level: str, fmt: LogFormat, where: Where | None = None, stream: TextIO | None = None
) -> Logs:
    """Log from ``level`` up to ``stream`` (standard error), for people or as one JSON a line.

    ``where`` gives the place in the replay, or None where there is none. It is called by
    whoever logs, so it must neither wait nor raise. Handlers that are there already stay.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise SettingsError(f"log level is {level!r}; allowed: debug, info, warning, error")
    if fmt not in _FORMATTERS:
        raise SettingsError(f"log format is {fmt!r}; allowed: {', '.join(_FORMATTERS)}")
    to = sys.stderr if stream is None else stream
    return Logs(levels[level.upper()], _FORMATTERS[fmt](), where, to)


class _Stamping(QueueHandler):
    """Queues records with their times, for a thread that writes them."""

    def __init__(self, target: logging.Handler, where: Where | None) -> None:
        queue: SimpleQueue[Any] = SimpleQueue()
        super().__init__(queue)
        self._target = target
        self._where = where
        self._listener: QueueListener | None = _Listener(queue, target)
        self._listener.start()

    def handle(self, record: logging.LogRecord) -> Any:
        """Stamp the place without the lock: a replay never waits for a log."""
        stamped = copy.copy(record)
        stamped.place = None if self._where is None else self._where()
        return super().handle(stamped)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Freeze the text; under the lock, so lines stand in the order of their wall times."""
        record.wall_ns = time.time_ns()
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        if self._listener is None:
            self._target.handle(record)
        else:
            super().enqueue(record)

    def drain(self) -> None:
        """Let the writer finish; who logs meanwhile waits, so that nothing overtakes."""
        self.acquire()
        try:
            if self._listener is not None:
                self._listener.stop()
                self._listener = None
        finally:
            self.release()


class _Listener(QueueListener):
    def start(self) -> None:
        super().start()
        thread: Any = self._thread
        thread.name = "LogWriter"


class _People(logging.Formatter):
    """``2024-11-29T18:00:00.25Z [2013-10-07T13:31:00Z s1 #42] INFO app.feed: message``."""

    def format(self, record: logging.LogRecord) -> str:
        where = f"{record.levelname} {record.name} ({record.threadName})"
        text = f"{_wall(record)}{_shown(_place(record))} {where}: {record.getMessage()}"
        return "\n".join([text, *_trace(record)])


class _Json(logging.Formatter):
    """One JSON object a line; what is of a replay is null where there is none."""

    def format(self, record: logging.LogRecord) -> str:
        place = _place(record)
        line = {
            "time": _wall(record),
            "simulated": None if place is None or place.time_ns is None
            else format_time(place.time_ns),
            "session": place and place.session,
            "epoch": place and place.epoch,
            "seq": place and place.seq,
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }  # fmt: skip
        trace = _trace(record)
        return json.dumps(line | {"trace": "\n".join(trace)} if trace else line)


_FORMATTERS: dict[str, type[logging.Formatter]] = {"people": _People, "json": _Json}


def _wall(record: Any) -> str:
    """Wall time to the microsecond."""
    return format_time(record.wall_ns // 1_000 * 1_000)


def _place(record: Any) -> Place | None:
    place: Place | None = record.place
    return place


def _shown(place: Place | None) -> str:
    if place is None:
        return ""
    time = "" if place.time_ns is None else f"{format_time(place.time_ns)} "
    return f" [{time}{place.session}{'' if place.seq is None else f' #{place.seq}'}]"


def _trace(record: logging.LogRecord) -> list[str]:
    return [text for text in (record.exc_text, record.stack_info) if text]
