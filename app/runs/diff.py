"""Two runs compared: the first event at which they part, and what differed at their start.

Runs are equal when they came to the same: state, cause, digests, events and files. What they
were made of, such as versions, is told as well, and says nothing against that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import msgspec
import pyarrow as pa

from app.runs.folder import RunFolder
from app.runs.manifest import Manifest, RunKind
from app.runs.tables import TABLES, TIME

_OUTCOME = ("state", "cause", "events", "digest", "events_digest")
_TABLES = tuple(table for table in TABLES if table != "events")
_SLICE_ROWS = 65_536
BEGINS = ("speed", "start_paused")  # in a replay's configuration


class Difference(msgspec.Struct, frozen=True):
    """A value by its path, such as ``config.risk.cash_buffer_pct``; None where there is none."""

    path: str
    a: Any
    b: Any


class EventDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first event that is not the same; ``a`` or ``b`` is None where a run has no more."""

    seq: int
    a: dict[str, Any] | None
    b: dict[str, Any] | None
    fields: tuple[Difference, ...]


class RunDiff(msgspec.Struct, frozen=True, kw_only=True):
    """``made_of``: configuration, strategies, data and versions; ``came_to``: the results."""

    a: str
    b: str
    equal: bool
    first_event: EventDifference | None
    came_to: tuple[Difference, ...]
    summary: tuple[Difference, ...]
    made_of: tuple[Difference, ...]


def diff_runs(a: RunFolder, b: RunFolder) -> RunDiff:
    """Compare two runs in any state, as far as their files go; RunError where one is broken."""
    left, right = a.manifest, b.manifest
    first = None if _same_events(left, right) else first_difference(a, b)
    came_to = (*differences(_outcome(left), _outcome(right)), *_first_rows(a, b))
    summary = differences(a.summary() or {}, b.summary() or {})
    return RunDiff(
        a=a.id, b=b.id, equal=first is None and not came_to and not summary, first_event=first,
        came_to=came_to, summary=summary, made_of=differences(made_of(left), made_of(right)),
    )  # fmt: skip


def _same_events(a: Manifest, b: Manifest) -> bool:
    """Known from the digests of two runs that have ended."""
    return a.events_digest is not None and a.events_digest == b.events_digest


def _outcome(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in _OUTCOME}


def made_of(manifest: Manifest) -> dict[str, Any]:
    """All that a run hangs on: two of the same come to the same."""
    return {
        "seed": manifest.seed,
        "settings": manifest.settings,
        "config": _config(manifest),
        "strategies": {s.id: s.hash for s in manifest.strategies},
        "data": {file.path: file.hash for file in manifest.data},
        "versions": msgspec.to_builtins(manifest.versions),
        "formats": msgspec.to_builtins(manifest.formats),
    }


def _config(manifest: Manifest) -> dict[str, Any]:
    """Without how a replay begins, on which nothing hangs that is delivered."""
    if manifest.kind is not RunKind.REPLAY:
        return manifest.config
    return {name: v for name, v in manifest.config.items() if name not in BEGINS}


# -- events ------------------------------------------------------------------------------------


def first_difference(a: RunFolder, b: RunFolder) -> EventDifference | None:
    """The first event that the runs do not share, by payload."""
    pairs = zip_longest(_payloads(a), _payloads(b))
    for seq, (left, right) in enumerate(pairs, 1):
        if left != right:
            events = [None if p is None else msgspec.json.decode(p) for p in (left, right)]
            return EventDifference(
                seq=seq, a=events[0], b=events[1],
                fields=differences(events[0] or {}, events[1] or {}),
            )  # fmt: skip
    return None


def _payloads(run: RunFolder) -> Iterator[str]:
    for batch in run.batches("events"):
        yield from batch.column("payload").to_pylist()


# -- tables ------------------------------------------------------------------------------------


def _first_rows(a: RunFolder, b: RunFolder) -> Iterator[Difference]:
    """The first row at which each table differs; equal files need no reading."""
    left, right = a.manifest.files, b.manifest.files
    for table in _TABLES:
        file = f"{table}.parquet"
        if file in left and left[file] == right.get(file):
            continue
        found = first_row(a.table(table), b.table(table))
        if found is not None:
            row, x, y = found
            yield Difference(f"{table}[{row}]", x, y)


def first_row(a: Any, b: Any) -> tuple[int, Any, Any] | None:
    """The first row at which two tables differ: its number, and both; None where none does."""
    for start in range(0, max(len(a), len(b)), _SLICE_ROWS):
        left, right = a.slice(start, _SLICE_ROWS), b.slice(start, _SLICE_ROWS)
        if not left.equals(right):
            rows = zip_longest(as_rows(left), as_rows(right))
            for row, (x, y) in enumerate(rows, start):
                if x != y:
                    return row, x, y
    return None


def as_rows(table: Any) -> list[dict[str, Any]]:
    """Rows whose times are nanoseconds, as JSON has them."""
    plain = [pa.field(f.name, pa.int64() if f.type == TIME else f.type) for f in table.schema]
    found: list[dict[str, Any]] = table.cast(pa.schema(plain)).to_pylist()
    return found


# -- values ------------------------------------------------------------------------------------


def differences(a: Any, b: Any) -> tuple[Difference, ...]:
    """Where two values of objects and lists differ, by path, in the order of the paths."""
    left, right = dict(_leaves(a, "")), dict(_leaves(b, ""))
    return tuple(
        Difference(path, left.get(path), right.get(path))
        for path in sorted(left.keys() | right.keys())
        if left.get(path, _NOTHING) != right.get(path, _NOTHING)
    )


_NOTHING = object()


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value:
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, value
