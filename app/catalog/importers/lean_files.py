"""Which files of a Lean data folder are what, and the rows inside its zips."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

from app.catalog.importers.csv_files import WidthCheck, read_csv_chunks
from app.catalog.importers.report import Example, ImportReport
from app.catalog.importers.tables import relative_name
from app.catalog.writer import list_files
from app.errors import CatalogError, NotFoundError, nearest
from app.model import Ints

_PATTERNS = {
    "minute_trade": re.compile(r"minute/([^/]+)/(\d{8})_trade\.zip"),
    "tick_trade": re.compile(r"tick/([^/]+)/(\d{8})_trade\.zip"),
    "tick_quote": re.compile(r"tick/([^/]+)/(\d{8})_quote\.zip"),
    "daily": re.compile(r"daily/([^/]+)\.zip"),
    "factors": re.compile(r"factor_files/([^/]+)\.csv"),
}
_NO_INPUT = {
    r"(minute|second)/[^/]+/\d{8}_quote\.zip": "quote bars are no input of the server",
    r"(second|hour)/.*": "of bars only those of one minute are an input",
    r"map_files/.*": "map files (renamed symbols) are not used",
}
_OTHER = "not a file that is known"
_SUBFOLDERS = {"minute", "tick", "daily"}
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, pa.ArrowException, RuntimeError)


class LeanFile(NamedTuple):
    """One file of use; ``day`` is None for those of all days."""

    kind: str
    symbol: str
    day: date | None
    path: str
    name: str  # relative to the source


def find_files(
    fs: pafs.FileSystem,
    root: str,
    market: str,
    symbols: Iterable[str] | None,
    report: ImportReport,
) -> list[LeanFile]:
    """The files of use, by name; all others are counted as skipped.

    ``root`` is the folder that holds ``equity/<market>``, or that one itself. Raises
    CatalogError where it is neither, NotFoundError for a symbol without a file.
    """
    base = _find_base(fs, root, market)
    wanted = None if symbols is None else {s.upper() for s in symbols}
    found, known = [], set()
    for path in list_files(fs, base, (".zip", ".csv")):
        name = relative_name(path, root)
        file = _classify(relative_name(path, base), path, name)
        if isinstance(file, str):
            report.skipped.add(file, 1, [Example(name, 0, file)])
            continue
        known.add(file.symbol)
        if wanted is None or file.symbol in wanted:
            found.append(file)
    missing = sorted((wanted or set()) - known)
    if missing:
        close = ", ".join(nearest(missing[0], known)) or "none"
        raise NotFoundError(f"{base} has no files of {', '.join(missing)}; nearest: {close}")
    return found


def _find_base(fs: pafs.FileSystem, root: str, market: str) -> str:
    for base in (f"{root}/equity/{market}", f"{root}/{market}", root):
        if fs.get_file_info(base).type != pafs.FileType.Directory:
            continue
        folders = {i.base_name for i in fs.get_file_info(pafs.FileSelector(base))}
        if folders & _SUBFOLDERS:
            return base
    raise CatalogError(
        f"{root} is no Lean data folder: it has no equity/{market} with minute, tick or daily; "
        "give the folder that holds equity"
    )


def _classify(relative: str, path: str, name: str) -> LeanFile | str:
    """What a file is, or why it is of no use."""
    for kind, pattern in _PATTERNS.items():
        match = pattern.fullmatch(relative)
        if match is None:
            continue
        day = None
        if match.lastindex == 2:
            try:
                day = datetime.strptime(match[2], "%Y%m%d").date()  # noqa: DTZ007 - a date
            except ValueError:
                return _OTHER
        return LeanFile(kind, match[1].upper(), day, path, name)
    reasons = [why for text, why in _NO_INPUT.items() if re.fullmatch(text, relative)]
    return reasons[0] if reasons else _OTHER


def read_zip(
    fs: pafs.FileSystem, file: LeanFile, widths: tuple[int, ...], report: ImportReport
) -> Iterator[tuple[Ints, list[pa.Array]]]:
    """Row numbers and columns of text of the one CSV in a zip, chunk by chunk.

    ``widths`` are the numbers of columns that it may have; the first row decides.
    """
    with _naming(file), fs.open_input_file(file.path) as stream, zipfile.ZipFile(stream) as archive:
        opened = _member(archive, file)
        with opened() as member:
            cells = member.readline().decode("utf-8", "replace").count(",") + 1
        if cells not in widths:
            needed = " or ".join(str(w) for w in widths)
            raise CatalogError(
                f"{file.name}: its first row has {cells} columns; {file.kind} needs {needed}"
            )
        names = [str(place) for place in range(cells)]
        with opened() as member:
            width = WidthCheck(file.name, report)
            for numbers, batch in read_csv_chunks(member, names, names, width):
                yield numbers, [batch.column(place) for place in range(cells)]


@contextmanager
def _naming(file: LeanFile) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise CatalogError(f"{file.name}: cannot be read: {error}") from error


def _member(archive: zipfile.ZipFile, file: LeanFile) -> Callable[[], Any]:
    members = [name for name in archive.namelist() if not name.endswith("/")]
    if len(members) != 1:
        raise CatalogError(f"{file.name}: has {len(members)} files inside; one CSV is needed")
    return lambda: archive.open(members[0])


def read_text(fs: pafs.FileSystem, file: LeanFile) -> str:
    """A small file as text."""
    with _naming(file), fs.open_input_stream(file.path) as stream:
        raw: bytes = stream.read()
    return raw.decode("utf-8", "replace")
