"""What can go wrong between client and server, in the server's own words where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from app.errors import TapedeckError

if TYPE_CHECKING:
    from websockets.exceptions import InvalidStatus


class _InWords:
    """In a notebook the sentence is shown, without a stack of the client's own calls."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class ServerProblem(_InWords, TapedeckError):  # noqa: N818 - named after application/problem+json
    """The server refused a call.

    ``status`` is the HTTP status (0 on the stream, where ``title`` is the error's code),
    ``title`` and ``detail`` are the problem's words, and ``problem`` is all of it, with
    fields such as ``state`` of a 409.
    """

    def __init__(self, status: int, title: str, detail: str, problem: dict[str, Any]) -> None:
        words = f"{status} {title}" if status else title
        super().__init__(f"{words}: {detail}" if detail else words)
        self.status = status
        self.title = title
        self.detail = detail
        self.problem = problem


class ConnectionProblem(_InWords, TapedeckError):  # noqa: N818 - the sister of ServerProblem
    """The server cannot be reached, or does not answer as Tapedeck does."""


class StreamClosedProblem(ConnectionProblem):
    """The stream was closed before its end; ``code`` is the WebSocket close code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class StreamHoleProblem(ConnectionProblem):
    """Frames are missing between two that came."""


def problem_of(status: int, reason: str, body: bytes) -> ServerProblem:
    """The problem that an answer of 4xx or 5xx is."""
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[:200].decode("utf-8", "replace").strip()
        return ServerProblem(status, reason or "error", text, {})
    title = str(problem.get("title") or reason or "error")
    detail = problem.get("detail", "")
    words = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    return ServerProblem(status, title, words, problem)


def refused_stream(url: str, error: InvalidStatus) -> ServerProblem:
    """The problem that a refused handshake is; one without words is of a path that is no stream."""
    answer = error.response
    body = bytes(answer.body or f"there is no stream at {url}".encode())
    return problem_of(answer.status_code, answer.reason_phrase, body)


def unreachable(url: str, error: Exception, waited_s: float | None = None) -> ConnectionProblem:
    """A sentence in place of a stack of transport errors."""
    if waited_s is not None:
        return ConnectionProblem(f"the server at {url} did not answer within {waited_s:g} s")
    words = str(error) or type(error).__name__
    return ConnectionProblem(
        f"no Tapedeck server can be reached at {url} ({words}); "
        "start one with 'tapedeck serve', or check address and port"
    )
