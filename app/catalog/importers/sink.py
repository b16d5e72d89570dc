"""Where the rows of all importers come together: checked, sorted, written by day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from app.catalog.importers.cast import Mask, to_texts
from app.catalog.importers.checks import check_columns
from app.catalog.importers.duplicates import DuplicateBars
from app.catalog.importers.grid import MinuteGrid
from app.catalog.importers.localtime import load_zone, local_days
from app.catalog.importers.report import ImportReport, Progress
from app.catalog.importers.rows import Rows
from app.catalog.importers.stamps import Stamps
from app.catalog.importers.wallclock import WallClock
from app.catalog.layout import day_path
from app.catalog.shapes import SIZES, whole_sizes
from app.catalog.spill import Spill, split_days
from app.catalog.writer import DayWriter, Folders
from app.model import Ints
from app.times import MINUTE_NS

FILE, ROW = "_file", "_row"  # where a row came from; not written
_EPOCH = date(1970, 1, 1)
_SOURCES_NAMED = 5


class Sink:
    """Takes rows of one dataset in source order; ``write`` then makes the catalog's files.

    Nothing is written before all rows are in, so a source that turns out unreadable
    changes nothing. A day that is in the catalog already is replaced as a whole. Sizes are
    integers where all of a symbol are whole, unless ``fractional_sizes``.
    """

    def __init__(
        self,
        dataset: str,
        zone: str,
        report: ImportReport,
        *,
        time_zone: str | None = None,
        end_stamped: bool = False,
        fractional_sizes: bool = False,
        check_grid: bool = True,
        memory_rows: int = 1_000_000,
    ) -> None:
        self.dataset = dataset
        self.report = report
        self._zone_name = zone
        self._zone: ZoneInfo = load_zone(zone)
        self._clock = WallClock(load_zone(time_zone or zone))
        self._end_stamped = end_stamped
        self._fractional_sizes = fractional_sizes
        self._spill: Spill[tuple[str, date]] = Spill(memory_rows)
        self._files: list[str] = []
        self._codes: dict[str, int] = {}
        self._fractional: set[str] = set()
        self._grid = MinuteGrid()
        self._check_grid = check_grid and dataset == "bars_1m"
        self._sources: dict[tuple[str, date], list[int]] = {}

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._spill.__exit__()

    def start_file(self, name: str) -> None:
        """The rows that follow are of this file."""
        self._files.append(name)
        self._clock.start_file()
        self.report.files_read += 1

    def rows(self, numbers: Ints) -> Rows:
        """The next chunk of the file, by its row numbers."""
        self.report.rows_read += len(numbers)
        return Rows(self._files[-1], numbers, self.report.rejected)

    def add(
        self,
        rows: Rows,
        stamps: Stamps,
        stamp_column: pa.Array,
        columns: Mapping[str, pa.Array],
        symbols: str | pa.Array,
        day: date | None = None,
    ) -> None:
        """Check a chunk and keep what is right; ``day`` where the source says the trading date."""
        codes = self._symbol_codes(rows, symbols)
        ts = self._times(rows, stamps, stamp_column, codes)
        made = {"ts": pa.array(ts, pa.int64()).cast(pa.timestamp("ns", "UTC"))}
        made |= check_columns(rows, self.dataset, columns)
        made[FILE] = pa.repeat(pa.scalar(len(self._files) - 1, pa.int32()), len(rows))
        made[ROW] = pa.array(rows.numbers, pa.int64())
        kept = ~rows.bad
        table = pa.table(made).filter(pa.array(kept))
        ts, codes = ts[kept], codes[kept]
        days = (
            local_days(ts, self._zone)
            if day is None
            else np.full(len(ts), (day - _EPOCH).days, np.int64)
        )
        self._keep(table, ts, codes, days)

    def write(self, fs: pafs.FileSystem, root: str, folders: Folders, progress: Progress) -> None:
        """Write one file a symbol and day; raises before the first where bars are not 1m bars."""
        if self._check_grid:
            self._grid.check()
        keys = sorted(self._spill.keys)
        for done, (symbol, day) in enumerate(keys):
            progress(done, len(keys), f"writing {symbol} {day}")
            path = f"{root}/{day_path(self.dataset, symbol, day)}"
            with DayWriter(fs, path, self._metadata(symbol, day), folders) as writer:
                self._write_day(writer, symbol, day)
            self.report.files_written += bool(writer.rows)
            self.report.rows_written += writer.rows
        progress(len(keys), len(keys), "written")

    def _write_day(self, writer: DayWriter, symbol: str, day: date) -> None:
        whole = not self._fractional_sizes and symbol not in self._fractional
        duplicates = DuplicateBars(self._files, self.report.rejected)
        for piece in self._spill.read_sorted((symbol, day)):
            table = duplicates.drop(piece) if self.dataset == "bars_1m" else piece
            if whole:
                table = whole_sizes(table, SIZES[self.dataset])
            writer.add(table.drop_columns([FILE, ROW]))

    def _metadata(self, symbol: str, day: date) -> dict[str, str]:
        names = [self._files[f] for f in self._sources[symbol, day]]
        more = len(names) - _SOURCES_NAMED
        source = ", ".join(names[:_SOURCES_NAMED]) + (f" and {more} more" if more > 0 else "")
        return {"source": source, "zone": self._zone_name}

    def _symbol_codes(self, rows: Rows, symbols: str | pa.Array) -> Ints:
        if isinstance(symbols, str):
            return np.full(len(rows), self._code(symbols), np.int64)
        texts = to_texts(symbols)
        missing: Mask = texts.is_null().to_numpy(zero_copy_only=False)
        rows.reject(missing, "no symbol", "symbol")
        encoded = texts.dictionary_encode()
        known = [self._code(word) for word in encoded.dictionary.to_pylist()]
        places = pc.fill_null(encoded.indices, len(known)).to_numpy()
        codes: Ints = np.array([*known, 0], np.int64)[places]
        return codes

    def _code(self, symbol: str) -> int:
        return self._codes.setdefault(symbol, len(self._codes))

    def _times(self, rows: Rows, stamps: Stamps, column: pa.Array, codes: Ints) -> Ints:
        rows.reject(stamps.null, "no time", "ts")
        rows.reject(stamps.unreadable, "unreadable time", "ts", column)
        ts = stamps.ns
        if stamps.is_wall:
            ts, missing, first, second = self._clock.to_utc(ts, codes, ~rows.bad)
            rows.reject(missing, "time that the clock never showed (put forward)", "ts", column)
            for mask, which in ((first, "first"), (second, "second")):
                self.report.notes.add(
                    f"time that came twice (clock put back), taken as the {which}",
                    int(mask.sum()),
                    rows.examples(mask, "ts", column),
                )
        if self.dataset == "bars_1m":
            if self._end_stamped:
                ts = ts - MINUTE_NS
            rows.reject(ts % MINUTE_NS != 0, "bar off the minute grid", "ts", column)
        return ts

    def _keep(self, table: pa.Table, ts: Ints, codes: Ints, days: Ints) -> None:
        names = list(self._codes)
        if self._check_grid:
            self._grid.add(names, codes, ts)
        for code, day, part in split_days(table, codes, days):
            symbol = names[code]
            place = (symbol, day)
            self._note_sizes(symbol, part)
            sources = self._sources.setdefault(place, [])
            if not sources or sources[-1] != len(self._files) - 1:
                sources.append(len(self._files) - 1)
            self._spill.add(place, part)

    def _note_sizes(self, symbol: str, part: pa.Table) -> None:
        if symbol in self._fractional:
            return
        for name in SIZES[self.dataset]:
            column = part.column(name)
            if not pc.all(pc.equal(pc.floor(column), column), min_count=0).as_py():
                self._fractional.add(symbol)
