"""JSON from callers, read strictly: what programs may understand differently is refused."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(text: bytes | str) -> Any:
    """The value in a text; json.JSONDecodeError where it is no JSON, or an object has a key twice.

    orjson refuses NaN, infinities, lone surrogates and endless nesting, but takes the last of two.
    """
    found = orjson.loads(text)
    _refuse_doubled_keys(text)
    return found


def _refuse_doubled_keys(text: bytes | str) -> None:
    def check(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise json.JSONDecodeError(f"the key {doubled[:80]!r} is there twice", "", 0)

    try:
        json.loads(text, object_pairs_hook=check, parse_int=len, parse_float=len)
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
