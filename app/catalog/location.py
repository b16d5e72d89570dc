"""Where a catalog is: its file system and root, and its address without the secrets in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs

from app.errors import CatalogError

# What a URI's query may show; everything else in it may be a secret.
_SHOWN = frozenset({"region", "scheme", "endpoint_override", "allow_bucket_creation"})
_USER = re.compile(r"(?<=://)(?:[^/?#]*@|[^/?#]*:[^?#]*@)")
_HIDDEN = "***"

_SHORTEST_SECRET = 4


def open_filesystem(uri: str | os.PathLike[str]) -> tuple[pafs.FileSystem, str]:
    """File system and root path of a folder or URI; CatalogError where it cannot be opened."""
    text = os.fspath(uri)
    try:
        if "://" in text:
            fs, path = pafs.FileSystem.from_uri(text)
            if not path:
                raise ValueError("it names no bucket or folder")
            return fs, path.rstrip("/")
        return pafs.LocalFileSystem(), str(Path(text).expanduser().resolve())
    except (pa.ArrowException, OSError, ValueError) as error:
        # "from None": the cause's own text may hold the key that this one leaves out.
        raise CatalogError(
            f"catalog {redact_uri(text)!r} cannot be opened: {_without_secrets(str(error), text)}; "
            "give a folder or a URI such as s3://bucket/path"
        ) from None


def redact_uri(uri: str) -> str:
    """A URI as it may be shown: user, password and keys in it become ``***``."""
    if "://" not in uri:
        return uri
    address, mark, query = uri.partition("?")
    shown = [
        f"{name}={value if name in _SHOWN else _HIDDEN}"
        for name, _, value in (piece.partition("=") for piece in query.split("&"))
    ]
    return _USER.sub(f"{_HIDDEN}@", address) + mark + ("&".join(shown) if query else "")


def _without_secrets(message: str, uri: str) -> str:
    message = message.partition("\n")[0].replace(uri, redact_uri(uri))
    address, _, query = uri.partition("?")
    user = _USER.search(address)
    secrets = re.split("[:@]", user.group()) if user else []
    secrets += [
        value
        for name, _, value in (piece.partition("=") for piece in query.split("&"))
        if name not in _SHOWN
    ]
    for secret in sorted({s for raw in secrets for s in (raw, unquote(raw))}, key=len)[::-1]:
        if len(secret) >= _SHORTEST_SECRET:
            message = message.replace(secret, _HIDDEN)
    return message
