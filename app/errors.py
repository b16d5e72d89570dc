"""The one error tree.

Every error that Tapedeck raises on purpose is a TapedeckError; its message
says what came, what is allowed, and what to do.

    TapedeckError
    |-- SettingsError            a setting or command-line value is wrong
    |-- RequestError             what the caller asked for cannot be (HTTP 422)
    |   |-- ConfigError          a run's configuration: each problem with its line
    |   |-- TimeError            a time without zone, or not a time
    |   '-- RangeError           a range without trading days, end before start
    |-- NotFoundError            a symbol, stream or day that is not there (404)
    |-- StateError               the move is illegal in this state (409)
    |-- CatalogError             data at rest: names the file, row or column
    |   '-- CatalogChangedError  a file changed while a session used it
    |-- FeedError                data in motion
    |   |-- BehindHorizonError   pushed data lies behind what was released
    |   '-- StreamClosedError    fed after its end, or not registered
    |-- RunError                 a run's folder or its index: names the file
    '-- SessionFailedError       a session died of another error (its cause)
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TapedeckError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(TapedeckError):
    """A setting or an option has a value that is not allowed."""


class RequestError(TapedeckError):
    """What was asked for is malformed or impossible."""


class ConfigError(RequestError):
    """A run's configuration is wrong; ``problems`` has one sentence with file and line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class TimeError(RequestError):
    """A time that is naive or cannot be read."""


class RangeError(RequestError):
    """A range of days or times that cannot be replayed."""


class NotFoundError(TapedeckError):
    """Something named does not exist."""


class StateError(TapedeckError):
    """The move is illegal in the present state."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class CatalogError(TapedeckError):
    """Data at rest cannot be used; the message names file, row or column."""


class CatalogChangedError(CatalogError):
    """A catalog file is not the one that was indexed."""


class FeedError(TapedeckError):
    """Data in motion cannot be taken."""


class BehindHorizonError(FeedError):
    """Data was pushed behind what has already been declared complete."""


class StreamClosedError(FeedError):
    """A stream that has ended, or was never registered, was fed."""


class RunError(TapedeckError):
    """What a run leaves behind cannot be read or written; the message names the file."""


class SessionFailedError(TapedeckError):
    """The session failed; ``__cause__`` is the error it failed with."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, best first; ties by code point."""
    candidates = sorted(known)
    folded = {c.casefold(): c for c in reversed(candidates)}
    close = get_close_matches(name.casefold(), sorted(folded), n=count, cutoff=0.5)
    return [folded[c] for c in close]
