"""Where a server is, as its user may write it."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.errors import RequestError

PREFIX = "/api/v1"


def server_url(url: str) -> str:
    """Without what follows host, port and the path of a proxy; RequestError where it is none."""
    try:
        parts = urlsplit(url.strip())
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port, or of brackets
        known = False
    if not known or parts.query or parts.fragment:
        raise RequestError(f"not a server's URL: {url!r}; write one as http://127.0.0.1:8000")
    path = parts.path.rstrip("/").removesuffix(PREFIX).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def stream_url(server: str, encoding: str) -> str:
    """Of the stream, from what ``server_url`` gives."""
    return f"ws{server.removeprefix('http')}{PREFIX}/stream?encoding={encoding}"
