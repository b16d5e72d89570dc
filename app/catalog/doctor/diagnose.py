"""The doctor's round: every file of a catalog, stream by stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.fs as pafs

from app.catalog.doctor.bars import BarDoctor
from app.catalog.doctor.findings import Diagnosis, Findings, Place, Severity
from app.catalog.doctor.rows import read_rows
from app.catalog.doctor.sessions import Sessions
from app.catalog.doctor.sides import check_side_file, known_splits
from app.catalog.doctor.streams import StreamDoctor
from app.catalog.doctor.ticks import QuoteDoctor
from app.catalog.layout import SIDE_DATASETS, STREAM_DATASETS, parse_path
from app.catalog.store import open_filesystem
from app.errors import CatalogError, RequestError

DATASETS = (*STREAM_DATASETS, *SIDE_DATASETS)


def diagnose(
    root_uri: str,
    *,
    calendar: str = "XNYS",
    symbols: Collection[str] | None = None,
    datasets: Collection[str] | None = None,
) -> Diagnosis:
    """Look at all files of a catalog, or at those of some symbols and datasets.

    Memory is bounded by a chunk of rows and a little for each symbol. Raises CatalogError
    where the root is no folder, RequestError for an unknown calendar or dataset; whatever
    is wrong with the data itself is a finding.
    """
    unknown = sorted(set(datasets or ()) - set(DATASETS))
    if unknown:
        raise RequestError(f"unknown dataset {unknown[0]!r}; allowed: {', '.join(DATASETS)}")
    fs, root = open_filesystem(root_uri)
    examination = _Examination(fs, root, calendar, symbols)
    for dataset, paths in _files(fs, root).items():
        if dataset not in DATASETS:
            if datasets is None:
                said = f"folder {dataset!r} with {len(paths)} Parquet files is not used"
                place = Place(dataset, None, None, paths[0])
                examination.findings.add(Severity.INFO, "unknown_dataset", place, said, len(paths))
        elif datasets is None or dataset in datasets:
            examination.examine(dataset, paths)
    return Diagnosis(
        root_uri, calendar, examination.files, examination.rows, examination.findings.sorted()
    )


def _files(fs: pafs.FileSystem, root: str) -> dict[str, list[str]]:
    """Relative paths of all Parquet files by dataset, in source order."""
    try:
        if fs.get_file_info(root).type != pafs.FileType.Directory:
            raise CatalogError(f"catalog root {root!r} is not a folder")
        infos = fs.get_file_info(pafs.FileSelector(root, recursive=True))
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"catalog {root!r} cannot be listed: {error}") from error
    found: dict[str, list[str]] = {}
    for path in sorted(_visible(root, infos)):
        found.setdefault(parse_path(path)[0], []).append(path)
    return found


def _visible(root: str, infos: list[pafs.FileInfo]) -> Iterator[str]:
    for info in infos:
        path = info.path[len(root) :].lstrip("/")
        hidden = any(piece.startswith((".", "_")) for piece in path.split("/"))
        if info.type == pafs.FileType.File and path.endswith(".parquet") and not hidden:
            yield path


class _Examination:
    """One round over a catalog."""

    def __init__(
        self, fs: pafs.FileSystem, root: str, calendar: str, symbols: Collection[str] | None
    ) -> None:
        self.findings = Findings()
        self.files = 0
        self.rows = 0
        self._fs = fs
        self._root = root
        self._symbols = None if symbols is None else frozenset(symbols)
        self._sessions = Sessions(calendar)

    def examine(self, dataset: str, paths: list[str]) -> None:
        """All files of one dataset."""
        doctors: dict[str, StreamDoctor] = {}
        at_hand: str | None = None
        for path in paths:
            symbol = parse_path(path)[1]
            if symbol is not None and not self._wanted(symbol):
                continue
            self.files += 1
            if dataset in SIDE_DATASETS:
                self.rows += check_side_file(self._fs, self._root, path, self.findings)
                continue
            if symbol != at_hand and at_hand is not None and at_hand in doctors:
                doctors.pop(at_hand).finish()  # its folder is done
            at_hand = symbol
            self._examine_file(path, doctors)
        for doctor in doctors.values():
            doctor.finish()

    def _examine_file(self, path: str, doctors: dict[str, StreamDoctor]) -> None:
        for rows in read_rows(self._fs, self._root, path, self.findings, self._wanted):
            self.rows += len(rows)
            if rows.symbol not in doctors:
                doctors[rows.symbol] = self._doctor(rows.dataset, rows.symbol)
            doctors[rows.symbol].feed(rows)

    def _wanted(self, symbol: str) -> bool:
        return self._symbols is None or symbol in self._symbols

    def _doctor(self, dataset: str, symbol: str) -> StreamDoctor:
        if dataset == "bars_1m":
            splits = known_splits(self._fs, self._root, symbol)
            return BarDoctor(self._sessions, self.findings, splits)
        doctor = QuoteDoctor if dataset == "quotes" else StreamDoctor
        return doctor(self._sessions, self.findings)
