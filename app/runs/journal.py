"""A run's journal: what a session was told from outside, in order, and where it took effect.

One JSON object a line, written to the operating system before what follows from it. A line that a
killed process left unfinished is none. Two executions that are told the same write the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.errors import RunError

JOURNAL = "journal.jsonl"
JOURNAL_VERSION = 1
END = "end"  # the last line of a run that ended: its outcome
EPOCH = "epoch"  # a seek came to where it led: an earlier time, in the next epoch


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command at the place where it took effect: all up to ``time_ns`` of the session's day
    number ``day`` (from 0) was shown, ``over`` where that day had ended. ``seq`` is the last slice
    before it, ``digest`` that of the items up to there. ``event`` is what was published."""

    command: str
    epoch: int
    day: int
    time_ns: int
    over: bool = False
    seq: int
    digest: str
    args: dict[str, Any] = {}
    event: dict[str, Any] | None = None

    @property
    def place(self) -> tuple[int, int, bool]:
        """Rises with time."""
        return self.day, self.time_ns, self.over


class JournalFile:
    """A journal being written. RunError where the disk takes no more; then it takes no line more,
    for none may follow half a line."""

    def __init__(self, folder: Path, begins_with: Iterable[Entry] = ()) -> None:
        self.path = folder / JOURNAL
        try:
            self._file: int | None = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644
            )
        except OSError as error:
            raise self._cannot_write(error) from error
        for entry in begins_with:
            self.write(entry)

    def write(self, entry: Entry) -> None:
        """Append a line; it is with the operating system on return."""
        line = msgspec.json.encode(entry) + b"\n"
        if self._file is None:
            raise RunError(f"{self.path}: is closed")
        try:
            written = os.write(self._file, line)
            if written < len(line):
                os.write(self._file, line[written:])  # says why
        except OSError as error:
            self.close()
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Any number of times."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _cannot_write(self, error: OSError) -> RunError:
        return RunError(f"{self.path}: cannot be written: {error.strerror}")


def read_journal(folder: Path) -> Sequence[Entry] | None:
    """The whole lines of a run's journal; None where it has none. RunError where it is broken."""
    path = folder / JOURNAL
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Entry))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: line {number} is no entry: {error}") from error
    return found


def without_end(entries: Iterable[Entry]) -> list[Entry]:
    """What was told, without how it ended."""
    return [entry for entry in entries if entry.command != END]


def entry_of(
    command: str, args: Mapping[str, Any], place: tuple[int, int, bool], first_day: int,
    view: tuple[int, int, str], event: dict[str, Any] | None = None,
) -> Entry:  # fmt: skip
    """An entry of a place whose day is counted from look-back's first, and a view's epoch, seq
    and digest."""
    day, time_ns, over = place
    epoch, seq, digest = view
    return Entry(
        command=command, epoch=epoch, day=day - first_day, time_ns=time_ns, over=over, seq=seq,
        digest=digest, args=dict(args), event=event,
    )  # fmt: skip
