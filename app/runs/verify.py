"""A recorded run and the same run executed again: do they agree, and what has changed since.

How far they can be compared hangs on how the recorded one ended:

completed    all of it: events, tables, digests, summary; and the report, by the same program
stopped      as far as it went, all of it but the report
failed       to the same failure; how much had been read by then is chance, and so is the digest
             of the items, and how far the equity curve goes
interrupted  as many events as were written, and the tables so far; not the orders, whose rows
             change until the end
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import msgspec
import pyarrow as pa

from app.errors import RunError, StateError
from app.runs.diff import (
    Difference,
    EventDifference,
    as_rows,
    differences,
    first_row,
    made_of,
)
from app.runs.folder import RunFolder
from app.runs.manifest import Formats, Manifest, RunKind, RunState
from app.runs.streams import regrouped
from app.runs.tables import EVENTS, TABLES
from app.trading.events import TOPICS, BacktestEndEvent

_WHOLE = (RunState.COMPLETED, RunState.STOPPED)
_COMPARED = [name for name in EVENTS.names if name != "ts_created_ns"]
_TABLES = tuple(table for table in TABLES if table != "events")
_REPORT = ("report.html", "trades.csv", "equity.csv")
_VERSIONS = {topic.topic(): topic.VERSION for topic in TOPICS}
_END = BacktestEndEvent.topic()
_WINDOW = re.compile(r"MarketEvent at \S+(?=:)")


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """``a`` of a difference is what was recorded, ``b`` what came or is there now.

    ``events`` is how many were the same, from the first; of a replay, which has none, ``told`` is
    how many lines its journal has. ``broken`` says which files are not as
    the run left them. ``inputs`` are what the second run was made of otherwise, ``edited`` the
    user's strategy files that are not those of the record: its own copies were executed.
    """

    run: str
    kind: RunKind
    state: RunState
    equal: bool
    events: int
    told: int | None
    broken: tuple[str, ...]
    first_event: EventDifference | None
    came_to: tuple[Difference, ...]
    summary: tuple[Difference, ...]
    inputs: tuple[Difference, ...]
    edited: tuple[Difference, ...]


def check_record(run: RunFolder) -> None:
    """StateError where a run has not ended; RunError where its record has formats or events of
    versions that this program does not know."""
    manifest = run.manifest
    if not manifest.state.final:
        raise StateError(f"run {run.id} is {manifest.state}: it has not ended", manifest.state)
    known, came = msgspec.to_builtins((Formats(), manifest.formats))
    unknown = [f"{d.path} is {d.b!r}, this program knows {d.a!r}" for d in differences(known, came)]
    found: set[tuple[str, int]] = set()
    for batch in run.batches("events"):
        pairs = batch.select(["type", "version"])
        found |= set(zip(*(column.to_pylist() for column in _distinct(pairs)), strict=True))
    unknown += [
        f"event {kind!r} has version {version}, this program knows {_VERSIONS.get(kind)}"
        for kind, version in sorted(found)
        if _VERSIONS.get(kind) != version
    ]
    if unknown:
        raise RunError(f"run {run.id} cannot be verified: {'; '.join(unknown)}")


def _distinct(pairs: Any) -> list[Any]:
    rows = pa.Table.from_batches([pairs]).group_by(pairs.schema.names).aggregate([])
    return [rows.column(name) for name in pairs.schema.names]


def compare(
    recorded: RunFolder, again: RunFolder, *, names: Mapping[str, str] | None = None,
    edited: tuple[Difference, ...] = (), journal: tuple[Difference, ...] = (),
) -> Verification:  # fmt: skip
    """Compare a run that ``check_record`` let pass with the one that executed it again.

    ``names`` are those that it gave to strategy files, with those in the record; ``journal`` is
    what was found while it followed that.
    """
    first, second = recorded.manifest, again.manifest
    first = msgspec.structs.replace(first, cause=_cause(first.cause, {}))
    second = msgspec.structs.replace(second, cause=_cause(second.cause, names or {}))
    broken = tuple(recorded.check())
    count, event = _first_event(recorded, again, first.state, names or {})
    came_to = (*journal, *_outcome(first, second), *_tables(recorded, again, first.state))
    came_to += tuple(_report(recorded, again, names or {}))
    summary = _summary(recorded, again) if first.state in _WHOLE else ()
    if not first.data:  # a run behind a live feed lists none
        second = msgspec.structs.replace(second, data=())
    inputs = tuple(d for d in differences(made_of(first), made_of(second)) if not _is_file(d.path))
    told = recorded.journal()
    return Verification(
        run=recorded.id, kind=first.kind, state=first.state, events=count,
        told=None if told is None else len(told), broken=broken, first_event=event,
        equal=not (broken or event or came_to or summary), came_to=came_to, summary=summary,
        inputs=inputs, edited=edited,
    )  # fmt: skip


def differs_from_prefix(interrupted: RunFolder, again: RunFolder) -> str | None:
    """A sentence, where what was recorded of a run before its end is not how the same run begins
    that was executed again; only the tables of ``again`` are read."""
    _, event = _first_event(interrupted, again, RunState.INTERRUPTED, {})
    if event is not None:
        fields = ", ".join(f"{d.path} {d.a!r} is now {d.b!r}" for d in event.fields[:5])
        kind = (event.a or event.b or {}).get("type")
        return f"executed again, it differs from event {event.seq} on ({kind}): {fields}"
    rows = _first_rows(interrupted, again, RunState.INTERRUPTED)
    for place, x, y in rows:
        return f"executed again, it differs in {place}: {x!r} is now {y!r}"
    return None


def _is_file(path: str) -> bool:
    """A strategy's file is compared by its content; it may lie elsewhere now."""
    return path.startswith("config.strategies[") and path.endswith("].file")


def _outcome(a: Manifest, b: Manifest) -> tuple[Difference, ...]:
    names: tuple[str, ...] = ()
    if a.state is not RunState.INTERRUPTED:
        names = ("state", "cause")
    if a.state in _WHOLE:
        names += ("events", "digest", "events_digest")
    left, right = ({name: getattr(one, name) for name in names} for one in (a, b))
    return differences(left, right)


def _summary(a: RunFolder, b: RunFolder) -> tuple[Difference, ...]:
    """The digests are compared by themselves."""
    left, right = a.summary() or {}, b.summary() or {}
    return tuple(d for d in differences(left, right) if d.path != "digest")


def _report(a: RunFolder, b: RunFolder, names: Mapping[str, str]) -> Iterator[Difference]:
    """The same program writes the same report."""
    one, other = a.manifest, b.manifest
    made = [(m.versions.code, m.versions.libraries) for m in (one, other)]
    if one.state is RunState.COMPLETED and made[0] == made[1]:
        for name in _REPORT:
            left, right = one.files.get(name), other.files.get(name)
            if left is not None and left != right and _text(b, name, names) != _text(a, name, {}):
                yield Difference(name, left.hash, None if right is None else right.hash)


def _text(run: RunFolder, name: str, names: Mapping[str, str]) -> str | None:
    path = run.path / name
    return _renamed(path.read_text("utf-8", "replace"), names) if path.is_file() else None


# -- events ------------------------------------------------------------------------------------


def _first_event(
    a: RunFolder, b: RunFolder, state: RunState, names: Mapping[str, str]
) -> tuple[int, EventDifference | None]:
    """How many events are the same, from the first; and the one after them, if it differs."""
    cut_off = state is RunState.INTERRUPTED
    count = 0
    for left, right in zip_longest(_groups(a), _groups(b), fillvalue=EVENTS.empty_table()):
        left, right = left.select(_COMPARED), right.select(_COMPARED)
        if cut_off:
            right = right.slice(0, len(left))
        if not left.equals(right):
            found = _first_row_of(as_rows(left), as_rows(right), count + 1, names)
            if found is not None:
                return found.seq - 1, found
        count += len(left)
        if cut_off and not len(left):
            break
    return count, None


def _groups(run: RunFolder) -> Iterator[Any]:
    return regrouped(EVENTS, run.batches("events"))


def _first_row_of(
    left: list[dict[str, Any]], right: list[dict[str, Any]], seq: int, names: Mapping[str, str]
) -> EventDifference | None:
    for number, (x, y) in enumerate(zip_longest(left, right), seq):
        if x != y and not _same_failure(x, y, names):
            a, b = _shown(x), _shown(y)
            if a == b:  # it is in a column beside the payload
                a, b = x, y
            return EventDifference(seq=number, a=a, b=b, fields=differences(a or {}, b or {}))
    return None


def _same_failure(
    x: dict[str, Any] | None, y: dict[str, Any] | None, names: Mapping[str, str]
) -> bool:
    """The end of two runs that failed alike: how far the engine's clock had come is chance."""
    if x is None or y is None or not x["type"] == y["type"] == _END:
        return False
    a, b = json.loads(x["payload"]), json.loads(y["payload"])
    same = _cause(a["cause"], {}) == _cause(b["cause"], names)
    return bool(a["outcome"] == b["outcome"] == RunState.FAILED and same)


def _cause(text: str | None, names: Mapping[str, str]) -> str | None:
    """Without the end of the window in which it came, which is chance too."""
    return None if text is None else _WINDOW.sub("MarketEvent", _renamed(text, names))


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for name, recorded in names.items():
        text = text.replace(name, recorded)
    return text


def _shown(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    found: dict[str, Any] = json.loads(row["payload"])
    return found


# -- tables ------------------------------------------------------------------------------------


def _tables(a: RunFolder, b: RunFolder, state: RunState) -> Iterator[Difference]:
    """The first row at which each table differs; equal files need no reading."""
    one, other = a.manifest.files, b.manifest.files
    equal = {t for t in _TABLES if (f := f"{t}.parquet") in one and one[f] == other.get(f)}
    for place, x, y in _first_rows(a, b, state, equal):
        yield Difference(place, x, y)


def _first_rows(
    a: RunFolder, b: RunFolder, state: RunState, equal: Container[str] = ()
) -> Iterator[tuple[str, Any, Any]]:
    """Table and row of each first difference, with both versions of the row."""
    for table in _TABLES:
        if table in equal:
            continue
        left, right = _as_far(table, a.table(table), b.table(table), state)
        found = first_row(left, right)
        if found is not None:
            row, x, y = found
            yield f"{table}[{row}]", x, y


def _as_far(table: str, a: Any, b: Any, state: RunState) -> tuple[Any, Any]:
    """What can be compared of a table."""
    if state is RunState.INTERRUPTED and table == "orders":
        return a.slice(0, 0), b.slice(0, 0)
    if table == "equity" and state not in _WHOLE:
        rows = min(len(a), len(b))
        return a.slice(0, rows), b.slice(0, rows)
    return a, b.slice(0, len(a)) if state is RunState.INTERRUPTED else b
