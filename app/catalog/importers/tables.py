"""What a table of foreign columns means: which is which, and how its times are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from app.catalog.importers.cast import as_array, to_texts
from app.catalog.importers.localtime import load_zone
from app.catalog.importers.rows import Rows
from app.catalog.importers.sink import Sink
from app.catalog.importers.stamps import check_time_format, read_stamps
from app.catalog.layout import STREAM_DATASETS, parse_path
from app.catalog.shapes import NEEDED, column_types
from app.errors import CatalogError, RequestError, nearest

_JOIN = " + "


@dataclass(frozen=True)
class TableFormat:
    """How to read a table into a stream dataset.

    ``columns`` maps the catalog's names, and ``symbol``, to the source's; those that
    are not named are taken where the source has them under the same name. A time
    in two columns is written ``{"ts": "date + time"}``. ``time_format`` is rfc3339,
    iso (no zone in the text), s, ms, us, ns, or a strptime format. Times without a
    zone are in ``time_zone``, or else in ``zone``, the exchange's, which also gives
    the trading date. ``stamped`` says whether a bar's time is its start or its end.
    The symbol is ``symbol``, else the column, else the file's name or ``symbol=X`` folder;
    ``symbol_from`` (column or file) decides where both are there.
    """

    dataset: str = "bars_1m"
    columns: Mapping[str, str] = field(default_factory=dict)
    time_format: str = "rfc3339"
    zone: str = "America/New_York"
    time_zone: str | None = None
    stamped: str = "start"
    symbol: str | None = None
    symbol_from: str | None = None

    def check(self) -> None:
        """RequestError where it contradicts itself or names what there is not."""
        _one_of("dataset", self.dataset, STREAM_DATASETS)
        _one_of("stamped", self.stamped, ("start", "end"))
        if self.symbol_from is not None:
            _one_of("symbol_from", self.symbol_from, ("column", "file"))
        if self.stamped == "end" and self.dataset != "bars_1m":
            raise RequestError(
                f"stamped 'end' is for bars; {self.dataset} have a time of their own"
            )
        if self.symbol == "":
            raise RequestError("symbol is empty; name one, or leave it out")
        for name in self.columns:
            _one_of("columns", name, (*column_types(self.dataset), "symbol"))
        check_time_format(self.time_format)
        for zone in {self.zone, self.time_zone or self.zone}:
            load_zone(zone)


def _one_of(option: str, value: str, allowed: Iterable[str]) -> None:
    known = list(allowed)
    if value not in known:
        close = ", ".join(nearest(value, known)) or "none"
        raise RequestError(
            f"{option}: {value!r} is not allowed; nearest: {close}; allowed: {', '.join(known)}"
        )


class TableReader:
    """Takes chunks of one file to a sink."""

    def __init__(self, form: TableFormat, sink: Sink, file: str, names: Iterable[str]) -> None:
        self._form = form
        self._sink = sink
        self._file = file
        self._sources = self._find_columns(list(names))
        sink.start_file(file)

    @property
    def needed(self) -> list[str]:
        """The source's columns that are read."""
        return list(dict.fromkeys(name for names in self._sources.values() for name in names))

    def add(self, rows: Rows, table: pa.RecordBatch) -> None:
        """The next chunk, at least with the needed columns."""
        columns = {name: self._column(table, sources) for name, sources in self._sources.items()}
        stamp_column = columns.pop("ts")
        stamps = read_stamps(stamp_column, self._form.time_format)
        symbols = columns.pop("symbol", None)
        if symbols is None:
            symbols = self._form.symbol or symbol_of(self._file)
        self._sink.add(rows, stamps, stamp_column, columns, symbols)

    def _column(self, table: Any, sources: list[str]) -> pa.Array:
        pieces = [as_array(table.column(name)) for name in sources]
        if len(pieces) == 1:
            return pieces[0]
        return pc.binary_join_element_wise(*(to_texts(p) for p in pieces), " ")

    def _find_columns(self, names: list[str]) -> dict[str, list[str]]:
        wanted: dict[str, str] = {n: n for n in column_types(self._form.dataset) if n in names}
        if self._form.symbol is None and self._form.symbol_from != "file":
            wanted |= {"symbol": "symbol"} if "symbol" in names else {}
        elif "symbol" in self._form.columns:
            raise RequestError(
                "a column for the symbol is named, and symbol or symbol_from says otherwise; "
                "leave one of them out"
            )
        wanted |= self._form.columns
        if self._form.symbol_from == "column" and "symbol" not in wanted:
            raise CatalogError(f"{self._file}: no column 'symbol'; it has {names}")
        for name in NEEDED[self._form.dataset]:
            if name not in wanted:
                raise CatalogError(
                    f"{self._file}: no column {name!r} for {self._form.dataset}; it has {names}; "
                    f"say which one it is with a column map, such as {name}=<its name>"
                )
        sources = {name: source.split(_JOIN) for name, source in wanted.items()}
        for name, source in wanted.items():
            if source in names:  # a name that holds the sign itself
                sources[name] = [source]
            for one in sources[name]:
                if names.count(one) != 1:
                    raise CatalogError(
                        f"{self._file}: column {one!r} (for {name!r}) is there "
                        f"{names.count(one)} times, it must be once; it has {names}"
                    )
        return sources


def symbol_of(file: str) -> str:
    """The symbol that a file's folder (``symbol=X``) or else its name says."""
    symbol = parse_path(f"./{file}")[1]
    if symbol is not None:
        return symbol
    name = PurePosixPath(file).name
    for ending in (".gz", ".zst", ".bz2", ".csv", ".txt", ".parquet"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def relative_name(path: str, root: str) -> str:
    """A file's path below the source, its bare name where it is the source."""
    return path[len(root) :].lstrip("/") if path != root else PurePosixPath(path).name
