"""The beginning of a record: its folder, what it is made of, and the files that it replays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from blake3 import blake3

from app.catalog.location import redact_uri
from app.catalog.store import Catalog
from app.errors import CatalogError, RunError
from app.managers.system_manager.config import ResolvedConfig
from app.runs.folder import RunHandle
from app.runs.manifest import DataFile, RunState
from app.runs.spec import RunSpec, StrategyFile
from app.runs.store import RunStore
from app.trading.sections import BacktestConfig

_CHUNK = 1 << 18


def begin_run(
    store: RunStore, config: BacktestConfig, folder: Path, resolved: ResolvedConfig,
    catalog: Catalog, settings: Mapping[str, int], queued: str | None = None,
    report: bool = True,
) -> RunHandle:  # fmt: skip
    """A run's folder, with all that it is made of; ``queued`` is the id of one that waits.

    ``settings`` are those that the run hangs on and the configuration does not have.
    """
    if queued is not None:
        return take_run(store, queued, data_files(catalog, resolved), settings)
    spec = run_spec(config, folder, lambda: data_files(catalog, resolved))
    return store.create(replace(spec, settings=settings, report=report))


def take_run(
    store: RunStore, queued: str, data: Sequence[DataFile], settings: Mapping[str, int]
) -> RunHandle:
    """A run that waits, begun by this process. RunError where one is resumed on other data."""
    handle = store.take(queued)
    with failing(handle):
        if handle.resumes:
            _check_data(handle, data)
        handle.note_data(data, settings)
    return handle


def _check_data(handle: RunHandle, now: Sequence[DataFile]) -> None:
    before = {file.path: file for file in handle.manifest.data}
    if before:
        found = {file.path: file for file in now}
        names = before.keys() | found.keys()
        changed = sorted(name for name in names if before.get(name) != found.get(name))
        if changed:
            raise RunError(f"its data files have changed since: {', '.join(changed[:20])}")
    elif next(handle.batches("events"), None) is not None:
        raise RunError("its data came from elsewhere than the catalog: it cannot be executed again")


@contextmanager
def failing(handle: RunHandle) -> Iterator[None]:
    """What goes wrong in here is the end of a run that nobody else would end."""
    try:
        yield
    except BaseException as error:
        handle.finish(RunState.FAILED, cause=f"{type(error).__name__}: {error}")
        raise


def run_spec(
    config: BacktestConfig, folder: Path, data: Callable[[], Sequence[DataFile]] | None = None
) -> RunSpec:
    """What the store is to note of a configuration; keys in the catalog's URI are not."""
    plain = config.model_dump(mode="json")
    uri = config.data.catalog
    plain["data"]["catalog"] = None if uri is None else redact_uri(uri)
    return RunSpec(
        name=config.backtest.name,
        config=plain,
        seed=config.backtest.seed,
        strategies=[
            StrategyFile(s.id, s.file, folder / s.file) for s in config.strategies if s.file
        ],
        data=() if data is None else data,
    )


def data_files(catalog: Catalog, resolved: ResolvedConfig) -> list[DataFile]:
    """The files of a session's streams and symbols, with their hashes; reads them."""
    paths = set(catalog.side_files(resolved.symbols)) | {
        piece.path
        for stream in resolved.streams
        for piece in catalog.pieces(stream.channel, stream.symbol)
        if piece.last_ns >= resolved.from_ns(stream) and piece.first_ns < resolved.until_ns
    }
    return [_data_file(catalog, path) for path in sorted(paths)]


def _data_file(catalog: Catalog, path: str) -> DataFile:
    hashed, size = blake3(), 0
    chunk = memoryview(bytearray(_CHUNK))
    try:
        with catalog.open_file(path) as source:
            while count := source.readinto(chunk):
                hashed.update(chunk[:count])
                size += count
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error}") from error
    return DataFile(path, size, hashed.hexdigest())
