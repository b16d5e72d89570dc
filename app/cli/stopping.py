"""Long work that Ctrl-C and SIGTERM end in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

import typer

from app.cli.show import INTERRUPTED, print_error
from app.errors import TapedeckError

T = TypeVar("T")


def run_stoppable(name: str, work: Callable[[], T], stop: Callable[[], None]) -> T:
    """What ``work`` gives; Ctrl-C or SIGTERM stops it, a second one leaves at once."""
    with _stopped_by_sigterm():
        return _run(name, work, stop)


def _run(name: str, work: Callable[[], T], stop: Callable[[], None]) -> T:
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # told where it is waited for
            done.set_exception(error)

    # It is on a thread of its own, so that this one can be interrupted.
    thread = Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
        return done.result()
    except KeyboardInterrupt:
        pass  # it is told to stop below, where another one leaves at once
    try:
        stop()
        return done.result()
    except TapedeckError as error:
        print_error(error)
        raise typer.Exit(INTERRUPTED) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
