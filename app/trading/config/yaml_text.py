"""YAML 1.2 text to plain values that know their lines. No object is ever constructed.

ruamel.yaml says how the text is built up; what a scalar means is said in ``scalars``.
Merge keys (``<<``) work as in YAML 1.1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from app.errors import ConfigError
from app.trading.config.document import Document, Path, Place
from app.trading.config.scalars import Scalar, kind_of, plain_value
from app.trading.config.yaml_nodes import MAX_DEPTH, Node, compose

MAX_VALUES = 100_000  # aliases of aliases multiply

_CORE = "tag:yaml.org,2002:"
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),),
}  # fmt: skip


class Unreadable(NamedTuple):
    """Why a scalar has no value."""

    text: str


def read_yaml(text: str, name: str) -> Document:
    """The values of one YAML document with their places, and what is wrong with them.

    ConfigError with the line where the text is no YAML; ``name`` is how it is called there.
    """
    root = compose(text, name)
    builder = _Builder(name)
    builder.document.data = None if root is None else builder.value(root, ())
    return builder.document


class _Builder:
    """Nodes to plain values; what is wrong is noted, and reading goes on."""

    def __init__(self, name: str) -> None:
        self.document = Document(name)
        self._values = 0

    def value(self, node: Node, path: Path, line: int | None = None) -> Any:
        """A node's value; ``line`` is that of its key."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise ConfigError([f"{self.document.name}: more than {MAX_VALUES:,} values"])
        line = line or node.line
        if len(path) > MAX_DEPTH:  # aliases of aliases
            raise self._too_deep(line)
        written = node.event.value if node.is_plain else None
        self.document.places[path] = self._place(line, written)
        if node.is_scalar:
            return self._scalar(node, path)
        if node.event.tag is not None:
            self._unreadable(path, f"the tag {_shown(node.event.tag)} is not allowed")
            return None
        if node.is_list:
            return [self.value(part, (*path, i)) for i, part in enumerate(node.parts)]
        return self._mapping(node, path)

    def _place(self, line: int, written: str | None = None) -> Place:
        return Place(f"{self.document.name}:{line}", line, written)

    def _too_deep(self, line: int) -> ConfigError:
        return ConfigError([f"{self.document.name}:{line}: nested deeper than {MAX_DEPTH}"])

    def _unreadable(self, path: Path, text: str) -> None:
        self.document.complain(path, text)
        self.document.unreadable.add(path)

    def _scalar(self, node: Node, path: Path) -> Scalar:
        found = read_scalar(node.event)
        if not isinstance(found, Unreadable):
            return found
        self._unreadable(path, found.text)
        return None

    def _mapping(self, node: Node, path: Path) -> dict[str, Any]:
        """Its own keys stand above merged ones."""
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, part in node.parts:
            if key.is_merge:
                continue
            name = self._key(key, path)
            if name is None:
                continue
            if name in lines:
                text = f"the key is there twice, first in line {lines[name]}"
                self.document.complain((*path, name), text, self._place(key.line))
                continue
            lines[name] = key.line
            found[name] = self.value(part, (*path, name), key.line)
        merged: dict[str, Any] = {}
        for key, part in node.parts:
            if key.is_merge:
                self._merge(merged, found, part, path)
        return found | merged

    def _key(self, key: Node, path: Path) -> str | None:
        if not key.is_scalar:
            self.document.complain(path, "a key is a list or a mapping", self._place(key.line))
            return None
        name = read_scalar(key.event)
        if isinstance(name, str):
            return name
        said = key.event.value
        if isinstance(name, Unreadable):
            text = f"the key {said}: {name.text}"
        elif said:
            text = f"the key {said} is {kind_of(name)}; allowed: text, such as '{said}' in quotes"
        else:
            text = "a key is empty"
        self.document.complain(path, text, self._place(key.line))
        return None

    def _merge(
        self, into: dict[str, Any], own: dict[str, Any], node: Node, path: Path, depth: int = 0
    ) -> None:
        """The first of several merged mappings counts."""
        if depth > MAX_DEPTH:
            raise self._too_deep(node.line)
        sources = node.parts if node.is_list else [node]
        for source in sources:
            if not source.is_mapping:
                place = self._place(node.line)
                self.document.complain(path, "<< takes a mapping, or a list of them", place)
                continue
            for key, part in source.parts:
                name = None if key.is_merge else self._key(key, path)
                if key.is_merge:
                    self._merge(into, own, part, path, depth + 1)
                elif name is not None and name not in own and name not in into:
                    into[name] = self.value(part, (*path, name), key.line)


def read_scalar(event: Any) -> Scalar | Unreadable:
    """What a scalar means by its tag, its quotes or its looks."""
    kind = None if event.tag is None else str(event.tag).removeprefix(_CORE)
    if kind not in (None, "!", *_KINDS):
        return Unreadable(f"the tag {_shown(event.tag)} is not allowed")
    if kind in ("!", "str") or (kind is None and not event.implicit[0]):
        return _text(event.value)
    try:
        found = plain_value(event.value)
    except ValueError:
        return Unreadable("a number of too many digits")
    if kind is not None and type(found) not in _KINDS[kind]:
        return Unreadable(f"{event.value!r} is not what !!{kind} says")
    if isinstance(found, float) and not math.isfinite(found):
        return Unreadable(f"came {event.value}; allowed: finite numbers")
    return float(found) if kind == "float" and isinstance(found, int) else found


def _text(value: str) -> str | Unreadable:
    """Escaped surrogates of a pair are one character, as in JSON."""
    try:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return Unreadable("half of a surrogate pair is no character")


def _shown(tag: object) -> str:
    return str(tag).replace(_CORE, "!!")
