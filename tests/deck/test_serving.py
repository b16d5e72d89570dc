"""How the page and its assets are sent; of made-up files, so no Node is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from app.api.deck import add_deck

SCRIPT = b"console.log('deck')"


class Sent(NamedTuple):
    """An answer as it came over the line, not unpacked."""

    status: int
    headers: httpx.Headers
    body: bytes


Ask = Callable[..., Sent]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_bytes(b"<!doctype html><title>Deck</title>")
    for suffix, body in (("", SCRIPT), (".gz", b"gz"), (".br", b"br")):
        (assets / f"index-AbC_1.js{suffix}").write_bytes(body)
    (assets / "index-2.css").write_bytes(b"body{}")
    (tmp_path / "secret.js").write_bytes(b"secret")
    return tmp_path


@pytest.fixture
def ask(folder: Path) -> Ask:
    """``ask(path, method="GET", **headers)``."""
    app = FastAPI(openapi_url=None)
    add_deck(app, folder)

    async def send(path: str, method: str, headers: dict[str, str]) -> Sent:
        transport = httpx.ASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://deck", timeout=60) as client,
            client.stream(method, path, headers=headers) as answer,
        ):
            body = b"".join([part async for part in answer.aiter_raw()])
            return Sent(answer.status_code, answer.headers, body)

    def sync(path: str, method: str = "GET", **headers: str) -> Sent:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(send(path, method, named))

    return sync


def test_the_page_is_asked_for_each_time_and_sent_once(ask: Ask) -> None:
    first = ask("/")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.body.endswith(b"<title>Deck</title>")
    again = ask("/", if_none_match=f'"other", {first.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert ask("/", "HEAD").status == 200


def test_nothing_runs_or_is_asked_for_but_the_servers_own(ask: Ask) -> None:
    for path in ("/", "/assets/index-AbC_1.js"):
        headers = ask(path).headers
        policy = headers["content-security-policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        words = {word for rule in policy for word in rule.split()[1:]}
        assert words == {"'self'", "'none'", "data:"}
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip, deflate, br", "br", b"br"),
        ("gzip", "gzip", b"gz"),
        ("br;q=0, gzip;q=0.5", "gzip", b"gz"),
        ("br; q=0.0, identity", None, SCRIPT),
        ("", None, SCRIPT),
    ],
)
def test_an_asset_comes_in_the_smallest_form_taken(
    ask: Ask, accepted: str, coding: str | None, body: bytes
) -> None:
    answer = ask("/assets/index-AbC_1.js", accept_encoding=accepted)
    assert (answer.body, answer.headers.get("content-encoding")) == (body, coding)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "Accept-Encoding"


def test_an_asset_that_was_not_compressed_comes_as_it_is(ask: Ask) -> None:
    answer = ask("/assets/index-2.css", accept_encoding="br")
    assert (answer.body, "content-encoding" in answer.headers) == (b"body{}", False)


@pytest.mark.parametrize(
    "name", ["none.js", "index-AbC_1.js.gz", "..%2Fsecret.js", "%2e%2e/secret.js", ".js", "x.html"]
)
def test_nothing_else_is_sent(ask: Ask, name: str) -> None:
    assert ask(f"/assets/{name}").status == 404


def test_a_page_that_is_not_built_says_how(ask: Ask, folder: Path) -> None:
    (folder / "index.html").unlink()
    answer = ask("/")
    assert answer.status == 200
    assert b"scripts/build-deck" in answer.body
    assert answer.headers["cache-control"] == "no-cache"
    (folder / "index.html").write_text("built", "utf-8")
    assert ask("/").body == b"built"
