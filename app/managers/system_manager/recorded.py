"""What a recorded run is executed again with: its configuration, strategies and settings."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.catalog.location import redact_uri
from app.errors import ConfigError, RequestError, RunError
from app.runs.folder import RunFolder
from app.runs.manifest import Manifest, StrategyCopy
from app.trading.config import dump_yaml, parse_backtest_config
from app.trading.sections import BacktestConfig
from settings import Settings


def lay_out(
    run: RunFolder, folder: Path, strategies: Path | None = None
) -> tuple[BacktestConfig, dict[str, str]]:
    """A run's configuration, its strategies laid into ``folder`` under the names that it has for
    them; and those that were given another name, by it.

    They are the record's copies, or files of ``strategies``. RunError where a copy is missing.
    """
    manifest = run.manifest
    config = _config_of(manifest)
    names: dict[str, str] = {}
    sections = []
    absent = [s.id for s in config.strategies if not s.file]
    if absent:
        raise RequestError(
            f"run {manifest.id} cannot be executed again: {', '.join(map(repr, absent))} played "
            "in lockstep, its entry names no file, and what a client answers is not recorded. "
            "Runs whose entry has a file beside lockstep: true can be verified and resumed"
        )
    for section, copy in zip(config.strategies, manifest.strategies, strict=True):
        if _lies_elsewhere(section.file):
            renamed = f".{copy.id}/{Path(copy.file).name}"
            names[renamed] = copy.file
            section = section.model_copy(update={"file": renamed})
        sections.append(section)
        place = folder / section.file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_source(run, copy, strategies), place)
    return config.model_copy(update={"strategies": sections}), names


def _source(run: RunFolder, copy: StrategyCopy, strategies: Path | None) -> Path:
    """The file to be executed for a strategy of the record."""
    if strategies is None:
        return run.strategy_copy(copy)
    named = strategies / Path(copy.file).name
    for found in (named,) if _lies_elsewhere(copy.file) else (strategies / copy.file, named):
        if found.is_file():
            return found
    raise RequestError(f"there is no {named.name!r} in {strategies}")


def settings_for(manifest: Manifest, settings: Settings, catalog: str | None = None) -> Settings:
    """Those of the record above this program's own; ``catalog`` is another than the run's."""
    unknown = sorted(manifest.settings.keys() - Settings.model_fields.keys())
    if unknown:
        raise RunError(f"run {manifest.id} hangs on settings unknown here: {unknown}")
    own = settings.data_catalog_uri
    return settings.model_copy(
        update={
            **manifest.settings,
            "data_catalog_uri": catalog or _catalog_of(_catalog_named(manifest), own),
            "tapedeck_cache_dir": Path(settings.tapedeck_cache_dir).absolute(),
            "tapedeck_api_key": None,
        }
    )


def _catalog_named(manifest: Manifest) -> str | None:
    """The catalog's URI in the configuration of either kind; None where it names none."""
    section = manifest.config.get("data", manifest.config)
    found = section.get("catalog") if isinstance(section, dict) else None
    return found if isinstance(found, str) else None


def _catalog_of(named: str | None, own: str | None) -> str | None:
    """The configuration's, or the settings'; a record has no keys to it, settings may."""
    if named is None or (own is not None and redact_uri(own) == named):
        return own
    return named


def _lies_elsewhere(name: str) -> bool:
    """A strategy's name leads out of the configuration's folder."""
    file = Path(name)
    return file.is_absolute() or ".." in file.parts


def _config_of(manifest: Manifest) -> BacktestConfig:
    name = f"the configuration of run {manifest.id}"
    config = parse_backtest_config(dump_yaml(manifest.config), name)
    named = [(s.id, s.file) for s in config.strategies if s.file]
    if named != [(s.id, s.file) for s in manifest.strategies]:
        raise ConfigError([f"{name}: its strategies are not those of the manifest"])
    return config
