"""``/``: the deck, a page that scripts/build-deck builds of the sources in deck/."""

from __future__ import annotations

import asyncio
import re
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

BUILT = Path(__file__).parent / "built"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_TYPES = {
    ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
_CODINGS = (("br", ".br"), ("gzip", ".gz"))  # the smaller one first
_FOR_EVER = "public, max-age=31536000, immutable"  # an asset's name holds its hash
HEADERS = {
    # Chart libraries set styles by script, which this allows; no inline style or script runs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NOT_BUILT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Tapedeck</title></head>
<body>
<h1>Tapedeck</h1>
<p>The server runs; its page, the deck, is not built. In the project's folder:</p>
<pre>scripts/build-deck</pre>
<p>Then load this page again. Everything else works without it: <a href="docs">the API</a>.</p>
</body>
</html>
"""


class _Content(NamedTuple):
    """A file as it is sent; ``coding`` is empty where it is not compressed."""

    body: bytes
    coding: str


def add_deck(app: FastAPI, folder: Path = BUILT) -> None:
    """The page and its assets; they are read when they are asked for."""

    async def page(request: Request) -> Response:
        return await asyncio.to_thread(_page, folder, request)

    async def asset(request: Request) -> Response:
        return await asyncio.to_thread(_asset, folder / "assets", request)

    app.add_route("/", page, ["GET", "HEAD"], include_in_schema=False)
    app.add_route("/assets/{name}", asset, ["GET", "HEAD"], include_in_schema=False)


def _page(folder: Path, request: Request) -> Response:
    headers = HEADERS | {"Cache-Control": "no-cache"}
    try:
        body = (folder / "index.html").read_bytes()
    except FileNotFoundError:
        return HTMLResponse(_NOT_BUILT, headers=headers)
    tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    headers["ETag"] = tag
    if tag in re.split(r"\s*,\s*", request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(body, headers=headers)


def _asset(folder: Path, request: Request) -> Response:
    name: str = request.path_params["name"]
    kind = _TYPES.get(Path(name).suffix)
    found = None if kind is None or not _NAME.fullmatch(name) else _read(folder / name, request)
    if found is None:
        raise HTTPException(404)
    headers = HEADERS | {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    if found.coding:
        headers["Content-Encoding"] = found.coding
    return Response(found.body, headers=headers, media_type=kind)


def _read(path: Path, request: Request) -> _Content | None:
    """The smallest form of a file that the caller takes; None where there is none."""
    taken = _taken(request.headers.get("accept-encoding", ""))
    for coding, suffix in (*((c, s) for c, s in _CODINGS if c in taken), ("", "")):
        try:
            return _Content(path.with_name(path.name + suffix).read_bytes(), coding)
        except FileNotFoundError:
            continue
    return None


def _taken(header: str) -> set[str]:
    """Codings of an ``Accept-Encoding``, without those that it refuses."""
    found = set()
    for part in header.split(","):
        coding, _, weight = part.partition(";")
        if weight.replace(" ", "").rstrip("0") not in ("q=", "q=0."):
            found.add(coding.strip().lower())
    return found
