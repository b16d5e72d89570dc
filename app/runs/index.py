"""The index of runs: a table in SQLite or PostgreSQL that is made from the folders.

A row carries a stamp of the manifest it was read from; ``sync`` reads again what has another
stamp. Another version of the schema is dropped and made anew, never migrated.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from app.errors import RunError, SettingsError
from app.runs.folder import RunFolder
from app.runs.locks import FileLock
from app.runs.manifest import NAME, RunState
from app.times import parse_time_ns

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
FILE = "index.sqlite"
_BUSY_S = 30.0
_ADVISORY_LOCK = 0x7461_7065_6465_636B
_UPSERTS: dict[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert, "postgresql": postgresql.insert,
}  # fmt: skip

_tables = MetaData()
_about = Table("tapedeck_runs_about", _tables, Column("version", Integer, nullable=False))
_runs = Table(
    "tapedeck_runs",
    _tables,
    Column("root", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("stamp", String, nullable=False),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("cause", Text),
    Column("created_ns", BigInteger, index=True),
    Column("started_ns", BigInteger),
    Column("finished_ns", BigInteger),
    Column("seed", String),  # has no bounds
    Column("events", BigInteger),
    Column("digest", String),
    Column("events_digest", String),
    Column("tapedeck", String),
    Column("summary", Text),
)


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list. Of a broken one ``cause`` says what is wrong, and no more is known."""

    id: str
    name: str
    state: RunState
    cause: str | None = None
    created_ns: int | None = None
    started_ns: int | None = None
    finished_ns: int | None = None
    seed: int | None = None
    events: int | None = None
    digest: str | None = None
    events_digest: str | None = None
    tapedeck: str | None = None
    summary: dict[str, Any] | None = None


def record_of(folder: RunFolder) -> RunRecord:
    """What the list says of a folder."""
    try:
        found, summary = folder.manifest, folder.summary()
    except RunError as error:
        return RunRecord(id=folder.id, name=folder.id, state=RunState.BROKEN, cause=str(error))
    return RunRecord(
        id=found.id, name=found.name, state=found.state, cause=found.cause,
        created_ns=parse_time_ns(found.created), started_ns=_time_ns(found.started),
        finished_ns=_time_ns(found.finished), seed=found.seed, events=found.events,
        digest=found.digest, events_digest=found.events_digest,
        tapedeck=found.versions.tapedeck, summary=summary,
    )  # fmt: skip


def _time_ns(text: str | None) -> int | None:
    return None if text is None else parse_time_ns(text)


class RunIndex:
    """The rows of one folder of runs; a database may hold those of several folders."""

    def __init__(self, root: Path, url: str | None) -> None:
        self._root = root
        self._own_file = root / FILE if url is None else None
        self._engine = _engine(url or f"sqlite:///{root / FILE}")
        self._name = self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self._engine.dispose()

    # -- writing -------------------------------------------------------------------------------

    def put(self, path: Path) -> None:
        """Bring the row of one folder up to date; it goes where the folder has gone."""
        with self._writing() as connection:
            if path.is_dir():
                self._upsert(connection, [self._row(path)])
            else:
                self._remove(connection, [path.name])

    def sync(self, folders: Sequence[Path]) -> None:
        """Bring all rows up to date; only folders whose manifest changed are read."""
        with self._reading() as connection:
            query = select(_runs.c.id, _runs.c.stamp).where(_runs.c.root == str(self._root))
            known = {row.id: row.stamp for row in connection.execute(query)}
        changed = [path for path in folders if known.get(path.name) != _stamp(path)]
        gone = sorted(known.keys() - {path.name for path in folders})
        if changed or gone:
            rows = [self._row(path) for path in changed]
            with self._writing() as connection:
                self._upsert(connection, rows)
                self._remove(connection, gone)

    def clear(self) -> None:
        """Forget this folder's rows."""
        with self._writing() as connection:
            connection.execute(delete(_runs).where(_runs.c.root == str(self._root)))

    def _row(self, path: Path) -> dict[str, Any]:
        stamp = _stamp(path)  # before reading: what changes meanwhile is read again
        record = record_of(RunFolder(path))
        row = {
            **msgspec.structs.asdict(record),
            "root": str(self._root), "stamp": stamp, "state": record.state.value,
            "seed": None if record.seed is None else str(record.seed),
            "summary": None if record.summary is None else json.dumps(record.summary),
        }  # fmt: skip
        # PostgreSQL holds no NUL in a text.
        return {k: v.replace("\0", "\ufffd") if isinstance(v, str) else v for k, v in row.items()}

    def _upsert(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            statement = _UPSERTS[self._engine.dialect.name](_runs)
            keys = [column.name for column in _runs.primary_key]
            others = {c.name: statement.excluded[c.name] for c in _runs.c if c.name not in keys}
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=others), list(rows)
            )

    def _remove(self, connection: Connection, ids: Sequence[str]) -> None:
        for run_id in ids:
            connection.execute(
                delete(_runs).where(_runs.c.root == str(self._root), _runs.c.id == run_id)
            )

    # -- reading -------------------------------------------------------------------------------

    def select(
        self, state: RunState | None, name: str | None, limit: int | None
    ) -> tuple[RunRecord, ...]:
        """Rows, the newest first; those of unknown age before all."""
        query = select(_runs).where(_runs.c.root == str(self._root))
        if state is not None:
            query = query.where(_runs.c.state == state.value)
        if name is not None:
            query = query.where(_runs.c.name == name)
        query = query.order_by(
            _runs.c.created_ns.is_(None).desc(), _runs.c.created_ns.desc(), _runs.c.id.desc()
        )
        with self._reading() as connection:
            return tuple(_record(row._asdict()) for row in connection.execute(query.limit(limit)))

    # -- the database --------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._told():
            self._make_ready()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._told():
            self._make_ready()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong in the database, in a sentence."""
        try:
            yield
        except SQLAlchemyError as error:
            why = " ".join(str(getattr(error, "orig", None) or error).split())
            raise RunError(f"the index of runs {self._name} cannot be used: {why}") from error

    def _make_ready(self) -> None:
        """The tables as this program knows them; it may have been deleted at any time."""
        try:
            if self._version() == SCHEMA_VERSION:
                return
        except DatabaseError as error:
            if self._own_file is None or type(error.orig) is not sqlite3.DatabaseError:
                raise
            log.warning("%s is broken and is made anew: %s", self._own_file, error.orig)
            self._own_file.unlink(missing_ok=True)
        lock = FileLock(self._root / ".index.lock")
        lock.wait_alone()
        try:
            self._make()
        finally:
            lock.release()

    def _version(self) -> int | None:
        """That of the tables that are there; None where they are not."""
        with self._engine.connect() as connection:
            there = inspect(connection).get_table_names()
            if not {_about.name, _runs.name} <= set(there):
                return None
            return connection.execute(select(_about.c.version)).scalar()

    def _make(self) -> None:
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.execute(text("PRAGMA journal_mode=WAL"))
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(select(text(f"pg_advisory_xact_lock({_ADVISORY_LOCK})")))
            if self._version() == SCHEMA_VERSION:  # somebody else was first
                return
            _tables.drop_all(connection)
            _tables.create_all(connection)
            connection.execute(insert(_about).values(version=SCHEMA_VERSION))


def _record(row: dict[str, Any]) -> RunRecord:
    del row["root"], row["stamp"]
    row["state"] = RunState(row["state"])
    row["seed"] = None if row["seed"] is None else int(row["seed"])
    row["summary"] = None if row["summary"] is None else json.loads(row["summary"])
    return RunRecord(**row)


def _stamp(path: Path) -> str:
    """Another one for each manifest that is written; '' where there is none."""
    try:
        found = (path / NAME).stat()
    except OSError:
        return ""
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        name = parsed.get_backend_name()
        if name not in _UPSERTS:
            raise SettingsError(f"no index of runs in {name!r}; allowed: sqlite, postgresql")
        terms = {"timeout": _BUSY_S} if name == "sqlite" else {}
        return create_engine(parsed, poolclass=NullPool, connect_args=terms)
    except (ArgumentError, NoSuchModuleError) as error:
        raise SettingsError(f"the index of runs has no usable URL: {error}") from error
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the driver {error.name!r} is not installed; PostgreSQL needs tapedeck[postgres]"
        ) from error
