"""YAML text as ruamel.yaml builds it up: nodes with their lines, before they mean anything.

Anchors and aliases work; an alias within its own anchor does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from app.errors import ConfigError

MAX_DEPTH = 40

_ENDS = (SequenceEndEvent, MappingEndEvent)


class Node(NamedTuple):
    """A value as it is built up; ``parts`` of a list are nodes, of a mapping pairs of them."""

    event: Any
    parts: list[Any]

    @property
    def line(self) -> int:
        return int(self.event.start_mark.line) + 1

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.event, ScalarEvent)

    @property
    def is_list(self) -> bool:
        return isinstance(self.event, SequenceStartEvent)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.event, MappingStartEvent)

    @property
    def is_plain(self) -> bool:
        """A scalar without quotes and tag."""
        return self.is_scalar and self.event.tag is None and bool(self.event.implicit[0])

    @property
    def is_merge(self) -> bool:
        return self.is_plain and self.event.value == "<<"


def compose(text: str, name: str) -> Node | None:
    """The one document of a text, None where there is none; ConfigError with its line."""
    try:
        return _Composer(text, name).root()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that YAML does not take: U+{error.character:04X}"
        raise ConfigError([f"{name}:{line}: {what}"]) from error
    except MarkedYAMLError as error:
        raise ConfigError([_syntax(error, name)]) from error
    except (YAMLError, ValueError, AssertionError, LookupError) as error:
        # The parser has no errors of its own for some of what is wrong.
        raise ConfigError([f"{name}:1: not YAML 1.2: {error}"]) from error


def _syntax(error: MarkedYAMLError, name: str) -> str:
    """What the parser says, with its line."""
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    if "'\\t'" in problem:
        problem = "a tab; indent and separate with blanks"
    elif error.context and error.context_mark and error.context_mark.line != mark.line:
        problem += f" ({error.context}, which began in line {error.context_mark.line + 1})"
    return f"{name}:{mark.line + 1}: not YAML 1.2: {problem}"


class _Composer:
    """Events to nodes; an alias is the node of its anchor."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(text))
        self._anchors: dict[str, Node] = {}

    def root(self) -> Node | None:
        """The one document's; None where there is nothing."""
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                self._check_document(event, documents)
                root = self._node(next(self._events), 0)
        return root

    def _check_document(self, event: Any, number: int) -> None:
        if number > 1:
            raise self._refused(event, "a second document begins; one file is one configuration")
        if event.version not in (None, (1, 2)):
            said = ".".join(map(str, event.version))
            raise self._refused(event, f"%YAML {said} is asked for; allowed: 1.2")

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._refused(event, f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refused(event, f"*{event.anchor}: no anchor of this name ends before")
            return self._anchors[event.anchor]
        node = Node(event, [])
        if isinstance(event, SequenceStartEvent):
            node.parts.extend(self._nodes(depth))
        elif isinstance(event, MappingStartEvent):
            found = self._nodes(depth)
            node.parts.extend(zip(found[::2], found[1::2], strict=True))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _nodes(self, depth: int) -> list[Node]:
        """All up to the end of a list or mapping."""
        found = []
        while not isinstance(event := next(self._events), _ENDS):
            found.append(self._node(event, depth + 1))
        return found

    def _refused(self, event: Any, text: str) -> ConfigError:
        return ConfigError([f"{self._name}:{event.start_mark.line + 1}: {text}"])
