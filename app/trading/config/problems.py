"""What pydantic finds wrong, said with the line, what came and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import nearest
from app.trading.config.document import Document, Path
from app.trading.config.scalars import kind_of
from app.trading.config.schema import allowed, keys_at, schema_at, words_at

_CUT = 60


def add_field_problems(document: Document, errors: Sequence[Mapping[str, Any]]) -> set[Path]:
    """Note each; the paths that they are about, with those that could not be read."""
    found: dict[Path, Mapping[str, Any]] = {}
    for error in errors:
        found.setdefault(_path_in(document.data, error), error)
    above = {path[:end] for path in found for end in range(len(path))}  # lists among choices
    for path, error in found.items():
        told = any(path[:end] in document.unreadable for end in range(len(path) + 1))
        if not told and path not in above:
            document.complain(path, _sentence(document, path, error))
    return set(found) | document.unreadable


def _path_in(data: Any, error: Mapping[str, Any]) -> Path:
    """Pydantic's location without the names of the choices that it tried."""
    path: list[str | int] = []
    for key in error["loc"]:
        known = key in data if isinstance(data, dict) else isinstance(key, int)
        if known:
            data = data[key]
        if known or error["type"] == "missing":
            path.append(key)
    return tuple(path)


def _sentence(document: Document, path: Path, error: Mapping[str, Any]) -> str:
    kind, value = error["type"], error["input"]
    node = schema_at(path)
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return f"missing; needed: {allowed(node or {})}"
    if kind == "time":  # says itself what came and what is allowed
        return str(error["msg"])
    said = f"came {_came(document, path, value)}; allowed: {allowed(node or {})}"
    if isinstance(value, str):
        close = nearest(value, words_at(path), 1)
        return f"{said}; nearest: {close[0]}" if close else said
    written = document.place_of(path).written
    wants_text = node is not None and allowed(node).startswith("text")
    return f"{said}; in quotes it is text: '{written}'" if wants_text and written else said


def _unknown_key(path: Path) -> str:
    known = keys_at(path[:-1])
    close = ", ".join(nearest(str(path[-1]), known)) or "none"
    return f"unknown key; nearest: {close}; allowed: {', '.join(known)}"


def _came(document: Document, path: Path, value: Any) -> str:
    if isinstance(value, str):
        return _cut(repr(value))
    if isinstance(value, list) and not value:
        return "an empty list"
    place = document.places.get(path)
    if place is None or not place.written:
        return kind_of(value)
    return f"{_cut(place.written)} ({kind_of(value)})"


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else text[:_CUT] + "..."
