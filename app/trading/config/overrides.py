"""``--set key.path=value``: single values above those of the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from app.errors import ConfigError, nearest
from app.trading.config.document import Document, Path, Place, dotted
from app.trading.config.scalars import kind_of
from app.trading.config.yaml_text import read_yaml

_LAST = 10**9  # after all lines of the file


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Set each in turn; the last of the same key counts. What is wrong is noted."""
    for number, text in enumerate(overrides):
        place = Place(f"--set {text}", _LAST + number)
        try:
            _apply(document, text, place)
        except _WrongPathError as error:
            document.complain((), str(error), place)


class _WrongPathError(ValueError):
    """An override names no place."""


def _apply(document: Document, text: str, place: Place) -> None:
    name, equals, written = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise _WrongPathError("write KEY.PATH=VALUE, such as risk.cash_buffer_pct=0.05")
    try:
        given = read_yaml(written, "value")
    except ConfigError as error:
        raise _WrongPathError(re.sub(r"^value(:1)?: ", "", str(error))) from error
    path = _resolve(document, keys, place)
    _forget(document, path)
    holder = document.data
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = given.data
    document.places[path] = place
    for below, found in given.places.items():
        document.places[path + below] = place._replace(written=found.written)
    for problem in given.problems:
        document.complain(path + problem.path, problem.text, place)
    document.unreadable |= {path + below for below in given.unreadable}


def _resolve(document: Document, keys: Sequence[str], place: Place) -> Path:
    """Keys to a path; mappings on the way that are not there are made."""
    here, path = document.data, cast(Path, ())
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        here, path = _step(document, here, path, key, place, last)
    return path


def _step(
    document: Document, here: Any, path: Path, key: str, place: Place, last: bool
) -> tuple[Any, Path]:
    if isinstance(here, list):
        index = _index(here, path, key)
        return here[index], (*path, index)
    if not isinstance(here, dict):
        raise _WrongPathError(f"{dotted(path)} is {kind_of(here)}, which has no {key!r}")
    path = (*path, key)
    if not last and here.get(key) is None:
        here[key] = {}
        document.places[path] = place
    return here.get(key), path


def _index(entries: list[Any], path: Path, key: str) -> int:
    """An entry's place in a list, from its number or its id."""
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    if key in ids:
        return ids.index(key)
    if key.isascii() and key.isdigit() and int(key) < len(entries):
        return int(key)
    named = list(dict.fromkeys(name for name in ids if isinstance(name, str)))
    close = ", ".join(nearest(key, named)) or ", ".join(named[:10])
    hint = f"; nearest: {close}" if close else ""
    raise _WrongPathError(f"{dotted(path)} has {len(entries)} entries and no {key!r}{hint}")


def _forget(document: Document, path: Path) -> None:
    """What the file said there no longer counts, nor what was wrong with it."""
    at = len(path)
    document.places = {p: v for p, v in document.places.items() if p[:at] != path}
    gone = {p for p in document.unreadable if p[:at] == path}
    document.unreadable -= gone
    document.problems = [p for p in document.problems if p.path not in gone]
