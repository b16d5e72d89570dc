"""A configuration as it was read: plain values, and where each of them was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.errors import ConfigError

Path = tuple[str | int, ...]  # of keys and places in lists, from the root

_SHOWN = 100


class Place(NamedTuple):
    """Where a value was written; ``order`` sorts places as a reader meets them."""

    where: str  # run.yaml:12, or --set a.b=c
    order: int
    written: str | None = None  # a plain scalar as it was written


class Problem(NamedTuple):
    """What is wrong at one place."""

    path: Path
    place: Place
    text: str

    def __str__(self) -> str:
        key = f"{dotted(self.path)}: " if self.path else ""
        return f"{self.place.where}: {key}{self.text}"


@dataclass
class Document:
    """Values by path. ``unreadable`` are those that a problem already stands for."""

    name: str
    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unreadable: set[Path] = field(default_factory=set)

    def place_of(self, path: Path) -> Place:
        """Where a value stands; of one that is missing, where it should."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return Place(f"{self.name}:1", 1)

    def complain(self, path: Path, text: str, place: Place | None = None) -> None:
        self.problems.append(Problem(path, place or self.place_of(path), text))


def dotted(path: Path) -> str:
    """A path as ``--set`` takes it."""
    return ".".join(map(str, path))


def refusal(problems: list[Problem]) -> ConfigError:
    """One error for all of them, in the order of the file, each once."""
    ordered = sorted(problems, key=lambda p: (p.place.order, dotted(p.path), p.text))
    lines = list(dict.fromkeys(map(str, ordered)))
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"... and {len(lines) - _SHOWN} more"]
    return ConfigError(lines)
