"""Logs: written by one thread, in the order in which they were logged, none dropped.

A caller only puts a record on a queue, so a slow terminal or pipe holds up neither
the feed nor the merge. Each record is stamped with the wall time and, where there
is a simulated clock, with its time. The queue has no bound: it waits rather than drops.
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
from typing import Any, Literal, TextIO

from app.errors import SettingsError
from app.times import format_time

LogFormat = Literal["people", "json"]
Clock = Callable[[], int | None]


class Logs:
    """A running set-up of the root logger: undone by ``close``, drained when the process ends."""

    def __init__(self, level: int, formatter: logging.Formatter, clock: Clock | None, to: TextIO):
        target = logging.StreamHandler(to)
        target.setFormatter(formatter)
        self._handler = _Stamping(target, clock)
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
    level: str, fmt: LogFormat, clock: Clock | None = None, stream: TextIO | None = None
) -> Logs:
    """Log from ``level`` up to ``stream`` (standard error), for people or as one JSON a line.

    ``clock`` gives the simulated time in ns, or None where there is none. It is called by
    whoever logs, so it must neither wait nor raise. Handlers that are there already stay.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise SettingsError(f"log level is {level!r}; allowed: debug, info, warning, error")
    if fmt not in _FORMATTERS:
        raise SettingsError(f"log format is {fmt!r}; allowed: {', '.join(_FORMATTERS)}")
    to = sys.stderr if stream is None else stream
    return Logs(levels[level.upper()], _FORMATTERS[fmt](), clock, to)


class _Stamping(QueueHandler):
    """Queues records with their times, for a thread that writes them."""

    def __init__(self, target: logging.Handler, clock: Clock | None) -> None:
        queue: SimpleQueue[Any] = SimpleQueue()
        super().__init__(queue)
        self._target = target
        self._clock = clock
        self._listener: QueueListener | None = _Listener(queue, target)
        self._listener.start()

    def handle(self, record: logging.LogRecord) -> Any:
        """Stamp the simulated time without the lock: a clock never waits for a log."""
        stamped = copy.copy(record)
        stamped.simulated_ns = None if self._clock is None else self._clock()
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
    """``2024-11-29T18:00:00.25Z [2013-10-07T13:31:00Z] INFO app.feed: message``."""

    def format(self, record: logging.LogRecord) -> str:
        wall, simulated = _times(record)
        where = f"{record.levelname} {record.name} ({record.threadName})"
        shown = "" if simulated is None else f" [{simulated}]"
        text = f"{wall}{shown} {where}: {record.getMessage()}"
        return "\n".join([text, *_trace(record)])


class _Json(logging.Formatter):
    """One JSON object a line; ``simulated`` is null where there is no such clock."""

    def format(self, record: logging.LogRecord) -> str:
        wall, simulated = _times(record)
        line = {
            "time": wall,
            "simulated": simulated,
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        trace = _trace(record)
        return json.dumps(line | {"trace": "\n".join(trace)} if trace else line)


_FORMATTERS: dict[str, type[logging.Formatter]] = {"people": _People, "json": _Json}


def _times(record: Any) -> tuple[str, str | None]:
    """Wall time to the microsecond, and the simulated time."""
    simulated = None if record.simulated_ns is None else format_time(record.simulated_ns)
    return format_time(record.wall_ns // 1_000 * 1_000), simulated


def _trace(record: logging.LogRecord) -> list[str]:
    return [text for text in (record.exc_text, record.stack_info) if text]
