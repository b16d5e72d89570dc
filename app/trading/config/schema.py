"""The JSON Schema of a configuration: for editors, for tables, and for what errors say."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from app.trading.config.document import Path
from app.trading.sections import BacktestConfig

_TYPES = {
    "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip


@lru_cache(maxsize=1)
def config_schema() -> dict[str, Any]:
    """The schema, draft 2020-12. It knows each key, not what keys must be to each other."""
    found: dict[str, Any] = _tidy(BacktestConfig.model_json_schema())
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tapedeck: the configuration of a run",
    }
    return head | {key: value for key, value in found.items() if key not in head}


def _tidy(node: Any) -> Any:
    """Descriptions on one line with Markdown's backticks; no titles that repeat the key."""
    if isinstance(node, list):
        return [_tidy(part) for part in node]
    if not isinstance(node, dict):
        return node
    found = {key: _tidy(value) for key, value in node.items() if key != "title"}
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].replace("``", "`").split())
    return found


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A schema without its reference; what stands beside the reference counts."""
    name = node.get("$ref")
    if name is None:
        return node
    found: dict[str, Any] = config_schema()["$defs"][name.rpartition("/")[2]]
    return found | {key: value for key, value in node.items() if key != "$ref"}


def choices(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that a value may have."""
    node = resolved(node)
    return [resolved(one) for one in node.get("anyOf", [node])]


def schema_at(path: Path) -> dict[str, Any] | None:
    """The schema of the value at a path; None where nothing is said of it."""
    here = config_schema()
    for key in path:
        found = next((s for one in choices(here) if (s := _below(one, key)) is not None), None)
        if found is None:
            return None
        here = found
    return here


def _below(node: dict[str, Any], key: str | int) -> dict[str, Any] | None:
    found: Any = node.get("items")
    if isinstance(key, str):
        found = node.get("properties", {}).get(key, node.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def keys_at(path: Path) -> list[str]:
    """The keys of the mapping at a path, in the order of the documentation."""
    return [key for one in _choices_at(path) for key in one.get("properties", ())]


def words_at(path: Path) -> list[str]:
    """The words that a value may be, where it is one of a few."""
    return [word for one in _choices_at(path) for word in one.get("enum", ())]


def _choices_at(path: Path) -> list[dict[str, Any]]:
    node = schema_at(path)
    return [] if node is None else choices(node)


def allowed(node: dict[str, Any]) -> str:
    """What a value may be, in words."""
    found = choices(node)
    if len(found) > 1:
        return ", or ".join(allowed(one) for one in found)
    (node,) = found
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return ", ".join(map(str, node["enum"]))
    kind = node.get("type")
    if kind == "array":
        least = f" of at least {node['minItems']}" if "minItems" in node else ""
        return f"a list{least}, each: {allowed(node['items'])}"
    if kind == "object":
        keys = ", ".join(node.get("properties", ()))
        return f"a mapping with the keys {keys}" if keys else "a mapping"
    if kind == "string":
        return _text(node)
    return _TYPES.get(str(kind), "any value") + _bounds(node)


def _text(node: dict[str, Any]) -> str:
    words = "a date" if node.get("format") == "date" else "text"
    if "pattern" in node:
        words += f" of the form {node['pattern']}"
    examples = " or ".join(node.get("examples", ()))
    return f"{words} such as {examples}" if examples else words


def _bounds(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" above {node['exclusiveMinimum']}" if "exclusiveMinimum" in node else ""


class ConfigRow(NamedTuple):
    """One key as people read it; ``default`` is None where the key is needed."""

    key: str
    default: str | None
    allowed: str
    meaning: str


def describe_config() -> dict[str, tuple[str, list[ConfigRow]]]:
    """For each section its meaning and its keys, those of its parts with their whole path."""
    found = {}
    for name, node in config_schema()["properties"].items():
        rows = list(_rows(name, node, name in config_schema()["required"]))
        meaning = resolved(node).get("description", "")
        if not (len(rows) == 1 and rows[0].key == name):
            found[name] = (meaning, rows)
    return found


def _rows(key: str, node: dict[str, Any], needed: bool) -> Iterator[ConfigRow]:
    """A key; of a mapping or a list of mappings the keys within."""
    for one in choices(node):
        inner, path = one, key
        if one.get("type") == "array":
            inner, path = resolved(one["items"]), f"{key}.<n>"
        if "properties" in inner:
            for name, below in inner["properties"].items():
                yield from _rows(f"{path}.{name}", below, name in inner.get("required", ()))
            return
    default = None if needed else _default(node.get("default"))
    yield ConfigRow(key, default, allowed(node), resolved(node).get("description", ""))


def _default(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
